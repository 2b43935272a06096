"""Processes that end when their owner ends, in whatever way.

- supervised_process: the owner's side.
- watchdog: the script between the two; the standard library alone.

May import folders and below. What else has to end with a process goes into watchdog.
"""
