"""One load of a handler, as its Worker holds it.

- process: the handler in a worker process. channel: its connection, streams and end. fork_server: where it comes from.
- in_process: the handler in this process, for a debugger.
- staged_model: the model's files in a folder of their own, and the environment of the worker.
"""
