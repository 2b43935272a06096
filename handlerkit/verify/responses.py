"""Where two answers to one request differ."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from handlerkit.messages import ForcedHead, Request, Response, Run
from handlerkit.messages.texts import name_of
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving.requests.parameters import asks_to_describe
from handlerkit.verify.boxes import compare_boxes
from handlerkit.verify.difference import Difference, compare_bytes, shortened
from handlerkit.verify.pictures import compare_pictures
from handlerkit.verify.tolerance import AS_SENT, EXACTLY, MayDiffer, Tolerance
from handlerkit.verify.values import compare_values

#: Headers that differ in every answer, on every endpoint.
_VOLATILE_HEADERS = frozenset({facts.REQUEST_ID})
_REASON = "reason"
_MOST = 20  # differences shown for one row

Verdict = Literal["identical", "equal", "different"]


@dataclass(frozen=True)
class ComparedResponse:
    """One request's comparison. `volatile` names what was left out, and why; `forced` has the differences that the
    endpoint's proxy makes whatever its app answers."""

    label: str
    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    volatile: tuple[str, ...] = ()
    forced: tuple[Difference, ...] = ()


def describes(request: Request) -> bool:
    """Whether it asks the management API for a description."""
    path, _, query = request.target("m").partition("?")
    return request.method == "GET" and path.startswith("/models/") and asks_to_describe(query)


def compare_runs(
    ours: Run, theirs: Run, may: MayDiffer = EXACTLY, head: ForcedHead | None = None
) -> tuple[ComparedResponse, ...]:
    """The answers of two Runs to the same requests, in their order. `head` is what is forced on the heads of
    `theirs`."""
    return tuple(
        compare_responses(
            label_of(one.request, number),
            one.response,
            other.response,
            Tolerance(may, ours.paths, theirs.paths, describes(one.request), head or AS_SENT),
        )
        for number, (one, other) in enumerate(zip(ours.exchanges, theirs.exchanges, strict=True), start=1)
    )


def compare_responses(label: str, ours: Response, theirs: Response, tolerance: Tolerance) -> ComparedResponse:
    """The differences of two answers, beside what may differ."""
    if ours.status is None or theirs.status is None:
        return _unanswered(label, ours, theirs, tolerance.head)
    volatile = [f"{name} (ignored)" for name in sorted(tolerance.may.ignore) if _differs(name, ours, theirs)]
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
        sides[1] += f": {head.by} passes on no status above {head.highest_status}"
    return ComparedResponse(label, "different", (Difference("status", *sides),))


def _without_id(response: Response) -> bytes:
    """The body without the id that the server gave the request, which is another one each time."""
    return response.body.replace((response.header(facts.REQUEST_ID) or "\0").encode(), b"<request id>")


def _differs(name: str, ours: Response, theirs: Response) -> bool:
    if name == _REASON and ours.reason != theirs.reason:
        return True
    return not name.startswith("body") and ours.header(name) != theirs.header(name)


def _whole(response: Response) -> str:
    return "whole" if response.complete else "broken off"


def _heads(ours: Response, theirs: Response, tolerance: Tolerance) -> Iterator[tuple[Difference, bool]]:
    """Each difference of status, reason and headers, and whether it is forced."""
    head = tolerance.head
    if ours.status != theirs.status:
        yield Difference("status", str(ours.status), str(theirs.status)), False
    if ours.reason != theirs.reason and _REASON not in tolerance.may.ignore:
        is_forced = head.http_reasons and theirs.reason == _phrase(theirs.status)
        yield Difference("reason", repr(ours.reason), repr(theirs.reason)), is_forced
    left_out = _VOLATILE_HEADERS | {name.lower() for name in tolerance.may.ignore}
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
    """Where two JSON bodies differ, by path; where other bytes do, by offset. Pictures and boxes by what they show, if
    that may differ."""
    if tolerance.ignores("body"):
        return []
    if (apart := compare_pictures(ours.body, theirs.body, tolerance)) is not None:
        return apart
    try:
        here, there = ours.json(), theirs.json()
    except ValueError:
        same = tolerance.same_paths(ours.body.decode("latin-1"), theirs.body.decode("latin-1"))
        return [] if same else [compare_bytes(ours.body, theirs.body)]
    if (apart := compare_boxes(here, there, tolerance)) is not None:
        return apart
    found = list(compare_values("body", here, there, tolerance))
    exact = not (found or tolerance.may.rtol or tolerance.may.ignore)
    if exact and (not tolerance.met or _layout(ours.body) != _layout(theirs.body)):
        return [compare_bytes(ours.body, theirs.body)]
    return found


#: A name of a JSON text, or a value that is no object or list.
_TOKEN = re.compile(rb'("(?:[^"\\]|\\.)*"\s*:)|"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*')


def _layout(body: bytes) -> bytes:
    """A JSON text without its values: its names, their order, and the white space."""
    return _TOKEN.sub(lambda token: token[1] or b".", body)


def label_of(request: Request, number: int) -> str:
    """What a request is called in a comparison."""
    return name_of(request, number)
