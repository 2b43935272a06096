"""A request's parts, read as Netty reads them in TorchServe's frontend.

- routes: where a path leads. headers: names, values and content types. parameters: query, forms and plain bodies as the
  rows' parameters. multipart: forms with files. charsets: the names that Java knows.

Imports config, http, wire and torchserve_facts of the folder above. A form of body that the frontend takes apart goes
here.
"""
