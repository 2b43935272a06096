"""Where a handler gets something else on another endpoint: another header, another row of `data`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from handlerkit.messages import ForcedHead, HandedOver, Run
from handlerkit.messages.rows import decode_predict
from handlerkit.serving import torchserve_facts as facts
from handlerkit.verify.difference import Difference, shortened
from handlerkit.verify.responses import ComparedResponse
from handlerkit.verify.tolerance import AS_SENT

#: Headers that tell the address that was asked, which is another one on each endpoint.
_OF_THE_ADDRESS = frozenset({"host"})
_NOTHING = "nothing"


def compare_handed_over(
    rows: Sequence[ComparedResponse], run: Run, messages: Iterable[bytes], head: ForcedHead | None = None
) -> tuple[ComparedResponse, ...]:
    """The rows of a comparison, with what the handler got on the other endpoint beside what it got in `run`.

    Args:
        rows: one for each exchange of `run`, whose calls were seen.
        messages: to the other endpoint's workers, in any order; which request each of them is, is told by what it
            holds, since a proxy may give requests other ids.
        head: what a proxy before the other endpoint does to heads: where it writes names in lower case and adds headers
            of its own, it does so with requests, too, and that is a forced difference.
    """
    head = head or AS_SENT
    theirs = [one for message in messages for one in decode_predict((message,), _decodes(run))]
    ours = _by_exchange(run)
    pairs = {index: _take_same(one, theirs, head) for index, one in ours.items()}
    # what is left differs: it belongs to those without a pair before it does to those that no handler got here
    for index in sorted(range(len(rows)), key=lambda index: index not in ours):
        if pairs.get(index) is None:
            pairs[index] = theirs.pop(0) if theirs else None
    return tuple(_with(row, list(_differences(ours.get(index), pairs[index], head))) for index, row in enumerate(rows))


def _decodes(run: Run) -> bool:
    return all(call.decode_input for call in run.calls)


def _by_exchange(run: Run) -> dict[int, HandedOver]:
    """What the handler got of each exchange that reached it, by the exchange's index."""
    answered = {response.header(facts.REQUEST_ID): index for index, response in enumerate(run.responses)}
    handed = [one for call in run.calls for one in call.handed_over]
    found = {answered[one.request_id]: one for one in handed if one.request_id in answered}
    unnamed = iter(index for index in range(len(run.exchanges)) if index not in found)  # such as those without answer
    return found | dict(zip(unnamed, (one for one in handed if one.request_id not in answered), strict=False))


def _take_same(ours: HandedOver, theirs: list[HandedOver], head: ForcedHead) -> HandedOver | None:
    """The first of theirs that is the same, but for what is forced; it is not there any more then."""
    same = next((one for one in theirs if all(forced for _, forced in _differences(ours, one, head))), None)
    if same is not None:
        theirs.remove(same)
    return same


def _differences(
    ours: HandedOver | None, theirs: HandedOver | None, head: ForcedHead
) -> Iterator[tuple[Difference, bool]]:
    """Each difference, and whether it is forced."""
    if ours is None or theirs is None:
        if ours is not theirs:
            sides = [_NOTHING if one is None else "the request" for one in (ours, theirs)]
            yield Difference("what the handler gets", *sides), False
        return
    for name, here, there in _values(*(_headers(side, head) for side in (ours, theirs))):
        is_added = here == _NOTHING and name.lower() in head.own_headers
        if is_added:  # each request has an id of its own
            there = "once"
        yield Difference(f"header {name} that the handler gets", here, there), is_added
    for name, here, there in _values(ours.row, theirs.row):
        yield Difference(f"data[i][{name!r}] that the handler gets", here, there), False
    written = [name for name in ours.headers if name not in theirs.headers and name.lower() in theirs.headers]
    if written and head.lower_case:
        sides = [", ".join(written), ", ".join(written).lower()]
        yield Difference("names of headers that the handler gets", *sides), True


def _values(ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The names whose values differ, and both values as a sentence shows them."""
    for name in dict.fromkeys((*ours, *theirs)):
        here, there = (repr(side[name]) if name in side else _NOTHING for side in (ours, theirs))
        if here != there:
            yield name, shortened(here), shortened(there)


def _headers(handed: HandedOver, head: ForcedHead) -> dict[str, Any]:
    named = {name.lower() if head.lower_case else name: value for name, value in handed.headers.items()}
    return {name: value for name, value in named.items() if name.lower() not in _OF_THE_ADDRESS}


def _with(row: ComparedResponse, found: list[tuple[Difference, bool]]) -> ComparedResponse:
    forced = tuple(one for one, is_forced in found if is_forced)
    if differing := tuple(one for one, is_forced in found if not is_forced):
        row = replace(row, verdict="different", differences=(*row.differences, *differing))
    elif forced and row.verdict == "identical":
        row = replace(row, verdict="equal")
    return replace(row, forced=(*row.forced, *forced))
