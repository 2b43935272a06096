"""What bulk scoring writes."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from handlerkit.serving.bulk import results
from handlerkit.serving.bulk.results import OutputError, Result, ResultWriter


@pytest.fixture(autouse=True)
def without_pyarrow(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "parquet" not in request.node.name:
        monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)


def written(path: Path, *names: str) -> ResultWriter:
    output = ResultWriter(str(path))
    for name in names:
        output.keep(Result(name, 200, body=name.encode()))
    output.flush()
    return output


def lines(*files: Path) -> list[dict[str, object]]:
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_rows_say_what_a_client_would_have_got() -> None:
    plain = Result("a", 200, headers=(("X-A", "1"),), body=b"hi")
    assert json.loads(plain.line()) == {
        "name": "a", "status": 200, "message": "", "headers": [["X-A", "1"]], "body": "hi",
    }  # fmt: skip
    assert json.loads(Result("a", 200, body=b'{"x": [1]}').line())["json"] == {"x": [1]}
    assert json.loads(Result("a", 200, body=b"\xff").line())["body_base64"] == base64.b64encode(b"\xff").decode()


def test_json_is_told_by_the_content_type_and_else_by_an_object_or_array() -> None:
    typed = (("Content-Type", "application/json; charset=utf-8"),)
    assert Result("a", 200, headers=typed, body=b"3").json == "3"
    assert Result("a", 200, body=b"3").json is None
    assert Result("a", 200, headers=(("Content-Type", "text/plain"),), body=b"[3]").json is None
    assert Result("a", 200, body=b"[3").json is None


def test_parts_are_added_and_their_names_are_done(tmp_path: Path) -> None:
    written(tmp_path / "out", "a", "b").close()
    output = written(tmp_path / "out", "c")
    assert output.done == {"a", "b"}
    parts = sorted((tmp_path / "out").glob("part-*"))
    assert [part.name for part in parts] == ["part-000000.jsonl", "part-000001.jsonl"]
    assert [one["name"] for one in lines(*parts)] == ["a", "b", "c"]
    output.close()


def test_what_a_killed_run_had_begun_is_removed(tmp_path: Path) -> None:
    written(tmp_path / "out", "a").close()
    (tmp_path / "out" / ".part-000001.jsonl").write_text('{"na')
    output = ResultWriter(str(tmp_path / "out"))
    assert output.done == {"a"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".lock", "part-000000.jsonl"]
    output.close()


def test_one_file_is_put_together_at_the_end(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    output = written(file, "a")
    assert not file.exists()
    output.keep(Result("b", 200))
    output.finish()
    output.close()
    assert [one["name"] for one in lines(file)] == ["a", "b"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    with written(file, "c") as more:
        assert more.done == {"a", "b"}
        more.finish()
    assert [one["name"] for one in lines(file)] == ["a", "b", "c"]


def test_a_kill_while_one_file_is_put_together_doubles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "out.jsonl"
    output = written(file, "a")
    monkeypatch.setattr(results.shutil, "rmtree", lambda folder: None)
    output.finish()
    output.close()
    monkeypatch.undo()
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with written(file, "b") as again:
        again.finish()
    assert [one["name"] for one in lines(file)] == ["a", "b"]


def test_a_part_is_written_when_there_is_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "_ROWS", 2)
    output = ResultWriter(str(tmp_path / "out"))
    for name in "abc":
        output.keep(Result(name, 200))
    assert [one["name"] for one in lines(*(tmp_path / "out").glob("part-*"))] == ["a", "b"]
    output.close()


def test_two_runs_do_not_write_to_one_place(tmp_path: Path) -> None:
    first = ResultWriter(str(tmp_path / "out"))
    with pytest.raises(OutputError, match=r"another run writes to .*out: wait for its end"):
        ResultWriter(str(tmp_path / "out"))
    first.close()
    ResultWriter(str(tmp_path / "out")).close()


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="out is a file: name a folder for the results, or a file"):
        ResultWriter(str(tmp_path / "out"))


def test_parquet_holds_json_or_the_body(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
    from pyarrow import parquet

    output = ResultWriter(str(tmp_path / "out"))
    output.keep(Result("a", 200, headers=(("X", "1"),), body=b'{"x": 1}'))
    output.keep(Result("b", 500, "Prediction failed", body=b"\xff"))
    output.finish()
    output.close()
    assert parquet.read_table(tmp_path / "out").to_pylist() == [
        {"name": "a", "status": 200, "message": "", "headers": [{"name": "X", "value": "1"}], "json": '{"x": 1}',
         "body": None},
        {"name": "b", "status": 500, "message": "Prediction failed", "headers": [], "json": None, "body": b"\xff"},
    ]  # fmt: skip
    with ResultWriter(str(tmp_path / "out")) as again:
        assert again.done == {"a", "b"}


def test_parquet_that_cannot_be_read_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "part-000000.parquet").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(OutputError, match="holds Parquet files, which need pyarrow"):
        ResultWriter(str(tmp_path / "out"))


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".profile").write_text("mine")
    with pytest.raises(OutputError, match="is a folder with other files: name one for the results alone"):
        ResultWriter(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [".profile"]


def test_hidden_files_beside_results_are_left_alone(tmp_path: Path) -> None:
    written(tmp_path / "out", "a").close()
    (tmp_path / "out" / ".note").write_text("mine")
    ResultWriter(str(tmp_path / "out")).close()
    assert (tmp_path / "out" / ".note").read_text() == "mine"


def test_lines_that_are_no_results_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"name": "a"}\n')
    with pytest.raises(OutputError, match=r"mine\.jsonl holds lines that are no results: name another output"):
        ResultWriter(str(file))
    assert file.read_text() == '{"name": "a"}\n'
