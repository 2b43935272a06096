"""A real TorchServe on this machine.

- process: starts it, waits until it answers, reads its log, and ends it.
- model_store: where its models are put and unpacked.
- diagnosis: why it answered with an error, from the answer and its log.

`handlerkit.endpoints.server` makes an endpoint of them. May import http, logs, supervision, targets, why and below.
What else the log or an answer says of an error goes into diagnosis.
"""
