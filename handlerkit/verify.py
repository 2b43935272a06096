"""Does another endpoint give the same bytes, and another envelope the same answer?

Requests are sent again and their answers compared, one by one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose
from typing import Any, Literal

from handlerkit import envelope
from handlerkit.errors import RequestError
from handlerkit.formatting import byte_size, tally
from handlerkit.messages import Endpoint, Request, Response, Run, describe_response
from handlerkit.messages.run import MODEL_DIR
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving.parameters import asks_to_describe
from handlerkit.targets.target import Environment

#: Headers that differ in every answer, on every endpoint.
_VOLATILE_HEADERS = frozenset({facts.REQUEST_ID})
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
    """One request's comparison. `volatile` names what was left out, and why."""

    label: str
    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    volatile: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """The comparison of a Run with another endpoint's answers; true when no row differs.

    `run` and `other` are the two Runs that were compared, `environment` is where the other one was answered, as far as
    the endpoint tells.
    """

    endpoint: str
    rows: tuple[ComparedResponse, ...]
    run: Run
    other: Run
    environment: Environment | None = None

    @property
    def place(self) -> str:
        """The endpoint, its Python, torch and target."""
        return f"{self.endpoint}, {self.environment}" if self.environment else self.endpoint

    def __bool__(self) -> bool:
        return all(row.verdict != "different" for row in self.rows)

    def __repr__(self) -> str:
        stands_in = f"; {self.environment.stands_in}" if self.environment and self.environment.stands_in else ""
        return f"<Report {self.place}: {tally([row.verdict for row in self.rows])}{stands_in}>"


def verify(run: Run, endpoint: Endpoint, ignore: Collection[str] = (), rtol: float = 0) -> Report:
    """Send `run`'s requests to `endpoint` and compare status, headers and bytes.

    Args:
        run: the answers that the endpoint's are compared with.
        endpoint: the one that answers again.
        ignore: headers (by name), and paths of JSON bodies ("body.scores", "body[0].id"), that may differ.
        rtol: relative tolerance for numbers in JSON bodies (as math.isclose); 0 asks for the same bytes.

    A row is identical if every byte is the same, equal if it is the same within `rtol` and `ignore`, else different.
    The paths of the model's files, and what a description tells of one worker (its id, pid, start time and the like),
    differ from endpoint to endpoint: they make an answer equal, and `volatile` names each that did.
    """
    other = endpoint.predict(*run.requests)
    pairs = zip(run.exchanges, other.responses, strict=True)
    rows = [
        _compare(
            _label(exchange.request, number),
            exchange.response,
            theirs,
            _Tolerance(frozenset(ignore), rtol, run.paths, other.paths, _describes(exchange.request)),
        )
        for number, (exchange, theirs) in enumerate(pairs, start=1)
    ]
    return Report(other.endpoint, tuple(rows), run, other, getattr(endpoint, "environment", None))


@dataclass(frozen=True)
class Enveloped:
    """One sample's answer in one envelope, compared with the answer without one: the same, a different one, or failed
    (no success, or it cannot be sent at all).

    `why` says it in plain words, nothing for the same; `run` is None if it cannot be sent.
    """

    verdict: Literal["same", "different", "failed"]
    why: str = ""
    run: Run | None = None


@dataclass(frozen=True)
class Sample:
    """One request's answers by envelope: "none", which the others are compared with (so it is the same or failed),
    body, json, kserve and kservev2."""

    label: str
    answers: Mapping[str, Enveloped]


@dataclass(frozen=True)
class Envelopes:
    """The answers to samples in each envelope; true when every answer is the same."""

    model: str
    samples: tuple[Sample, ...]

    def __bool__(self) -> bool:
        return all(found == "same" for found in self.verdicts)

    @property
    def verdicts(self) -> list[str]:
        """Those of the envelopes, sample by sample."""
        return [sample.answers[name].verdict for sample in self.samples for name in envelope.ENVELOPES]

    def __repr__(self) -> str:
        return f"<Envelopes {self.model}: {tally(self.verdicts)}>"


def compare_envelopes(
    requests: Sequence[Request],
    endpoint: Callable[[str | None], Endpoint],
    *,
    batch: int = 1,
    as_tensor: bool = False,
) -> Envelopes:
    """Send each request without an envelope and wrapped for each, and compare what a client finds in the answers.

    Args:
        requests: as `envelope.wrap` takes them: a file, text or JSON each.
        endpoint: gives the endpoint for an envelope's name, and for None the one without an envelope, such as
            `Worker.with_envelope`.
        batch: how many of each are sent together.
        as_tensor: as of `envelope.wrap`.

    The status and the value inside the answer are compared; headers belong to the envelope. A kservev2 answer is flat,
    so a value alone is the same as a tensor of one element.
    """
    samples = []
    model = ""
    for number, request in enumerate(requests, start=1):
        answers: dict[str, Enveloped] = {}
        for name in (None, *envelope.ENVELOPES):
            reference = answers["none"].run if answers else None
            found = answers[name or "none"] = _enveloped(name, request, endpoint, batch, as_tensor, reference)
            model = found.run.model if found.run else model
        samples.append(Sample(_label(request, number), answers))
    return Envelopes(model, tuple(samples))


def _enveloped(
    name: str | None,
    request: Request,
    endpoint: Callable[[str | None], Endpoint],
    batch: int,
    as_tensor: bool,
    reference: Run | None,
) -> Enveloped:
    try:
        wrapped = envelope.wrap(name or "body", request, as_tensor=as_tensor)
    except RequestError as problem:
        return Enveloped("failed", f"It cannot be sent: {problem}.")
    run = endpoint(name).predict(*[wrapped] * batch)
    if not run.ok:
        return Enveloped("failed", _why(run), run)
    for ours, theirs in zip(reference.responses, run.responses, strict=True) if reference else ():
        if found := _contents_differ(name, ours, theirs):
            return Enveloped("different", _sentence(found), run)
    return Enveloped("same", "", run)


def _sentence(found: Difference) -> str:
    return f"{found.where}: {found.ours} without an envelope, {found.theirs} in this one."


def _why(run: Run) -> str:
    if run.findings:
        return run.findings[0].message
    return next(f"It answers {describe_response(response)}." for response in run.responses if not response.ok)


def _contents_differ(name: str | None, ours: Response, theirs: Response) -> Difference | None:
    """Where the answer inside an envelope first differs from the one without an envelope."""
    if ours.status != theirs.status:
        return Difference("status", describe_response(ours), describe_response(theirs))
    here, there = _content("body", ours), _content(name or "body", theirs)
    if isinstance(here, bytes) or isinstance(there, bytes):
        return _bytes_differ(here, there)
    if envelope.named(name or "body").flat and not isinstance(here, list):
        here = [here]
    return next(_values_differ("answer", here, there, _Tolerance()), None)


def _bytes_differ(here: Any, there: Any) -> Difference | None:
    if isinstance(here, bytes) and isinstance(there, bytes):
        return _first_byte(here, there) if here != there else None
    sides = [byte_size(len(one)) if isinstance(one, bytes) else _shown(json.dumps(one)) for one in (here, there)]
    return Difference("answer", *sides)


def _content(name: str, response: Response) -> Any:
    """What a client of this envelope finds in the answer: a JSON value, text, or else bytes."""
    try:
        content = envelope.unwrap(name, response)
        return content.decode() if isinstance(content, bytes) else content
    except ValueError:  # an answer of another form, or bytes that are no text
        return response.body


def _label(request: Request, number: int) -> str:
    return request.label or f"request {number}"


@dataclass
class _Tolerance:
    """What may differ between two answers. `here` and `there` are the paths of the two Runs; `describes` tells that the
    answers are descriptions of the model. `met` collects the names of what did differ."""

    ignore: frozenset[str] = frozenset()
    rtol: float = 0
    here: Mapping[str, str] = field(default_factory=dict)
    there: Mapping[str, str] = field(default_factory=dict)
    describes: bool = False
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


def _describes(request: Request) -> bool:
    """Whether it asks the management API for a description."""
    path, _, query = request.target("m").partition("?")
    return request.method == "GET" and path.startswith("/models/") and asks_to_describe(query)


def _plain(text: str, paths: Mapping[str, str]) -> str:
    """A text without these paths, as they are or as JSON writes them."""
    for path in sorted(paths, key=len, reverse=True):
        for written in {path, json.dumps(path)[1:-1]}:
            text = text.replace(written, paths[path])
    return text


def _compare(label: str, ours: Response, theirs: Response, tolerance: _Tolerance) -> ComparedResponse:
    ignore = tolerance.ignore
    volatile = [f"{name} (ignored)" for name in sorted(ignore) if _differs(name, ours, theirs)]
    found = list(_heads(ours, theirs, tolerance))
    if ours.body != theirs.body and _without_id(ours) == _without_id(theirs):
        volatile.append("the request's id in the body")
    elif ours.body != theirs.body:
        found += (differing := _bodies(ours, theirs, tolerance))
        if not (differing or tolerance.met):
            volatile.append("numbers within rtol, or what is ignored, in the body")
    if ours.complete != theirs.complete:
        found.append(Difference("end of the answer", _whole(ours), _whole(theirs)))
    volatile += tolerance.met
    verdict: Verdict = "different" if found else "equal" if volatile else "identical"
    return ComparedResponse(label, verdict, tuple(found[:_MOST]), tuple(volatile))


def _without_id(response: Response) -> bytes:
    """The body without the id that the server gave the request, which is another one each time."""
    return response.body.replace((response.header(facts.REQUEST_ID) or "\0").encode(), b"<request id>")


def _differs(name: str, ours: Response, theirs: Response) -> bool:
    return not name.startswith("body") and ours.header(name) != theirs.header(name)


def _whole(response: Response) -> str:
    return "whole" if response.complete else "broken off"


def _heads(ours: Response, theirs: Response, tolerance: _Tolerance) -> Iterator[Difference]:
    if ours.status != theirs.status:
        yield Difference("status", str(ours.status), str(theirs.status))
    if ours.reason != theirs.reason:
        yield Difference("reason", repr(ours.reason), repr(theirs.reason))
    left_out = _VOLATILE_HEADERS | {name.lower() for name in tolerance.ignore}
    if ours.body != theirs.body:
        left_out |= {"content-length"}  # told by the body
    names = dict.fromkeys(name.lower() for name, _ in (*ours.headers, *theirs.headers))
    for name in names:
        if name not in left_out:
            here, there = _values(ours, name), _values(theirs, name)
            if here != there and not tolerance.same_paths(here, there):
                yield Difference(f"header {name}", _shown(here), _shown(there))


def _values(response: Response, name: str) -> str:
    values = [value for key, value in response.headers if key.lower() == name]
    return ", ".join(values) or "empty" if values else "nothing"


def _bodies(ours: Response, theirs: Response, tolerance: _Tolerance) -> list[Difference]:
    """Where two JSON bodies differ, by path; where other bytes do, by offset."""
    if "body" in tolerance.ignore:
        return []
    try:
        here, there = ours.json(), theirs.json()
    except ValueError:
        same = tolerance.same_paths(ours.body.decode("latin-1"), theirs.body.decode("latin-1"))
        return [] if same else [_first_byte(ours.body, theirs.body)]
    found = list(_values_differ("body", here, there, tolerance))
    exact = not (found or tolerance.rtol or tolerance.ignore)
    if exact and (not tolerance.met or _layout(ours.body) != _layout(theirs.body)):
        return [_first_byte(ours.body, theirs.body)]
    return found


#: A name of a JSON text, or a value that is no object or list.
_TOKEN = re.compile(rb'("(?:[^"\\]|\\.)*"\s*:)|"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*')


def _layout(body: bytes) -> bytes:
    """A JSON text without its values: its names, their order, and the white space."""
    return _TOKEN.sub(lambda token: token[1] or b".", body)


def _values_differ(path: str, ours: Any, theirs: Any, tolerance: _Tolerance) -> Iterator[Difference]:
    if path in tolerance.ignore or (ours != theirs and tolerance.is_volatile(path, ours, theirs)):
        return
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in dict.fromkeys([*ours, *theirs]):
            if key in ours and key in theirs:
                yield from _values_differ(f"{path}.{key}", ours[key], theirs[key], tolerance)
            elif f"{path}.{key}" not in tolerance.ignore:
                yield Difference(f"{path}.{key}", _side(ours, key), _side(theirs, key))
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            yield Difference(path, f"{len(ours)} elements", f"{len(theirs)} elements")
        for index, (one, other) in enumerate(zip(ours, theirs, strict=False)):
            yield from _values_differ(f"{path}[{index}]", one, other, tolerance)
    elif isinstance(ours, str) and isinstance(theirs, str) and ours != theirs and tolerance.same_paths(ours, theirs):
        return
    elif not _same(ours, theirs, tolerance.rtol):
        yield Difference(path, _shown(json.dumps(ours)), _shown(json.dumps(theirs)))


def _side(values: dict[str, Any], key: str) -> str:
    return _shown(json.dumps(values[key])) if key in values else "nothing"


def _same(ours: Any, theirs: Any, rtol: float) -> bool:
    if _is_number(ours) and _is_number(theirs):
        return ours == theirs or isclose(ours, theirs, rel_tol=rtol) or (ours != ours and theirs != theirs)
    return bool(ours == theirs) and type(ours) is type(theirs)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _first_byte(ours: bytes, theirs: bytes) -> Difference:
    offset = next((at for at, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other), -1)
    if offset < 0:
        return Difference("body", f"{len(ours)} bytes", f"{len(theirs)} bytes")
    changed = sum(one != other for one, other in zip(ours, theirs, strict=False)) + abs(len(ours) - len(theirs))
    where = f"body from byte {offset} ({changed} bytes differ, {len(ours)} and {len(theirs)} in all)"
    return Difference(where, _around(ours, offset), _around(theirs, offset))


def _around(body: bytes, offset: int) -> str:
    piece = body[max(0, offset - 8) : offset + 24]
    return repr(bytes(piece))[1:]


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
