"""HTTP to a server, on this machine or elsewhere.

- client: HTTP/1.1 with headers as they are sent.
- address: what a URL says of a server. bearer: a token that it asks for.
- failures: why there is no answer, or none of a model, in plain words.

`handlerkit.endpoints.server` and `handlerkit.endpoints.remote` send through it. May import serving, messages and below.
A further reason for no answer goes into failures.
"""
