"""What a fuzzer may send: requests of every kind, each with a program for the handler does_as_told.py.

Every program is labelled with the rows of TorchServe's behaviour that it reaches: the shape of what is returned (d.1),
how a row becomes a body (d.2), the head (d.3), the status (d.4), exceptions (d.5).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlerkit.messages import Headers, Part, Request

Program = dict[str, Any]
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


# -- d.2: what a row's value becomes

_text = st.one_of(
    st.sampled_from(["", "ok", "é", "中", "\0", "a\r\nb", "😀"]), st.text(st.characters(codec="utf-8"), max_size=8)
)
_base64 = st.binary(max_size=12).map(lambda value: base64.b64encode(value).decode())
_floats = st.sampled_from([0.0, -0.0, 0.1, 1e300, float("nan"), float("inf"), float("-inf")])
_numbers = st.one_of(st.integers(-3, 3), st.just(2**70), _floats)
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), _numbers, _text),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_text, inner, max_size=3)),
    max_leaves=5,
)
_ints = st.lists(st.integers(-3, 3), min_size=1, max_size=3)
_none = st.none()
_UNSUPPORTED = "unsupported: TypeError of json"

_UNSUPPORTED_WORDS = {
    "np.float32": _floats,
    "np.int64": st.integers(-3, 3),
    "np.bool_": st.booleans(),
    "ndarray": _ints,
    "tuple keys": _json,
    "bytes inside": _base64,
    "tensor inside": _ints,
    "memoryview": _base64,
    "BytesIO": _base64,
    **dict.fromkeys("set complex Decimal date dataclass function generator".split(), _none),
    "PIL image": _none,
}

#: The handler's words for values: the row of d.2 they reach, and their arguments.
VALUES: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "json": ("json", _json),
    "bytes": ("bytes verbatim", _base64),
    "bytearray": ("bytes verbatim", _base64),
    "np.bytes_": ("bytes verbatim", _base64),
    "str": ("str as UTF-8", _text),
    "str subclass": ("str as UTF-8", _text),
    "np.str_": ("str as UTF-8", _text),
    "repeat": ("str as UTF-8", st.sampled_from([1, 1000, 2999, 3000, 3001])),
    "tensor": ("tensor as torch.save writes it", _ints),
    "parameter": ("tensor as torch.save writes it", _ints),
    "tuple": ("json", st.lists(_json, max_size=3)),
    "int keys": ("json", st.lists(_json, max_size=3)),
    "odd keys": ("json", _json),
    "IntEnum": ("json", _none),
    "np.float64": ("json", _floats),
    **{word: (_UNSUPPORTED, arguments) for word, arguments in _UNSUPPORTED_WORDS.items()},
    "circular": ("dies: encoding raises anything but TypeError", _none),
    "deep": ("dies: encoding raises anything but TypeError", _none),
    "surrogate": ("dies: encoding raises anything but TypeError", _none),
    "saw": ("str as UTF-8", _none),
}


def _is_deadly(word: str) -> bool:
    return VALUES[word][0].startswith("dies")


def _values(allowed: Callable[[str], bool]) -> st.SearchStrategy[list[Any]]:
    words = [word for word in VALUES if allowed(word)]
    return st.sampled_from(words).flatmap(lambda word: VALUES[word][1].map(lambda argument: [word, argument]))


_living_values = _values(lambda word: not _is_deadly(word))
_deadly_values = _values(_is_deadly)
# A piece that cannot be encoded ends the stream with an error of its own, and the final answer then belongs to no job:
# whether the next request suffers is a matter of the frontend's threads, so no piece here is of that kind.
_piece_values = _values(lambda word: VALUES[word][0] in ("json", "bytes verbatim", "str as UTF-8"))

# -- d.1: what is returned instead of a list of rows

SHAPES = {
    "list subclass": "a list's subclass", **dict.fromkeys(
        ("tuple", "dict", "str", "ndarray", "tensor", "generator", "none", "coroutine"), "not a list"
    ), "too short": "wrong length", "too long": "wrong length",
}  # fmt: skip

# -- d.3: the head

_OWN = ("x-request-id", "Pragma", "Cache-Control", "Expires", "content-length", "Connection", "Content-Length")
_CUSTOM = (
    "x-a", "X-A", "x-b", "Content-Type", "content-type", "Server", "Set-Cookie", "ETag", "Location", "Date", "x-saw",
    "Access-Control-Allow-Origin", "access-control-allow-methods", "Vary", "Allow", "FB", "Ea",
)  # fmt: skip
# Left out: ts_stream_next set by hand (the client waits for ever), transfer-encoding (the answer is then no HTTP).
_header_values = st.sampled_from(
    ["", "v", "text/html", "a, b", "a b", "a\tb", "é", "ÿ", "中", "😀", "v;q=1", "\x7f", "\x01"]
)
_living_headers = st.tuples(st.sampled_from(_CUSTOM + _OWN), _header_values).map(list)
_DEADLY_HEADERS = [
    *(["x-a", value] for value in ("a\nb", "a\r\nx-b: c", "a\0b", "a\x0bb", 1, None)),
    *([name, "v"] for name in ("", "x a", "x:a", "é", "x\n")),
]
_deadly_headers = st.sampled_from(_DEADLY_HEADERS)
_types = st.sampled_from(["application/json", "text/plain; charset=utf-8", "image/png", "", "x"])
_deadly_types = st.sampled_from(["té/xt", "text/plain\n", 1])

# -- d.4: the status. Left out: 1xx, after which a client waits for something else than a body, and what Python's
# http.client does not take for a status, or strips: numbers that have not three digits, spaces around phrase or value.

CODES = [200, 201, 202, 203, 204, 205, 206, 299, 300, 301, 304, 308, 400, 404, 413, 418, 429, 451, 500, 503, 507,
         599, 600, 700, 999]  # fmt: skip
_codes = st.sampled_from(CODES)
_phrases = st.sampled_from(["", "OK", "Not Here", "a\tb", "a\x01b"])
_status = st.one_of(_codes.map(lambda code: [code]), st.tuples(_codes, _phrases).map(list), st.just([None, "OK"]))
_deadly_status = st.sampled_from(
    [[-1], ["200"], [1.5], [2**31], [200, "é"], [200, "a\nb"], [200, "a\rb"], [200, 1]]
)  # fmt: skip

# -- d.5: exceptions. Left out: what no process survives and a time-out, which take a process of their own.

_ORDINARY = (
    "ValueError", "KeyError", "TypeError", "RuntimeError", "OSError", "ImportError", "StopIteration", "AssertionError",
    "RecursionError", "UnicodeError",
)  # fmt: skip
_BASE = ("SystemExit", "KeyboardInterrupt", "GeneratorExit")
_PE_CODES = [400, 404, 413, 418, 422, 429, 451, 500, 501, 502, 503, 504, 505, 507, 511, 599, 600, 777, 200, 201, 204,
205,
             206, 299, 302, 304, 308]  # fmt: skip
_messages = st.sampled_from(["", "m", "é", "中", '"\\', "<a href='b'>&=", "\n\t\b\f\x01\x7f", "\u2028", "😀", "CUDA"])
_living_raise = st.one_of(
    st.tuples(st.sampled_from(_ORDINARY), st.sampled_from(["", "text", "CUDA out of memory", "cuda"])),
    st.tuples(st.just("MemoryError"), st.just("")),
    st.tuples(st.just("PredictionException"), _messages, st.sampled_from(_PE_CODES)),
    st.tuples(st.just("PredictionException"), _messages),
).map(list)


# A stream that ends with an error of a code below 400 leaves its client without an end.
def _ends_a_stream(failure: list[Any]) -> bool:
    return len(failure) < 3 or not isinstance(failure[2], int) or failure[2] >= 400


_raise_in_stream = _living_raise.filter(_ends_a_stream)
_deadly_raise = st.one_of(
    st.tuples(st.sampled_from(_BASE), st.just("")),
    st.tuples(st.just("PredictionException"), st.just("m"), st.sampled_from([-1, "404", 4.5])),
    st.tuples(st.just("PredictionException"), st.sampled_from([1, None, "\ud800"]), st.just(404)),
).map(list)


def _row_of_exception(failure: list[Any]) -> str:
    kind, text, *code = failure
    if kind in _BASE:
        return "d.5 BaseException dies"
    if kind == "PredictionException":
        given = code[0] if code else None
        if not isinstance(text, str) or "\ud800" in text or isinstance(given, str | float) or given == -1:
            return "d.5 PredictionException dies"
        return f"d.5 PredictionException {'default code' if given is None else given}"
    if kind == "MemoryError":
        return "d.5 MemoryError"
    return "d.5 CUDA in the text" if "CUDA" in text else "d.5 any other Exception"


def rows_of(program: Program) -> frozenset[str]:
    """The rows of d.1 to d.5 that a program reaches."""
    rows = {"d.2 " + VALUES[program.get("value", ["saw"])[0]][0]}
    rows.add(
        "d.1 " + ("the batch changed" if program.get("mutate") else SHAPES.get(program.get("shape", ""), "a list"))
    )
    rows |= {_row_of_header(name, value) for name, value in program.get("headers", [])} or {"d.3 no headers"}
    if "type" in program:
        kind = program["type"]
        deadly = not isinstance(kind, str) or not kind.isascii() or "\n" in kind
        rows.add("d.3 content type dies" if deadly else "d.3 content type" if kind else "d.3 empty content type")
    rows.add(_row_of_status(program["status"]) if "status" in program else "d.4 no status")
    if "raise" in program:
        rows.add(_row_of_exception(program["raise"]))
        if "status" in program:
            rows.add("d.4 status, then an exception")
    if "stream" in program:
        rows.add("f.2 a stream that fails" if {"raise", "shape"} & program.keys() else "f.2 a stream")
    return frozenset(rows)


def _row_of_header(name: str, value: Any) -> str:
    if [name, value] in _DEADLY_HEADERS:
        return "d.3 header dies"
    if name in _OWN:
        return "d.3 a header of the frontend's own"
    widest = max(map(ord, value), default=0)
    return "d.3 header" + (" beyond latin-1" if widest > 0xFF else " beyond ASCII" if widest > 0x7F else "")


def _row_of_status(status: list[Any]) -> str:
    code, *phrase = status
    if code is None:
        return "d.4 status None"
    if not isinstance(code, int) or not 0 <= code < 2**31:
        return "d.4 status dies"
    if phrase and (not isinstance(phrase[0], str) or not phrase[0].isascii() or {"\r", "\n"} & set(phrase[0])):
        return "d.4 phrase dies"
    return f"d.4 status {code} " + ("with a phrase" if phrase and phrase[0] else "without a phrase")


def _expected_rows() -> frozenset[str]:
    """What the tables of d.1 to d.5 hold, written from the vocabulary's side."""
    rows = {f"d.1 {shape}" for shape in ("a list", "the batch changed", *SHAPES.values())}
    rows |= {f"d.2 {row}" for row, _ in VALUES.values()}
    rows |= {
        f"d.3 {row}"
        for row in ("no headers", "header", "header beyond ASCII", "header beyond latin-1", "header dies",
                    "a header of the frontend's own", "content type", "empty content type", "content type dies")
    }  # fmt: skip
    rows |= {
        f"d.4 {row}" for row in ("no status", "status None", "status dies", "phrase dies", "status, then an exception")
    }
    rows |= {f"d.4 status {code} {phrase} a phrase" for code in CODES for phrase in ("with", "without")}
    rows |= {
        f"d.5 {row}"
        for row in ("MemoryError", "CUDA in the text", "any other Exception", "BaseException dies",
                    "PredictionException default code", "PredictionException dies")
    }  # fmt: skip
    rows |= {f"d.5 PredictionException {code}" for code in _PE_CODES}
    return frozenset(rows | {"f.2 a stream", "f.2 a stream that fails"})


EXPECTED_ROWS = _expected_rows()


# -- programs


def _with(base: dict[str, st.SearchStrategy[Any]], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Program]:
    return st.fixed_dictionaries(base, optional=more)


# Where a streamed answer has no body, for its status or for HEAD, the client cannot see when TorchServe closes the
# connection, and what it sends next is lost; Python's http.client waits for a streamed 304's chunks, which never come.
BODILESS = (204, 205, 304)
_stream_status = _status.filter(lambda status: status[0] not in BODILESS)
_pieces = st.lists(
    _with({"value": _piece_values}, headers=st.lists(_living_headers, max_size=2), type=_types, status=_stream_status),
    min_size=1,
    max_size=3,
)
_dressed = {
    "headers": st.lists(_living_headers, max_size=4),
    "type": _types,
    "status": _status,
    "silent": st.just(True),
}
_living = st.one_of(
    _with({}, silent=st.just(True)),  # the answer tells what the handler saw
    _with({}, silent=st.just(True)),
    _with({}, silent=st.just(True)),
    _with({"value": _living_values}, **_dressed),
    _with({"value": _living_values}, **_dressed),
    _with({"value": _living_values, "headers": st.lists(_living_headers, min_size=1, max_size=15)}),
    _with({"raise": _living_raise}, status=_status, type=_types),
    _with({"value": _living_values, "shape": st.sampled_from(list(SHAPES))}, status=_status),
    _with({"mutate": st.just(True)}),
    _with({"stream": _pieces}, value=_living_values, **{**_dressed, "status": _stream_status}),
    _with({"stream": _pieces}, shape=st.sampled_from(list(SHAPES)), **{"raise": _raise_in_stream}),
)
_deadly = st.one_of(
    st.fixed_dictionaries({"value": _deadly_values}),
    st.fixed_dictionaries({"headers": _deadly_headers.map(lambda header: [header])}),
    st.fixed_dictionaries({"type": _deadly_types}),
    st.fixed_dictionaries({"status": _deadly_status}),
    st.fixed_dictionaries({"raise": _deadly_raise}),
    st.fixed_dictionaries({"stream": _pieces, "raise": _deadly_raise}),
)
programs = st.integers(0, 39).flatmap(lambda number: _deadly if number == 39 else _living)

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
    _json.map(lambda value: json.dumps(value, ensure_ascii=False)),
    _text,
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

_b64 = _base64.map(lambda text: {"b64": text})
_instances = st.one_of(
    st.lists(
        st.one_of(_json, _b64, st.dictionaries(st.sampled_from(["a", "b64"]), st.one_of(_json, _b64), max_size=2)),
        max_size=4,
    ),
    _json,
)
_tensors = st.fixed_dictionaries(
    {"name": _text, "shape": _ints.map(lambda shape: [abs(size) for size in shape]),
     "datatype": st.sampled_from(["INT64", "FP32", "BYTES", "BOOL", "UINT8", "x"]), "data": st.one_of(_ints,
     st.just(["a"]), st.lists(_floats, max_size=3))}
)  # fmt: skip
_tensors_well = _ints.map(lambda data: {"name": "in", "shape": [len(data)], "datatype": "INT64", "data": data})
_enveloped: dict[str, st.SearchStrategy[Any]] = {
    "body": _json,
    "json": st.one_of(_instances.map(lambda value: {"instances": value}), _json),
    "kserve": st.one_of(_instances.map(lambda value: {"instances": value}), _json),
    "kservev2": st.one_of(
        st.fixed_dictionaries(
            {"inputs": st.lists(st.one_of(_tensors_well, _tensors), max_size=3)}, optional={"id": _text}
        ),
        _json,
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
_METHODS = ["POST"] * 16 + ["GET", "PUT", "DELETE", "PATCH", "HEAD", "TRACE", "FOO", "post"]
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
    return status[0] not in BODILESS and _ends_a_stream(failure)


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
