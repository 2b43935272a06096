"""The plot of a Bench."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from handlerkit.bench.results import Bench, Measurement
from handlerkit.formatting import duration, visible
from handlerkit.view import draw
from handlerkit.view.html.exchange import stage_colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST = 24  # cases that are drawn
_FAR = 20  # times as long: then the scale is logarithmic
_TEXT, _SOFT, _OTHER = "#222222", "#666666", "#969696"


def plot(bench: Bench) -> Figure:
    """A matplotlib Figure: on the left each repeat's time, case by case, with the median, and p90 and p99 of enough
    calls; on the right, if calls were seen, each stage's part of all the time. The version it was compared with is
    below, in gray."""
    from matplotlib.figure import Figure

    bars = _bars(bench)
    staged = any(row.stages for _, row, _ in bars)
    figure = Figure(figsize=(10, 1.3 + 0.42 * len(bars)), dpi=96, layout="constrained", facecolor="white")
    axes = figure.subplots(1, 1 + staged, sharey=True, squeeze=False)[0]
    _times(axes[0], bars)
    axes[0].set_xlabel(f"time of a {'call' if staged else 'request'}")
    axes[0].set_yticks(range(len(bars)), [visible(name) for name, _, _ in bars], parse_math=False)
    if staged:
        _stages(axes[1], [row for _, row, _ in bars])
        axes[1].set_xlabel("% of the time")
    axes[0].invert_yaxis()
    for one in axes:
        one.spines[["top", "right", "left"]].set_visible(False)
        one.tick_params(axis="y", length=0)
        one.tick_params(colors=_TEXT, labelsize=9)
    return figure


def _bars(bench: Bench) -> list[tuple[str, Measurement, bool]]:
    """(name, figures, whether they are this version's) from top to bottom."""
    theirs = {(row.sample, row.batch): row for row in bench.against.rows} if bench.against else {}
    bars: list[tuple[str, Measurement, bool]] = []
    for row in bench.rows[:_MOST]:
        bars.append((f"{row.sample}, batch {row.batch}", row, True))
        if bench.against and (other := theirs.get((row.sample, row.batch))):
            bars.append((bench.against.name, other, False))
    return bars


def _times(axes: Axes, bars: Sequence[tuple[str, Measurement, bool]]) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    medians = [row.median for _, row, _ in bars]
    if max(medians) > _FAR * min(medians):
        axes.set_xscale("log")
    else:
        axes.set_xlim(0, 1.05 * max(max(row.seconds) for _, row, _ in bars))
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))  # figures that need no rounding
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, place: duration(seconds) if seconds > 0 else "0"))
    axes.set_title("each repeat", fontsize=10, loc="left", color=_SOFT)
    marks: tuple[tuple[str, float, str], ...] = (("median", 2.6, "-"), ("p90", 1.4, "-"), ("p99", 1.4, ":"))
    marks = tuple(mark for mark in marks if all(row.says(mark[0]) for _, row, _ in bars))
    for place, (_, row, ours) in enumerate(bars):
        color = _rgb(draw.color(0)) if ours else _OTHER
        count = len(row.seconds)
        alpha, large = min(0.8, max(0.25, 8 / count)), 4 if count > 20 else 6
        axes.plot(row.seconds, [place] * count, "o", color=color, alpha=alpha, markersize=large, markeredgewidth=0)
        for name, width, style in marks:
            value = getattr(row, name)
            label = name if place == 0 else None
            axes.plot([value] * 2, [place - 0.3, place + 0.3], style, color=_TEXT, linewidth=width, label=label)
    axes.legend(fontsize=8, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0)


def _stages(axes: Axes, rows: Sequence[Measurement]) -> None:
    names = dict.fromkeys(name for row in rows for name in row.stages)
    colors = stage_colors(names)
    left = [0.0] * len(rows)
    for name in names:
        widths = [100 * row.shares.get(name, 0.0) for row in rows]
        axes.barh(range(len(rows)), widths, 0.6, left, color=_rgb(colors[name]), label=name)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.legend(fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0)


def _rgb(color: draw.Color) -> tuple[float, float, float]:
    red, green, blue = (channel / 255 for channel in color)
    return red, green, blue
