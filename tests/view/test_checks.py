"""What a Check shows: each finding with its severity as a word, and what was looked at where nothing was found."""

from __future__ import annotations

import re

import pytest

from handlerkit import view
from handlerkit.check import Check
from handlerkit.messages import Finding

MISSING = Finding(
    "missing_package",
    "The handler imports pandas, which is not in the target.",
    "handler.py, line 3",
    "The worker does not start.",
    "Add pandas==2.2.3 to the requirements file.",
)
HOME = Finding("home_folder", "The path ~/coins.pt is of this machine.", "handler.py, line 9", severity="warning")
NOTED = Finding("wheel", "A wheel travels along.", severity="info")


def checked(*findings: Finding, subjects: tuple[str, ...] = ("imports", "config_file")) -> Check:
    return Check("coins", "torchserve-0.12.0-cpu", findings, "Python 3.9, torch 2.4.0", subjects)


def test_text_says_all_of_each_finding() -> None:
    assert view(checked(MISSING, HOME, NOTED)).text.splitlines() == [
        "checked coins for torchserve-0.12.0-cpu (Python 3.9, torch 2.4.0): 1 error, 1 warning, 1 info",
        "error: The handler imports pandas, which is not in the target.",
        "  where: handler.py, line 3",
        "  TorchServe: The worker does not start.",
        "  fix: Add pandas==2.2.3 to the requirements file.",
        "warning: The path ~/coins.pt is of this machine.",
        "  where: handler.py, line 9",
        "info: A wheel travels along.",
    ]


def test_nothing_found_says_what_was_looked_at() -> None:
    assert view(checked()).text.splitlines() == [
        "checked coins for torchserve-0.12.0-cpu (Python 3.9, torch 2.4.0): nothing found",
        "looked at: imports, config file",
    ]
    html = view(checked()).html
    assert '<span class="hk-badge hk-ok">nothing found</span>' in html
    assert "looked at: imports, config file" in html


def test_what_was_looked_at_is_no_word_beside_findings() -> None:
    assert "looked at" not in view(checked(NOTED)).text + view(checked(NOTED)).html


@pytest.mark.parametrize(("finding", "kind"), [(MISSING, "bad"), (HOME, "odd"), (NOTED, "note")])
def test_html_tells_the_severity_in_a_word_beside_the_message(finding: Finding, kind: str) -> None:
    badge = f'<span class="hk-badge hk-{kind}">{finding.severity}</span>'
    assert re.search(rf"<p>{badge} {re.escape(finding.message)}</p>", view(checked(finding)).html)


def test_html_counts_by_severity() -> None:
    html = view(checked(MISSING, HOME, HOME, NOTED)).html
    assert re.findall(r"hk-\w+\">(\d \w+)</span>", html) == ["1 error", "2 warnings", "1 info"]


def test_a_check_of_another_name_is_escaped() -> None:
    html = view(checked(Finding("x", "<b>no</b>", "<a>.py", "<i>", "<u>"))).html
    assert "&lt;b&gt;no&lt;/b&gt;" in html
    assert not {"<a>", "<i>", "<u>"} & set(re.findall(r"<\w+>", html))


def test_many_findings_are_folded() -> None:
    many = checked(*(Finding("x", f"number {number}", severity="info") for number in range(20)))
    before, fold, after = view(many).html.partition("<details>")
    assert fold
    assert before.count("hk-finding hk-quiet") == 12
    assert after.count("hk-finding hk-quiet") == 8
    assert view(many).text.count("number ") == 20


def test_a_flood_of_findings_is_cut_and_counted() -> None:
    flood = checked(*(Finding("x", f"number {number}", severity="info") for number in range(5000)))
    assert view(flood).text.endswith("number 199\n… 4800 more in .findings")
    assert "… 4800 more in .findings" in view(flood).html
    assert len(view(flood).html) < 300_000


def test_paths_of_a_handler_are_shown_as_they_stand_there(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Finding("path", f"open('{tmp_path}/coins.pt') and open('/tmp/a/b.json') are of this machine.")
    assert path.message in view(checked(path)).text


def test_what_would_steer_a_terminal_is_escaped() -> None:
    hostile = Check("m\x1b]0;title\x07", "declared", (Finding("x", "a\x1b[2Jb\nerror: none", "c\u202ed.py"),))
    shown = view(hostile)
    for text in (shown.text, shown.html.partition("</style>")[2]):
        assert "a\\x1b[2Jb\\nerror: none" in text
        assert "m\\x1b]0;title\\x07" in text
        assert "c\\u202ed.py" in text
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
