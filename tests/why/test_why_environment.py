"""Handlers that read variables of the environment which the notebook alone has."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlerkit.endpoints.torchserve.diagnosis import load_findings
from handlerkit.endpoints.worker import Worker
from handlerkit.errors import LoadError
from handlerkit.messages import ErrorInfo, Frame, Request, Response
from handlerkit.model import Model

READS = {
    "item": ("return [os.environ['MY_TOKEN']]", "The worker's environment has no variable 'MY_TOKEN': the notebook's"),
    "popped": ("return [os.environ.pop('MY_TOKEN')]", "The worker's environment has no variable 'MY_TOKEN'"),
    "get": ("return [os.environ.get('MY_TOKEN').lower()]", "The handler reads the variable 'MY_TOKEN', which is None"),
    "getenv": ('return [open(os.getenv("MY_TOKEN"))]', "The handler reads the variable 'MY_TOKEN', which is None"),
}


def model(folder: Path, handle: str) -> Model:
    (folder / "h.py").write_text(f"import os\ndef handle(data, context):\n    if data: {handle}\n")
    return Model("m", handler=folder / "h.py")


@pytest.mark.parametrize(("handle", "what"), READS.values(), ids=READS)
def test_variable_that_the_notebook_set(
    tmp_path: Path, handle: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "secret")
    with Worker(model(tmp_path, handle)) as worker:
        cause = worker.predict(Request()).findings[0]
    assert cause.name == "environment"
    assert cause.message.startswith(what)
    assert cause.where.startswith("h.py, line 3")
    assert "%model --env MY_TOKEN," in cause.fix
    assert "secret" not in str(cause)


def test_variable_that_nobody_set_and_one_that_is_given_are_no_matter_of_the_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Worker(model(tmp_path, READS["get"][0])) as worker:
        assert worker.predict(Request()).findings[0].name != "environment"
    monkeypatch.setenv("MY_TOKEN", "secret")
    handle = "return [os.environ.get('MY_TOKEN') + None]"
    with Worker(model(tmp_path, handle), environment={"MY_TOKEN": "a"}) as worker:
        assert worker.predict(Request()).findings[0].name != "environment"


def test_another_none_is_another_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "secret")
    handle = "found = {}.get('net'); return [os.environ.get('MY_TOKEN'), found.group()]"
    with Worker(model(tmp_path, handle)) as worker:
        cause = worker.predict(Request()).findings[0]
    assert cause.name == "none_value"
    assert cause.message.startswith("found is None here")


@pytest.mark.parametrize("used", ["TOKEN.lower()", "os.path.join(TOKEN)", "'Bearer ' + TOKEN"])
def test_variable_that_was_read_before(tmp_path: Path, used: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "secret")
    (tmp_path / "h.py").write_text(
        f"import os\nTOKEN = os.environ.get('MY_TOKEN')\ndef handle(data, context):\n    if data: return [{used}]\n"
    )
    with Worker(Model("m", handler=tmp_path / "h.py")) as worker:
        cause = worker.predict(Request()).findings[0]
    assert cause.name == "environment"
    assert cause.where.startswith("h.py, line 2")


def test_key_error_of_another_mapping_is_another_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "secret")
    with Worker(model(tmp_path, "return [{}['MY_TOKEN']]")) as worker:
        assert worker.predict(Request()).findings[0].name != "environment"


def test_while_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "secret")
    (tmp_path / "h.py").write_text("import os\nTOKEN = os.environ['MY_TOKEN']\n")
    with pytest.raises(LoadError, match="no variable 'MY_TOKEN': the notebook's process has set it"):
        Worker(Model("m", handler=tmp_path / "h.py"))


def test_on_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "secret")
    (tmp_path / "h.py").write_text("import os\nTOKEN = os.environ['MY_TOKEN']\n")
    model, refused = Model("m", handler=tmp_path / "h.py"), Response(500, body=b"Failed to start workers")
    frames = (
        Frame("h.py", 2, "<module>", "TOKEN = os.environ['MY_TOKEN']"),
        Frame("os.py", 679, "__getitem__", "raise KeyError(key) from None"),
    )
    error = ErrorInfo("KeyError", "'MY_TOKEN'", frames, "")
    (cause,) = load_findings(error, refused, "", model, tmp_path, {})
    assert cause.message.startswith("The worker's environment has no variable 'MY_TOKEN': the notebook's")
