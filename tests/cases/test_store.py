"""Cases as files: what is written, what is read again, and what is refused."""

from __future__ import annotations

import io
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from cases.conftest import answer, exchange
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import handlerkit as hk
from handlerkit.cases import folder as case_folder
from handlerkit.errors import CaseError
from handlerkit.messages import Exchange, Part, Request, Response, Run
from handlerkit.verify import MayDiffer


def png(color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), color).save(buffer, "PNG")
    return buffer.getvalue()


def kept(run: Run, name: str = "one", **options: object) -> hk.Case:
    """The case as it is read again."""
    hk.keep(run, name, **options)
    (found,) = hk.cases(f"cases/{name}.har")
    return found


def log(name: str = "one") -> dict:
    return json.loads(Path(f"cases/{name}.har").read_text())["log"]


def edit(change, name: str = "one") -> None:
    path = Path(f"cases/{name}.har")
    value = json.loads(path.read_text())
    change(value["log"])
    path.write_text(json.dumps(value))


def steady(response: Response) -> Response:
    headers = tuple((key, "REQUEST-ID" if key == "x-request-id" else value) for key, value in response.headers)
    return replace(response, headers=headers)


# --- what is written ------------------------------------------------------------------------------------------------


def test_a_case_is_what_was_kept() -> None:
    run = exchange(Request.json({"x": 1}, query="a=b", label="x.json"), answer({"y": [1, 2]}, ("X-Own", "é")))
    case = kept(run, ignore=["body.id"], rtol=1e-4, iou=0.9)
    assert case.exchanges == (Exchange(run.request, steady(run.response)),)
    assert case.exchanges[0].request.label == "x.json"
    assert (case.name, case.model, case.path) == ("one", "m", Path("cases/one.har"))
    assert case.may_differ == MayDiffer(("body.id",), 1e-4, iou=0.9)


@pytest.mark.parametrize("query", ["a=b#c", "a=b\tc", "a=?&b=%23", "#", ""])
def test_a_query_is_what_was_sent(query: str) -> None:
    request = Request("GET", "/v1/models/m", query=query)
    again = kept(exchange(request)).exchanges[0].request
    assert (again.path, again.query) == ("/v1/models/m", query)


def test_it_is_har_1_2() -> None:
    hk.keep(exchange(Request.json({"x": 1}, query="a=b")), "one")
    told = log()
    assert told["version"] == "1.2"
    assert set(told["creator"]) == {"name", "version"}
    (entry,) = told["entries"]
    assert set(entry) == {"startedDateTime", "time", "request", "response", "cache", "timings"}
    assert {"method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize", "bodySize"} <= set(
        entry["request"]
    )
    assert entry["request"]["url"] == "http://localhost:8080/predictions/m?a=b"
    assert {"status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL"} <= set(
        entry["response"]
    )


def test_json_is_laid_out() -> None:
    hk.keep(exchange(), "one")
    assert '"_json": { "x": 1 }' in Path("cases/one.har").read_text()
    assert log()["entries"][0]["response"]["content"]["_json"] == {"y": 2}


def test_a_picture_lies_beside_it() -> None:
    picture = png()
    case = hk.keep(exchange(Request(body=picture), answer(picture)), "one")
    assert [path.name for path in case.files] == ["one.har", "one.request.png", "one.response.png"]
    assert Path("cases/one.response.png").read_bytes() == picture


@pytest.mark.parametrize(
    ("body", "suffix"),
    [
        (b"\xff\xd8\xff\xe0", "jpg"), (b"GIF89a\xff", "gif"), (b"RIFF\0\0\0\0WEBP", "webp"),
        (b"RIFF\0\0\0\0WAVE", "wav"),
        (b"\0\1\2", "bin"), (b"a\nb\n", "txt"), (b"[1,\n2]", "json"), (b"%PDF-1\xff", "pdf"),
    ],
)  # fmt: skip
def test_a_body_has_the_suffix_of_what_it_is(body: bytes, suffix: str) -> None:
    assert kept(exchange(response=answer(body))).exchanges[0].response.body == body
    assert Path(f"cases/one.response.{suffix}").is_file()


def test_large_json_lies_beside_it() -> None:
    value = list(range(20_000))
    assert kept(exchange(response=answer(value))).exchanges[0].response.json() == value
    assert Path("cases/one.response.json").is_file()


@pytest.mark.parametrize("line_end", ["", "\n"])
@pytest.mark.parametrize("how", [{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}, {"indent": 1}])
def test_json_keeps_its_bytes_however_it_is_written(how: dict, line_end: str) -> None:
    body = (json.dumps({"ä": [1.0, 1e-7, None], "b": {"c": "\u2028"}}, **how) + line_end).encode()
    assert kept(exchange(response=answer(body))).exchanges[0].response.body == body


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    st.binary(max_size=40)
    | st.text(max_size=40).map(str.encode)
    | st.recursive(st.none() | st.floats() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one))
    .map(lambda value: json.dumps(value).encode())
)  # fmt: skip
def test_any_body_is_read_as_it_was(body: bytes) -> None:
    case = kept(Run((Exchange(Request(body=body), answer(body)),), model="m"), secrets=True, force=True)
    assert (case.exchanges[0].request.body, case.exchanges[0].response.body) == (body, body)


def test_a_form_is_its_parts_and_has_one_boundary_each_time() -> None:
    def form() -> Run:
        return exchange(Request.multipart({"threshold": "0.5"}, Part("data", png(), "a.png", "image/png")))

    first = hk.keep(form(), "one")
    assert hk.keep(form(), "one").files == first.files
    (params,) = [entry["request"]["postData"]["params"] for entry in log()["entries"]]
    assert params[0] == {"name": "threshold", "value": "0.5"}
    assert params[1] == {"name": "data", "_file": "one.request.2.png", "fileName": "a.png", "contentType": "image/png"}
    assert Path("cases/one.request.2.png").read_bytes() == png()
    request = hk.cases()[0].exchanges[0].request
    assert request.content_type == "multipart/form-data; boundary=handlerkit-case"
    assert request.body.startswith(b"--handlerkit-case\r\n")


def test_a_form_in_another_way_keeps_its_bytes() -> None:
    body = b"--b\r\ncontent-disposition: form-data; name=x\r\n\r\nhello\r\n--b--\r\n"
    request = Request(headers=(("Content-Type", "multipart/form-data; boundary=b"),), body=body)
    assert kept(exchange(request)).exchanges[0].request.body == body


def test_requests_that_came_together_are_one_case() -> None:
    run = Run(
        (Exchange(Request(body=png()), answer(b"1")), Exchange(Request(body=png("blue")), answer(b"2"))), model="m"
    )
    case = kept(run)
    assert [one.response.body for one in case.exchanges] == [b"1", b"2"]
    assert sorted(path.name for path in case.files) == ["one.1.request.png", "one.2.request.png", "one.har"]


def test_a_stream_keeps_its_pieces() -> None:
    response = answer(b"onetwo", chunks=(b"one", b"two"), arrivals=(0.1, 0.2))
    assert kept(exchange(response=response)).exchanges[0].response.chunks == (b"one", b"two")
    edit(lambda log: log["entries"][0]["response"]["content"].update(text="other"))
    assert hk.cases()[0].exchanges[0].response.chunks is None


@pytest.mark.parametrize("status", [99, 700, 999999])
def test_a_status_that_only_a_handler_may_set_is_kept(status: int) -> None:
    assert kept(exchange(response=answer(status=status))).exchanges[0].response.status == status


def test_a_broken_off_answer_stays_one() -> None:
    assert not kept(exchange(response=answer(b"x", complete=False))).exchanges[0].response.complete


# --- the same each time ---------------------------------------------------------------------------------------------


def test_keeping_again_gives_the_same_bytes(text) -> None:
    run = exchange(response=answer({"id": "0b7c1d7e-1111-2222-3333-444455556666"}))
    hk.keep(run, "one")
    before = text()
    again = answer({"id": "another-id"}, status=200)
    again = replace(
        again, headers=(("x-request-id", "another-id"), ("content-length", run.response.header("content-length")))
    )
    hk.keep(Run((Exchange(run.request, again),), model="m"), "one")
    assert text() == before
    assert "REQUEST-ID" in before


def test_paths_of_the_model_are_not_written(text) -> None:
    response = answer(b"read /tmp/hk-1/model/labels.json", ("X-Dir", "/tmp/hk-1/model"))
    hk.keep(replace(exchange(response=response), paths={"/tmp/hk-1/model": "<model_dir>"}), "one")
    assert "hk-1" not in text()
    assert "read <model_dir>/labels.json" in text()


def test_the_time_of_an_answer_may_differ() -> None:
    case = kept(exchange(response=answer(b"x", ("Date", "Mon, 01 Jan"), ("Server-Timing", "total;dur=3"))))
    assert case.may_differ.ignore == ("date", "server-timing")
    assert {name.lower() for name, _ in case.exchanges[0].response.headers} == {"x-request-id", "content-length"}


def test_nothing_is_overwritten_unasked(text) -> None:
    hk.keep(exchange(), "one")
    before = text()
    with pytest.raises(
        CaseError, match=r"^cases/one\.har exists and holds something else: choose another name, or replace"
    ):
        hk.keep(exchange(response=answer(b"other")), "one")
    assert text() == before
    hk.keep(exchange(response=answer(b"other")), "one", force=True)
    assert hk.cases()[0].exchanges[0].response.body == b"other"


def test_a_file_of_somebody_else_is_not_overwritten() -> None:
    Path("cases").mkdir()
    Path("cases/one.response.png").write_text("mine")
    with pytest.raises(CaseError, match=r"cases/one\.response\.png exists"):
        hk.keep(exchange(response=answer(png())), "one")
    assert not Path("cases/one.har").exists()


def test_bodies_of_the_case_before_are_removed() -> None:
    hk.keep(exchange(response=answer(png())), "one")
    hk.keep(exchange(response=answer(png())), "one-more")
    hk.keep(exchange(), "one", force=True)
    assert sorted(path.name for path in Path("cases").iterdir()) == ["one-more.har", "one-more.response.png", "one.har"]


def test_a_failed_write_leaves_what_was_there(text, monkeypatch: pytest.MonkeyPatch) -> None:
    hk.keep(exchange(response=answer(png())), "one")
    before = text()

    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(CaseError, match="one was not kept in cases/: No space left on device"):
            hk.keep(exchange(response=answer(png("blue"))), "one", force=True)
    assert text() == before


def test_ctrl_c_leaves_a_case_whole(text, monkeypatch: pytest.MonkeyPatch) -> None:
    hk.keep(exchange(Request(body=png()), answer(png())), "one")
    before, real = text(), os.replace

    def pressed(*paths: object) -> None:
        real(*paths)
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(case_folder.os, "replace", pressed)
        with pytest.raises(KeyboardInterrupt):
            hk.keep(exchange(Request(body=png("blue")), answer(png("blue"))), "one", force=True)
    after = text()
    assert ".part" not in after != before
    assert hk.cases()[0].exchanges[0] == Exchange(Request(body=png("blue")), steady(answer(png("blue"))))


def test_ctrl_c_before_the_files_take_their_place_leaves_the_case_as_it_was(text, monkeypatch) -> None:
    hk.keep(exchange(Request(body=png()), answer(png())), "one")
    before = text()

    def pressed(self: Path, content: bytes) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return 0

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", pressed)
        with pytest.raises(KeyboardInterrupt):
            hk.keep(exchange(), "one", force=True)
    assert text() == before


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["one", "two_coins", "größe", "银币", "ñ-1", "3"])
def test_names_in_any_script(name: str) -> None:
    hk.keep(exchange(response=answer(png())), name)
    assert [case.name for case in hk.cases()] == [name]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "a b", "a.b", "-a", "_a", "a\0", "a\n", "\u202ea", "x" * 101, "💰"]
)
def test_names_that_no_file_may_have_are_refused(name: str) -> None:
    with pytest.raises(CaseError, match="name a case"):
        hk.keep(exchange(), name)
    assert not Path("cases").exists()


def test_names_that_are_one_on_some_systems_are_refused() -> None:
    hk.keep(exchange(), "Coins")
    with pytest.raises(CaseError, match="coins and Coins, which is there, are one name on some systems"):
        hk.keep(exchange(), "coins")


def test_two_spellings_of_a_letter_are_one_name() -> None:
    hk.keep(exchange(), "e\u0301")
    assert hk.keep(exchange(), "\u00e9").name == "\u00e9"
    assert len(hk.cases()) == 1


def test_folders_below_are_read_too() -> None:
    hk.keep(exchange(), "one", "cases/b")
    hk.keep(exchange(), "one", "cases/a")
    assert [case.name for case in hk.cases()] == ["a/one", "b/one"]


# --- what is no case ------------------------------------------------------------------------------------------------


def test_there_is_nothing_to_keep_without_an_answer() -> None:
    with pytest.raises(CaseError, match="a request got no answer"):
        hk.keep(exchange(response=Response(None)), "one")
    with pytest.raises(CaseError, match="holds no exchange"):
        hk.keep(Run(()), "one")
    with pytest.raises(CaseError, match="keep takes a Run, not a dict"):
        hk.keep({}, "one")  # type: ignore[arg-type]


def test_a_folder_without_cases_says_so() -> None:
    with pytest.raises(CaseError, match="there is no folder 'cases' of cases: it is not there"):
        hk.cases()
    Path("cases").mkdir()
    with pytest.raises(CaseError, match="there is no case in cases/"):
        hk.cases()
    with pytest.raises(CaseError, match=r"nothing\.har is not there"):
        hk.cases("nothing.har")


def _no_answer(log: dict) -> None:
    del log["entries"][0]["response"]


BROKEN = {
    "no object": (lambda log: log.update(entries=[1]), "log.entries is no list of objects"),
    "no exchange": (lambda log: log.update(entries=[]), "holds no exchange"),
    "no answer": (_no_answer, r"one.har: log.entries\[0\].response is an object; here it is missing"),
    "a browser's": (lambda log: log.pop("_handlerkit"), "one.har is no case: a HAR of a browser has requests"),
    "a later version": (lambda log: log["_handlerkit"].update(version=2), "of version 2, and version 1 is read: a"),
    "no version": (lambda log: log["_handlerkit"].update(version="x"), "of version 'x'"),
    "another model": (lambda log: log["_handlerkit"].update(model=3), "log._handlerkit.model is a text; here it is 3"),
    "a tolerance": (lambda log: log["_handlerkit"].update(may_differ={"rtool": 1}), "ignore, rtol, .*not .*rtool"),
    "its value": (lambda log: log["_handlerkit"].update(may_differ={"iou": 3}), "iou is a number from 0 to 1, not 3"),
    "its type": (lambda log: log["_handlerkit"].update(may_differ={"ignore": "x"}), "ignore is a list of names"),
    "a status": (lambda log: log["entries"][0]["response"].update(status="200"), "is a whole number; here it is"),
    "a negative one": (lambda log: log["entries"][0]["response"].update(status=-1), "status is a whole number"),
    "headers": (lambda log: log["entries"][0]["request"].update(headers={"a": "b"}), "headers is a list"),
    "a header": (lambda log: log["entries"][0]["request"].update(headers=[{"name": 1}]), r"\[0\].name is a text"),
    "how it is written": (
        lambda log: log["entries"][0]["request"]["postData"].update(_written="x"), "_written is indented, spaced"),
    "a file elsewhere": (
        lambda log: log["entries"][0]["response"]["content"].update(_file="../secret"), "_file names a file beside it"),
    "an absolute path": (
        lambda log: log["entries"][0]["response"]["content"].update(_file="/etc/passwd"), "_file names a file"),
    "no name": (lambda log: log["entries"][0]["response"]["content"].update(_file=7), "_file names a file beside it"),
    "a missing body": (
        lambda log: log["entries"][0]["response"]["content"].update(_file="gone.png"), "body gone.png is not there"),
    "a header's name": (
        lambda log: log["entries"][0]["request"].update(headers=[{"name": "a\r\nb", "value": ""}]), "is no header: it"),
    "a header's value": (
        lambda log: log["entries"][0]["response"].update(headers=[{"name": "a", "value": "b\r\nc"}]), "is no header:"),
    "half a character": (
        lambda log: log["entries"][0]["response"].update(headers=[{"name": "a", "value": "\ud800"}]), "is no header:"),
    "half of one in a name": (
        lambda log: log["entries"][0]["response"]["content"].update(_file="\ud800"), "_file names a file beside it"),
    "a method": (lambda log: log["entries"][0]["request"].update(method="PO ST"), "is no method of HTTP: 'PO ST'"),
    "a batch": (lambda log: log["_handlerkit"].update(batch_size=0), "batch_size is 1 or more, not 0"),
    "a URL": (lambda log: log["entries"][0]["request"].update(url="predictions"), "url is no URL: 'predictions'"),
    "levels": (lambda log: log["_handlerkit"].update(may_differ={"levels": 1.5}), "levels is a whole number"),
    "a form": (lambda log: log["entries"][0]["request"].update(postData={"params": 1}), "params is no list"),
    "a part": (lambda log: log["entries"][0]["request"].update(postData={"params": [3]}), r"params\[0\] has a name"),
    "no base64": (
        lambda log: log["entries"][0]["response"].update(content={"text": "!", "encoding": "base64"}), "is no base64"),
}  # fmt: skip


@pytest.mark.parametrize("which", BROKEN)
def test_a_broken_case_is_named_in_one_sentence(which: str) -> None:
    change, said = BROKEN[which]
    hk.keep(exchange(), "one")
    edit(change)
    with pytest.raises(CaseError, match=said) as problem:
        hk.cases()
    assert "one.har" in str(problem.value)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[]", b'{"log": 3}', b"{" * 9, b"[" * 100_000, b'{"log": {"entries": 3}}']
)
def test_what_is_no_har_is_named_in_one_sentence(content: bytes) -> None:
    Path("cases").mkdir()
    Path("cases/one.har").write_bytes(content)
    with pytest.raises(CaseError, match=r"one\.har is no HAR"):
        hk.cases()


def test_a_link_out_of_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    hk.keep(exchange(response=answer(png())), "one")
    Path("cases/one.response.png").unlink()
    Path("cases/one.response.png").symlink_to(tmp_path / "secret")
    with pytest.raises(CaseError, match=r"the body one\.response\.png is a link that leaves the folder of cases"):
        hk.cases()
    Path("cases/two.har").symlink_to(tmp_path / "secret")
    with pytest.raises(CaseError, match=r"two\.har is a link that leaves"):
        hk.cases("cases/two.har")


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_text("mine")
    Path("cases").mkdir()
    Path("cases/one.response.png").symlink_to(tmp_path / "mine.png")
    hk.keep(exchange(response=answer(png())), "one", force=True)
    assert (tmp_path / "mine.png").read_text() == "mine"
    assert not Path("cases/one.response.png").is_symlink()


@pytest.mark.parametrize("kind", ["link to itself", "folder", "pipe"])
def test_a_body_that_is_no_file_is_not_read(kind: str) -> None:
    hk.keep(exchange(response=answer(png())), "one")
    body = Path("cases/one.response.png")
    body.unlink()
    {"link to itself": lambda: body.symlink_to(body), "folder": body.mkdir, "pipe": lambda: os.mkfifo(body)}[kind]()
    with pytest.raises(CaseError, match=r"one\.har: the body one\.response\.png "):
        hk.cases()


def test_what_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    hk.keep(exchange(response=answer(png())), "one")
    with open("cases/one.response.png", "ab") as file:
        file.truncate(case_folder.LARGEST_BODY + 1)
    with pytest.raises(CaseError, match=r"the body one\.response\.png has 256 MB, and 256 MB are read"):
        hk.cases()


def test_an_edited_answer_is_what_is_expected() -> None:
    hk.keep(exchange(), "one")
    edit(lambda log: log["entries"][0]["response"]["content"].update(_json={"y": 12345}))
    response = hk.cases()[0].exchanges[0].response
    assert response.json() == {"y": 12345}
    assert response.header("content-length") == str(len(response.body))
