"""What is shown of cases: text for a terminal, html for a notebook, a page for CI."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

import handlerkit as hk
from handlerkit.cases import run_cases
from handlerkit.errors import CaseError
from handlerkit.messages import Exchange, Request, Response, Run
from handlerkit.view.cases import report_page, write_report


def png(color: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), color).save(buffer, "PNG")
    return buffer.getvalue()


class Answers:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def predict(self, *requests: Request) -> Run:
        return Run(tuple(Exchange(one, Response(200, "", (), self._body)) for one in requests), model="m")


@pytest.fixture
def reported(tmp_path: Path) -> hk.CaseReport:
    """Five pictures of which each is another one."""
    for number in range(5):
        hk.keep(Answers(png("red")).predict(Request(body=png("green"))), f"red-{number}", tmp_path, rtol=1e-3)
    return run_cases(hk.cases(tmp_path), Answers(png("blue")))


def test_text_says_each_verdict_and_what_differs(reported) -> None:
    lines = hk.view(reported).text.splitlines()
    assert lines[0] == "5 cases on Answers: 5 different"
    assert lines[1].startswith("  red-0  different  ")
    assert "    1 200 px changed (100 %), by up to 255 of 255" in lines


def test_a_notebook_draws_the_first_three(reported) -> None:
    page = hk.view(reported).html
    assert page.count("hk-compare") - page.count(".hk-compare") >= 3
    assert "2 more that differ: --report page.html draws all" in page


def test_a_page_draws_all_and_needs_no_network(reported) -> None:
    page = report_page(reported)
    assert page.startswith("<!doctype html>")
    assert "more that differ" not in page
    assert page.count("<figcaption>after") == 5
    assert 'src="http' not in page
    assert "<link" not in page


def test_files_are_written(reported, tmp_path: Path) -> None:
    write_report(reported, tmp_path / "page.html", tmp_path / "junit.xml")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "junit.xml").read_text().startswith("<?xml")
    with pytest.raises(CaseError, match="cannot write"):
        write_report(reported, tmp_path / "no" / "page.html")


def test_a_case_says_what_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    case = hk.keep(Answers(png("red")).predict(Request.json(1)), "red", rtol=1e-3, ignore=["x-own"], levels=2)
    assert hk.view(case).text.splitlines() == [
        "case red: a request to m  ->  200",
        "  files: cases/red.har, red.response.png",
        "  may differ: rtol 0.001, levels 2, anything at x-own",
    ]


def test_names_and_reasons_are_escaped(tmp_path: Path) -> None:
    hk.keep(Answers(b"<b>").predict(Request.json(1)), "one", tmp_path)
    assert "<i>a" not in report_page(run_cases(hk.cases(tmp_path), Answers(b"<i>a")))
