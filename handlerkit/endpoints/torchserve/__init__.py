"""A real TorchServe on this machine.

- process: starts it, waits until it answers, and ends it.
- http_client: HTTP/1.1 to it, with heads as they are on the wire.
- diagnosis: why it answered with an error, out of the answer and its log.
"""
