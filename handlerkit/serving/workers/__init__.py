"""Workers, and the processes that they are.

- any_worker: a worker as its model sees it, who may bring another kind. worker: one that is a process, from start to
  start. worker_command: what it is started with, here and by endpoints. any_casing: a script in front of TorchServe's
  own, for hosts that write header names in lower case.
- recorder: what workers are handed, kept for who asks. processes, supervisor: processes that end with the app.

Imports frontend, documents and below. Another kind of worker is a class with any_worker's methods, in a file here.
"""
