"""The command line of an app: what its app.py calls.

python app.py [--host HOST] [--port PORT]     serve the models
python app.py bulk INPUTS ... OUTPUT          score files, without a server
python app.py ping [--port PORT]              whether the server is healthy, for containers
"""

from __future__ import annotations

import argparse
import sys
import urllib.request
from collections.abc import Sequence

from . import serve
from .torchserve_facts import PORT

_OTHERS = "app.py bulk --help tells how to score files without a server, app.py ping whether a server is healthy."


def main(models: str, arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks, with what a models.json says; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["ping"]:
        return _ping(given[1:])
    if given[:1] == ["bulk"]:
        from .bulk.command import main as bulk  # what serves does not need it

        return bulk(models, given[1:])
    parser = argparse.ArgumentParser(
        prog="app.py", description="Serve the models of this folder as TorchServe does.", epilog=_OTHERS
    )
    serve.add_options(parser)
    return serve.run(models, parser, parser.parse_args(given))


def _ping(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="app.py ping", description="Ask a server on this machine for its health.")
    parser.add_argument("--port", type=serve.port, default=PORT)
    asked = parser.parse_args(arguments)
    request = urllib.request.Request(f"http://127.0.0.1:{asked.port}/ping")
    if token := serve.asked_token():
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            print(answer.read().decode(errors="replace").strip())
    except OSError as problem:  # URLError is one
        print(problem, file=sys.stderr)
        return 1
    return 0
