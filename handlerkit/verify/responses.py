"""Where two answers to one request differ."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from math import isclose
from typing import Any, Literal

from handlerkit.messages import ForcedHead, Request, Response, Run
from handlerkit.messages.run import MODEL_DIR
from handlerkit.messages.texts import name_of
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving.requests.parameters import asks_to_describe

#: Headers that differ in every answer, on every endpoint.
_VOLATILE_HEADERS = frozenset({facts.REQUEST_ID})
#: The head of an endpoint without a proxy.
_AS_SENT = ForcedHead("nobody")
_SHOWN = 80  # characters of each side that a difference shows
_MOST = 20  # differences shown for one row

Verdict = Literal["identical", "equal", "different"]


@dataclass(frozen=True)
class Difference:
    """Where two answers differ, and what is there on each side, shortened."""

    where: str
    ours: str
    theirs: str

    def __str__(self) -> str:
        return f"{self.where}: {self.ours} here, {self.theirs} there"


@dataclass(frozen=True)
class ComparedResponse:
    """One request's comparison. `volatile` names what was left out, and why; `forced` has the differences that the
    endpoint's proxy makes whatever its app answers."""

    label: str
    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    volatile: tuple[str, ...] = ()
    forced: tuple[Difference, ...] = ()


@dataclass
class Tolerance:
    """What may differ between two answers. `here` and `there` are the paths of the two Runs; `describes` tells that the
    answers are descriptions of the model. `head` is what is forced on the head of the other answer. `met` collects the
    names of what did differ."""

    ignore: frozenset[str] = frozenset()
    rtol: float = 0
    here: Mapping[str, str] = field(default_factory=dict)
    there: Mapping[str, str] = field(default_factory=dict)
    describes: bool = False
    head: ForcedHead = _AS_SENT
    met: dict[str, None] = field(default_factory=dict)

    def same_paths(self, ours: str, theirs: str) -> bool:
        """Whether two texts differ in nothing but the paths of the model's files."""
        if _plain(ours, self.here) != _plain(theirs, self.there):
            return False
        self.met[f"paths of {MODEL_DIR}"] = None
        return True

    def is_volatile(self, path: str, ours: Any, theirs: Any) -> bool:
        """Whether a value of a description is of one worker, or of one moment."""
        found = _OF_ONE_WORKER.fullmatch(path) if self.describes else None
        if found is None or (found[0].endswith("jobQueueStatus") and _places(ours) != _places(theirs)):
            return False
        self.met[found[0].partition(".")[2]] = None
        return True


#: What a description tells of one worker and one server, by its place in the body.
_OF_ONE_WORKER = re.compile(
    r"body\[\d+\]\.(?:modelUrl|jobQueueStatus|workers\[\d+\]\.(?:id|startTime|memoryUsage|pid|gpuUsage))"
)


def _places(queue: Any) -> Any:
    """How many jobs the queue of a description holds at most: those that wait, and those that still may."""
    try:
        return queue["remainingCapacity"] + queue["pendingRequests"]
    except (KeyError, TypeError):
        return queue


def describes(request: Request) -> bool:
    """Whether it asks the management API for a description."""
    path, _, query = request.target("m").partition("?")
    return request.method == "GET" and path.startswith("/models/") and asks_to_describe(query)


def _plain(text: str, paths: Mapping[str, str]) -> str:
    """A text without these paths, as they are or as JSON writes them."""
    for path in sorted(paths, key=len, reverse=True):
        for written in {path, json.dumps(path)[1:-1]}:
            text = text.replace(written, paths[path])
    return text


def compare_runs(
    ours: Run, theirs: Run, ignore: Collection[str] = (), rtol: float = 0, head: ForcedHead | None = None
) -> tuple[ComparedResponse, ...]:
    """The answers of two Runs to the same requests, in their order; `ignore` and `rtol` as of handlerkit.verify. `head`
    is what is forced on the heads of `theirs`."""
    return tuple(
        compare_responses(
            label_of(one.request, number),
            one.response,
            other.response,
            Tolerance(frozenset(ignore), rtol, ours.paths, theirs.paths, describes(one.request), head or _AS_SENT),
        )
        for number, (one, other) in enumerate(zip(ours.exchanges, theirs.exchanges, strict=True), start=1)
    )


def compare_responses(label: str, ours: Response, theirs: Response, tolerance: Tolerance) -> ComparedResponse:
    """The differences of two answers, beside what may differ."""
    if ours.status is None or theirs.status is None:
        return _unanswered(label, ours, theirs, tolerance.head)
    ignore = tolerance.ignore
    volatile = [f"{name} (ignored)" for name in sorted(ignore) if _differs(name, ours, theirs)]
    heads = list(_heads(ours, theirs, tolerance))
    forced = [one for one, is_forced in heads if is_forced]
    found = [one for one, is_forced in heads if not is_forced]
    if ours.body != theirs.body and _without_id(ours) == _without_id(theirs):
        volatile.append("the request's id in the body")
    elif ours.body != theirs.body:
        found += (differing := _bodies(ours, theirs, tolerance))
        if not (differing or tolerance.met):
            volatile.append("numbers within rtol, or what is ignored, in the body")
    if ours.complete != theirs.complete:
        found.append(Difference("end of the answer", _whole(ours), _whole(theirs)))
    volatile += tolerance.met
    verdict: Verdict = "different" if found else "equal" if volatile or forced else "identical"
    return ComparedResponse(label, verdict, tuple(found[:_MOST]), tuple(volatile), tuple(forced))


def _unanswered(label: str, ours: Response, theirs: Response, head: ForcedHead) -> ComparedResponse:
    """Of an answer that is not there, nothing else can be compared."""
    if ours.status == theirs.status:
        return ComparedResponse(label, "identical")
    sides = [str(response.status or "no answer") for response in (ours, theirs)]
    if ours.status is not None and ours.status > head.highest_status:
        sides[1] += f": {head.by} cuts the connection for a status above {head.highest_status}"
    return ComparedResponse(label, "different", (Difference("status", *sides),))


def _without_id(response: Response) -> bytes:
    """The body without the id that the server gave the request, which is another one each time."""
    return response.body.replace((response.header(facts.REQUEST_ID) or "\0").encode(), b"<request id>")


def _differs(name: str, ours: Response, theirs: Response) -> bool:
    return not name.startswith("body") and ours.header(name) != theirs.header(name)


def _whole(response: Response) -> str:
    return "whole" if response.complete else "broken off"


def _heads(ours: Response, theirs: Response, tolerance: Tolerance) -> Iterator[tuple[Difference, bool]]:
    """Each difference of status, reason and headers, and whether it is forced."""
    head = tolerance.head
    if ours.status != theirs.status:
        yield Difference("status", str(ours.status), str(theirs.status)), False
    if ours.reason != theirs.reason:
        is_forced = head.http_reasons and theirs.reason == _phrase(theirs.status)
        yield Difference("reason", repr(ours.reason), repr(theirs.reason)), is_forced
    left_out = _VOLATILE_HEADERS | {name.lower() for name in tolerance.ignore}
    if ours.body != theirs.body:
        left_out |= {"content-length"}  # told by the body
    names = dict.fromkeys(name.lower() for name, _ in (*ours.headers, *theirs.headers))
    for name in names:
        here, there = _values(ours, name), _values(theirs, name)
        if name in head.own_headers:
            if name in left_out or name == "date":  # each answer has a value of its own
                here, there = _how_often(ours, name), _how_often(theirs, name)
            if here != there:
                yield Difference(f"header {name}", shortened(here), shortened(there)), True
        elif name not in left_out and here != there and not tolerance.same_paths(here, there):
            yield Difference(f"header {name}", shortened(here), shortened(there)), False
    if head.lower_case:
        yield from _spelling(ours, theirs, left_out | head.own_headers)


def _spelling(ours: Response, theirs: Response, left_out: Collection[str]) -> Iterator[tuple[Difference, bool]]:
    """The casing of the names, which is forced, and their order, which is not."""
    here, there = (
        [name for name, _ in response.headers if name.lower() not in left_out] for response in (ours, theirs)
    )
    written = [(one, one.lower()) for one in here if one != one.lower() and one not in there]
    if written:
        yield Difference("names of headers", *(", ".join(side) for side in zip(*written, strict=True))), True
    lower = [name.lower() for name in here]
    if sorted(lower) == sorted(there) and lower != there:
        yield Difference("order of headers", ", ".join(lower), ", ".join(there)), False


def _phrase(status: int | None) -> str:
    """HTTP's own phrase for a status; "" for one that HTTP does not know."""
    return next((one.phrase for one in HTTPStatus if one == status), "")


def _how_often(response: Response, name: str) -> str:
    """How often a response has a header."""
    count = [key.lower() for key, _ in response.headers].count(name)
    return {0: "nothing", 1: "once"}.get(count, f"{count} times")


def _values(response: Response, name: str) -> str:
    values = [value for key, value in response.headers if key.lower() == name]
    return ", ".join(values) or "empty" if values else "nothing"


def _bodies(ours: Response, theirs: Response, tolerance: Tolerance) -> list[Difference]:
    """Where two JSON bodies differ, by path; where other bytes do, by offset."""
    if "body" in tolerance.ignore:
        return []
    try:
        here, there = ours.json(), theirs.json()
    except ValueError:
        same = tolerance.same_paths(ours.body.decode("latin-1"), theirs.body.decode("latin-1"))
        return [] if same else [compare_bytes(ours.body, theirs.body)]
    found = list(compare_values("body", here, there, tolerance))
    exact = not (found or tolerance.rtol or tolerance.ignore)
    if exact and (not tolerance.met or _layout(ours.body) != _layout(theirs.body)):
        return [compare_bytes(ours.body, theirs.body)]
    return found


#: A name of a JSON text, or a value that is no object or list.
_TOKEN = re.compile(rb'("(?:[^"\\]|\\.)*"\s*:)|"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*')


def _layout(body: bytes) -> bytes:
    """A JSON text without its values: its names, their order, and the white space."""
    return _TOKEN.sub(lambda token: token[1] or b".", body)


def compare_values(path: str, ours: Any, theirs: Any, tolerance: Tolerance) -> Iterator[Difference]:
    """The differences of two JSON values, each at its path below `path`."""
    if path in tolerance.ignore or (ours != theirs and tolerance.is_volatile(path, ours, theirs)):
        return
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in dict.fromkeys([*ours, *theirs]):
            if key in ours and key in theirs:
                yield from compare_values(f"{path}.{key}", ours[key], theirs[key], tolerance)
            elif f"{path}.{key}" not in tolerance.ignore:
                yield Difference(f"{path}.{key}", _side(ours, key), _side(theirs, key))
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            yield Difference(path, f"{len(ours)} elements", f"{len(theirs)} elements")
        for index, (one, other) in enumerate(zip(ours, theirs, strict=False)):
            yield from compare_values(f"{path}[{index}]", one, other, tolerance)
    elif isinstance(ours, str) and isinstance(theirs, str) and ours != theirs and tolerance.same_paths(ours, theirs):
        return
    elif not _same(ours, theirs, tolerance.rtol):
        yield Difference(path, shortened(json.dumps(ours)), shortened(json.dumps(theirs)))


def _side(values: dict[str, Any], key: str) -> str:
    return shortened(json.dumps(values[key])) if key in values else "nothing"


def _same(ours: Any, theirs: Any, rtol: float) -> bool:
    if _is_number(ours) and _is_number(theirs):
        return ours == theirs or isclose(ours, theirs, rel_tol=rtol) or (ours != ours and theirs != theirs)
    return bool(ours == theirs) and type(ours) is type(theirs)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def compare_bytes(ours: bytes, theirs: bytes) -> Difference:
    """Where two texts of bytes begin to differ."""
    offset = next((at for at, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other), -1)
    if offset < 0:
        return Difference("body", f"{len(ours)} bytes", f"{len(theirs)} bytes")
    changed = sum(one != other for one, other in zip(ours, theirs, strict=False)) + abs(len(ours) - len(theirs))
    where = f"body from byte {offset} ({changed} bytes differ, {len(ours)} and {len(theirs)} in all)"
    return Difference(where, _around(ours, offset), _around(theirs, offset))


def _around(body: bytes, offset: int) -> str:
    piece = body[max(0, offset - 8) : offset + 24]
    return repr(bytes(piece))[1:]


def shortened(text: str) -> str:
    """One side of a difference."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def label_of(request: Request, number: int) -> str:
    """What a request is called in a comparison."""
    return name_of(request, number)
