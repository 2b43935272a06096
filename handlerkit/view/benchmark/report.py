"""The display of a Bench: its figures as a table and a plot, the comparison, advice, and the profile.

Figures other than times carry ≈: they differ from run to run, and one pattern finds them.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from itertools import groupby

from handlerkit.bench.results import CALLS_FOR, Advice, Against, Bench, Change, LineTime, Measurement, Profile
from handlerkit.formatting import byte_size, duration
from handlerkit.view.html.elements import (
    BadgeKind,
    badge,
    code,
    data_uri,
    details,
    escape,
    folds,
    headline,
    page,
    wide,
    wide_table,
)
from handlerkit.view.output import View

_WIDTH, _SHARP = 960, 160  # of the plot: pixels it takes, and dots an inch, more than are needed for that
_TIME = 8  # characters of the longest time
_STREAMS = ["first chunk", "chunks a second"]
_TOKENS = "tokens a second"
_VERDICTS: dict[str, BadgeKind] = {"faster": "ok", "slower": "bad"}


def bench_view(bench: Bench) -> View:
    """The display of a Bench."""
    from handlerkit.view.benchmark.plot import plot

    head, note = _head(bench)
    figures = [_cells(row, bench) for row in bench.rows]
    columns = _columns(bench)
    text = [head, *filter(None, [note]), *_aligned(columns, figures)]
    parts = [
        headline(head),
        f'<div class="hk-soft">{escape(note)}</div>' if note else "",
        _table(columns, figures, "figures"),
    ]
    if bench.against and bench.against.changes:
        columns, rows = _compared(bench, bench.against)
        text += ["", *_aligned(columns, rows), _method(bench.against)]
        method = f'<div class="hk-soft">{escape(_method(bench.against))}</div>'
        parts.append(f"<div>{_table(columns, rows, 'beside the other version')}{method}</div>")
    text += [_stages_text(row) for row in bench.rows if row.stages]
    file = io.BytesIO()
    plot(bench).savefig(file, format="png", dpi=_SHARP)
    said = f"the time of each repeat of {bench.model}, which the table says"
    picture = f'<img class="hk-chart" width="{_WIDTH}" alt="{escape(said)}" src="{data_uri("png", file.getvalue())}">'
    parts.append(wide(picture, "chart") + folds(_stages(bench)))
    for advice in bench.advice:
        said, options, rows = _advised(advice)
        text += [said, *_aligned(options, rows, "  ")]
        parts.append(f'<div class="hk-finding hk-quiet"><p>{escape(said)}</p>{_table(options, rows, "ways")}</div>')
    if bench.profile:
        text += _profile_text(bench.profile)
        parts.append(_profile(bench.profile))
    from PIL import Image

    file.seek(0)
    image = Image.open(file)
    image.load()
    return View("\n".join(text), page(*parts), image)


def _head(bench: Bench) -> tuple[str, str]:
    clients = max(row.clients for row in bench.rows)
    many = f", {clients} clients" if clients > 1 else ""
    head = f"{bench.model} on {bench.endpoint}{many}: {bench.repeats} repeats after {bench.warm_up} warm-up"
    notes = []
    if bench.interrupted:
        notes.append("stopped by Ctrl-C: these are the figures so far")
    if failed := sum(row.failed for row in bench.rows):
        notes.append(f"{failed} request{'s' * (failed != 1)} failed and are not counted")
    return head, "; ".join(notes)


# --- figures --------------------------------------------------------------------------------------------------------


def _columns(bench: Bench) -> list[str]:
    names = ["sample", "batch", "median", *_percentiles(bench), "requests a second", "answer"]
    names += _STREAMS * any(row.chunks for row in bench.rows) + [_TOKENS] * any(row.tokens for row in bench.rows)
    return names + ["peak memory"] * any(row.memory.process or row.memory.cuda for row in bench.rows)


def _cells(row: Measurement, bench: Bench) -> list[str]:
    cells = [row.sample, str(row.batch), duration(row.median)]
    cells += [duration(getattr(row, name)) if row.says(name) else "" for name in _percentiles(bench)]
    cells += [_about(row.throughput), byte_size(row.answer)]
    if any(one.chunks for one in bench.rows):
        first, rate = row.time_to_first_chunk, row.chunk_rate
        cells += ["" if first is None else duration(first), "" if rate is None else _about(rate)]
    if any(one.tokens for one in bench.rows):
        cells.append("" if row.token_rate is None else _about(row.token_rate))
    return [*cells, _memory(row)][: len(_columns(bench))]


def _percentiles(bench: Bench) -> list[str]:
    """Those for which a row has enough calls."""
    return [name for name in CALLS_FOR if any(row.says(name) for row in bench.rows)]


def _about(figure: float) -> str:
    return f"≈{figure:.3g}" if figure < 1000 else f"≈{figure:.0f}"


def _memory(row: Measurement) -> str:
    """`≈812 MB (≈45 MB of it added by the call), CUDA ≈3.1 GB`."""
    parts = []
    if row.memory.process is not None:
        parts.append(f"≈{byte_size(row.memory.process)} (≈{byte_size(row.memory.added or 0)} of it added by the call)")
    if row.memory.cuda is not None:
        parts.append(f"CUDA ≈{byte_size(row.memory.cuda)}")
    return ", ".join(parts)


def _stages(bench: Bench) -> str:
    """The time and the share of each stage, folded."""
    names = list(dict.fromkeys(name for row in bench.rows for name in row.stages))
    rows = [[row.sample, str(row.batch), *(_stage(row, name) for name in names)] for row in bench.rows]
    return details("stages", _table(["sample", "batch", *names], rows, "stages")) if names else ""


def _stage(row: Measurement, name: str) -> str:
    """`1.2 ms (≈31.0 %)`."""
    return f"{duration(row.stage(name))} (≈{100 * row.shares.get(name, 0.0):.1f} %)"


def _stages_text(row: Measurement) -> str:
    stages = [f"{name} {_stage(row, name)}" for name in row.stages]
    return f"{row.sample}, batch {row.batch}:  " + "  ".join(stages)


def _aligned(columns: Sequence[str], rows: Iterable[Sequence[str]], indent: str = "") -> list[str]:
    """Columns of text: the first and the last begin at the left, those between end at the right, where the spaces
    before a time go with it when outputs are compared; so they must not be narrower than a time either."""
    table = [columns, *rows]
    widths = [max(_TIME, *(len(line[place]) for line in table)) for place in range(len(columns))]
    lines = []
    for line in table:
        between = [cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:-1], strict=True)]
        lines.append(indent + "  ".join([line[0].ljust(widths[0]), *between, line[-1]]).rstrip())
    return lines


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], label: str) -> str:
    return wide_table(names, (map(_cell, row) for row in rows), label)


def _cell(text: str) -> str:
    kind = _VERDICTS.get(text)
    return badge(kind, text) if kind else escape(text)


# --- the other version ----------------------------------------------------------------------------------------------


def _compared(bench: Bench, against: Against) -> tuple[list[str], list[list[str]]]:
    ours = {(row.sample, row.batch): row for row in bench.rows}
    rows = []
    for change, theirs in zip(against.changes, against.rows, strict=True):
        row = ours[change.sample, change.batch]
        where = _moved(row, theirs) if change.verdict != "no difference seen" else ""
        times = [duration(theirs.median), duration(row.median)]
        rows.append([change.sample, str(change.batch), *times, change.verdict, _ratio(change) + where])
    return ["sample", "batch", against.name, "this version", "", "how much"], rows


def _ratio(change: Change) -> str:
    """`≈3.1 × as fast (≈2.9 to ≈3.3)`, else `≈1.04 × the time (≈0.99 to ≈1.08)`; the interval if there is one."""
    faster = change.verdict == "faster"
    bounds = sorted(1 / bound if faster else bound for bound in change.interval or ())
    within = f" ({_about(bounds[0])} to {_about(bounds[1])})" if bounds else ""
    return f"{_about(1 / change.ratio if faster else change.ratio)} × {'as fast' if faster else 'the time'}{within}"


def _moved(ours: Measurement, theirs: Measurement) -> str:
    """The stage that changed most: `, most of it in encode: 498 ms → 12.3 ms`."""
    names = dict.fromkeys([*theirs.stages, *ours.stages])
    name = max(names, key=lambda name: abs(theirs.stage(name) - ours.stage(name)), default=None)
    return f", most of it in {name}: {duration(theirs.stage(name))} → {duration(ours.stage(name))}" if name else ""


def _method(against: Against) -> str:
    pairs = max(change.pairs for change in against.changes)
    return (
        f"{pairs} pairs of calls, the versions taking turns to go first; in brackets the 95 % confidence interval of "
        "the median ratio, by the sign test"
    )


# --- advice ---------------------------------------------------------------------------------------------------------


def _advised(advice: Advice) -> tuple[str, list[str], list[list[str]]]:
    """A sentence, and a table of what was measured."""
    columns = ["batch" if advice.name == "batches" else "way", "time"]
    sized = any(option.size is not None for option in advice.options)
    noted = any(option.note for option in advice.options)
    columns += ["size"] * sized + ["note"] * noted
    rows = []
    for option in advice.options:
        name = f"{option.name} (now)" if option.now and advice.name in ("encode", "decode") else option.name
        cells = [name, duration(option.seconds)]
        rows.append(cells + [byte_size(option.size or 0)] * sized + [option.note] * noted)
    return _SAID[advice.name](advice), columns, rows


def _encode(advice: Advice) -> str:
    taken = f"Making the answer to {advice.sample} takes {duration(advice.seconds)} of {duration(advice.whole)}"
    now = next((option for option in advice.options if option.now), None)
    best = min((one for one in advice.options if not one.lossy), key=lambda one: one.seconds)
    if best is now:
        return f"{taken}. No lossless form measured on it ({advice.about}) is faster than the current one."
    instead_of = f"as {best.name}: {duration(best.seconds)} and {byte_size(best.size or 0)}"
    instead = f" instead of {duration(now.seconds)} and {byte_size(now.size or 0)}" if now else ""
    return f"{taken}. Measured on it ({advice.about}), {instead_of}{instead}."


def _decode(advice: Advice) -> str:
    taken = f"Preprocess of {advice.sample} takes {duration(advice.seconds)} of {duration(advice.whole)}"
    pil = advice.options[0].seconds
    if pil < _LITTLE * advice.seconds:
        share = f"decoding the picture ({advice.about}) only takes {duration(pil)}"
        return f"{taken}, but {share}: another decoder saves little."
    best = min((one for one in advice.options if not one.lossy), key=lambda one: one.seconds)
    if best.seconds > _MUCH * pil:
        decodes = f"PIL decodes the picture ({advice.about}) in {duration(pil)}"
        return f"{taken}. {decodes}, and no other decoder is much faster."
    there = f"{best.name} decodes the picture ({advice.about}) in {duration(best.seconds)}"
    return f"{taken}. {there}, PIL in {duration(pil)}."


def _batches(advice: Advice) -> str:
    one, most = advice.options[0], advice.options[-1]
    return (
        f"Batching does not help {advice.sample}: a request takes {duration(one.seconds)} in a batch of {one.name} "
        f"and {duration(most.seconds)} in a batch of {most.name}."
    )


_LITTLE = 0.3  # of preprocess
_MUCH = 0.8  # of what PIL takes
_SAID = {"encode": _encode, "decode": _decode, "batches": _batches}


# --- the profile ----------------------------------------------------------------------------------------------------


def _profile_text(profile: Profile) -> list[str]:
    text = [_profiled(profile)]
    for (file, function), lines in _functions(profile):
        text.append(f"{function} in {file}")
        text += _aligned(["line", "times", "time", ""], [_line(line) for line in lines], "  ")
    return [*text, *([profile.missing] if profile.missing else []), _operators(profile)]


def _operators(profile: Profile) -> str:
    return profile.table.rstrip() or "none of torch's operators ran"


def _profiled(profile: Profile) -> str:
    return f"profile of {profile.calls} calls; open {profile.trace.as_posix()} in ui.perfetto.dev or chrome://tracing"


def _functions(profile: Profile) -> list[tuple[tuple[str, str], list[LineTime]]]:
    return [(key, list(lines)) for key, lines in groupby(profile.lines, lambda line: (line.file, line.function))]


def _line(line: LineTime) -> list[str]:
    return [str(line.line), f"{line.hits} ×", duration(line.seconds), line.source]


def _profile(profile: Profile) -> str:
    most = max((line.seconds for line in profile.lines), default=0.0)
    tables = []
    for (file, function), lines in _functions(profile):
        rows = "".join(_row(line, line.seconds > most / 2) for line in lines)
        caption = f"<caption>{escape(function)} in {escape(file)}</caption>"
        table = f'<table class="hk-table hk-lines">{caption}<tbody>{rows}</tbody></table>'
        tables.append(wide(table, f"lines of {function}"))
    missing = f'<div class="hk-soft">{escape(profile.missing)}</div>' if profile.missing else ""
    table = folds(details("torch's operators", code(_operators(profile))))
    return f'<div class="hk-soft">{escape(_profiled(profile))}</div>{"".join(tables)}{missing}{table}'


def _row(line: LineTime, hot: bool) -> str:
    number, hits, seconds, source = map(escape, _line(line))
    code = f'<pre class="hk-source{" hk-hot" if hot else ""}">{source}</pre>'
    return f"<tr><td>{number}</td><td>{hits}</td><td>{seconds}</td><td>{code}</td></tr>"
