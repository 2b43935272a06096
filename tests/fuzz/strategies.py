"""What a fuzzer may send: requests of every kind, each with a program for the handler does_as_told.py."""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import BODILESS, Program, base64_text, ends_a_stream, floats, ints, json_values, programs, rows_of, text

from handlerkit.messages import Headers, Part, Request

BATCH = 3
#: What a model is called whose batches have one row, and one whose batches have BATCH rows.
ONE, THREE = "one", "three"


@dataclass(frozen=True)
class Draw:
    """Requests that are sent together to the model of that name."""

    model: str
    requests: tuple[Request, ...]

    @property
    def rows(self) -> frozenset[str]:
        """The rows of the behaviour that the programs reach."""
        return frozenset().union(*(rows_of(program_of(request)) for request in self.requests))


def program_of(request: Request) -> Program:
    return json.loads(request.header("x-program") or "{}")


# -- requests: bodies and their types

_JSON_TYPES = [
    "application/json",
    "application/json; charset=utf-8",
    "Application/JSON",
    "application/json;",
    " application/json ",
]
_TEXT_TYPES = ["text/plain", "text/plain; charset=latin-1", "Text/Plain", "textual", "text/csv;x=1"]
_OTHER_TYPES = [
    "application/octet-stream",
    "image/png",
    "application/vnd.api+json",
    "garbage",
    "",
    ";",
    "a/b; c=d",
    "é/ü",
]
_texts = st.one_of(
    st.sampled_from(
        ["", "{", "NaN", "[1e400]", '{"a": 1, "a": 2}', "\ufeff1", " 1 ", "null", "1" * 30, '"\\ud800"', "[" * 200_00]
    ),
    json_values.map(lambda value: json.dumps(value, ensure_ascii=False)),
    text,
)
_contents = st.one_of(
    _texts.map(str.encode),
    _texts.map(lambda text: text.encode("utf-16")),
    st.binary(max_size=20),
    st.sampled_from([b"\xff", b"caf\xe9", b"\0", b"\r\n", bytes(range(256)), b"a" * 4000, b"a" * 4001]),
)
_body_types = st.sampled_from([*_JSON_TYPES, *_TEXT_TYPES, *_OTHER_TYPES])

Message = tuple[str | None, bytes]  # a Content-Type, or None, and a body
_plain = st.tuples(st.one_of(_body_types, st.none()), _contents)

# forms

_tokens = st.lists(
    st.sampled_from(
        [
            "a",
            "b",
            "=",
            "=",
            "&",
            "&",
            "+",
            "%20",
            "%C3%A9",
            "%ff",
            "%",
            "%4",
            "%zz",
            ";",
            "é",
            "data",
            "body",
            "{",
            '"',
            " ",
            "\r\n",
            "\n",
            "\r",
        ]
    ),
    max_size=10,
).map("".join)
_FORM_TYPES = [
    "application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8",
    "Application/X-WWW-Form-Urlencoded", "application/x-www-form-urlencoded;charset=latin-1",
]  # fmt: skip
_forms = st.tuples(st.sampled_from(_FORM_TYPES), st.one_of(_tokens.map(str.encode), st.binary(max_size=12)))

# multipart messages

_part_names = st.sampled_from(
    ["data", "data", "body", "a", "A", "é", "", "a b", 'a"b', "a;b", "a\\b", "x-program", "a=b"]
)
_filenames = st.sampled_from([None, None, "f.txt", "", "é.png", "a;b", 'a"b', "C:\\f"])
_part_types = st.sampled_from(
    [
        None,
        "application/json",
        "text/plain; charset=utf-8",
        "text/plain",
        "Text/Plain",
        "image/png",
        "",
        "x",
        "application/json;charset=latin-1",
    ]
)
_part_contents = st.one_of(
    _contents.filter(lambda value: len(value) < 400),
    st.sampled_from([b"\r\n", b"\n", b"--", b"--B", b"\r\n--", b"a\r\n--Bc", b"\r\n\r\n"]),
)
_parts = st.builds(Part, _part_names, _part_contents, _filenames, _part_types).map(Part.encode)
_dispositions = st.sampled_from(
    ["form-data; name=a", 'form-data; name="a"; filename=f', "form-data", "form-data; filename=f",
     'attachment; name="a"; filename="f"',
     'file; filename="f"', 'mixed; name="a"', 'Form-Data; Name="a"', "form-data; name='a'",
     'form-data; name="a"; filename*=UTF-8\'\'%c3%a9',
     'form-data ;name = "a"', 'form-data; name="a";', 'form-data; name="a"; size=3', 'form-data; name="a"; name="b"',
     'form-data; name="a"; filename="f"; filename="g"', 'form-data; name="%61"', 'form-data; name="=?utf-8?q?a?="',
     "form-data; name=", ""]
)  # fmt: skip
_part_heads = st.lists(
    st.one_of(
        _dispositions.map("Content-Disposition: {}".format),
        st.sampled_from(
            ["Content-Type: application/json", "content-type: text/plain", "Content-Type: multipart/mixed; boundary=C",
             "Content-Type: text/plain; charset=latin-1", "Content-Type: text/plain; charset=nonsense",
             "Content-Length: 1",
             "Content-Length: 100", "Content-Length: x", "Content-Transfer-Encoding: binary",
             "Content-Transfer-Encoding: 8bit",
             "Content-Transfer-Encoding: 7bit", "Content-Transfer-Encoding: base64", "X-Other: 1", "nonsense", ": x",
             " folded"]
        ),
    ),
    max_size=3,
)  # fmt: skip
_odd_parts = st.tuples(_part_heads, _part_contents).map(lambda both: "\r\n".join([*both[0], "", ""]).encode() + both[1])
_MULTIPART_TYPES = [
    "multipart/form-data; boundary=B", 'multipart/form-data; boundary="B"', "Multipart/Form-Data; Boundary=B",
    "multipart/form-data; charset=utf-8; boundary=B", "multipart/form-data; boundary=B; charset=utf-8",
    "multipart/form-data;boundary=B", "multipart/form-data; boundary=B ", "multipart/form-data",
    "multipart/form-data; boundary=",
    "multipart/mixed; boundary=B", "multipart/form-data; boundary=C", "multipart/form-data; boundary=B=",
    "multipart/form-data; x=y; z=1; boundary=B",
    "multipart/form-dataxyz; boundary=B", "multipart/form-data, boundary=B",
    "multipart/form-data; boundary=B; charset=nonsense",
]  # fmt: skip


@st.composite
def _multiparts(draw: st.DrawFn) -> Message:
    """Mostly well formed; else with one thing wrong."""
    parts = draw(st.lists(st.one_of(_parts, _parts, _odd_parts), max_size=3))
    end = draw(st.sampled_from([b"\r\n"] * 6 + [b"\n", b"\r", b"\r\n\r\n"]))
    opening = draw(st.sampled_from([b""] * 6 + [b"\r\n", b"\n", b"preamble\r\n", b"preamble", b"-", b" "]))
    closing = draw(
        st.sampled_from(
            [b"--B--\r\n"] * 6
            + [b"--B--", b"--B--x", b"--B", b"", b"--B-", b"--B--\r\nepilogue\r\n", b"--B\r\n", b"--B\n"]
        )
    )
    body = opening + b"".join(b"--B" + end + part + end for part in parts) + closing
    if draw(st.integers(0, 9)) == 9:
        body = body[: draw(st.integers(0, len(body)))]
    kind = draw(st.sampled_from(_MULTIPART_TYPES[:1] * 20 + _MULTIPART_TYPES))
    return kind, body


# envelopes

_b64 = base64_text.map(lambda text: {"b64": text})
_instances = st.one_of(
    st.lists(
        st.one_of(
            json_values, _b64, st.dictionaries(st.sampled_from(["a", "b64"]), st.one_of(json_values, _b64), max_size=2)
        ),
        max_size=4,
    ),
    json_values,
)
_tensors = st.fixed_dictionaries(
    {"name": text, "shape": ints.map(lambda shape: [abs(size) for size in shape]),
     "datatype": st.sampled_from(["INT64", "FP32", "BYTES", "BOOL", "UINT8", "x"]), "data": st.one_of(ints,
     st.just(["a"]), st.lists(floats, max_size=3))}
)  # fmt: skip
_tensors_well = ints.map(lambda data: {"name": "in", "shape": [len(data)], "datatype": "INT64", "data": data})
_enveloped: dict[str, st.SearchStrategy[Any]] = {
    "body": json_values,
    "json": st.one_of(_instances.map(lambda value: {"instances": value}), json_values),
    "kserve": st.one_of(_instances.map(lambda value: {"instances": value}), json_values),
    "kservev2": st.one_of(
        st.fixed_dictionaries(
            {"inputs": st.lists(st.one_of(_tensors_well, _tensors), max_size=3)}, optional={"id": text}
        ),
        json_values,
    ),
}


def _messages_for(envelope: str | None) -> st.SearchStrategy[Message]:
    usual = [_plain, _plain, _forms, _multiparts(), _multiparts(), _multiparts()]
    if envelope is None:
        return st.one_of(usual)
    wrapped = _enveloped[envelope].map(lambda value: json.dumps(value).encode())
    parts = wrapped.map(lambda body: Request.multipart(Part("data", body, "f", "application/json"), boundary="B").body)
    return st.one_of(
        *[st.tuples(st.just("application/json"), wrapped)] * 6,
        st.tuples(_body_types, wrapped),
        st.tuples(st.just(_MULTIPART_TYPES[0]), parts),
        *usual[1:4],
    )


# -- requests: heads

# Left out: Transfer-Encoding and a Content-Length of one's own, which frame a message that a Request does not hold.
_headers = st.lists(
    st.tuples(
        st.sampled_from(
            ["x-a", "X-A", "x-b", "Accept", "Cookie", "Authorization", "explain", "Explain", "describe", "url_path",
             "body", "data", "a",
             "x-request-id", "content-type", "Content-Type", "Content-Encoding", "Connection", "connection",
             "Keep-Alive", "Expect", "Upgrade",
             "Host", "host", "User-Agent", "ts_request_sequence_id", "Accept-Encoding", "Origin",
             "Access-Control-Request-Method", "Date"]
        ),
        st.sampled_from(["", "v", "w", "True", "true", "False", " v ", "a, b", "é", "中", "text/plain",
        "application/json", "close", "keep-alive",
                         "gzip", "100-continue", "200-ok", "\t", "a\tb", "ÿ", "%C3%A9", "😀", "h2c", "websocket",
                         "a" * 300]),
    ),
    max_size=4,
)  # fmt: skip
_METHODS = ["POST"] * 16 + ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "FOO", "post"]
_queries = st.one_of(
    st.just(""), st.just(""),
    st.lists(
        st.sampled_from(["a", "b", "=", "&", ";", "+", "%20", "%C3%A9", "%ff", "%", "%4", "%zz", "model_name=MODEL",
        "body=1", "data=2", "customized=true", "?", "/", ":"]),
        max_size=8,
    ).map("".join),
)  # fmt: skip


def _paths(model: str) -> list[str | None]:
    return [
        *[None] * 90,
        f"/predictions/{model}/1.0", f"/predictions/{model}/", f"/predictions/{model}/1.0/",
        f"/predictions/{model}/1.0/a/b",
        f"/predictions/{model}/1.0/a%20b/%C3%A9", f"/predictions/{model}/9.9", f"/predictions/{model}/1.0//a",
        f"//predictions/{model}",
        f"/predictions//{model}", f"/predictions/%{ord(model[0]):02X}{model[1:]}", "/predictions/nope", "/predictions/",
        "/predictions", f"/predictions/{model}%2F1.0",
        f"/explanations/{model}", f"/explanations/{model}/1.0", f"/explanations/{model}/1.0/a", "/explanations",
        "/explanations/nope",
        "/invocations", "/invocations/", "/invocations/x", f"/models/{model}/invoke", f"/models/{model}/invoke/",
        "/models/nope/invoke",
        f"/models/{model}", f"/models/{model}/1.0/invoke", f"/v1/models/{model}:predict", f"/v1/models/{model}:explain",
        f"/v1/models/{model}",
        f"/v1/models/{model}:x", f"/v1/models/{model}/versions/1.0:predict", "/v1/models/nope:predict",
        f"/v1/models/{model}%3Apredict",
        f"/v2/models/{model}/infer", f"/v2/models/{model}/explain", f"/v2/models/{model}/versions/1.0/infer",
        f"/v2/models/{model}",
        "/v2/models/nope/infer", f"/v2/models/{model}/infer/", f"/{model}/predict", f"/{model}/1.0/predict",
        f"/{model}/9.9/predict",
        "/nope/predict", f"/{model}/predict/x", "/", "", "/x", f"/predictions/{model}/1.0/%zz",
        f"/predictions/{model};a=b", f"/{model}/explain",
    ]  # fmt: skip


@st.composite
def _requests(draw: st.DrawFn, model: str, envelope: str | None) -> Request:
    kind, body = draw(_messages_for(envelope))
    if draw(st.integers(0, 9)) == 9:
        kind, body = None, b""
    headers: Headers = (("Content-Type", kind),) if kind is not None else ()
    headers += tuple(draw(_headers)) if draw(st.booleans()) else ()
    program = draw(programs)
    if draw(st.booleans()) and program:
        kind, body = "application/octet-stream", b"x"
    if any(name == "Expect" and value != "100-continue" for name, value in headers):
        body = b""  # where an expectation is refused, a body that was sent nevertheless is read as the next request
    describes = draw(st.integers(0, 59)) == 59
    method = "GET" if describes else draw(st.sampled_from(_METHODS))
    if describes or method == "HEAD":  # each piece would be a description of its own; HEAD: see _stream_status
        program = {key: value for key, value in program.items() if key != "stream"}
    if describes and program.get("status", [200])[0] in BODILESS:
        program = {}  # its Content-Length tells of a description that names the archive
    at = draw(st.integers(0, len(headers)))
    headers = (*headers[:at], ("x-program", json.dumps(program)), *headers[at:])
    if describes:
        path = draw(st.sampled_from([f"/models/{model}", f"/models/{model}/1.0"]))
        return Request(method, path, headers, "customized=true", b"")
    path = draw(st.sampled_from(_paths(model))) or f"/predictions/{model}"
    if method == "OPTIONS" and path in ("", "/"):
        path = f"/predictions/{model}"  # the root's answer describes the whole server, and no model
    return Request(method, path, headers, draw(_queries).replace("MODEL", model), body)


def draws(envelope: str | None) -> st.SearchStrategy[Draw]:
    """What is sent together: one request, or a batch of them."""
    single = _requests(ONE, envelope).map(lambda request: Draw(ONE, (request,)))
    batch = st.lists(_requests(THREE, envelope), min_size=BATCH, max_size=BATCH).map(_batch)
    return st.integers(0, 19).flatmap(lambda number: batch if number == 19 else single)


def _batch(requests: list[Request]) -> Draw:
    """Where one row streams, all do: then the others have to be fit for it."""
    if any("stream" in program_of(request) for request in requests):
        requests = [request for request in requests if request.method != "HEAD" and _streams_well(program_of(request))]
    return Draw(THREE, tuple(requests))


def _streams_well(program: Program) -> bool:
    status, failure = program.get("status", [200]), program.get("raise", [])
    return status[0] not in BODILESS and ends_a_stream(failure)


def invent(envelope: str | None, count: int, number: int) -> list[Draw]:
    """`count` draws, the same ones for the same seed `number`."""
    return drawn(draws(envelope), count, number)


Drawn = TypeVar("Drawn")


def drawn(strategy: st.SearchStrategy[Drawn], count: int, number: int) -> list[Drawn]:
    """Values of a strategy, read from random bytes: hypothesis's own search stays near what it has seen."""
    found: list[Drawn] = []

    @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(value: Drawn) -> None:
        found.append(value)

    source = Random(number)
    while len(found) < count:
        collect.hypothesis.fuzz_one_input(source.randbytes(8192))
    return found
