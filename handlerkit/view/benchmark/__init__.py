"""The display of a Bench: its figures (report) and its plot (plot)."""
