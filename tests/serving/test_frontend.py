"""The frontend's rules, without a worker. tests/test_golden.py holds them to recorded exchanges."""

from __future__ import annotations

import json
import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlerkit.messages import Part, Request, Response
from handlerkit.serving.config import Config
from handlerkit.serving.frontend import HOST, Frontend, QueuedRequest, WorkerDied
from handlerkit.serving.requests import parameters
from handlerkit.serving.wire import Parameter, Prediction, WorkerResponse

ASCII = st.text(st.characters(codec="ascii"), max_size=20)


def frontend(**properties: object) -> Frontend:
    return Frontend("m", "1.0", Config.read(properties))


def received(request: Request | None = None, **properties: object) -> QueuedRequest:
    got = frontend(**properties).receive(request or Request())
    assert isinstance(got, QueuedRequest), got
    return got


def refused(request: Request, **properties: object) -> Response:
    got = frontend(**properties).receive(request)
    assert isinstance(got, Response), got
    return got


def prediction(
    body: bytes = b"x", status: int = 200, reason: str = "", headers: tuple[tuple[str, str], ...] = ()
) -> Prediction:
    return Prediction("id", "", status, reason, headers, body)


def respond(*rows: Prediction, request: Request | None = None, row: int = 0, **properties: object) -> Response:
    return frontend(**properties).respond(received(request), WorkerResponse(200, "", rows), row)


def own(response: Response) -> list[tuple[str, str]]:
    """The headers before the frontend's own."""
    names = [name for name, _ in response.headers]
    return list(response.headers[: names.index("x-request-id")])


class TestReceive:
    @pytest.mark.parametrize(
        ("path", "added"),
        [
            (None, {"url_path": "", "explain": "False"}),
            ("/predictions/m/1.0/a/b%20c", {"url_path": "a/b c", "explain": "False"}),
            ("/explanations/m", {"url_path": "", "explain": "True"}),
            ("/v1/models/m:predict", {"explain": "False"}),
            ("/v1/models/m:explain", {"explain": "True"}),
            ("/v2/models/m/infer", {"explain": "False"}),
            ("/v2/models/m/explain", {"explain": "True"}),
            ("/models/m/invoke", {}),
            ("/m/predict", {}),
            ("/m/1.0/predict", {}),
        ],
    )
    def test_route_decides_the_added_headers(self, path: str | None, added: dict[str, str]) -> None:
        headers = dict(received(Request(path=path)).job.headers)
        assert {name: headers[name] for name in ("url_path", "explain") if name in headers} == added

    @pytest.mark.parametrize(
        ("path", "status", "kind", "message"),
        [
            ("/predictions/other", 404, "ModelNotFoundException", "Model not found: other"),
            ("/predictions/m/2.0", 404, "ModelVersionNotFoundException",
             "Model version: 2.0 does not exist for model: m"),
            ("/nowhere", 404, "ResourceNotFoundException",
             "Requested resource is not found, please refer to API document."),
            ("/v2/models/m/versions/1/infer", 404, "ResourceNotFoundException", "Requested resource is not found"),
            ("/", 405, "MethodNotAllowedException", "Requested method is not allowed"),
            ("/invocations", 400, "BadRequestException", "Parameter model_name is required."),
        ],
    )  # fmt: skip
    def test_what_never_reaches_the_worker(self, path: str, status: int, kind: str, message: str) -> None:
        answer = refused(Request(path=path))
        assert answer.status == answer.json()["code"] == status
        assert answer.json()["type"] == kind
        assert answer.json()["message"].startswith(message)
        assert answer.header("connection") == "close"

    def test_describe_has_no_parameters_and_no_explain(self) -> None:
        got = received(Request("GET", "/models/m", query="customized=true"))
        assert (got.describe, got.job.parameters) == (True, ())
        assert dict(got.job.headers) == {"Host": HOST, "content-length": "0", "describe": "True"}

    def test_query_is_kept_only_where_the_route_takes_it(self) -> None:
        assert [p.name for p in received(Request(query="a=1")).job.parameters] == ["body"]
        assert [p.name for p in received(Request(path="/m/predict", query="a=1&b")).job.parameters] == [
            "a",
            "b",
            "body",
        ]

    @pytest.mark.parametrize(("size", "status"), [(10, None), (11, 413)])
    def test_body_may_be_as_long_as_max_request_size(self, size: int, status: int | None) -> None:
        got = frontend(max_request_size=10).receive(Request(body=b"x" * size))
        assert (got.status if isinstance(got, Response) else None) == status

    @pytest.mark.parametrize(
        "request_",
        [
            Request(headers={"X-Long": "x" * 8192}),
            Request(query="q" * 4096),
            Request(headers={"bad name": "x"}),
            Request(headers={"Content-Length": "abc"}),
        ],
        ids=["head", "line", "name", "length"],
    )
    def test_head_that_netty_does_not_read(self, request_: Request) -> None:
        assert refused(request_).json()["message"] == "Invalid HTTP message."

    def test_last_of_a_repeated_header_and_its_casing_count(self) -> None:
        got = received(Request(headers=[("X-A", "1"), ("X-A", " 2 "), ("x-a", "3"), ("X-Ü".replace("Ü", "U"), "ü")]))
        headers = dict(got.job.headers)
        assert (headers["X-A"], headers["x-a"], headers["X-U"]) == ("2", "3", "Ã¼")

    def test_host_is_added_and_expect_taken_away(self) -> None:
        headers = dict(received(Request(headers={"Expect": "100-continue"})).job.headers)
        assert headers["Host"] == HOST
        assert "Expect" not in headers

    @pytest.mark.parametrize(
        ("request_", "name"),
        [
            (Request(body=b"ab"), "Content-Length"),
            (Request("GET"), "content-length"),
            (Request(headers={"Transfer-Encoding": "chunked"}, body=b"ab"), "content-length"),
            (Request(headers={"Transfer-Encoding": "chunked "}, body=b"ab"), "content-length"),
        ],
        ids=["body", "get", "chunked", "a space after it"],
    )
    def test_who_counted_the_length_shows_in_its_casing(self, request_: Request, name: str) -> None:
        headers = dict(received(request_).job.headers)
        assert headers[name] == str(len(request_.body))
        assert "Transfer-Encoding" not in headers

    def test_part_without_a_name(self) -> None:
        body = b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--\r\n"
        answer = refused(Request(headers={"Content-Type": "multipart/form-data; boundary=B"}, body=body))
        assert (answer.status, answer.json()["type"]) == (500, "ErrorDataDecoderException")

    def test_requests_have_ids_of_their_own(self) -> None:
        assert received().job.request_id != received().job.request_id


class TestParameters:
    @pytest.mark.parametrize(
        ("body", "content_type", "found"),
        [
            (b"{}", "application/json; charset=utf-8", [("body", "application/json", b"{}")]),
            (b"x", None, [("body", "", b"x")]),
            (b'{"a": 1}', "application/x-www-form-urlencoded", []),
            (b"a=1&b=x+y%21&c=&d", "application/x-www-form-urlencoded",
             [("a", "", b"1"), ("b", "", b"x y!"), ("c", "", b"")]),
            (b"x", "multipart/form-data", [("body", "multipart/form-data", b"x")]),
            (b"--B\r\njunk", "multipart/form-data; boundary=B", []),
        ],
        ids=["json", "none", "form of json", "form", "no boundary", "cut"],
    )  # fmt: skip
    def test_of_body(self, body: bytes, content_type: str | None, found: list[tuple[str, str, bytes]]) -> None:
        assert parameters.from_body(body, content_type) == [Parameter(*one) for one in found]

    def test_filename_decides_whether_a_part_keeps_its_type(self) -> None:
        request = Request.multipart(
            Part("a", "{}", content_type="application/json"),
            Part("b", "{}", filename="b.json", content_type="application/json"),
            Part("c", "{}", filename="c"),
        )
        assert parameters.from_body(request.body, request.content_type) == [
            ("a", "", b"{}"), ("b", "application/json", b"{}"), ("c", "application/octet-stream", b"{}"),
        ]  # fmt: skip

    @given(st.binary(max_size=60))
    def test_parts_arrive_byte_for_byte(self, body: bytes) -> None:
        request = Request.multipart(Part("a", body, filename="f"), boundary="a-boundary-of-its-own")
        assert [p.value for p in parameters.from_body(request.body, request.content_type)] == [body]

    def test_query(self) -> None:
        assert list(parameters.from_query("a=1&b&c=x%20y;d=+")) == [
            ("a", "", b"1"), ("b", "", b""), ("c", "", b"x y"), ("d", "", b" "),
        ]  # fmt: skip


class TestRespond:
    def test_head_of_a_plain_answer(self) -> None:
        response = respond(prediction())
        assert (response.status, response.reason, response.body) == (200, "", b"x")
        names = ["x-request-id", "Pragma", "Cache-Control", "Expires", "content-length", "connection"]
        assert [name for name, _ in response.headers] == names

    @pytest.mark.parametrize(("status", "connection"), [(200, "keep-alive"), (399, "keep-alive"), (400, "close")])
    def test_status_decides_the_connection(self, status: int, connection: str) -> None:
        assert respond(prediction(status=status)).header("connection") == connection

    def test_204_has_no_body_and_no_length(self) -> None:
        response = respond(prediction(status=204))
        assert (response.body, response.header("content-length")) == (b"", None)

    def test_head_keeps_the_length_and_drops_the_body(self) -> None:
        response = respond(prediction(b"abc"), request=Request("HEAD"))
        assert (response.body, response.header("content-length")) == (b"", "3")

    def test_row_of_a_batch(self) -> None:
        assert respond(prediction(b"a"), prediction(b"b"), row=1).body == b"b"

    @pytest.mark.parametrize(
        ("given", "sent"),
        [
            ((("X-Foo", "bar"), ("x-foo", "baz")), [("X-Foo", "bar")]),
            ((("x-foo", "baz"), ("X-Foo", "bar")), [("X-Foo", "bar")]),
            ((("Content-Type", "text/csv"), ("content-type", "image/png")), [("Content-Type", "text/csv")]),
            ((("content-type", "a/b"), ("X-A", "1"), ("ts_other", "2")),
             [("ts_other", "2"), ("content-type", "a/b"), ("X-A", "1")]),
            ((("Pragma", "mine"), ("content-length", "9"), ("X-Request-Id", "mine")), []),
            ((("X-A", "ü→"),), [("X-A", "ü?")]),
        ],
        ids=["bar", "bar again", "types", "order", "own", "latin-1"],
    )  # fmt: skip
    def test_handlers_headers_come_in_the_order_of_a_java_hash_map(
        self, given: tuple[tuple[str, str], ...], sent: list[tuple[str, str]]
    ) -> None:
        assert own(respond(prediction(headers=given))) == sent

    def test_hash_map_grows_when_three_quarters_full(self) -> None:
        """java.util.HashMap of 13 one-letter keys has 32 buckets: "A" is 65, so its bucket is 1, and "a"'s is 1 too."""
        letters = "aAbBcCdDeEfFg"
        sent = own(respond(prediction(headers=tuple((f"{letter}{n}", "") for n, letter in enumerate(letters)))))
        code = {name: 31 * ord(name[0]) + ord(name[1]) for name, _ in sent if len(name) == 2}
        buckets = [code[name] % 32 for name, _ in sent if name in code]
        assert buckets == sorted(buckets)
        assert len(sent) == 13

    def test_cors_headers_are_added_to_every_answer(self) -> None:
        front = frontend(cors_allowed_origin="*")
        assert front.error(404, "X", "y").header("Access-Control-Allow-Origin") == "*"

    @pytest.mark.parametrize(
        ("row", "kind"),
        [
            (prediction(b"x" * 11), "size"),
            (prediction(reason="für"), "header"),
            (prediction(reason="a\nb"), "header"),
            (prediction(headers=(("bad name", "x"),)), "header"),
            (prediction(headers=(("X-A", "a\r\nb"),)), "header"),
            (prediction(headers=(("X-A", "a\r b"),)), "header"),
            (prediction(headers=(("X-A", "a\r\n b\n"),)), "header"),
        ],
        ids=["size", "phrase", "lines", "name", "value", "carriage return", "newline at the end"],
    )
    def test_what_the_frontend_cannot_send_ends_the_worker(self, row: Prediction, kind: str) -> None:
        with pytest.raises(WorkerDied) as raised:
            respond(row, max_response_size=10)
        assert raised.value.death.kind == kind

    def test_a_header_may_be_folded(self) -> None:
        headers = (("a", "b\n c"), ("d", "e\r\n\tf"))
        assert own(respond(prediction(headers=headers))) == [*headers]

    def test_message_longer_than_an_answer_may_be_ends_the_worker(self) -> None:
        front = frontend(max_response_size=10)
        with pytest.raises(WorkerDied, match="The answer has 11 bytes"):
            front.respond(received(), WorkerResponse(400, "m" * 11, ()), 0)

    @pytest.mark.parametrize(
        ("code", "status", "reason"),
        [(503, 503, "Service Unavailable"), (413, 507, "Insufficient Storage"), (777, 777, "Unknown Status (777)")],
    )
    def test_overall_code_is_an_error_for_each(self, code: int, status: int, reason: str) -> None:
        response = frontend().respond(received(), WorkerResponse(code, "why <&é>", ()), 0)
        assert (response.status, response.reason) == (status, reason)
        assert response.text == json.dumps(
            {"code": status, "type": "InternalServerException", "message": "why <&é>"}, indent=2, ensure_ascii=False
        ) + "\n"  # fmt: skip

    def test_end_of_a_stream_that_never_began_is_no_answer(self) -> None:
        assert respond(prediction(headers=(("ts_stream_next", "false"),))).status is None

    def test_transfer_encoding_is_sent_but_for_a_streams(self) -> None:
        head = (("Transfer-Encoding", "identity"), ("ts_stream_next", "true"))
        assert respond(prediction(headers=head[:1])).header("transfer-encoding") == "identity"
        first, last = (WorkerResponse(200, "", (prediction(b"a", headers=one),)) for one in (head, head[:1]))
        headers = frontend().respond(received(), last, 0, [first]).headers
        assert [pair for pair in headers if "encoding" in pair[0].lower()] == [("transfer-encoding", "chunked")]

    @given(ASCII, ASCII)
    def test_any_header_is_sent_or_ends_the_worker(self, name: str, value: str) -> None:
        try:
            response = respond(prediction(headers=((name, value),)))
        except WorkerDied:
            assert not re.fullmatch(r"[A-Za-z-]+", name) or re.search("[\0\v\f\r\n]", value)
        else:
            assert (name, value) in response.headers or response.header(name) is not None or response.status is None


class TestStreams:
    FIRST = WorkerResponse(200, "", (prediction(b"a", 202, "Streaming", (("ts_stream_next", "true"),)),))
    LAST = WorkerResponse(200, "", (prediction(b"z", 404),))

    def test_first_piece_decides_the_head(self) -> None:
        response = frontend().respond(received(), self.LAST, 0, [self.FIRST])
        assert (response.status, response.reason, response.chunks) == (202, "Streaming", (b"a", b"z"))
        assert response.header("transfer-encoding") == "chunked"
        assert response.header("content-length") is None
        assert (response.body, response.complete) == (b"az", True)

    def test_empty_pieces_are_no_chunks(self) -> None:
        nothing = WorkerResponse(200, "", (prediction(b""),))
        assert frontend().respond(received(), self.LAST, 0, [self.FIRST, nothing]).chunks == (b"a", b"z")

    def test_failure_at_the_end_breaks_off(self) -> None:
        response = frontend().respond(received(), WorkerResponse(503, "Prediction failed", ()), 0, [self.FIRST])
        assert (response.status, response.chunks, response.complete) == (202, (b"a",), False)

    def test_failed_piece_is_the_answer(self) -> None:
        failed = WorkerResponse(500, "asked to", (prediction(),))
        assert frontend().respond(received(), self.LAST, 0, [failed]).json()["message"] == "asked to"


@pytest.mark.parametrize(
    ("query", "asks"),
    [
        ("customized=true", True),
        ("a=1&customized=TRUE", True),
        ("xcustomized=true", False),
        ("customized=truea", False),
    ],
)
def test_description_asks_the_handler_only_where_it_is_told_to(query: str, asks: bool) -> None:
    assert parameters.asks_to_describe(query) == asks


def test_ids_are_random_uuids() -> None:
    made = [uuid.UUID(frontend()._new_id()) for _ in range(200)]
    assert {(one.version, one.variant) for one in made} == {(4, uuid.RFC_4122)}
    ones = [sum(one.int >> place & 1 for one in made) for place in range(128)]
    assert sum(0 < count < 200 for count in ones) == 122  # every bit but the six that say what it is


def test_a_sequence_is_named_by_its_header_in_its_own_casing() -> None:
    frontend = Frontend("m", "1.0", Config(), sequences=True)
    named = frontend.receive(Request(headers=(("ts_request_sequence_id", "s"),)))
    other = frontend.receive(Request(headers=(("Ts_Request_Sequence_Id", "s"),)))
    assert isinstance(named, QueuedRequest)
    assert isinstance(other, QueuedRequest)
    assert named.sequence == "s"
    assert other.sequence.startswith("ts-seq-")
