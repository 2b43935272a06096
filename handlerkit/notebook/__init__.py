"""The notebook: one session, and the magics that are doors to it."""
