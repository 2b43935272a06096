"""Two Runs side by side: `hk.compare(before, after)` is their display."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, overload

from handlerkit.endpoints import is_endpoint
from handlerkit.formatting import plain, shorten
from handlerkit.messages import Endpoint, Exchange, Request, Run, describe_response
from handlerkit.verify import ComparedEndpoints, ComparedResponse, compare_endpoints
from handlerkit.verify.responses import compare_runs
from handlerkit.view.contents.changes import Changes, changes
from handlerkit.view.contents.drawings import Drawing, drawing
from handlerkit.view.html import elements, exchange
from handlerkit.view.output import View
from handlerkit.view.render import answer
from handlerkit.view.shown_run import ShownRun, colors_of

if TYPE_CHECKING:
    from PIL import Image

_WIDE = 640  # pixels of a picture in a comparison
_ROOM = 200_000  # bytes of all its pictures
_MOST = 6  # pairs of answers that are drawn


@dataclass(frozen=True)
class Comparison:
    """Two Runs to be shown side by side: `before` and `after`, and each pair's verdict and differing bytes."""

    before: Run
    after: Run
    rows: tuple[ComparedResponse, ...]

    @property
    def same(self) -> bool:
        """Whether both have as many answers, and the same bytes in them."""
        alike = len(self.before.exchanges) == len(self.after.exchanges)
        return alike and all(row.verdict != "different" for row in self.rows)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return comparison_view(self)._repr_mimebundle_(include, exclude)

    def __repr__(self) -> str:
        return comparison_view(self).text


@overload
def compare(before: Run, after: Run) -> Comparison: ...
@overload
def compare(
    before: Endpoint,
    after: Endpoint,
    *requests: Request | Iterable[Request],
    ignore: Collection[str] = (),
    rtol: float = 0,
) -> ComparedEndpoints: ...
def compare(
    before: Run | Endpoint,
    after: Run | Endpoint,
    *requests: Request | Iterable[Request],
    ignore: Collection[str] = (),
    rtol: float = 0,
) -> Comparison | ComparedEndpoints:
    """What changed from one Run to another, or what differs between two endpoints.

    Two Runs are compared answer by answer, in their order: drawn with a slider from one to the other, and in words.
    Boxes are paired by their overlap (IoU), pixels counted, classes held against each other.

    Two endpoints are sent these requests one by one, first to `before`, then to `after`. A table shows what each
    answered and how long it took, and each difference of status, reason, headers and body in a row; `ignore` and `rtol`
    are those of handlerkit.verify.

    Raises TypeError for anything else, RequestError for two endpoints without a request.
    """
    if isinstance(before, Run) and isinstance(after, Run):
        if requests:
            raise TypeError("compare takes two Runs alone; requests are sent to two endpoints")
        count = min(len(before.exchanges), len(after.exchanges))
        return Comparison(before, after, compare_runs(_cut(before, count), _cut(after, count)))
    if isinstance(before, Run) or isinstance(after, Run) or not (is_endpoint(before) and is_endpoint(after)):
        given = " and ".join(type(one).__name__ for one in (before, after))
        raise TypeError(f"compare takes two Runs or two endpoints, not {given}")
    sent = [one for each in requests for one in ((each,) if isinstance(each, Request) else each)]
    return compare_endpoints(before, after, sent, ignore, rtol)


def _cut(run: Run, count: int) -> Run:
    return replace(run, exchanges=run.exchanges[:count])


def comparison_view(shown: Comparison) -> View:
    """The display of a Comparison."""
    head = _head(shown)
    lines, parts, image = _pairs(shown)
    line = elements.headline(head)
    return View(plain("\n".join((head, *lines))), elements.page(line, *parts), image)


def changed(shown: Comparison) -> tuple[list[str], str]:
    """What changed, as text and as html, for the display of something larger."""
    lines, parts, _ = _pairs(shown)
    return lines, "".join(parts)


def _pairs(shown: Comparison) -> tuple[list[str], list[str], Image.Image | None]:
    """The first answers that differ, or the first answer if none does."""
    colors = colors_of(shown.before, shown.after)
    shown = replace(
        shown, before=ShownRun.of(shown.before, colors=colors), after=ShownRun.of(shown.after, colors=colors)
    )
    pairs = list(zip(shown.before.exchanges, shown.after.exchanges, shown.rows, strict=False))
    different = [pair for pair in pairs if pair[2].verdict == "different"]
    drawn = different[:_MOST] or pairs[:1]
    text, parts, image = [], [], None
    for one, other, row in drawn:
        lines, part, image_of = _pair(shown, one, other, row, _ROOM // len(drawn))
        text += lines
        parts.append(part)
        image = image or image_of
    if (more := len(different) - _MOST) > 0:
        text.append(f"and {more} more that differ")
        parts.append(f'<div class="hk-soft">{text[-1]}</div>')
    return text, parts, image


def _head(shown: Comparison) -> str:
    count, differing = len(shown.rows), sum(row.verdict == "different" for row in shown.rows)
    if not differing:
        said = ("nothing to compare", "the same answer", f"{count} answers, all the same")[min(count, 2)]
    else:
        said = "the answer differs" if count == 1 else f"{differing} of {count} answers differ"
    counts = [len(run.exchanges) for run in (shown.before, shown.after)]
    uneven = f"; {counts[0]} answers before, {counts[1]} after" if counts[0] != counts[1] else ""
    models = dict.fromkeys((shown.before.model, shown.after.model))
    return f"{' -> '.join(models)} before and after: {said}{uneven}"


def _pair(
    shown: Comparison, one: Exchange, other: Exchange, row: ComparedResponse, room: int
) -> tuple[list[str], str, Image.Image | None]:
    """One answer before and after."""
    answers = answer(shown.before, one), answer(shown.after, other)
    found = _found(one, other, row, changes(*answers) if one.response.ok and other.response.ok else Changes())
    before, after = map(drawing, answers)
    lines = [row.label, *(f"  {line}" for line in found.lines)]
    said = "".join(f"<div>{elements.escape(shorten(line, 300).replace(' -> ', ' → '))}</div>" for line in found.lines)
    badges = " → ".join(dict.fromkeys(exchange.badge(each.response) for each in (one, other)))
    head = elements.headline(row.label, badges)
    pictures = _pictures(before, after, found.image, room)
    bytes_ = [(found.where, f"{found.ours} → {found.theirs}") for found in row.differences]
    table = elements.wide(elements.table("", bytes_), "differences")
    wire = elements.details("differences", table, str(len(bytes_))) if bytes_ else ""
    return lines, f"<div>{head}{pictures}<div>{said}</div>{elements.folds(wire)}</div>", found.image or after.image


def _found(one: Exchange, other: Exchange, row: ComparedResponse, drawn: Changes) -> Changes:
    """The changes, or else the first of the differing bytes."""
    if drawn.lines:
        return drawn
    if row.verdict != "different":
        return Changes(("the same answer",))
    if one.response.status != other.response.status:
        return Changes((f"was {describe_response(one.response)}, is {describe_response(other.response)}",))
    lines = [f"{found.where}: {found.ours} -> {found.theirs}" for found in row.differences[:6]]
    more = [f"and {len(row.differences) - 6} more"] * (len(row.differences) > 6)
    return Changes((*lines, *more))


def _pictures(before: Drawing, after: Drawing, difference: Image.Image | None, room: int) -> str:
    """Both pictures, one over the other if they have one shape, with a slider between them; and the difference."""
    if before.image is None or after.image is None or before.aside or after.aside:
        sides = "".join(
            f"<div><b>{name}</b>{elements.key(one.keys)}{one.html}</div>"
            for name, one in (("before", before), ("after", after))
            if one.keys or one.html
        )
        return f'<div class="hk-pair">{sides}</div>' if sides else ""
    share = room // (2 if difference is None else 3)
    alike = abs(before.image.width * after.image.height - after.image.width * before.image.height) <= max(
        *before.image.size, *after.image.size
    )
    sides = elements.slider(
        *(_figure(name, one.image, share) for name, one in (("before", before), ("after", after)) if one.image),
        live=alike,
    )
    apart = f'<div class="hk-sides">{_figure("difference", difference, share)}</div>' if difference else ""
    return f'<div class="hk-compare">{sides}{apart}</div>'


def _figure(name: str, image: Image.Image, room: int) -> str:
    from handlerkit.view import draw

    return (
        f"<figure>{elements.picture(draw.fit(image, _WIDE, _WIDE), room, name)}<figcaption>{name}</figcaption></figure>"
    )
