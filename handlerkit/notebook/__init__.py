"""The notebook: one session, and the magics that are doors to it.

parsers.py      the options of each magic, which the command line (handlerkit.cli) reads as well; no IPython
magics.py       the magics, their completion, and what IPython shows by which type
session.py      what they call; entry, versions, standby and others hold what a session remembers
results.py      what its functions return beside Runs, Checks and Reports
"""
