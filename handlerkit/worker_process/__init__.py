"""What runs on the far side of a Worker: the process that makes workers, and what a worker process runs.

- fork_server: the small process that has imported torch and ts, and forks a worker on request; a script of its own.
- host: what a worker process does from its first line to its last: become a worker, load, answer, explain.
- frames: how the two ends of a worker's connection talk; plain data alone comes back.
- streams: the worker's stdout and stderr, in one order.
- loaded_handler: the handler as TorchServe's own loader leaves it, and one call of it; instruments around both.
- user_files: code of the model's files under the names of the files that the user edits.
- process_state: what a worker process is after the load, so that a swap can put it back.

The parent's end is `handlerkit.endpoints.process`. What runs here may be imported by code of a Worker in the kernel's
process (`in_process=True`) too.
"""
