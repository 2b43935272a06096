"""HTTP to worker messages and back: TorchServe's Java half, as far as one model's requests see it.

- frontend: one request to the job that a worker gets, and its answer to the response that the client gets.
- headers, parameters, multipart: how Netty reads and writes heads, forms and multipart bodies.
- job_queue: how jobs become batches.
- wire: the messages between the frontend and a worker.
- config: config.properties. describe_model, openapi: what the management API and OPTIONS answer. gson: its JSON.
"""
