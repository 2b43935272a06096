"""Cases run again: verdicts, tolerances, several places, and what is accepted."""

from __future__ import annotations

import io
import json
import socket
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cases.conftest import Answers, answer, exchange
from PIL import Image

import handlerkit as hk
from handlerkit.cases import accept, read_all, run_cases
from handlerkit.cases.junit import junit
from handlerkit.cases.places import Place, RegisteredModel, servers, workers
from handlerkit.cases.recordings import find_cases
from handlerkit.errors import CaseError, LoadError, RequestError
from handlerkit.messages import Exchange, Request, Response, Run


def keep(name: str, body: object, **may: object) -> None:
    hk.keep(exchange(response=answer(body)), name, **may)


def verdicts(report: hk.CaseReport) -> list[str]:
    return [one.verdict for one in report.places[0].results]


def test_the_same_answer_is_the_same() -> None:
    keep("one", {"y": 1})
    report = run_cases(hk.cases(), Answers(answer({"y": 1})))
    assert report
    assert verdicts(report) == ["same"]


def test_another_id_is_no_difference() -> None:
    keep("one", {"y": 1})
    headers = (("x-request-id", "another"), *answer({"y": 1}).headers[1:])
    assert run_cases(hk.cases(), Answers(Response(200, "", headers, answer({"y": 1}).body)))


def test_what_may_differ_is_within_tolerance() -> None:
    keep("one", {"y": 1.0, "id": 3}, rtol=0.1, ignore=["body.id"])
    report = run_cases(hk.cases(), Answers(answer({"y": 1.05, "id": 9})))
    assert report
    assert verdicts(report) == ["within tolerance"]


def picture(level: int, **dots: int) -> bytes:
    """64 gray pixels; `dot` is the level of the first."""
    image = Image.new("L", (8, 8), level)
    image.putpixel((0, 0), dots.get("dot", level))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def boxes(*corners: list[int]) -> list[dict[str, object]]:
    return [{"label": "coin", "score": 0.9, "box": one} for one in corners]


@pytest.mark.parametrize(
    ("kept", "may", "near", "far"),
    [
        (picture(100), {"levels": 2}, picture(102), picture(103)),
        (picture(100), {"pixels": 1 / 64}, picture(100, dot=250), picture(101)),
        (
            boxes([0, 0, 10, 10], [50, 50, 90, 90]),
            {"iou": 0.8},
            boxes([50, 50, 90, 90], [0, 0, 10, 9]),
            boxes([50, 50, 90, 90], [0, 0, 10, 7]),
        ),
    ],
    ids=["levels", "pixels", "iou"],
)
def test_what_an_answer_shows_may_differ(kept: object, may: dict[str, float], near: object, far: object) -> None:
    keep("one", kept, **may)
    found = [verdicts(run_cases(hk.cases(), Answers(answer(body)))) for body in (kept, near, far)]
    assert found == [["same"], ["within tolerance"], ["different"]]
    hk.keep(exchange(response=answer(kept)), "exactly")
    assert verdicts(run_cases(hk.cases("cases/exactly.har"), Answers(answer(near)))) == ["different"]


def test_another_answer_is_different() -> None:
    keep("one", {"y": 1})
    report = run_cases(hk.cases(), Answers(answer({"y": 2})))
    assert not report
    assert [str(found) for found in report.places[0].results[0].rows[0].differences] == ["body.y: 1 here, 2 there"]


def test_a_broken_case_does_not_keep_the_others_from_running() -> None:
    keep("one", {"y": 1})
    keep("two", {"y": 1})
    Path("cases/one.har").write_text("{")
    report = run_cases(read_all("cases"), Answers(answer({"y": 1})))
    assert verdicts(report) == ["broken", "same"]
    assert "one.har is no HAR" in report.places[0].results[0].why


def test_a_model_that_does_not_load_is_said_for_each_case() -> None:
    keep("one", {"y": 1})
    keep("two", {"y": 1})

    @contextmanager
    def open_(served):
        raise LoadError("m does not load", response=Response(500))
        yield

    report = run_cases(hk.cases(), Place("there", open_))
    assert verdicts(report) == ["does not load", "does not load"]
    assert report.places[0].results[0].why == "m does not load"


def test_a_request_that_cannot_be_sent_is_said() -> None:
    keep("one", {"y": 1})

    class Refuses:
        def predict(self, *requests: Request) -> Run:
            raise RequestError("it names no model")

    report = run_cases(hk.cases(), Refuses())
    assert (verdicts(report), report.places[0].results[0].why) == (["cannot run"], "it names no model")


def test_a_request_without_an_answer_is_said() -> None:
    keep("one", {"y": 1})
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    report = run_cases(hk.cases(), hk.Remote(f"http://127.0.0.1:{port}"))
    assert verdicts(report) == ["cannot run"]
    assert report.places[0].results[0].why == f"Nothing listens at 127.0.0.1:{port}."


def test_requests_that_came_together_are_sent_together() -> None:
    pairs = (Exchange(Request.json(1), answer(b"1")), Exchange(Request.json(2), answer(b"2")))
    hk.keep(Run(pairs, model="m"), "pair")
    endpoint = Answers(answer(b"1"), answer(b"2"))
    assert run_cases(hk.cases(), endpoint)
    assert [request.body for request in endpoint.asked] == [b"1", b"2"]


def test_a_worker_answers_in_the_envelope_and_the_batch_that_were_kept(handlers: Path) -> None:
    with hk.Worker(hk.Model("mirror", handler=handlers / "mirror.py"), batch_size=2) as worker:
        hk.keep(worker.predict(Request.json(1), Request.json(2)), "batch")
        run = worker.with_envelope("body").predict(Request.json({"a": 1}))
        hk.keep(run, "envelope")
        kept = {case.name: case for case in hk.cases()}
        assert (kept["batch"].batch_size, kept["batch"].envelope) == (2, None)
        assert kept["envelope"].envelope == "body"
        assert run_cases([kept["envelope"]], worker)
        assert run_cases([kept["batch"]], worker)


def test_several_places_are_compared_with_the_first() -> None:
    keep("a", {"y": 1.0}, rtol=0.1)
    keep("b", {"y": 1.0}, rtol=0.1)
    first, second = Answers(answer({"y": 1.0})), Answers(answer({"y": 1.05}), answer({"y": 5.0}))
    report = run_cases(hk.cases(), first, second)
    assert not report
    assert [one.verdict for one in report.places[1].results] == ["within tolerance", "different"]
    assert report.changes == (("within tolerance", "different"),)
    text = hk.view(report).text
    assert "Answers -> Answers" in text
    assert "b on Answers: what was kept -> what is answered" in text


def test_two_places_may_differ_from_what_was_kept_and_not_from_each_other() -> None:
    keep("a", {"y": 1.0})
    report = run_cases(hk.cases(), Answers(answer({"y": 2})), Answers(answer({"y": 2})))
    assert report.changes == (("same",),)


# --- accept ---------------------------------------------------------------------------------------------------------


def test_what_is_accepted_is_the_same_from_then_on() -> None:
    keep("one", {"y": 1}, rtol=1e-3)
    keep("two", {"y": 1})
    endpoint = Answers(answer({"y": 2}), answer({"y": 1}))
    report = accept(run_cases(hk.cases(), endpoint))
    assert report
    assert verdicts(report) == ["kept", "same"]
    assert hk.cases()[0].may_differ.rtol == 1e-3
    assert run_cases(hk.cases(), endpoint)


def test_accepting_changes_nothing_else(text) -> None:
    keep("one", {"y": 1})
    before = text()
    accept(run_cases(hk.cases(), Answers(answer({"y": 1}))))
    assert text() == before
    accept(run_cases(hk.cases(), Answers(answer({"y": 2}))))
    assert text() == before.replace('"y": 1', '"y": 2')


def test_what_is_another_each_time_may_differ_once_it_is_accepted() -> None:
    keep("one", {"y": 1})
    endpoint = Answers(answer({"y": 2}, ("Date", "Mon, 01 Jan"), ("CF-Ray", "1")), answer({"y": 2}, ("Date", "Tue")))
    accept(run_cases(hk.cases(), endpoint))
    assert hk.cases()[0].may_differ.ignore == ("cf-ray", "date")
    assert verdicts(run_cases(hk.cases(), endpoint)) == ["within tolerance"]


def test_accepting_an_error_says_so() -> None:
    keep("one", {"y": 1})
    keep("two", {"y": 1})
    report = accept(run_cases(hk.cases(), Answers(answer({"code": 401}, status=401), answer({"y": 2}))))
    assert [one.why for one in report.places[0].results] == [
        "the answer that is kept is an error, 401", "",
    ]  # fmt: skip


def test_what_is_accepted_of_a_new_request_is_what_the_case_says() -> None:
    Path("visit.txt").write_text("curl http://x/predictions/m -d hello")

    class Prefixes(Answers):
        def predict(self, *requests: Request) -> Run:
            return super().predict(*(replace(one, path="/v7" + one.path) for one in requests))

    accept(run_cases(find_cases("cases", "visit.txt", ["m"]), Prefixes(answer(b"one"))))
    assert hk.cases()[0].exchanges[0].request.target("m") == "/predictions/m"


def test_accepting_leaves_a_form_as_it_is(text) -> None:
    hk.keep(exchange(Request.multipart({"a": "1"}), answer({"y": 1})), "one")
    before = text()
    accept(run_cases(hk.cases(), Answers(answer({"y": 2}))))
    assert text() == before.replace('"y": 1', '"y": 2')


def test_a_case_in_a_folder_below_is_accepted_there() -> None:
    hk.keep(exchange(response=answer({"y": 1})), "one", "cases/below")
    accept(run_cases(hk.cases(), Answers(answer({"y": 2}))))
    assert hk.cases()[0].exchanges[0].response.json() == {"y": 2}
    assert not Path("cases/one.har").exists()


def test_answers_of_several_places_are_not_accepted() -> None:
    keep("one", {"y": 1})
    with pytest.raises(CaseError, match="what one place answered can be accepted"):
        accept(run_cases(hk.cases(), Answers(answer(b"a")), Answers(answer(b"b"))))


# --- recordings -----------------------------------------------------------------------------------------------------

CURL = r"""
# what two people reported
curl -X POST http://old.example/predictions/m \
  -H 'X-Api-Key: s3cr3t-V4lue' -d 'hello s3cr3t-V4lue'

$ curl http://old.example/predictions/m --json '{
  "x": 1
}'
"""


def test_requests_of_curl_lines_become_cases(text) -> None:
    Path("visit.txt").write_text(CURL)
    endpoint = Answers(answer(b"one"), answer(b"two"))
    report = run_cases(find_cases("cases", "visit.txt", ["m"]), endpoint)
    assert not report
    assert verdicts(report) == ["new", "new"]
    assert not Path("cases").exists()
    assert verdicts(accept(report)) == ["kept", "kept"]
    assert [case.name for case in hk.cases()] == ["visit-1", "visit-2"]
    assert json.loads(hk.cases()[1].exchanges[0].request.body) == {"x": 1}
    assert "s3cr3t" not in text()
    assert [one.name for one in find_cases("cases", "visit.txt", ["m"])] == ["visit-1", "visit-2"]


def test_a_request_that_changed_since_it_was_kept_is_refused() -> None:
    Path("visit.txt").write_text(CURL)
    accept(run_cases(find_cases("cases", "visit.txt", ["m"]), Answers(answer(b"one"), answer(b"two"))))
    Path("visit.txt").write_text(CURL.replace('"x": 1', '"x": 2'))
    with pytest.raises(CaseError, match=r"request 2 of visit\.txt is another than cases/visit-2\.har holds: remove"):
        find_cases("cases", "visit.txt", ["m"])


def test_a_form_that_was_kept_is_known_again() -> None:
    Path("visit.txt").write_text("curl http://x/predictions/m -F a=1 -F password=s3cr3t-V4lue")
    accept(run_cases(find_cases("cases", "visit.txt", ["m"]), Answers(answer(b"one"))))
    assert [one.name for one in find_cases("cases", "visit.txt", ["m"])] == ["visit-1"]


def har(*entries: dict) -> None:
    Path("visit.har").write_text(json.dumps({"log": {"version": "1.2", "entries": list(entries)}}))


def entry(url: str, **request: object) -> dict:
    return {"request": {"method": "POST", "url": url, "headers": [], **request}, "response": {"status": 200}}


def test_requests_of_a_browser_become_cases() -> None:
    har(
        entry("https://gateway.example/app.js", method="GET"),
        entry("https://gateway.example/v7/predictions/m", method="OPTIONS"),
        entry(
            "https://gateway.example/v7/predictions/m?a=b",
            headers=[
                {"name": ":authority", "value": "gateway.example"}, {"name": "Host", "value": "gateway.example"},
                {"name": "content-type", "value": "text/plain"},
            ],
            postData={"mimeType": "text/plain", "text": "größe"},
        ),
    )  # fmt: skip
    (case,) = find_cases("cases", "visit.har", ["m"])
    request = case.exchanges[0].request
    assert (request.path, request.query, request.body) == ("/predictions/m", "a=b", "größe".encode())
    assert request.headers == (("content-type", "text/plain"),)


def test_a_body_that_the_browser_left_out_is_refused() -> None:
    har(entry("http://x/predictions/m", bodySize=5000, postData={"mimeType": "multipart/form-data", "text": "--b--"}))
    with pytest.raises(RequestError, match=r"body of request 1 of visit\.har was saved without its files: 5 of 5000"):
        find_cases("cases", "visit.har", ["m"])


@pytest.mark.parametrize(("text", "said"), [
    ("", "holds no curl command"), ("wget x", "line 1 of visit.txt: a curl command begins with"),
    ("curl http://x --frobnicate", "line 1 of visit.txt: curl's --frobnicate"), ("curl 'http://x", "line 1 of"),
])  # fmt: skip
def test_what_is_no_curl_is_named_by_its_line(text: str, said: str) -> None:
    Path("visit.txt").write_text(text)
    with pytest.raises(RequestError, match=said):
        find_cases("cases", "visit.txt", ["m"])


def test_cases_of_other_models_are_left_out() -> None:
    keep("one", {"y": 1})
    with pytest.raises(CaseError, match="no case in cases is of other: they are of m"):
        find_cases("cases", None, ["other"])


def test_a_case_of_a_model_that_is_not_there_cannot_run(handlers: Path) -> None:
    hk.keep(exchange(), "one")
    report = run_cases(
        hk.cases(), workers({"other": RegisteredModel(hk.Model("other", handler=handlers / "mirror.py"))})
    )
    assert (verdicts(report), bool(report)) == (["cannot run"], False)
    assert report.places[0].results[0].why == "it is a case of the model m, and the models are other"


def test_a_target_that_cannot_be_made_runs_no_case(
    handlers: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep("one", {"y": 1})
    keep("two", {"y": 1})
    (folder / "cache").write_text("no folder")
    monkeypatch.setenv("HANDLERKIT_CACHE", str(folder / "cache"))
    place = servers("server", {"m": RegisteredModel(hk.Model("m", handler=handlers / "mirror.py"))}, target="declared")
    report = run_cases(hk.cases(), place, Answers(answer({"y": 1})))
    assert (verdicts(report), bool(report)) == (["cannot run", "cannot run"], False)
    assert report.places[0].results[0].why.startswith("the environment of declared cannot be kept in ")
    assert [one.verdict for one in report.places[1].results] == ["same", "same"]
    assert report.changes == (("", ""),)


# --- reports --------------------------------------------------------------------------------------------------------


def test_junit_counts_what_differs_and_what_is_broken() -> None:
    keep("a", {"y": 1})
    keep("b", {"y": 1})
    keep("c", {"y": 1})
    Path("cases/c.har").write_text("\x01")
    suites = ElementTree.fromstring(junit(run_cases(read_all("cases"), Answers(answer({"y": 1}), answer({"y": 2})))))
    (suite,) = suites
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    assert [one.get("name") for one in suite] == ["a", "b", "c"]
    assert suite[1][0].text == "body.y: 1 -> 2"


def test_junit_is_xml_whatever_an_answer_holds() -> None:
    keep("a", {"y": 1})
    assert (
        ElementTree.fromstring(junit(run_cases(hk.cases(), Answers(answer({"y": "\x00\x1b<\ufffe]]>"}))))) is not None
    )
