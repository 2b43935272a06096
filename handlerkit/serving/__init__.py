"""HTTP to worker messages and back: what TorchServe's Java frontend does, for endpoints and as an application.

The frontend of one model, without input and output of its own:

- frontend: from a request to the worker's job, and from the worker's answer to the response. http: both as plain data.
- routes: where a path leads.
- headers, parameters, multipart: how Netty reads and writes headers, forms and multipart bodies.
- job_queue: how jobs become batches.
- wire: the messages between the frontend and a worker. worker_death: answers that end the worker.
- config: config.properties. describe_model, openapi: what describe requests and OPTIONS get. gson: the frontend's JSON.

The application, on asyncio:

- serve: the command, and a function for scripts. command: an app's own command line. models_file: what is served.
- listener: HTTP/1.1 for clients. asgi: the same for ASGI servers, with any_casing for their workers.
- application: routes to models, health and metrics. metrics: what is counted, as Prometheus reads it.
- served_model: what is served. running_model: its requests on their way to workers and back. live_queue: job_queue on
  an event loop.
- any_worker: a worker as its model sees it, who may bring another kind. worker: one that is a process, from start to
  start. worker_command: what it is started with, here and by endpoints. processes, supervisor: processes that end
  with the app.

Without a server: bulk/ scores files with the same frontend and workers; it imports pyarrow and ray where it needs them.

For all:

- torchserve_facts: limits, defaults, statuses and names of TorchServe that two modules need.

The folder is a package of its own wherever it is copied to: it imports the standard library, httptools, PyYAML when it
starts, and, relatively, itself alone, and runs on Python 3.9. What the frontend does to a request or an answer goes
here; what the worker does is TorchServe's own code, which is called.
"""
