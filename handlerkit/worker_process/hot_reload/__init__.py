"""An edit of a handler put into the loaded one, where that answers as a newly loaded handler would.

- reload: one swap from its beginning to its end, or why the handler must be loaded again.
- source_diff: which functions of a file an edit changes. code_patch: their new code, in place.
- load_trace: which code runs while a handler is loaded, and which files it reads (file_opens).
- state_snapshot: what the handler's objects are just after the load, and how they are put back to it. A new type
  of value goes into state_types; state_values reads and restores single values, memory_watch sees writes to large
  ones, serialized compares objects by their pickles, compiled what torch compiled.

Runs in the worker process. It may import the rest of `worker_process` and what is below it.
"""
