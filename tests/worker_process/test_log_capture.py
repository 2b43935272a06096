"""What a worker logs, as lines."""

from __future__ import annotations

from pathlib import Path

from handlerkit.worker_process.log_capture import Journal, PlainPaths
from handlerkit.worker_process.user_files import UserFiles


def test_bytes_become_lines_whatever_their_pieces() -> None:
    journal = Journal(PlainPaths(Path("/model")))
    for piece in (b"a", b"b\nc", b"\n\nd", b"e"):
        journal.write_out(piece)
    assert [line.text for line in journal.take()] == ["ab", "c", "", "de"]
    assert journal.take() == ()


def test_paths_are_told_as_the_user_knows_them() -> None:
    users = UserFiles("/tmp/hk/abc", {"handler.py": "/home/me/work/handler.py"})
    plain = PlainPaths(Path("/tmp/hk/abc"), users).plain
    assert plain('File "/tmp/hk/abc/handler.py", line 1') == 'File "handler.py", line 1'
    assert plain('File "/home/me/work/handler.py", line 1') == 'File "handler.py", line 1'
    assert plain("/home/me/work/handler.py:3: UserWarning") == "<model_dir>/handler.py:3: UserWarning"
    assert plain("/usr/lib/python3.11/site-packages/torch/nn/x.py") == "torch/nn/x.py"


def test_hearer_is_told_each_line() -> None:
    journal, heard = Journal(PlainPaths(Path("/model"))), []
    journal.hear = heard.append
    journal.write_err(b"one\ntw")
    assert [(line.level, line.text) for line in heard] == [("WARN", "one")]
