"""Workers, and the processes that they are.

- any_worker: a worker as its model sees it, who may bring another kind. worker: one that is a process, from start to
  start. worker_command: what it is started with, here and by endpoints. start: the script that becomes the worker, in
  front of TorchServe's own.
- recorder: what workers are handed, kept for who asks. processes, supervisor: processes that end with the app.

Imports frontend, documents and below. Another kind of worker is a class with any_worker's methods, in a file here.
"""
