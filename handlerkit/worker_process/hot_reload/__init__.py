"""An edit of a handler put into the loaded one, where that answers as a newly loaded handler would.

- reload: one swap from its beginning to its end, or why the handler must be loaded again.
- source_diff: which functions of a file an edit changes. code_patch: their new code, in place.
- load_trace: which code runs while a handler is loaded. file_opens: which files it reads.
- state_snapshot: what the handler's objects are just after the load, and how they are put back to it.
- state_types: the types of values that this knows; a new one goes there. state_values, state_numbers: read and
  restore single values; the second tensors and arrays.
- memory_watch: sees writes to large values. serialized: compares objects by their pickles. compiled: what torch
  compiled.

Runs in the worker process. It may import the rest of `worker_process` and what is below it.
"""
