"""Ports of this machine for a server that is told a number."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

#: Below those that a system gives to connections, one of which could have a free port before the server does: Linux
#: begins at 32768, others at 49152.
_PORTS = range(20_000, 32_768)
_TRIES = 200


def free_ports(count: int) -> list[int]:
    """So many ports that nobody listens on, all different. Raises OSError if none is found, or no socket to be had."""
    with ExitStack() as held:
        sockets = [held.enter_context(_listen()) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def _listen() -> socket.socket:
    """On a port of all this machine's addresses."""
    for port in random.sample(_PORTS, _TRIES):
        try:
            return socket.create_server(("", port))
        except OSError as problem:
            taken = problem
    raise taken
