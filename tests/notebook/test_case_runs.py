"""%keep and %test: the session's cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import handlerkit as hk
from handlerkit.errors import CaseError, HandlerkitError
from handlerkit.notebook.commands import COMMANDS, Line, run
from handlerkit.notebook.session import Session

ECHO = "def handle(data, context):\n    return data and [row['body'] for row in data]\n"


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("echo.py").write_text(ECHO)
    own = Session()
    own.use("echo.py")
    yield own
    own.close()


def magic(session: Session, name: str, text: str = "", **variables: object):
    return run(session, COMMANDS[name], Line(f"%{name}", text, variables=variables))


def test_the_last_answers_are_kept_and_run_again(session) -> None:
    session.request({"x": 1})
    case = magic(session, "keep", "one --rtol 1e-3 --ignore body.id")
    assert (case.name, case.model) == ("one", "echo")
    assert (case.may_differ.rtol, case.may_differ.ignore) == (1e-3, ("body.id",))
    assert magic(session, "test")


def test_another_handler_is_found_out_and_accepted(session) -> None:
    session.request("hello")
    session.keep("one")
    Path("echo.py").write_text(ECHO.replace("row['body']", "'other'"))
    report = magic(session, "test", "--report page.html")
    assert not report
    assert "other" in Path("page.html").read_text()
    assert magic(session, "test", "--accept")
    assert magic(session, "test")


def test_a_run_of_a_variable_is_kept(session) -> None:
    first = session.request("first")
    session.request("second")
    magic(session, "keep", "one first", first=first)
    assert hk.cases()[0].exchanges[0].request.body == b"first"


def test_what_clients_asked_is_kept(session) -> None:
    from urllib.request import Request, urlopen

    server = session.serve(0, token="t0ken-of-serve")
    for body in (b"one", b"two"):
        headers = {"Authorization": "Bearer t0ken-of-serve", "Content-Type": "text/plain"}
        urlopen(Request(f"{server.url}/predictions/echo", body, headers), timeout=30).read()
    kept = magic(session, "keep", "monday --from served")
    assert [case.name for case in kept.cases] == ["monday-1", "monday-2"]
    assert repr(kept).count("redacted: header Authorization") == 2
    assert "t0ken-of-serve" not in "".join(path.read_text() for path in Path("cases").iterdir())
    assert session.test()


def test_requests_of_a_browser_are_sent_and_kept(session) -> None:
    entry = {"request": {"method": "POST", "url": "https://x/predictions/echo", "postData": {"text": "hello"}}}
    Path("visit.har").write_text(json.dumps({"log": {"entries": [entry]}}))
    magic(session, "keep", "visit --from visit.har")
    assert hk.cases()[0].exchanges[0].response.body == b"hello"


def test_cases_of_other_models_are_left_out(session) -> None:
    session.request("hello")
    session.keep("one")
    Path("other.py").write_text(ECHO)
    session.model("other")
    session.use("other.py")
    with pytest.raises(CaseError, match="no case in cases is of other: they are of echo"):
        session.test()


def test_a_running_endpoint_of_a_variable_is_asked(session) -> None:
    session.request("hello")
    session.keep("one")
    with hk.Worker(hk.Model("echo", handler="echo.py")) as worker:
        report = magic(session, "test", "--endpoint mine", mine=worker)
    assert report
    assert report.places[0].name == "Worker"


def test_what_is_accepted_is_shown(session) -> None:
    session.request("hello")
    session.keep("one")
    case = Path("cases/one.har")
    head, found, answer = case.read_text().rpartition('"response": {')
    case.write_text(head + found + answer.replace("hello", "hallo"))
    report = magic(session, "test", "--accept")
    assert report
    shown = hk.view(report)
    assert "one: what was kept -> what is kept from now on\n" in shown.text
    assert "hallo" in shown.text
    assert "hallo" in shown.html


def test_the_folder_of_an_app_is_started(session) -> None:
    session.request("hello")
    session.keep("one")
    session.export(to="app")
    report = magic(session, "test", "--endpoint echo-app")
    assert report
    assert report.places[0].name == "echo-app"


@pytest.mark.parametrize(("name", "words", "said"), [
    ("keep", "one", "nothing to keep yet: send echo a request first"),
    ("keep", "one --from served", "no client has asked %serve yet"),
    ("keep", "one --from gone.har", "no file 'gone.har' to send"),
    ("test", "", "there is no folder 'cases' of cases"),
    ("test", "--target moon", "there is no"),
    ("test", "--target here --endpoint ray", "leave the target or the endpoint out"),
])  # fmt: skip
def test_what_is_asked_wrongly_is_one_sentence(session, name: str, words: str, said: str) -> None:
    with pytest.raises(HandlerkitError, match=said.replace("%", "%")) as problem:
        magic(session, name, words)
    assert "\n" not in str(problem.value)


def test_accepting_needs_one_place(session) -> None:
    session.request("hello")
    session.keep("one")
    with pytest.raises(CaseError, match="what one target answers can be accepted"):
        session.test(targets=["here", "declared"], accept=True)
