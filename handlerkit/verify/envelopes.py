"""Does each envelope carry the same answer?"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from handlerkit import envelope
from handlerkit.errors import RequestError
from handlerkit.formatting import byte_size, tally
from handlerkit.messages import Endpoint, Request, Response, Run, describe_response
from handlerkit.verify.difference import Difference, compare_bytes, shortened
from handlerkit.verify.responses import label_of
from handlerkit.verify.tolerance import Tolerance
from handlerkit.verify.values import compare_values


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
        samples.append(Sample(label_of(request, number), answers))
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
    return next(compare_values("answer", here, there, Tolerance()), None)


def _bytes_differ(here: Any, there: Any) -> Difference | None:
    if isinstance(here, bytes) and isinstance(there, bytes):
        return compare_bytes(here, there) if here != there else None
    sides = [byte_size(len(one)) if isinstance(one, bytes) else shortened(json.dumps(one)) for one in (here, there)]
    return Difference("answer", *sides)


def _content(name: str, response: Response) -> Any:
    """What a client of this envelope finds in the answer: a JSON value, text, or else bytes."""
    try:
        content = envelope.unwrap(name, response)
        return content.decode() if isinstance(content, bytes) else content
    except ValueError:  # an answer of another form, or bytes that are no text
        return response.body
