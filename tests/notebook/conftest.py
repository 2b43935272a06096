"""A real IPython shell with the extension, a session of its own for each test, and the two doors to it."""

from __future__ import annotations

import atexit
import builtins
import contextlib
import io
import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import handlerkit
from handlerkit.notebook import session as session_module
from handlerkit.notebook.cell import write
from handlerkit.notebook.session import Session

_OF_IPYTHON = ("display", "get_ipython")


@dataclass
class Cell:
    """What a cell left: the value shown, what was printed, and the error."""

    value: Any
    stdout: str
    stderr: str
    error: BaseException | None


class Notebook:
    """Runs cells in the shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell

    def __call__(self, source: str) -> Cell:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            ran = self.shell.run_cell(source)
        return Cell(ran.result, out.getvalue(), err.getvalue(), ran.error_before_exec or ran.error_in_exec)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InteractiveShell]:
    """The shell of the notebook; what it changes in the process is put back."""
    main = sys.modules["__main__"]
    names = {name: vars(builtins)[name] for name in _OF_IPYTHON if name in vars(builtins)}
    hooks = sys.excepthook, sys.displayhook
    folder = tmp_path_factory.mktemp("ipython")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(folder))
        config = Config()
        config.HistoryManager.enabled = False
        shell = InteractiveShell.instance(config=config)
        yield shell
        shell.atexit_operations()
        atexit.unregister(shell.atexit_operations)
        InteractiveShell.clear_instance()
    sys.modules["__main__"] = main
    sys.excepthook, sys.displayhook = hooks
    for name in _OF_IPYTHON:
        vars(builtins).pop(name, None)
    vars(builtins).update(names)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session of its own, behind the magics and `hk.session` too, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    session = Session()
    monkeypatch.setattr(session_module, "session", session)
    monkeypatch.setattr(handlerkit, "session", session)
    yield session
    session.close()


@pytest.fixture
def notebook(shell: InteractiveShell, session: Session) -> Iterator[Notebook]:
    """A notebook whose first cell was %load_ext handlerkit."""
    names = dict(shell.user_ns)
    shell.run_line_magic("load_ext", "handlerkit")
    yield Notebook(shell)
    shell.run_line_magic("unload_ext", "handlerkit")
    shell.user_ns.clear()  # not shell.reset, which collects garbage each time
    shell.user_ns.update(names)
    shell.user_ns["Out"].clear()


class MagicDoor:
    """Every command as the line, or cell, that a user writes."""

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook

    def handler(self, file: str, source: str, *, function: str | None = None, reload: bool = False) -> Any:
        return self._run(f"%%handler {file}{_options(function=function)}{' --reload' * reload}\n{source}")

    def module(self, file: str, source: str) -> Any:
        return self._run(f"%%module {file}\n{source}")

    def model(self, *words: str, **options: Any) -> Any:
        options["config_property"] = [f"{key}={value}" for key, value in options.pop("config_properties", {}).items()]
        return self._run(f"%model {shlex.join(words)}{_options(**options)}")

    def request(self, *what: Any, **options: Any) -> Any:
        words = [self._named(one, f"payload_{number}") for number, one in enumerate(what)]
        options["header"] = [f"{name}: {value}" for name, value in options.pop("headers", {}).items()]
        options["part"] = [f"{part.name}={part.body}" for part in options.pop("parts", ())]
        return self._run(f"%request {shlex.join(words)}{_options(**options)}")

    def check(self, *words: str, **options: Any) -> Any:
        return self._run(f"%check {shlex.join(words)}{_options(**options)}")

    def export(self, *words: str, **options: Any) -> Any:
        return self._run(f"%export {shlex.join(words)}{_options(**options)}")

    def verify(self, *words: str, **options: Any) -> Any:
        return self._run(f"%verify {shlex.join(words)}{_options(**options)}")

    def serve(self, *words: str, **options: Any) -> Any:
        return self._run(f"%serve {shlex.join(words)}{_options(**options)}")

    def _named(self, payload: Any, name: str) -> str:
        """A file's name as it is; any other payload under the name of a variable."""
        if isinstance(payload, str):
            return payload
        self._notebook.shell.user_ns[name] = payload
        return name

    def _run(self, source: str) -> Any:
        cell = self._notebook(source)
        if cell.error is not None:
            raise cell.error
        assert cell.stderr == ""
        return cell.value


class FunctionDoor:
    """Every command as the call that a script makes."""

    def __init__(self, session: Session) -> None:
        self.model, self.module, self.request = session.model, session.module, session.request
        self.check, self.export, self.verify = session.check, session.export, session.verify
        self._session = session

    def serve(self, *words: str, token_from: str | None = None, **options: Any) -> Any:
        token = {"token": os.environ[token_from]} if token_from else {}
        return self._session.serve(*map(int, words), **token, **options)

    def handler(self, file: str, source: str, *, function: str | None = None, reload: bool = False) -> Any:
        return self._session.use(write(file, "\n" + source), function=function, reload=reload)


Door = MagicDoor | FunctionDoor


@pytest.fixture(params=["magic", "function"])
def door(request: pytest.FixtureRequest, notebook: Notebook, session: Session) -> Door:
    """Either way to give a command; a test that takes it runs through both."""
    return MagicDoor(notebook) if request.param == "magic" else FunctionDoor(session)


def _options(**options: Any) -> str:
    """Keywords as a magic's options."""
    words: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, list) and name == "extra_files":
            words += [flag, ",".join(value)]
        elif isinstance(value, list):
            words += [word for one in value for word in (flag, str(one))]
        elif value is True:
            words.append(flag)
        elif value is not None:
            words += [flag, str(value)]
    return f" {shlex.join(words)}" if words else ""
