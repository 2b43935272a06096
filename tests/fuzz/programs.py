"""Programs for the handler does_as_told.py: what it returns, raises and sets.

Each is labelled with the rows of TorchServe's behaviour that it reaches: the shape of what is returned (d.1), how a row
becomes a body (d.2), the head (d.3), the status (d.4), exceptions (d.5), streams (f.2).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Program = dict[str, Any]

# -- d.2: what a row's value becomes

text = st.one_of(
    st.sampled_from(["", "ok", "é", "中", "\0", "a\r\nb", "😀"]), st.text(st.characters(codec="utf-8"), max_size=8)
)
base64_text = st.binary(max_size=12).map(lambda value: base64.b64encode(value).decode())
floats = st.sampled_from([0.0, -0.0, 0.1, 1e300, float("nan"), float("inf"), float("-inf")])
_numbers = st.one_of(st.integers(-3, 3), st.just(2**70), floats)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), _numbers, text),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=5,
)
ints = st.lists(st.integers(-3, 3), min_size=1, max_size=3)
_none = st.none()
_UNSUPPORTED = "unsupported: TypeError of json"

_UNSUPPORTED_WORDS = {
    "np.float32": floats,
    "np.int64": st.integers(-3, 3),
    "np.bool_": st.booleans(),
    "ndarray": ints,
    "tuple keys": json_values,
    "bytes inside": base64_text,
    "tensor inside": ints,
    "memoryview": base64_text,
    "BytesIO": base64_text,
    **dict.fromkeys("set complex Decimal date dataclass function generator".split(), _none),
    "PIL image": _none,
}

# What a description of the model shows in its own way: as bodies these are nothing special.
_told_of_a_model = st.dictionaries(
    st.sampled_from(["a", "b", "\ud800"]),
    st.sampled_from([None, {}, [], [None], float("nan"), -0.0, 10**1022, 10**1023, "\ud83d", "\ud800中", "\u2028/</"]),
)
_lenient = st.sampled_from(
    ["{a: 1; b=>'c'}", "{}//", "# nothing", " ", '{"a": 01, "b": TRUE}', "[1,]", '{"a": [,]}', '{"a": 1,}', '{"a":1} 2']
)

#: The handler's words for values: the row of d.2 they reach, and their arguments.
VALUES: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "json": ("json", st.one_of(json_values, _told_of_a_model)),
    "bytes": ("bytes verbatim", base64_text),
    "bytearray": ("bytes verbatim", base64_text),
    "np.bytes_": ("bytes verbatim", base64_text),
    "str": ("str as UTF-8", st.one_of(text, _lenient)),
    "str subclass": ("str as UTF-8", text),
    "np.str_": ("str as UTF-8", text),
    "repeat": ("str as UTF-8", st.sampled_from([1, 1000, 2999, 3000, 3001])),
    "tensor": ("tensor as torch.save writes it", ints),
    "parameter": ("tensor as torch.save writes it", ints),
    "tuple": ("json", st.lists(json_values, max_size=3)),
    "int keys": ("json", st.lists(json_values, max_size=3)),
    "odd keys": ("json", json_values),
    "IntEnum": ("json", _none),
    "np.float64": ("json", floats),
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
def ends_a_stream(failure: list[Any]) -> bool:
    return len(failure) < 3 or not isinstance(failure[2], int) or failure[2] >= 400


_raise_in_stream = _living_raise.filter(ends_a_stream)
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
