"""What is seen of a handler while it runs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

import handlerkit as hk
from handlerkit.messages import SideEffect
from handlerkit.worker_process.side_effects import Recorder

HANDLER = """\
import os, socket, subprocess, tempfile, threading
{at_load}
def handle(data, context):
    if data is None:
        return
{lines}    return ["ok"] * len(data)
"""


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is no model's."""
    path = tmp_path_factory.mktemp("elsewhere") / "labels.txt"
    path.write_text("cat\n")
    return path


@pytest.fixture
def seen_of(tmp_path: Path) -> Iterator[Callable[..., tuple[SideEffect, ...]]]:
    """What is seen of a handler of these lines: in its load, and in one call that is no load's."""
    workers: list[hk.Worker] = []

    def run(
        in_request: str = "pass", at_load: str = "pass", *, in_process: bool = False, **files: str
    ) -> tuple[SideEffect, ...]:
        lines = "".join(f"    {line}\n" for line in dedent(in_request).splitlines())
        (tmp_path / "handler.py").write_text(HANDLER.format(at_load=at_load, lines=lines))
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
        extra = [tmp_path / f"{name}.py" for name in files]
        model = hk.Model("m", handler=tmp_path / "handler.py", extra_files=extra)
        workers.append(hk.Worker(model, in_process=in_process))
        return workers[-1].predict(hk.Request.json({})).raise_for_status().call.seen

    yield run
    for worker in workers:
        worker.close()


def test_nothing_beyond_its_own_files(seen_of) -> None:
    lines = """
        import json, helper
        open(__file__).read()
        open("made.txt", "w").write("x")
        open("/proc/self/status").close()
        with tempfile.TemporaryDirectory() as folder:
            open(os.path.join(folder, "x"), "w").close()
            open(os.path.join(folder, "x")).close()
        try:
            open("/surely/not/there")
        except OSError:
            pass
    """
    assert seen_of(dedent(lines).strip(), "import xml.sax", helper="x = 1\n") == ()


def test_a_file_read_by_a_request(seen_of, elsewhere: Path) -> None:
    assert seen_of(f"open({str(elsewhere)!r}).close()") == (
        SideEffect("read", str(elsewhere), "handler.py, line 6", False),
    )


def test_a_file_read_while_loading(seen_of, elsewhere: Path) -> None:
    assert seen_of("pass", f"open({str(elsewhere)!r}).close()") == (
        SideEffect("read", str(elsewhere), "handler.py, line 2", True),
    )


def test_the_handlers_line_where_a_package_opens_the_file(seen_of, elsewhere: Path) -> None:
    (seen,) = seen_of(f"import numpy; numpy.loadtxt({str(elsewhere)!r}, dtype=str)")
    assert (seen.kind, seen.where) == ("read", "handler.py, line 6")


def test_a_file_written_elsewhere(seen_of, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = elsewhere.parent / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    target = elsewhere.with_name("log.txt")
    assert seen_of(f"open({str(target)!r}, 'w').close()", in_process=True) == (
        SideEffect("write", str(target), "handler.py, line 6", False),
    )


def test_a_program(seen_of) -> None:
    (seen,) = seen_of('subprocess.run(["true", "a b"])')
    assert seen == SideEffect("process", "true 'a b'", "handler.py, line 6", False)


def test_a_command_of_the_shell(seen_of) -> None:
    (seen,) = seen_of('os.system("true")')
    assert (seen.kind, seen.what) == ("process", "true")


def test_a_connection_once_and_by_its_name(seen_of) -> None:
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
        (seen,) = seen_of(f'socket.create_connection(("localhost", {port})).close()')
    assert seen == SideEffect("network", f"localhost:{port}", "handler.py, line 6", False)


def test_a_socket_of_this_machine_is_no_connection(seen_of) -> None:
    assert seen_of("one, other = socket.socketpair(); one.close(); other.close()") == ()


def test_a_module_that_a_request_imports(seen_of) -> None:
    assert seen_of("import pytest_timeout, colorsys") == (
        SideEffect("import", "pytest_timeout", "handler.py, line 6", False),
    )


def test_what_a_thread_of_the_handler_does(seen_of, elsewhere: Path) -> None:
    lines = f"one = threading.Thread(target=lambda: open({str(elsewhere)!r}).close()); one.start(); one.join()"
    (seen,) = seen_of(lines)
    assert seen.what == str(elsewhere)


def test_what_another_thread_does_meanwhile(seen_of, elsewhere: Path) -> None:
    over = threading.Event()

    def read() -> None:
        while not over.wait(0.001):
            elsewhere.read_text()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        assert seen_of("import time; time.sleep(0.05)") == ()
    finally:
        over.set()
        thread.join()


def test_each_thing_once(seen_of, elsewhere: Path) -> None:
    assert len(seen_of(f"for _ in range(9): open({str(elsewhere)!r}).close()")) == 1


def test_nothing_is_looked_at_between_calls(elsewhere: Path) -> None:
    recorder = Recorder(str(elsewhere.parent / "model"), lambda file: "here")
    with recorder:
        elsewhere.read_text()
    elsewhere.with_name("other.txt").write_text("x")
    assert [seen.what for seen in recorder.take()] == [str(elsewhere)]


def test_a_failing_look_does_not_reach_the_handler(seen_of, monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    monkeypatch.setattr("handlerkit.worker_process.side_effects._is_older", lambda path, begun: 1 / 0)
    (seen,) = seen_of(f"open({str(elsewhere)!r}).close()", in_process=True)
    assert seen.what == "not recorded: ZeroDivisionError"
