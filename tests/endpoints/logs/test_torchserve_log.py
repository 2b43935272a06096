"""TorchServe's log, read back."""

from __future__ import annotations

from pathlib import Path

from handlerkit.endpoints.logs.torchserve_log import last_error, worker_lines

FOLDER = Path("/tmp/hk-12345678")
UNPACKED = f"{FOLDER}/tmp/models/{'0' * 32}"
DIED = "Backend worker process died."


def log(*texts: str, worker: str = "W-9000-m_1.0") -> str:
    """The lines as TorchServe's console shows them, with one of its own between."""
    head = "2026-11-21T21:23:45,440 [INFO ]"
    between = f"{head} {worker} org.pytorch.serve.wlm.WorkerThread - Backend response time: 6\n"
    return between.join(f"{head} {worker}-stdout MODEL_LOG - {text}\n" for text in texts)


def traceback(file: str, *message: str) -> tuple[str, ...]:
    return ("Traceback (most recent call last):", f'  File "{file}", line 3, in go', "    go()", *message)


def test_lines_lose_their_prefix_and_the_servers_folders() -> None:
    text = log("hello", *(f'File "{path}/h.py"' for path in (UNPACKED, f"{UNPACKED}/m", f"{FOLDER}/store/m")))
    assert [str(line) for line in worker_lines(text, FOLDER, "m")] == ["hello", *['File "h.py"'] * 3]


def test_error_is_the_one_the_worker_died_of() -> None:
    first, last = traceback("a.py", "KeyError: 'x'"), traceback(f"{UNPACKED}/h.py", "os.Odd: of two", "lines")
    error = last_error(log(*first, "goes on", DIED, *last), FOLDER, "m.mar")
    assert error is not None
    assert (error.type, error.message) == ("Odd", "of two\nlines")
    assert [(frame.file, frame.line, frame.source) for frame in error.frames] == [("h.py", 3, "go()")]
    assert error.traceback.startswith("Traceback")
    assert "KeyError" not in error.traceback


def test_error_the_worker_reported_is_not_hidden_by_its_end() -> None:
    own, end = traceback("h.py", "RuntimeError: mine"), traceback("w.py", "RuntimeError: 500 - Unknown exception")
    error = last_error(log("Failed to load model m", *own, DIED, *end), FOLDER, "m.mar")
    assert error is not None
    assert error.message == "mine"


def test_import_error_is_not_hidden_by_the_fallback() -> None:
    own = traceback("h.py", "ModuleNotFoundError: No module named 'nobody'")
    fallback = traceback("l.py", "ModuleNotFoundError: No module named 'ts.torch_handler.h'")
    between = ("", "During handling of the above exception, another exception occurred:", "")
    error = last_error(log(DIED, *own, *between, *fallback), FOLDER, "m.mar")
    assert error is not None
    assert error.message == "No module named 'nobody'"
    assert "ts.torch_handler.h" in error.traceback


def test_workers_are_not_mixed() -> None:
    mine = log(*traceback("h.py", "ValueError: mine")).splitlines()
    other = log("other", "other", "other", "other", worker="W-9001-m_1.0").splitlines()
    mixed = "\n".join(line for pair in zip(mine, other, strict=True) for line in pair)
    error = last_error(mixed, FOLDER, "m.mar")
    assert error is not None
    assert error.message == "mine"


def test_no_traceback_no_error() -> None:
    assert last_error(log("hello", DIED), FOLDER, "m.mar") is None
