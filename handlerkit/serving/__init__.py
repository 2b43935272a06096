"""HTTP to worker messages and back: what TorchServe's Java frontend does, for endpoints and as an application.

The frontend of one model, without input and output of its own:

- frontend: from a request to the worker's job, and from the worker's answer to the response. http: both as plain data.
- requests/: how paths, headers, forms and bodies are read. documents/: what describe requests and OPTIONS get.
- wire: the messages between the frontend and a worker. worker_death: answers that end the worker.

The application, on asyncio:

- serve: the command, and a function for scripts. command: an app's own command line. models_file: what is served.
- listener: HTTP/1.1 for clients. client_connection: one of them. asgi: the same for ASGI servers.
- application: routes to models, health and metrics.
- models/: a model, its queue and batches. workers/: those that answer, and the processes that they are.

Without a server: bulk/ scores files with the same frontend and workers; it imports pyarrow and ray where it needs them.

For all:

- torchserve_facts: limits, defaults, statuses and names of TorchServe that two modules need. config:
  config.properties. caches: what is kept of headers.

The folder is a package of its own wherever it is copied to: it imports the standard library, httptools, PyYAML when it
starts, and, relatively, itself alone, and runs on Python 3.9. What the frontend does to a request or an answer goes
here; what the worker does is TorchServe's own code, which is called.
"""
