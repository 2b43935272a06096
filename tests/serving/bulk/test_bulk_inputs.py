"""What is found and read for bulk scoring."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from handlerkit.serving.bulk.inputs import Input, InputError, Reading, find

JSON = "application/json"


def inputs(*given: object, done: frozenset[str] = frozenset(), **reading: str) -> list[Input]:
    pieces = find(map(str, given), Reading(**reading))
    found = [one for piece in pieces for one in piece.read(done)]
    if not done:
        assert len(found) == sum(piece.count for piece in pieces)
    return found


def test_a_folder_gives_its_files_in_order(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/c.bin", ".hidden", ".git/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    assert inputs(tmp_path) == [
        Input(f"{tmp_path}/b.jpg", b"b.jpg", "image/jpeg"),
        Input(f"{tmp_path}/a/c.bin", b"a/c.bin", "application/octet-stream"),
    ]


def test_a_list_names_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.png").write_bytes(b"x")
    Path("list.txt").write_text("x.png\n\nnot there.png\nx.png\n")
    assert inputs("list.txt") == [
        Input("x.png", b"x", "image/png"),
        Input("not there.png", problem="it cannot be read: No such file or directory"),
    ]


def test_a_list_may_begin_with_a_byte_order_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a").write_text("1")
    Path("list.txt").write_bytes(b"\xef\xbb\xbfa\r\n\r\n")
    assert [(one.name, one.body) for one in inputs("list.txt")] == [("a", b"1")]


def test_lines_are_bodies(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"a": 1}\n\n  [2]\n{"a": 3}')
    assert inputs(file) == [
        Input(f"{file}:1", b'{"a": 1}', JSON), Input(f"{file}:3", b"[2]", JSON), Input(f"{file}:4", b'{"a": 3}', JSON),
    ]  # fmt: skip


def test_many_lines_are_found_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handlerkit.serving.bulk.inputs._BYTES", 50)
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f'{{"n": {n}}}\n' for n in range(1, 41)))
    assert len(find([str(file)], Reading())) > 3
    assert [(one.name, json.loads(one.body)["n"]) for one in inputs(file)] == [(f"{file}:{n}", n) for n in range(1, 41)]


def test_a_column_of_lines(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "wörd"}\n{"text": {"b": 2}}\n{"other": 1}\n[1]\n')
    assert inputs(file, column="text") == [
        Input(f"{file}:1", "wörd".encode()),
        Input(f"{file}:2", b'{"b": 2}', JSON),
        Input(f"{file}:3", problem="it is no JSON object with 'text'"),
        Input(f"{file}:4", problem="it is no JSON object with 'text'"),
    ]


def test_another_content_type(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"x")
    assert inputs(tmp_path, content_type="image/x-own")[0].content_type == "image/x-own"
    assert inputs(tmp_path, content_type="")[0].content_type is None


def test_a_file_has_one_name_however_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("in/a", "in/lines.jsonl", "other/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1\n")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    (tmp_path / "list.txt").write_text(f"./in/a\n{tmp_path}/in/a\nother/../in/a\nlink/../in/a\nlink/b\n")
    monkeypatch.chdir(tmp_path)
    given = ["in", "./in", "in/", "in/../in", tmp_path / "in", "list.txt"]
    assert [one.name for one in inputs(*given)] == ["in/a", "link/b", "in/lines.jsonl:1"]
    monkeypatch.chdir(tmp_path / "in")
    assert [one.name for one in inputs(".", "../other")] == ["a", str(tmp_path / "other/b"), "lines.jsonl:1"]


def test_pieces_know_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a").write_text("a")
    Path("lines.jsonl").write_text("1\n\n3\n")
    names = [name for piece in find(["a", "lines.jsonl"], Reading()) for name in piece.names()]
    assert names == ["a", "lines.jsonl:1", "lines.jsonl:2", "lines.jsonl:3"]


def test_what_is_done_is_not_read(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    assert [one.body for one in inputs(tmp_path, done=frozenset({f"{tmp_path}/a"}))] == [b"b"]


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere is not there"):
        inputs(tmp_path / "nowhere")


def test_rows_of_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
    from pyarrow import parquet

    file = tmp_path / "rows.parquet"
    table = pyarrow.table({"image": [b"\xff\xd8", b"x"], "label": ["cat", "dog"]})
    parquet.write_table(table, file, row_group_size=1)
    assert inputs(file, column="image") == [Input(f"{file}:1", b"\xff\xd8"), Input(f"{file}:2", b"x")]
    assert inputs(file, column="label")[1] == Input(f"{file}:2", b"dog")
    assert "choose a column with --column" in inputs(file)[0].problem
    with pytest.raises(InputError, match="has no column 'img'; it has image, label"):
        inputs(file, column="img")
    parquet.write_table(pyarrow.table({"a": [1, 2], "b": ["x", None]}), file)
    assert inputs(file)[1] == Input(f"{file}:2", b'{"a": 2, "b": null}', JSON)


def test_what_is_no_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(InputError, match="is no Parquet file"):
        inputs(tmp_path)


def test_a_link_to_a_folder_above_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "up2").symlink_to(tmp_path)
    assert [one.body for one in inputs(tmp_path)] == [b"a"]


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    os.mkfifo(tmp_path / "pipe")
    assert [one.body for one in inputs(tmp_path)] == [b"a"]
