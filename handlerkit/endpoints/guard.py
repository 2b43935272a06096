"""While handler code runs, the process looks like a TorchServe worker; afterwards it is as it was.

Each line of it was seen to make a notebook answer 200 where the server answers 503, or the reverse.
"""

from __future__ import annotations

# the C module under `signal`, whose functions make enums of their arguments, at several times the cost
import _signal  # type: ignore[import-not-found]
import asyncio
import builtins
import itertools
import logging
import os
import signal
import sys
import threading
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from handlerkit.endpoints.installed import census, importable, installed, server_path
from handlerkit.endpoints.logs import Journal, set_level

#: One handler call at a time in a process: the things below belong to the process.
_LOCK = threading.RLock()
_INTERRUPT = int(signal.SIGINT)
_UNSET_IN_WORKERS = ("LOCAL_RANK", "RANK", "WORLD_SIZE", "MPLBACKEND")
_NOTEBOOK_BUILTINS = ("display", "get_ipython")


class Guard:
    """A worker's process state, put on by `with guard:` and taken off again, whatever happens inside.

    Its own between calls, as a worker process keeps them: the modules loaded from model_dir, sys.path, the working
    directory, the variables named here, the root logger's level and handlers, the level up to which logging is off, the
    filters of warnings. `interrupted` tells a Ctrl-C of the user from a KeyboardInterrupt that the handler raised.
    """

    def __init__(self, model_dir: Path, environment: Mapping[str, str], journal: Journal) -> None:
        self.interrupted = False
        self._model_dir = str(model_dir)
        given = {**dict.fromkeys(_UNSET_IN_WORKERS), **environment}
        self._environment = {
            os.fsencode(name): None if value is None else os.fsencode(value) for name, value in given.items()
        }
        self._variables_outside: dict[bytes, bytes] = {}
        self._variables_inside: dict[bytes, bytes] = {}
        self._variables_known: dict[bytes, bytes] = {}  # those inside, as they were after the last call
        self._differing: list[bytes] = []  # the names of those that are not the same inside and outside
        self._journal = journal
        self._handlers = [journal.handler]
        self._filters: Any = None  # the worker's own of warnings, from its first call on
        self._path = [self._model_dir, *server_path()]
        self._cwd = self._model_dir
        self._level, self._disabled = logging.INFO, 0
        self._modules: dict[str, types.ModuleType] = {"__main__": _worker_main()}
        self._seen: tuple[int, str] | None = None
        self._foreign: list[str] = []
        self._undo: list[Callable[[], object]] = []
        self._changing = False

    def module(self, name: str) -> types.ModuleType | None:
        """A module this worker loaded for itself."""
        return self._modules.get(name)

    def modules(self) -> dict[str, types.ModuleType]:
        """Every module this worker loaded for itself, by name."""
        return dict(self._modules)

    def keep(self) -> Callable[[], None]:
        """What makes the worker's own state, as it is between calls, what it is now."""
        own = (
            "_environment", "_variables_outside", "_variables_inside", "_variables_known", "_differing", "_path",
            "_cwd", "_level", "_disabled", "_handlers", "_modules", "_filters",
        )  # fmt: skip
        state = {name: copy(getattr(self, name)) for name in own}
        return lambda: vars(self).update({name: copy(value) for name, value in state.items()})

    def shadows(self) -> list[str]:
        """Modules of model_dir that have the name of an installed one, or of the standard library's."""
        path = list(server_path())
        return [
            name
            for name in sorted(importable(self._model_dir))
            if name in sys.stdlib_module_names or PathFinder.find_spec(name, path) is not None
        ]

    def __enter__(self) -> Guard:
        _LOCK.acquire()
        self._undo.append(_LOCK.release)
        self.interrupted, self._changing = False, True
        try:
            self._interrupts()
            self._folder()
            self._imports()
            self._variables()
            self._logging()
            self._notebook()
            self._figures()
        except BaseException:
            self._take_off()
            raise
        self._changing = False
        if self.interrupted:  # while changing: nothing may stay half done
            self._take_off()
            raise KeyboardInterrupt
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        before, self._changing = self.interrupted, True
        self._take_off()
        if self.interrupted and not before:
            raise KeyboardInterrupt

    def _take_off(self) -> None:
        """Undo what was put on, last first, all of it even where a step fails."""
        try:
            while self._undo:
                self._undo.pop()()
        finally:
            if self._undo:
                self._take_off()

    def _interrupts(self) -> None:
        """Note a Ctrl-C; while the process is being changed, do no more, else what was done before."""
        if threading.get_ident() != threading.main_thread().ident:
            return
        before = _signal.getsignal(_INTERRUPT)
        if not callable(before):
            return

        def note(number: int, frame: types.FrameType | None) -> None:
            self.interrupted = True
            if not self._changing:
                before(number, frame)

        _signal.signal(_INTERRUPT, note)
        self._undo.append(lambda: _signal.signal(_INTERRUPT, before))

    def _folder(self) -> None:
        before = os.getcwd()
        os.chdir(self._cwd)

        def back() -> None:
            try:
                self._cwd = os.getcwd()
            finally:
                os.chdir(before)

        self._undo.append(back)

    def _imports(self) -> None:
        """sys.path and sys.modules as in a worker: what only the notebook has is not there."""
        path, self_path = list(sys.path), self._path
        sys.path[:] = self_path
        foreign = self._hidden()
        hidden = {name: sys.modules.pop(name) for name in foreign}
        sys.modules.update(self._modules)
        inside = _mark()

        def back() -> None:
            self._path = list(sys.path)
            sys.path[:] = path
            if _mark() != inside:
                self._adopt(inside)
            self._modules = {name: sys.modules.pop(name) for name in self._modules if name in sys.modules}
            sys.modules.update(hidden)
            self._seen = _mark()

        self._undo.append(back)

    def _hidden(self) -> list[str]:
        """Modules a worker could not have: those from outside the installed packages, and those that a file of
        model_dir stands before. Looked for again only when modules were loaded since."""
        if self._seen != _mark():
            loaded = census(_mark())
            shadowed = importable(self._model_dir) & loaded.roots.keys()
            gone = {"__main__"} | loaded.foreign | shadowed
            self._foreign = [name for root in gone for name in loaded.roots.get(root, ())]
        return self._foreign

    def _adopt(self, since: tuple[int, str]) -> None:
        """Modules that came in since that mark are the worker's own, unless they are installed for everyone."""
        count, last = since
        new = list(itertools.takewhile(lambda name: name != last, reversed(sys.modules)))  # dicts keep their order
        if len(sys.modules) != count + len(new):  # some went, too
            new = list(sys.modules)
        own = importable(self._model_dir)
        roots = {name.partition(".")[0] for name in new}
        mine = {root for root in roots if root in own or not installed(root)}
        self._modules |= {name: sys.modules[name] for name in new if name.partition(".")[0] in mine}

    def _variables(self) -> None:
        """Those a worker has; what the handler changes is its own too."""
        outside, inside = variables_now(), self._variables_inside
        if outside != self._variables_outside:  # the first time, and when the notebook changed its own since
            self._variables_outside = outside.copy()
            inside = self._variables_inside = _changed(outside, self._environment)
            self._variables_known = inside.copy()
            self._differing = _differing(outside, inside)
        _switch_variables(inside, self._differing)

        def back() -> None:
            known = self._variables_known
            if inside != known:
                names = _differing(known, inside)
                self._environment |= {name: inside.get(name) for name in names}
                self._variables_known = inside.copy()
                self._differing = _differing(outside, inside)
            _switch_variables(outside, self._differing)

        self._undo.append(back)

    def _logging(self) -> None:
        """The root logger has one handler at INFO, as logging.basicConfig leaves it in the worker script; a warning
        is never an error there, whatever a test run made of it here."""
        root = logging.root
        handlers, level, disabled = root.handlers, root.level, root.manager.disable
        root.handlers = self._handlers
        set_level(self._level, self._disabled)
        caught = warnings.catch_warnings()
        caught.__enter__()
        warnings.showwarning = _show_warning
        filters: list[Any] = warnings.filters  # type: ignore[assignment]
        filters[:] = self._filters if self._filters is not None else [rule for rule in filters if rule[0] != "error"]

        def back() -> None:
            self._filters = warnings.filters
            caught.__exit__(None, None, None)
            self._level, self._disabled, self._handlers = root.level, root.manager.disable, root.handlers
            root.handlers = handlers
            set_level(level, disabled)

        self._undo.append(back)

    def _notebook(self) -> None:
        """What a notebook adds to a process is not there: two builtins; its own streams; the event loop in which a cell
        runs, so asyncio.run works; and the shell, so IPython's `display` and `get_ipython` do as in a worker."""
        names = vars(builtins)
        added = {name: names[name] for name in _NOTEBOOK_BUILTINS if name in names}
        stdout, stderr = sys.stdout, sys.stderr
        loop = asyncio._get_running_loop()
        singleton = sys.modules.get("IPython.core.interactiveshell")
        shell = singleton.InteractiveShell._instance if singleton else None
        kinds = list(type(shell)._walk_mro()) if shell is not None else ()

        def back() -> None:
            for kind in kinds:
                kind._instance = shell
            if loop is not None:
                asyncio._set_running_loop(loop)
                asyncio.set_event_loop(loop)  # asyncio.run leaves none
            sys.stdout, sys.stderr = stdout, stderr
            names.update(added)

        self._undo.append(back)
        for name in added:
            del names[name]
        sys.stdout, sys.stderr = self._journal.stdout, self._journal.stderr
        if loop is not None:
            asyncio._set_running_loop(None)
        for kind in kinds:
            kind._instance = None

    def _figures(self) -> None:
        """Figures the handler leaves open are closed, so that the notebook does not show them after the cell."""
        before = _open_figures()

        def back() -> None:
            for number in _open_figures():
                if number not in before:
                    sys.modules["matplotlib._pylab_helpers"].Gcf.destroy(number)

        self._undo.append(back)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    """As Python does by itself, whoever collects warnings here."""
    print(warnings.formatwarning(message, category, filename, lineno, line), end="", file=file or sys.stderr)


def _mark() -> tuple[int, str]:
    """Changes whenever a module is loaded or dropped; cheaper than comparing sys.modules."""
    return len(sys.modules), next(reversed(sys.modules))


def _open_figures() -> list[int]:
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    return list(helpers.Gcf.figs) if helpers else []


def variables_now() -> dict[bytes, bytes]:
    """The environment itself, in bytes: os.environ decodes each variable anew."""
    return os.environ._data  # type: ignore[attr-defined, no-any-return]


def _changed(variables: Mapping[bytes, bytes], changes: Mapping[bytes, bytes | None]) -> dict[bytes, bytes]:
    """`variables` with these values in place of their own; None for those that are not set."""
    return {name: value for name, value in {**variables, **changes}.items() if value is not None}


def _differing(one: Mapping[bytes, bytes], other: Mapping[bytes, bytes]) -> list[bytes]:
    """The names of variables that are not the same in both."""
    return [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]


def _switch_variables(variables: dict[bytes, bytes], differing: Sequence[bytes]) -> None:
    """Have these as the environment, which differs in those names from the one that is there; TorchServe's own are read
    by Python code alone, so the C library's copy of the environment need not have them."""
    os.environ._data = os.environb._data = variables  # type: ignore[attr-defined]
    for name in differing:
        if name[:3] != b"TS_":
            value = variables.get(name)
            os.unsetenv(name) if value is None else os.putenv(name, value)


def _worker_main() -> types.ModuleType:
    """What `__main__` is in a worker: the worker script, so a class pickled in the notebook is not found there."""
    main = types.ModuleType("__main__")
    main.__file__ = "model_service_worker.py"
    return main
