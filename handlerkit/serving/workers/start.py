"""Start a TorchServe worker in this process: a script in front of TorchServe's own, whose work stays what it is.

    python start.py [--any-casing] .../model_service_worker.py --sock-type unix ...

The garbage collector is off while TorchServe's code imports torch, and what was imported is left out of all later
collections (gc.freeze): the import is a fifth quicker, and no request waits for a walk over it. Requests are read
through a buffer: TorchServe's code asks its socket some fifty times for each, four bytes at a time.

With --any-casing, handlers find a request's header whatever the casing of its name: where the host of an app writes all
names in lower case, as Ray Serve and uvicorn do, a handler that asks for Content-Type would find nothing. What it gets
is a dict like TorchServe's, with the names as they came.
"""

from __future__ import annotations

import gc
import os
import runpy
import socket
import sys
from collections.abc import Callable
from typing import Any

ANY_CASING = "--any-casing"
#: Bytes that are read ahead: the heads of a batch fit.
_BUFFER = 1 << 14


class AnyCasing(dict):  # type: ignore[type-arg]
    """A dict that looks for another casing of a name that it does not have."""

    def __missing__(self, name: Any) -> Any:
        if isinstance(name, str):
            for key, value in self.items():
                if isinstance(key, str) and key.lower() == name.lower():
                    return value
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        try:
            self[name]
        except KeyError:
            return False
        return True

    def get(self, name: Any, default: Any = None) -> Any:
        """The value of a name, in any casing."""
        try:
            return self[name]
        except KeyError:
            return default


class BufferedReader:
    """Reads from the frontend's socket as TorchServe's `_retrieve_buffer(conn, length)` does, which it is made of: the
    next `length` bytes. What comes with them waits for the next call; a long body goes straight to where it stays. The
    frontend is who is read first: nobody else's bytes go through the buffer."""

    def __init__(self, retrieve: Callable[[socket.socket, int], bytearray]) -> None:
        self._retrieve = retrieve
        self._frontend: socket.socket | None = None
        self._buffer = bytearray(_BUFFER)
        self._at = self._end = 0

    def __call__(self, conn: socket.socket, length: int) -> bytearray:
        at, end = self._at, self._at + length
        if conn is not self._frontend:
            if self._frontend is not None:
                return self._retrieve(conn, length)
            self._frontend = conn
        if end <= self._end:
            self._at = end
            return self._buffer[at:end]
        return self._read(conn, length)

    def _read(self, conn: socket.socket, length: int) -> bytearray:
        data = bytearray(length)
        filled = self._end - self._at
        data[:filled] = self._buffer[self._at : self._end]
        self._at = self._end = 0
        with memoryview(data) as view:
            while filled < length:
                if (left := length - filled) >= _BUFFER:
                    got = conn.recv_into(view[filled:])
                    filled += got
                else:
                    got = self._end = conn.recv_into(self._buffer)
                    self._at = min(got, left)
                    view[filled : filled + self._at] = self._buffer[: self._at]
                    filled += self._at
                if not got:
                    self._retrieve(conn, 1)  # it says that the frontend is gone, and ends this process
        return data


def main() -> None:
    """Become the worker that the command line names."""
    del sys.argv[0]
    any_casing = sys.argv[0] == ANY_CASING
    if any_casing:
        del sys.argv[0]
    if not getattr(sys.flags, "safe_path", False):  # where Python looks first when it runs TorchServe's script itself
        sys.path[0] = os.path.dirname(os.path.realpath(sys.argv[0]))
    collects = gc.isenabled()
    gc.disable()
    from ts.context import RequestProcessor
    from ts.protocol import otf_message_handler  # it imports torch

    gc.freeze()
    if collects:
        gc.enable()
    otf_message_handler._retrieve_buffer = BufferedReader(otf_message_handler._retrieve_buffer)
    if any_casing:
        made = RequestProcessor.__init__

        def make(self: Any, request_header: dict[str, Any]) -> None:
            made(self, AnyCasing(request_header))

        RequestProcessor.__init__ = make  # type: ignore[method-assign]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
