"""The process that makes workers: it has imported torch and ts, does nothing else with them, and forks on request.

Run as a script (`python fork_server.py MODE OWNER`) whose stdin is a unix socket. The owner sends a request with five
file descriptors: the worker's end of its connection, the memory that both share, its stdout and stderr, and a pipe for
its status; the text is "fork" or "fresh" and a folder. The process id is written to that pipe, and the exit status when
the worker has ended. When the socket ends, or the process with the id OWNER is no longer the parent, every worker is
ended and its folder removed.

MODE says how a worker is made: "fork"; or "spawn", where a process must not be forked, as beside a GPU: a new one is
started, and one that has imported the same is kept waiting. A "fresh" worker is a new process in either mode, which
imports torch and ts only when the model's files are in its path. "spare" and "fresh" are the modes of those
processes: they take one request, and become the worker.
"""

from __future__ import annotations

import sys

STARTUP = frozenset(sys.modules)  # what a bare interpreter has, before anything else is imported

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import importlib.util
import os
import select
import signal
import socket
import struct
import subprocess
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

NUMBER = struct.Struct("!q")
_LARGEST = 4096
#: Seconds between looks at whether the owner is still the parent.
_LOOK = 1.0
_PR_SET_PDEATHSIG = 1
#: Large parts of what torchvision and captum import, and at last these.
_MORE = (
    "PIL.Image", "torch.onnx", "sympy", "torch.fx.experimental.symbolic_shapes", "torch.distributed.tensor",
    "torch._dynamo", "torchvision", "captum.attr", "ts.torch_handler.vision_handler",
)  # fmt: skip


class ForkRequest(NamedTuple):
    """What the owner asks for. `files`: connection, shared memory, stdout, stderr, status."""

    fresh: bool
    folder: str
    files: tuple[int, int, int, int, int]


class _Child(NamedTuple):
    status: int
    folder: str


def preload() -> None:
    """What a worker imports before it knows its model, and what many handlers import."""
    import ts.handler_utils.micro_batching
    import ts.model_service_worker
    import ts.torch_handler.base_handler

    from handlerkit.context import metrics_cache

    assert ts
    metrics_cache("")  # it remembers TorchServe's own file


@contextlib.contextmanager
def _asking_no_driver() -> Iterator[None]:
    """TorchServe's modules ask for a GPU when they are imported, and a process that has asked forks none that may use
    one, or say that there is none. A machine with a GPU forks no workers, so here the answer is known."""
    import torch

    asked = torch.cuda.is_available
    torch.cuda.is_available = lambda: False
    try:
        yield
    finally:
        torch.cuda.is_available = asked


def more_modules() -> list[str]:
    """What handlers of pictures import besides. That takes as long again, so these are to be imported one by one: in
    between workers can be made."""
    return [*_MORE] if importlib.util.find_spec("torchvision") is not None else []


def preload_module(name: str) -> None:
    """Import one of them, if it is there."""
    with contextlib.suppress(Exception):
        importlib.import_module(name)


def receive(owner: socket.socket) -> ForkRequest | None:
    """The next request; None if the owner is gone."""
    try:
        text, files, _, _ = socket.recv_fds(owner, _LARGEST, 5)
    except ConnectionError:
        return None
    if not text or len(files) != 5:
        return None
    for file in files:  # the system hands them over for children, too
        os.set_inheritable(file, False)
    kind, _, folder = text.decode("utf-8", "surrogateescape").partition(" ")
    return ForkRequest(kind == "fresh", folder, (files[0], files[1], files[2], files[3], files[4]))


def become_worker(request: ForkRequest, at_exit: int = 0) -> None:
    """Go on as a worker. Does not return. `at_exit`: how many functions are to be called when this process ends that
    are none of the worker's."""
    connection, shared, stdout, stderr, status = request.files
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    for file in (stdout, stderr, status):
        os.close(file)
    from handlerkit.worker_process.host import serve

    serve(socket.socket(fileno=connection), shared, request.fresh, STARTUP, at_exit)


class ForkingServer:
    """Makes workers, and knows those that live."""

    def __init__(self, mode: str, owner_id: int, owner: socket.socket) -> None:
        self._mode = mode
        self._owner_id = owner_id
        self._owner = owner
        self._workers: dict[int, _Child] = {}
        self._imports = False
        self._spare: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._woken, self._waker = os.pipe()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_owners_end)
        _die_with_parent(signal.SIGTERM)

    def run(self) -> None:
        """Until the owner is gone."""
        try:
            if self._mode == "fork":
                self._import(preload)
            else:
                self._prepare()
            more = more_modules() if self._mode == "fork" else []
            while os.getppid() == self._owner_id:
                ready, _, _ = select.select([self._owner.fileno(), self._woken], [], [], 0 if more else _LOOK)
                if self._owner.fileno() in ready:
                    request = receive(self._owner)
                    if request is None:
                        break
                    self._start(request)
                elif more:
                    self._import(functools.partial(preload_module, more.pop(0)))
                if self._woken in ready:
                    os.read(self._woken, 4096)
                    self._reap()
        finally:
            self._imports = False
            self._end()

    def _start(self, request: ForkRequest) -> None:
        if request.fresh:
            process, connection = self._new("fresh")
            pid = self._hand_over(process, connection, request)
        elif self._mode == "spawn":
            process, connection = self._prepare()
            self._spare = None
            pid = self._hand_over(process, connection, request)
            self._prepare()
        else:
            pid = self._fork(request)
        self._workers[pid] = _Child(request.files[4], request.folder)
        for file in request.files[:4]:
            os.close(file)
        _tell(request.files[4], pid)

    def _fork(self, request: ForkRequest) -> int:
        server, at_exit = os.getpid(), atexit._ncallbacks()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of forking beside threads: OpenBLAS's, which it ends before
            pid = os.fork()
        if pid:
            return pid
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.setsid()
            _die_with_parent(signal.SIGKILL)
            if os.getppid() != server:
                os._exit(1)
            self._owner.close()
            for file in (self._woken, self._waker, *(worker.status for worker in self._workers.values())):
                os.close(file)
            become_worker(request, at_exit)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def _import(self, preload: Callable[[], None]) -> None:
        self._imports = True
        gc.disable()  # imports make few cycles, and looking for them takes a sixth of their time
        with _asking_no_driver():
            preload()
        _freeze()
        gc.enable()
        self._imports = False

    def _on_owners_end(self, number: int, frame: object) -> None:
        """Amid imports, too; elsewhere `run` looks itself, and must not be stopped from ending the workers. What the
        system sends when the thread ends that started this process is no end."""
        if self._imports and os.getppid() != self._owner_id:
            raise SystemExit

    def _prepare(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        """The process that waits to become a worker."""
        if self._spare is None or self._spare[0].poll() is not None:
            self._spare = self._new("spare")
        return self._spare

    def _new(self, mode: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            [sys.executable, "-u", __file__, mode, str(os.getpid())], stdin=theirs.fileno(), start_new_session=True
        )
        theirs.close()
        return process, ours

    def _hand_over(self, process: subprocess.Popen[bytes], connection: socket.socket, request: ForkRequest) -> int:
        with contextlib.suppress(OSError), connection:
            send(connection, request)
        process.returncode = 0  # it is waited for here, with the forked ones
        return process.pid

    def _reap(self) -> None:
        """Say how workers ended; what they started and left ends too."""
        for pid, worker in list(self._workers.items()):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            _kill(pid)
            _, status = os.waitpid(pid, 0)
            del self._workers[pid]
            _tell(worker.status, os.waitstatus_to_exitcode(status))
            os.close(worker.status)

    def _end(self) -> None:
        from handlerkit.folders import remove_folder

        for pid in self._workers:
            _kill(pid)
        if self._spare is not None:
            _kill(self._spare[0].pid)
        for pid in self._workers:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        for worker in self._workers.values():
            remove_folder(Path(worker.folder))


def send(connection: socket.socket, request: ForkRequest) -> None:
    """Ask a process of this script for a worker."""
    text = f"{'fresh' if request.fresh else 'fork'} {request.folder}"
    socket.send_fds(connection, [text.encode("utf-8", "surrogateescape")], list(request.files))


def _freeze() -> None:
    """Leave what is there to all workers: a collection in one of them would copy it."""
    from handlerkit.worker_process.process_state import imported

    imported.cache_clear()
    imported()
    gc.freeze()


def _die_with_parent(by: signal.Signals) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)


def _tell(pipe: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.write(pipe, NUMBER.pack(number))


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def main(mode: str, owner_id: int) -> None:
    """Run in one of the modes."""
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != own]
    root = os.path.dirname(os.path.dirname(own))
    sys.path.insert(0, root)
    import handlerkit.worker_process.host  # noqa: F401

    sys.path.remove(root)
    owner = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    if mode in ("fork", "spawn"):
        ForkingServer(mode, owner_id, owner).run()
        return
    _die_with_parent(signal.SIGKILL)  # the fork server, which may be killed together with its owner
    if mode == "spare":
        preload()
        for name in more_modules():
            preload_module(name)
    request = None
    while request is None:
        if os.getppid() != owner_id:
            return
        if select.select([owner], [], [], _LOOK)[0]:
            request = receive(owner)
            if request is None:
                return
    owner.close()
    become_worker(request)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
