"""Request and its constructors, Part, and the commands and programs that send one."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterator
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlerkit.errors import RequestError
from handlerkit.messages import Part, Request


def test_json_body_and_type() -> None:
    request = Request.json({"a": [1, None]})
    assert json.loads(request.body) == {"a": [1, None]}
    assert (request.method, request.content_type) == ("POST", "application/json")


def test_json_refuses_what_json_cannot_carry() -> None:
    with pytest.raises(RequestError, match="cannot be sent as JSON"):
        Request.json({1, 2})


def test_text_is_utf8() -> None:
    request = Request.text("grüß")
    assert request.body == "grüß".encode()
    assert request.content_type == "text/plain; charset=utf-8"


def test_form_repeats_a_field_for_each_value_of_a_list() -> None:
    request = Request.form({"a": ["1", "2"], "b": "x y"})
    assert parse_qsl(request.body.decode()) == [("a", "1"), ("a", "2"), ("b", "x y")]
    assert request.content_type == "application/x-www-form-urlencoded"


def test_own_content_type_goes_before_the_constructors() -> None:
    request = Request.json([], headers={"content-type": "application/vnd.mine+json"})
    assert request.headers == (("content-type", "application/vnd.mine+json"),)


def test_header_is_found_whatever_its_casing_and_the_last_counts() -> None:
    request = Request(headers=[("X-A", "1"), ("x-a", "2")])
    assert request.header("X-a") == "2"
    assert request.header("X-B") is None


def test_with_headers_adds_and_leaves_the_first_alone() -> None:
    first = Request(headers={"X-A": "1"})
    assert first.with_headers({"X-B": "2"}).headers == (("X-A", "1"), ("X-B", "2"))
    assert first.headers == (("X-A", "1"),)


def test_text_body_becomes_bytes() -> None:
    assert Request(body="é").body == "é".encode()  # type: ignore[arg-type]


def test_request_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Request().body = b""  # type: ignore[misc]


def test_label_does_not_decide_equality() -> None:
    assert Request(label="a") == Request(label="b")


def test_file_guesses_its_type_and_takes_its_name_as_label(tmp_path: Path) -> None:
    (tmp_path / "coin.png").write_bytes(b"\x89PNG")
    request = Request.file(tmp_path / "coin.png")
    assert (request.body, request.content_type, request.label) == (b"\x89PNG", "image/png", "coin.png")


def test_file_of_unknown_type_is_octets(tmp_path: Path) -> None:
    (tmp_path / "weights.zzz").write_bytes(b"1")
    assert Request.file(tmp_path / "weights.zzz").content_type == "application/octet-stream"


def test_file_without_a_type(tmp_path: Path) -> None:
    (tmp_path / "coin.png").write_bytes(b"1")
    assert Request.file(tmp_path / "coin.png", content_type=None).headers == ()


def test_missing_file_is_a_request_error() -> None:
    with pytest.raises(RequestError, match=r"no file 'nowhere\.png'"):
        Request.file("nowhere.png")


def test_folder_is_a_request_error(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot read"):
        Request.file(tmp_path)


def test_multipart_bytes() -> None:
    request = Request.multipart(
        Part("data", b"\x00\r\n", filename="a.bin", content_type="image/png"), Part("k", "v"), boundary="B"
    )
    assert request.content_type == "multipart/form-data; boundary=B"
    assert request.body == (
        b'--B\r\nContent-Disposition: form-data; name="data"; filename="a.bin"\r\nContent-Type: image/png\r\n\r\n'
        b'\x00\r\n\r\n--B\r\nContent-Disposition: form-data; name="k"\r\n\r\nv\r\n--B--\r\n'
    )


def test_multipart_of_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "coin.png").write_bytes(b"png")
    parts = {"data": tmp_path / "coin.png", "k": "v", "b": b"1", "p": Part("x", "y", content_type="text/plain")}
    assert Request.multipart(parts, boundary="B") == Request.multipart(
        Part("data", b"png", "coin.png", "image/png"), Part("k", "v"), Part("b", b"1"),
        Part("p", "y", content_type="text/plain"), boundary="B",
    )  # fmt: skip


def test_multipart_of_what_is_no_part() -> None:
    with pytest.raises(RequestError, match="part 'k' is str, bytes, a Path or a Part, not int"):
        Request.multipart({"k": 1})  # type: ignore[dict-item]


def test_boundaries_differ() -> None:
    assert Request.multipart(Part("a", "b")).content_type != Request.multipart(Part("a", "b")).content_type


def test_quotes_and_line_ends_in_a_name_are_escaped() -> None:
    head = Part('a"b', b"", filename="c\r\nd").encode().split(b"\r\n\r\n")[0]
    assert head == b'Content-Disposition: form-data; name="a%22b"; filename="c%0D%0Ad"'


@given(st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=30)), min_size=1, max_size=4))
def test_multipart_is_read_back_by_the_standard_library(parts: list[tuple[str, bytes]]) -> None:
    request = Request.multipart(
        *(Part(name, body, filename="f", content_type="application/octet-stream") for name, body in parts)
    )
    message = BytesParser().parsebytes(
        b"Content-Type: " + str(request.content_type).encode() + b"\r\n\r\n" + request.body
    )
    names = [part.get_param("name", header="content-disposition") for part in message.get_payload()]
    assert names == [name for name, _ in parts]
    assert all(body in request.body for _, body in parts)


def test_part_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "coin.jpg").write_bytes(b"x")
    part = Part.file("data", tmp_path / "coin.jpg")
    assert (part.filename, part.content_type, part.body) == ("coin.jpg", "image/jpeg", b"x")
    assert Part.file("data", tmp_path / "coin.jpg", content_type=None).content_type is None


@pytest.mark.parametrize(
    ("request_", "target"),
    [
        (Request(), "/predictions/m"),
        (Request(query="a=1"), "/predictions/m?a=1"),
        (Request(path="/explanations/other"), "/explanations/other"),
    ],
    ids=["default", "query", "path"],
)
def test_target(request_: Request, target: str) -> None:
    assert request_.target("m") == target


tokens = st.text("abcXYZ-", min_size=1, max_size=8).map(lambda text: "X" + text)
values = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=12).map(str.strip)


@settings(deadline=None)
@given(
    st.sampled_from(["POST", "PUT", "GET", "DELETE"]),
    st.lists(st.tuples(tokens, values), max_size=3),
    st.sampled_from([None, "application/json", "text/plain; charset=utf-8"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40),
    st.sampled_from(["", "a=1&b=%20", "x"]),
)
def test_curl_round_trip(
    method: str, headers: list[tuple[str, str]], content_type: str | None, body: str, query: str
) -> None:
    typed = [("Content-Type", content_type)] if content_type else []
    request = Request(method, "/predictions/m", [*headers, *typed], query, body.encode())
    assert Request.curl(request.as_curl()) == request


@pytest.mark.parametrize("body", [b"", b"x"])
def test_curl_of_a_head_request_waits_for_no_body(body: bytes) -> None:
    request = Request("HEAD", "/ping", body=body)
    words = shlex.split(request.as_curl())
    assert ("--head" in words, "-X" in words) == (not body, bool(body))
    assert Request.curl(request.as_curl()) == request


def test_curl_names_the_file_of_a_body_that_is_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "coin.png").write_bytes(b"\x89PNG\xff")
    monkeypatch.chdir(tmp_path)
    request = Request.file("coin.png")
    assert shlex.split(request.as_curl())[-3:-1] == ["--data-binary", "@coin.png"]
    assert Request.curl(request.as_curl()).body == request.body


def test_curl_and_python_go_to_where_the_request_was_sent() -> None:
    request = Request(sent_to=("https://host:1", "coins"))
    assert request.as_curl().endswith(" https://host:1/predictions/coins")
    assert "HTTPSConnection('host:1')" in request.as_python()
    assert "'/predictions/coins'" in request.as_python()
    assert request == Request()


def test_request_keeps_the_first_address_that_it_was_given() -> None:
    request = Request(body=b"x").addressed("coins", "https://host:1")
    assert request.addressed("other").sent_to == ("https://host:1", "coins")
    assert Request().addressed("m").as_curl().endswith(" http://127.0.0.1:8080/predictions/m")


def test_curl_goes_to_the_url_that_was_given() -> None:
    assert Request().as_curl("https://host:1", "m").endswith(" https://host:1/predictions/m")


class _Recorder(BaseHTTPRequestHandler):
    seen: list[tuple[str, str, list[tuple[str, str]], bytes]]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        type(self).seen.append((self.command, self.path, self.headers.items(), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def recorder() -> Iterator[tuple[str, type[_Recorder]]]:
    """The address of a server that keeps what it is sent."""
    kind = type("Recorder", (_Recorder,), {"seen": []})
    with HTTPServer(("127.0.0.1", 0), kind) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}", kind
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "request_",
    [
        Request.json({"a": "é"}, query="b=1"),
        Request("PUT", "/x", {"X-A": "'quoted'"}, "", bytes(range(256))),
        Request("GET"),
        Request.multipart(Part("data", b"\xff\x00", filename="a.png"), boundary="B"),
    ],
    ids=["json", "bytes", "get", "multipart"],
)
def test_python_program_sends_the_same(
    request_: Request, recorder: tuple[str, type[_Recorder]], capsys: pytest.CaptureFixture[str]
) -> None:
    address, kind = recorder
    variables: dict[str, object] = {}
    exec(request_.as_python(address, "m"), variables)
    variables["connection"].close()  # type: ignore[attr-defined]
    ((method, target, headers, body),) = kind.seen
    assert (method, target, body) == (request_.method, request_.target("m"), request_.body)
    assert set(request_.headers) <= set(headers)
    assert capsys.readouterr().out == "200 OK\n"


def test_python_program_reads_a_large_body_from_its_file() -> None:
    request = Request(body=b"x" * 70_000, label="big.bin")
    assert "open('big.bin', 'rb').read()" in request.as_python()


def test_repr_keeps_secrets() -> None:
    request = Request("GET", "/ping", {"Authorization": "Bearer s3cret", "cookie": "s3cret", "X-Own": "1"})
    assert "s3cret" not in repr(request)
    assert "('X-Own', '1')" in repr(request)
