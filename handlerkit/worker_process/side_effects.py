"""What handler code does beyond its own files: files it opens elsewhere, connections, programs, imports.

Python tells its audit hooks of these (sys.addaudithook). A hook cannot be taken off again, so there is one for the
whole process, which is put on with the first Recorder and looks at nothing unless one of them is recording. What C code
does by itself is not told: torch.jit.load, cv2.imread and onnxruntime open their files so.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from types import FrameType, TracebackType
from typing import Any, ClassVar

from handlerkit.messages import SideEffect, SideEffectKind
from handlerkit.worker_process.log_capture import KIT

#: How many things are kept of one load or call.
_MOST = 100
#: Folders that every machine, or every environment, has.
_SYSTEM = ("/bin/", "/dev/", "/etc/", "/lib/", "/lib64/", "/proc/", "/run/", "/sbin/", "/sys/", "/usr/")
#: Caches that are made again where they are not there.
_REGENERATED = ("/matplotlib", "/fontconfig", "/.nv/", "/torchinductor_", "/.triton", "/__pycache__/", "/numba")
#: Programs that libraries ask about the machine.
_ASKING = ("uname", "ldconfig", "lscpu", "nvidia-smi", "lsb_release", "getconf")


class Recorder:
    """A context manager around handler code, whose threads it follows too.

    Args:
        model_dir: where the handler's files are: what is opened there is its own.
        name_of: gives the name in the archive of the file that code comes from, None for code of other files.
        sources: the files whose name that code carries, where it is another one.

    Attributes:
        opened: those of `sources` that were opened.
    """

    #: The one that is recording: handlers are called one at a time.
    _recording: ClassVar[Recorder | None] = None
    _has_hook: ClassVar[bool] = False

    def __init__(self, model_dir: str, name_of: Callable[[str], str | None], sources: Iterable[str] = ()) -> None:
        self.opened: set[str] = set()
        self._sources = {path: source for source in sources for path in (source, os.path.realpath(source))}
        self._own = os.path.join(model_dir, "")
        self._known = (self._own, *_SYSTEM, *_environment())
        self._name_of = name_of
        self._found: dict[SideEffect, None] = {}
        self._made: set[str] = set()
        self._written: dict[str, str] = {}
        self._read: set[str] = set()
        self._folders: dict[str, int] = {}
        self._there: set[str] = set()
        self._begun = time.time()
        self._loading = True
        self._outer: Recorder | None = None

    def __enter__(self) -> Recorder:
        if not Recorder._has_hook:
            Recorder._has_hook = True
            sys.addaudithook(_hook)
        self._outer, Recorder._recording = Recorder._recording, self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Recorder._recording, self._outer = self._outer, None

    def take(self) -> tuple[SideEffect, ...]:
        """What was seen since the last call; the first one ends the load."""
        if self._loading:
            self.look()
        self._loading = False
        if not self._found:
            return ()
        found, self._found = tuple(self._found), {}
        return found

    def written(self) -> list[tuple[str, str]]:
        """(file, line of the handler that wrote it) of what calls wrote into model_dir and nothing read since; the next
        call begins again. The line is "" for new files of C code, and for folders."""
        found, self._written = self._written, {}
        found |= dict.fromkeys(self._new() - found.keys() - self._read, "")
        return [(path.removeprefix(self._own), where) for path, where in found.items() if os.path.exists(path)]

    def look(self) -> None:
        """Note what is in model_dir by now: the handler did not put it there."""
        self._folders, self._there = {}, set()
        for folder, folders, files in os.walk(self._own):
            folders[:] = [name for name in folders if name != "__pycache__"]
            self._folders[folder] = _changed_at(folder)
            self._there |= {os.path.join(folder, name) for name in (*folders, *files)}

    def _new(self) -> set[str]:
        """What is in model_dir and was not when it was looked at; asking costs a `stat` for each folder."""
        if all(_changed_at(folder) == at for folder, at in self._folders.items()):
            return set()
        before = self._there
        self.look()
        return self._there - before

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        look = _LOOKS[event]
        found = look(self, *arguments)
        if found is None or len(self._found) >= _MOST:
            return
        frame = sys._getframe(2)  # behind this and the hook
        where = self._direct(frame) if event == "import" else self._led_to(frame)
        if where is not None:
            self._found[SideEffect(*found, where, self._loading)] = None

    def _led_to(self, frame: FrameType | None) -> str | None:
        """The innermost line of the handler's own files; "" for one of TorchServe's handlers, None for code that has
        nothing to do with handlers, such as another thread's of a notebook."""
        is_handler = False
        while frame is not None:
            file = frame.f_code.co_filename
            if (name := self._name_of(file)) is not None:
                return f"{name}, line {frame.f_lineno}"
            is_handler |= "/ts/torch_handler/" in file
            frame = frame.f_back
        return "" if is_handler else None

    def _direct(self, frame: FrameType | None) -> str | None:
        """The line of the handler's own that imports; None if some package does."""
        while frame is not None and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        name = self._name_of(frame.f_code.co_filename) if frame is not None else None
        return f"{name}, line {frame.f_lineno}" if name is not None and frame is not None else None

    # --- events ------------------------------------------------------------------------------------------------------

    def _open(self, path: Any, mode: Any, flags: Any) -> tuple[SideEffectKind, str] | None:
        if not isinstance(path, str | bytes | os.PathLike):
            return None  # a file that is open already
        full = os.path.abspath(os.fsdecode(path))
        if full in self._sources:
            self.opened.add(self._sources[full])
        if full.startswith(self._own):
            self._note_own(full, writes=isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)))
            return None
        if full.startswith(self._known) or any(part in full for part in _REGENERATED):
            return None
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if isinstance(flags, int) else False
        if writes:
            self._made.add(full)
            return None if f"{full}/".startswith(_temporary()) else ("write", _short(full))
        if full in self._made or not _is_older(full, self._begun):
            return None  # it made it itself, or asks whether it is there
        return "read", _short(full)

    def _note_own(self, path: str, *, writes: bool) -> None:
        if not writes:
            self._written.pop(path, None)
            self._read.add(path)
        elif not self._loading and len(self._written) < _MOST and "/__pycache__/" not in path:
            where = self._led_to(sys._getframe(4))  # behind this, _open, _note and the hook
            if where:
                self._written[path] = where

    def _resolve(self, host: Any, port: Any, *_: Any) -> tuple[SideEffectKind, str] | None:
        if not host:
            return None
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        return "network", f"{name}:{port}" if port else name

    def _connect(self, _: Any, address: Any) -> tuple[SideEffectKind, str] | None:
        if not isinstance(address, tuple) or any(seen.kind == "network" for seen in self._found):
            return None  # a socket of this machine, or the address of a host that was asked for by its name
        return "network", f"{address[0]}:{address[1]}"

    def _popen(self, executable: Any, arguments: Any, *_: Any) -> tuple[SideEffectKind, str] | None:
        words = [arguments] if isinstance(arguments, str | bytes | os.PathLike) else list(arguments or [executable])
        return _program(shlex.join(os.fsdecode(word) for word in words))

    def _system(self, command: Any) -> tuple[SideEffectKind, str] | None:
        return _program(os.fsdecode(command))

    def _import(self, module: Any, *_: Any) -> tuple[SideEffectKind, str] | None:
        top = str(module).partition(".")[0]
        if top in sys.stdlib_module_names or os.path.exists(f"{self._own}{top}.py") or os.path.isdir(self._own + top):
            return None
        return "import", top


_LOOKS: dict[str, Callable[..., tuple[SideEffectKind, str] | None]] = {
    "open": Recorder._open,
    "socket.getaddrinfo": Recorder._resolve,
    "socket.gethostbyname": lambda self, host: self._resolve(host, None),
    "socket.connect": Recorder._connect,
    "subprocess.Popen": Recorder._popen,
    "os.system": Recorder._system,
    "import": Recorder._import,
}


def _hook(event: str, arguments: tuple[Any, ...], kind: type[Recorder] = Recorder) -> None:
    recorder = kind._recording  # this module's names may be gone: the hook outlives them
    if recorder is not None and event in _LOOKS:
        try:
            recorder._note(event, arguments)
        except Exception as problem:  # it would be raised in the handler, at a line that is right
            recorder._found[SideEffect("read", f"not recorded: {type(problem).__name__}")] = None


def _environment() -> tuple[str, ...]:
    """The folders of this Python, its packages and the kit."""
    prefixes = (sys.prefix, sys.base_prefix, sys.exec_prefix, KIT)
    packages = (place for place in sys.path if place.endswith(("site-packages", "dist-packages")))
    return tuple(os.path.join(place, "") for place in {*prefixes, *packages} if place)


def _temporary() -> str:
    """Where tempfile makes files. gettempdir is not asked: it looks for a folder under a lock, by opening files."""
    place = tempfile.tempdir or os.environ.get("TMPDIR") or "/tmp"
    return os.path.join(os.path.abspath(os.fsdecode(place)), "")


def _changed_at(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


def _is_older(path: str, begun: float) -> bool:
    """Whether a file is there, and was when the handler was loaded."""
    try:
        return os.stat(path).st_ctime < begun
    except OSError:
        return False


def _program(command: str) -> tuple[SideEffectKind, str] | None:
    program = os.path.basename(command.split(maxsplit=1)[0]) if command.strip() else ""
    return None if program in _ASKING else ("process", command[:200])


def _short(path: str) -> str:
    """With "~" for the home folder."""
    home = os.path.expanduser("~")
    return f"~{path[len(home) :]}" if path.startswith(f"{home}/") else path
