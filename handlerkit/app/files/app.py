"""The models of this folder, served as TorchServe serves them, without Java.

    python app.py [--host HOST] [--port PORT]      a server of its own
    python app.py bulk INPUTS ... OUTPUT           files, without a server
    uvicorn app:app                                behind any ASGI server
    serve run deploy/serve.yaml                    on Ray Serve

README.md says more. models.json names the models, serving/ is what runs them.
"""

import functools
import os
import sys

from serving.application import Application
from serving.asgi import asgi
from serving.command import main
from serving.models_file import read
from serving.serve import asked_token

MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models.json")


@functools.cache
def make() -> Application:
    """What an ASGI server serves, which writes the names of headers in lower case."""
    return read(MODELS).application(token=asked_token(), any_casing=True)


app = asgi(make)

if __name__ == "__main__":
    sys.exit(main(MODELS))
