"""A Ray and the process that speaks to it, as their owner sees them."""

from __future__ import annotations

import json
import secrets
import select
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from handlerkit import shell
from handlerkit.endpoints.ports import free_ports
from handlerkit.endpoints.ray_cluster import driver
from handlerkit.endpoints.recording import RecordFolder
from handlerkit.endpoints.supervision.supervised_process import SupervisedProcess
from handlerkit.errors import ServerError
from handlerkit.folders import OwnFolder

#: Characters that Ray adds to its folder's path for its longest socket.
_SOCKETS = len("/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store")
#: Times that Ray is started: it gives up, with these words, where its own processes need more than 15 seconds to start.
_ATTEMPTS, _SLOW = 3, "timed out during startup"
#: Seconds that the driver may take until it connects, and to take an app away from a cluster.
_CONNECTS, _LEAVES = 120, 90
#: Seconds that it has for that after SIGTERM.
_GRACE = 5.0
_CONSOLE = "console.log"
_TAIL = 30


class Cluster:
    """A Ray that was started on this machine, or joined at an address; both end when this process ends, in whatever
    way. From a Ray that was joined, what was deployed is taken away.

    Attributes:
        folder: its own, with the deployed app and the files of a Ray that was started.
        address: where it was joined; None for one that was started.
        recorded: where a Ray that was started keeps what workers are handed, while it is asked.
        version: Ray's.
    """

    def __init__(self, address: str | None, variables: Mapping[str, str]) -> None:
        self.address = address
        self.version = ""
        self._is_asked = False
        own = OwnFolder(below=_SOCKETS)
        try:
            self.folder = own.path
            self.recorded = RecordFolder(self.folder / "recorded")
            path = str(self.folder / "driver.sock")
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
                listener.listen(1)
                with open(self.folder / _CONSOLE, "wb") as log:
                    self._process = SupervisedProcess(
                        [sys.executable, "-P", driver.__file__, path], self.folder, cwd=self.folder,
                        env=shell.environment() | _ha_proxy_files(self.folder) | self.recorded.variables
                        | dict(variables),
                        stdout=log.fileno(), stderr=log.fileno(), grace=_GRACE,
                    )  # fmt: skip
                own.remove.detach()  # the process removes it
                self._socket = self._accept(listener)
        except OSError as problem:
            raise ServerError(f"Ray cannot be started: {problem.strerror or problem}") from problem
        finally:
            if own.remove.alive and not hasattr(self, "_process"):
                own.remove()
        self._lines = self._socket.makefile("rw", encoding="utf-8")

    @classmethod
    def start(cls, cpus: int, variables: Mapping[str, str]) -> Cluster:
        """A Ray on this machine, with so many CPUs to give away. Raises ServerError if it does not start."""
        for attempt in range(1, _ATTEMPTS + 1):
            cluster = cls(None, _of_its_own() | dict(variables))
            with cluster.ending():
                try:
                    cluster.version = cluster.ask("start", folder=str(cluster.folder), cpus=cpus)
                    return cluster
                except ServerError as problem:
                    if attempt == _ATTEMPTS or _SLOW not in str(problem):
                        raise
            cluster.end()
        raise AssertionError

    @classmethod
    def join(cls, address: str, variables: Mapping[str, str]) -> Cluster:
        """The Ray at this address."""
        cluster = cls(address, {_USAGE: "0"} | dict(variables))
        with cluster.ending():
            cluster.version = cluster.ask("join", address=address)
        return cluster

    def ask(self, do: str, **order: Any) -> Any:
        """Have the driver do it, and wait. Raises ServerError if that fails, with the end of the log."""
        self._is_asked = True
        try:
            print(json.dumps({"do": do, **order}), file=self._lines, flush=True)
            self._wait(self._socket)
            answer = json.loads(self._lines.readline() or "{}")
        except OSError:
            answer = {}
        self._is_asked = False
        if "done" in answer:
            return answer["done"]
        raise self.failure(answer.get("failed") or "its process has ended")

    def failure(self, what: str) -> ServerError:
        """A ServerError that has the end of the log."""
        return ServerError(f"Ray Serve fails: {what}", "\n".join(self.log().rstrip().splitlines()[-_TAIL:]))

    @contextmanager
    def ending(self) -> Iterator[None]:
        """End it after an error."""
        try:
            yield
        except BaseException:
            self.end()
            raise

    def has_ended(self) -> bool:
        """Whether its process ended by itself."""
        return self._process.has_ended()

    def leave(self) -> None:
        """Take away what was deployed, and wait for that, then `end`; at once where an order was broken off, as by
        Ctrl-C."""
        try:
            if self._process.end.alive and not self.has_ended() and not self._is_asked:
                self._socket.settimeout(_LEAVES)
                print(json.dumps({"do": "leave"}), file=self._lines, flush=True)
                self._lines.readline()
        except OSError:
            pass  # what is left is ended
        finally:
            self.end()

    def end(self) -> None:
        """End the driver and a Ray that it started, and remove the folder. A second time does nothing."""
        self._socket.close()
        self._process.end()

    def log(self) -> str:
        """What the driver and Ray Serve's replicas wrote, as far as this machine has it."""
        found = [self.folder / _CONSOLE, *sorted(self.folder.glob("session_2*/logs/serve/replica_*.log"))]
        return "".join(file.read_text(encoding="utf-8", errors="replace") for file in found if file.is_file())

    def _accept(self, listener: socket.socket) -> socket.socket:
        try:
            self._wait(listener, _CONNECTS)
            return listener.accept()[0]
        except BaseException:
            log = self.log()
            self._process.end()
            if isinstance(problem := sys.exception(), TimeoutError):
                raise ServerError(f"Ray's driver did not start: {problem}", log) from None
            raise

    def _wait(self, sock: socket.socket, seconds: float | None = None) -> None:
        """Until there is something to read, or the driver has ended. Raises TimeoutError after that many seconds."""
        until = None if seconds is None else time.monotonic() + seconds
        watched: list[socket.socket | SupervisedProcess] = [sock, self._process]
        while not select.select(watched, [], [], 1.0)[0]:
            if until is not None and time.monotonic() > until:
                raise TimeoutError(f"nothing came of it within {seconds:g} seconds")
        if self.has_ended():
            raise ConnectionError("its process has ended")


_USAGE = "RAY_USAGE_STATS_ENABLED"


def _of_its_own() -> dict[str, str]:
    """Variables of a Ray that is started here: nothing is told to anybody, no figures are collected that nobody reads,
    and others on this machine cannot use it."""
    return {
        _USAGE: "0", "RAY_enable_metrics_collection": "0", "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }  # fmt: skip


def ha_proxy() -> dict[str, str]:
    """The two variables that make Ray Serve several times faster, as Ray documents them, one that spares it figures of
    HAProxy which nobody reads here, and those that keep HAProxy's ports apart from those of another one."""
    ports = ("HAPROXY_METRICS_PORT", "HAPROXY_STATS_PORT", "FALLBACK_PROXY_HTTP_PORT")
    flags = {
        "RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
    }  # fmt: skip
    free = free_ports(len(ports))
    return flags | {f"RAY_SERVE_{name}": str(port) for name, port in zip(ports, free, strict=True)}


def _ha_proxy_files(folder: Path) -> dict[str, str]:
    """Where HAProxy has its files, instead of a place that outlives it. Ray puts a node's id of 56 characters before
    each name, and HAProxy takes a socket's path of 97."""
    files = {
        "CONFIG_FILE_LOC": "haproxy/haproxy.cfg", "SOCKET_PATH": "s", "SERVER_STATE_BASE": "haproxy",
        "SERVER_STATE_FILE": "haproxy/server-state",
    }  # fmt: skip
    return {f"RAY_SERVE_HAPROXY_{name}": str(folder / file) for name, file in files.items()}
