"""HTTP to worker messages and back: what TorchServe's Java frontend does for the requests to one model.

- frontend: from a request to the worker's job, and from the worker's answer to the response. http: both as plain data.
- routes: where a path leads.
- headers, parameters, multipart: how Netty reads and writes headers, forms and multipart bodies.
- job_queue: how jobs become batches.
- wire: the messages between the frontend and a worker. worker_death: answers that end the worker.
- config: config.properties. describe_model, openapi: what describe requests and OPTIONS get. gson: the frontend's JSON.
- torchserve_facts: limits, defaults, statuses and names of TorchServe that two modules need; the whole kit imports them
  from here.

The folder is copied into every exported app, so it imports the standard library and itself alone (import-linter). What
the frontend does to a request or an answer goes here; what the worker does is TorchServe's own code, which is called.
"""
