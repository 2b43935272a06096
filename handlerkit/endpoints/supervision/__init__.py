"""Processes that end when their owner ends, in whatever way.

- supervised_process: the owner's side.
- watchdog: the script between the two; the standard library alone.
"""
