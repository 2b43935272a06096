"""Serve models from the command line, or from a script of one line.

    python -m serving.serve models.json [--host HOST] [--port PORT]

models_file.py says what models.json holds. The variable SERVING_TOKEN has the token.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .application import GRACE, Application
from .client_connection import ClientLimits
from .config import PropertyError
from .listener import Listener, is_loopback
from .models.served_model import ServedModel
from .models_file import read
from .torchserve_facts import PORT
from .workers.any_worker import LoadFailed

TOKEN = "SERVING_TOKEN"
#: Files, of which a connection is one, that the command may have open.
_FILES = 4096


def serve(
    models: Iterable[ServedModel],
    config_properties: Mapping[str, Any] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    token: str | None = None,
    limits: ClientLimits | None = None,
    grace: float = GRACE,
    say: Callable[[str], object] = print,
) -> int:
    """Serve until Ctrl-C or SIGTERM, after which what runs is answered, for up to `grace` seconds; a second one ends it
    at once. Returns the exit status.

    Says one line when requests are taken: "Serving NAME, ... at http://HOST:PORT". Raises what Application and its
    `start` raise, and OSError where it cannot listen.
    """
    application = Application(models, config_properties, token=token)
    return asyncio.run(_serve(application, host, port, limits, grace, say))


async def _serve(
    application: Application,
    host: str,
    port: int,
    limits: ClientLimits | None,
    grace: float,
    say: Callable[[str], object],
) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    this = asyncio.current_task()
    assert this is not None

    def ask() -> None:
        if stop.is_set():
            this.cancel()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask)
    listener = Listener(application, limits)
    starting = loop.create_task(application.start())
    stopping = loop.create_task(stop.wait())
    try:
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await listener.start(host, port)
            names = ", ".join(model.name for model in application.models)
            say(f"Serving {names} at {listener.url}")
            await stopping
            until = loop.time() + grace
            await listener.stop(grace)
            await application.stop(max(0.0, until - loop.time()))
        return 0
    except asyncio.CancelledError:
        return 130
    finally:
        stopping.cancel()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await application.stop(0)


def asked_token() -> str | None:
    """The token of the environment, without the line break that one from a file ends with; None for none."""
    return os.environ.get(TOKEN, "").strip() or None


def port(text: str) -> int:
    """A port of the command line."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that `run` takes."""
    parser.add_argument("--host", default="127.0.0.1", help="another one than loopback needs a token")
    parser.add_argument("--port", type=port, default=PORT, help="0 takes a free one")
    parser.add_argument("--grace", type=float, default=GRACE, help="seconds that requests may take after Ctrl-C")


def run(models: str, parser: argparse.ArgumentParser, asked: argparse.Namespace) -> int:
    """Serve what a models.json says, with these options. Returns the exit status."""
    token = asked_token()
    if token is None and not is_loopback(asked.host):
        parser.error(f"--host {asked.host} lets others in: set a token in the variable {TOKEN}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    _open_more()
    try:
        application = read(models).application(token=token)
        return asyncio.run(_serve(application, asked.host, asked.port, None, asked.grace, _say))
    except LoadFailed as failed:
        print(failed, file=sys.stderr)  # what the worker wrote is in the log above
    except OSError as problem:
        where = problem.filename or f"{asked.host}:{asked.port}"
        print(f"{where}: {problem.strerror or problem}", file=sys.stderr)
    except (ValueError, KeyError, TypeError, PropertyError) as problem:
        print(f"{type(problem).__name__}: {problem}", file=sys.stderr)
    return 1


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Serve models as TorchServe does, without Java.")
    parser.add_argument("models", metavar="models.json", help="what is served")
    add_options(parser)
    asked = parser.parse_args(arguments)
    return run(asked.models, parser, asked)


def _open_more() -> None:
    """Let this process open as many files as it needs, where the shell allows fewer, but not for good."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _FILES:
        most = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
