"""One load of a handler, as its Worker holds it.

- process: the handler in a worker process. channel: its connection and end. stream_reader: its streams. fork_server:
  where it comes from.
- in_process: the handler in this process, for a debugger.
- staged_model: the model's files in a folder of their own, and the environment of the worker.

May import worker_process, why, messages and below. Another place where a handler can be loaded is a class with the
methods of WorkerProcess, in a file here.
"""
