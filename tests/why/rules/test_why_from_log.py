"""What a real server's log gives of a failure, beside what the live exception gives: the same cause, or less, but no
other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_why_raised import RAISED
from why_cases import CLASS, Case, start

from handlerkit import why
from handlerkit.endpoints.torchserve.diagnosis import Registration, findings
from handlerkit.messages import Finding, Request, Run
from handlerkit.serving.config import Config

#: The rules that ask for the values of the failing line.
OF_VALUES = {
    "row_key", "row_get", "decoded_already", "bytes_for_text", "bytes_for_a_file", "text_as_path", "data_url",
    "not_base64", "other_services_form", "json_value", "null_for_key", "unreadable", "not_an_image", "header_key",
    "unread_form", "unread_json", "empty_value", "first_error", "any_exception", "attribute_not_set",
    "no_such_attribute",
}  # fmt: skip
#: Where a value is what a function gave.
UNTOLD = ("row.get('data', row.get('body'))", "parsed = json.loads", "texts = [row")


def from_log(run: Run, folder: Path) -> tuple[Finding, ...]:
    """The findings of a server whose worker logged that, and whose model's files are in `folder`."""
    staged = folder / "tmp" / "models" / ("0" * 32)
    staged.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        if file.is_file():
            shutil.copy(file, staged)
    streams = {"INFO": "stdout", "WARN": "stderr"}
    log = "".join(
        f"2026-11-22T00:00:00,000 [{line.level}] W-9000-m_1.0-{streams[line.level]} MODEL_LOG - {line.text}\n"
        for line in run.logs
    )
    exchanges = [(exchange.request, exchange.response) for exchange in run.exchanges]
    model = Registration(why.Setup("m", "1.0", "h.py", batch_size=len(exchanges)), staged)
    return findings(exchanges, model, Config(), lambda: log)


@pytest.mark.parametrize("case", [case for case in RAISED if case.rule in OF_VALUES and not case.worker], ids=str)
def test_cause_is_that_of_the_live_exception(case: Case, tmp_path: Path) -> None:
    requests = case.request if isinstance(case.request, tuple) else (case.request,)
    with start(case, tmp_path) as worker:
        run = worker.predict(*requests)
    live, told = run.findings[0], from_log(run, tmp_path)[0]
    if any(code in case.source for code in UNTOLD):
        assert told.name in ("exception", "none_value", "import")
    else:
        assert (told.name, told.message, told.fix, told.where) == (live.name, live.message, live.fix, live.where)


def told(statements: str, folder: Path, *requests: Request, helper: str = "") -> Finding:
    """What the log tells of a handler with these statements in its handle, from line 4 on."""
    source = CLASS + statements.replace("\n", "\n        ") + "\n" + helper
    options = {"batch_size": len(requests), "in_process": "_exit" not in statements}
    with start(Case("", "", source, "", worker=options), folder) as worker:
        return from_log(worker.predict(*requests), folder)[0]


TEXT = Request(body=b"a b")


@pytest.mark.parametrize(
    "statements",
    [
        "text = data[0].get('data')\nif text is None:\n    text = data[0].get('body')\nreturn [text.split(' ')]",
        "for row in data:\n    text = row['body']\n    return [text.split(' ')]",
        "for index, row in enumerate(data):\n    if 'body' in row:\n        return [row['body'].split(' ')]",
        "row = data[0]\ntry:\n    text = row.get('body')\n    return [text.split(' ')]\nfinally:\n    pass",
        "text = data[0]['body']\nif isinstance(text, str):\n    text = None\nreturn [text.split(' ')]",
        "return [self.words(row.get('body')) for row in data]",
    ],
)
def test_value_that_follows_from_the_code(statements: str, tmp_path: Path) -> None:
    words = "    def words(self, text):\n        text = text or ''\n        return text.split(' ')\n"
    found = told(statements, tmp_path, TEXT, helper=words)
    assert (found.name, found.message[:26]) == ("bytes_for_text", "row['body'] is bytes (a by")


@pytest.mark.parametrize(
    "statements",
    [
        "text = data[0]['body']\nif self:\n    text = bytearray(b'x')\nreturn [text.split(' ')]",
        "text = data[0]['body']\nfor text in (bytearray(b'x'),):\n    return [text.split(' ')]",
        "data[0]['body'] = bytearray(b'x')\nreturn [data[0]['body'].split(' ')]",
        "row = data[0]\nrow.update(body=bytearray(b'x'))\nreturn [row['body'].split(' ')]",
        "text = data[0]['body']\nwith open(__file__) as text:\n    return [bytearray(b'x').split(' ')]",
        "text, other = data[0]['body'], bytearray(b'x')\ntext = other\nreturn [text.split(' ')]",
    ],
)
def test_value_that_cannot_be_told_is_not_to_blame(statements: str, tmp_path: Path) -> None:
    assert told(statements, tmp_path, TEXT).name == "exception"


def test_row_of_several_that_failed_is_not_told(tmp_path: Path) -> None:
    found = told("return [row['body'].split(' ') for row in data]", tmp_path, Request.text("a b"), TEXT)
    assert found.name == "exception"


def test_line_that_ends_the_worker(tmp_path: Path) -> None:
    found = told("import os\nif data:\n    os._exit(3)\nreturn ['x']", tmp_path, TEXT)
    assert (found.name, found.where) == ("worker_exit", "h.py, line 6: os._exit(3)")
