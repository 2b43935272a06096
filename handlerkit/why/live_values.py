"""The values that the failing line works with, and which of them the client sent.

Read from the exception's own frames, without running any code of the handler's: variables, attributes, and what is
looked up in plain dicts and lists. Where the exception comes from a log, the code gives some of them (inferred_values).
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple

from handlerkit.messages import Frame
from handlerkit.serving.wire import Parameter
from handlerkit.why import inferred_values, source_search
from handlerkit.why.evidence import Evidence
from handlerkit.why.inferred_values import UNKNOWN

#: How deep, and at how many values, the JSON of a batch is looked at.
_DEEP, _MOST = 5, 5000
#: How many elements of a list that the handler filled are looked at.
_BATCH = 64
#: A lookup's key or index.
Path = tuple[str | int, ...]


class Value(NamedTuple):
    """A value, and the expression it has on the failing line.

    Attributes:
        row, path: where it is in the batch, such as 0 and ("body", "image"); None if no client sent it.
    """

    source: str
    value: Any
    row: int | None = None
    path: Path = ()

    @property
    def name(self) -> str:
        """How a handler reads it from its row."""
        return "row" + "".join(f"[{key!r}]" for key in self.path)

    def parameter(self, evidence: Evidence) -> Parameter | None:
        """The field of the request that it came in."""
        if self.row is None or not self.path or self.row >= len(evidence.attempt.jobs):
            return None
        fields = evidence.attempt.jobs[self.row].parameters
        return next((field for field in reversed(fields) if field.name == self.path[0]), None)


def is_live(evidence: Evidence) -> bool:
    """Whether the exception is at hand with its frames; an exception from a log has none."""
    return evidence.error is not None and evidence.error.__traceback__ is not None


def sent(evidence: Evidence) -> list[Value]:
    """What the failing expression works with of what the clients sent, the smallest parts last."""
    found: list[Value] = []
    origins: dict[int, tuple[int, Path]] | None = None
    for one in on_line(evidence):
        if one.row is not None and one.path:
            found.append(one)
        elif type(one.value) in (list, tuple) and one.row is None:  # which the handler filled from the rows
            origins = _origins(evidence) if origins is None else origins
            places = [(value, origins.get(id(value))) for value in one.value[:_BATCH]]
            found += [Value(one.source, value, *where) for value, where in places if where is not None and where[1]]
    return found


def in_rows(evidence: Evidence) -> Iterator[Value]:
    """The fields of every row."""
    for index, row in enumerate(evidence.rows):
        if type(row) is dict:
            for key, value in row.items():
                yield Value(f"row[{key!r}]", value, index, (key,))


def texts_in_rows(evidence: Evidence) -> Iterator[Value]:
    """The texts and bytes of every row: its fields, and what is in their JSON, no deeper than `_DEEP`."""
    waiting = list(in_rows(evidence))
    for one in waiting:  # which grows meanwhile
        if isinstance(one.value, str | bytes | bytearray):
            yield one
        elif len(one.path) < _DEEP and len(waiting) < _MOST and type(one.value) in (dict, list):
            inner = one.value.items() if type(one.value) is dict else enumerate(one.value)
            waiting += [Value("", value, one.row, (*one.path, key)) for key, value in inner]


def parsed(evidence: Evidence) -> Iterator[Value]:
    """Of the failing expression, what the handler has read out of JSON that came as text or bytes."""
    dicts = [one for one in on_line(evidence) if type(one.value) is dict and one.row is None]
    for text in in_rows(evidence) if dicts else ():
        if isinstance(text.value, str | bytes | bytearray):
            try:
                read = json.loads(text.value)
            except (ValueError, RecursionError):
                continue
            yield from (text._replace(value=one.value) for one in dicts if one.value == read)


def looked_up(evidence: Evidence, missing: str) -> tuple[Value, str] | None:
    """(dict, key) of what came in a request, where the variable `missing` is what dict.get(key) gave for a key that is
    not in it."""
    frame = evidence.frame
    known = _variables(evidence, frame) if frame is not None else None
    function = source_search.enclosing(source_search.tree(evidence, frame.file), frame.line) if frame else None
    if frame is None or known is None or function is None:
        return None
    origins = _origins(evidence)
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign) or [ast.unparse(one) for one in node.targets] != [missing]:
            continue
        call = node.value
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr != "get":
            continue
        holder, where = _evaluate(call.func.value, known, origins)
        key = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
        if type(holder) is dict and where is not None and where[1] and isinstance(key, str) and key not in holder:
            return Value(ast.unparse(call.func.value), holder, *where), key
    return None


def handed(evidence: Evidence) -> list[Value]:
    """What the failing expression got of the request; where TorchServe's own handlers failed, what they read."""
    if evidence.frame is not None:
        return sent(evidence)
    return [one for one in in_rows(evidence) if one.path in (("data",), ("body",))]


def on_line(evidence: Evidence) -> list[Value]:
    """The values of the failing expression, the outer before the inner."""
    found = _failing(evidence)
    if found is None:
        return []
    variables, nodes = found
    origins = _origins(evidence)
    values: list[Value] = []
    for node in nodes:
        if not isinstance(node, ast.Constant):
            value, where = _evaluate(node, variables, origins)
            if value is not UNKNOWN:
                row, path = where or (None, ())
                values.append(Value(ast.unparse(node), value, row, path))
    return values


def none_on_line(evidence: Evidence) -> Value | None:
    """What is None of the values of the failing expression, where it is one alone."""
    found = {one.source: one for one in on_line(evidence) if one.value is None}
    return next(iter(found.values())) if len(found) == 1 else None


def none_source(evidence: Evidence) -> str:
    """The expression that is the None of the line that raised, which may be one of TorchServe's; "" if it cannot be
    told. Where its value is not known, it is the only one with which the line does what failed."""
    if (missing := none_on_line(evidence)) is not None:
        return missing.source
    if evidence.frame is not None and is_live(evidence):
        return ""
    use, last = use_of_none(evidence.text), evidence.info.frames[-1:] if evidence.info else ()
    frame = evidence.frame or next(iter(last), None)
    if use is None or frame is None:
        return ""
    before, behind = use
    found = set(re.findall(rf"{before}(?<![\w.)\]])([a-zA-Z_][\w.]*){behind}", frame.source))
    return found.pop() if len(found) == 1 else ""


def is_none(evidence: Evidence, source: str) -> bool:
    """Whether this expression is the None of the handler's line that raised: by its value; where that is not known, by
    what the line does with it."""
    frame, failing = evidence.frame, _failing(evidence)
    if failing is not None:
        if source not in {ast.unparse(node) for node in failing[1]}:
            return False
        if (known := next((one for one in on_line(evidence) if one.source == source), None)) is not None:
            return known.value is None
    use = use_of_none(evidence.text)
    if use is None or frame is None:
        return False
    before, behind = use
    return re.search(rf"{before}(?<![\w.]){re.escape(source)}{behind}", frame.source) is not None


def gave_none(evidence: Evidence, pattern: str) -> re.Match[str] | None:
    """Where the pattern fits the code that gave the None of the line that raised: what set it, or the failing
    expression itself."""
    if source := none_source(evidence):
        return re.search(pattern, source_search.assigned_value(evidence, source) or source)
    frame, failing = evidence.frame, _failing(evidence)
    if frame is None:
        return None
    code = ast.unparse(failing[1][0]) if failing is not None and failing[1] else frame.source
    use = use_of_none(evidence.text) if evidence.raised_in_own else None
    before, behind = use or ("", "")
    return re.search(rf"{before}(?<!\w)[\w.]*{pattern}{behind}", code)


def use_of_none(text: str) -> tuple[str, str] | None:
    """Patterns of the code before and behind a None with which it does what the exception says."""
    if (found := re.search(r"'NoneType' object has no attribute '(\w+)'", text)) is not None:
        return "", rf"\.{found[1]}\b"
    return next((use for said, use in _USES if said in text), None)


_USES = (
    ("'NoneType' object is not callable", ("", r"\(")),
    ("'NoneType' object is not subscriptable", ("", r"\[")),
    ("'NoneType' object does not support item", ("", r"\[")),
    ("'NoneType' has no len()", (r"\blen\(\s*", r"\s*\)")),
    ("'NoneType' object is not iterable", (r"\bin\s+", r"(?![\w.\[(])")),
    ("'NoneType' is not iterable", (r"\bin\s+", r"(?![\w.\[(])")),
)


def holder(evidence: Evidence) -> tuple[bool, Any]:
    """(whether it is known, the value) of what the failing expression looks a key up in: `holder[key]` or
    `holder.pop(key)`. It is known to be none of the handler's values where a library looked it up."""
    failing = _failing(evidence)
    if failing is None or not failing[1]:
        return False, None
    if not evidence.raised_in_own:
        return True, None
    outer = failing[1][0] if is_live(evidence) else _lookup(evidence, failing[1])
    if isinstance(outer, ast.Call) and isinstance(outer.func, ast.Attribute) and outer.func.attr == "pop":
        node: ast.expr = outer.func.value
    elif isinstance(outer, ast.Subscript):
        node = outer.value
    else:
        return False, None
    value, _ = _evaluate(node, failing[0], {})
    return value is not UNKNOWN, value


def looked_into(evidence: Evidence) -> str | None:
    """The expression in which the failing one looks something up; None if it is no lookup."""
    failing = _failing(evidence)
    outer = failing[1][0] if failing is not None and failing[1] else None
    return ast.unparse(outer.value) if isinstance(outer, ast.Subscript) else None


def unpacked(evidence: Evidence) -> Value | None:
    """What the failing line takes apart into several variables, if it came in a request."""
    frame, failing = evidence.frame, _failing(evidence)
    if frame is None or failing is None:
        return None
    places = {_start(node) for node in failing[1]}
    for node in ast.walk(source_search.tree(evidence, frame.file)):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Tuple)
            and _start(node.targets[0]) in places
        ):
            value, where = _evaluate(node.value, failing[0], _origins(evidence))
            return Value(ast.unparse(node.value), value, *where) if where is not None and where[1] else None
    return None


def indexed(evidence: Evidence) -> Value | None:
    """What the failing expression takes an element of."""
    failing = _failing(evidence)
    if failing is None or not failing[1] or not isinstance(outer := failing[1][0], ast.Subscript):
        return None
    value = _value(outer.value, failing[0])
    return None if value is UNKNOWN else Value(ast.unparse(outer.value), value)


def _lookup(evidence: Evidence, nodes: list[ast.expr]) -> ast.expr | None:
    """The only lookup among them of the key that the exception names."""
    key = evidence.error.args[0] if evidence.error is not None and evidence.error.args else None

    def asks(node: ast.expr) -> bool:
        keys = [node.slice] if isinstance(node, ast.Subscript) else node.args[:1] if isinstance(node, ast.Call) else []
        return any(isinstance(one, ast.Constant) and one.value == key for one in keys)

    found = [node for node in nodes if asks(node)]
    return found[0] if len(found) == 1 else None


def called(evidence: Evidence) -> str:
    """The function that the failing expression calls, as it is written there; "" if it calls none."""
    found = _failing(evidence)
    calls = [node for node in found[1] if isinstance(node, ast.Call)] if found else []
    return ast.unparse(calls[0].func) if calls else ""


def _failing(evidence: Evidence) -> tuple[dict[str, Any], list[ast.expr]] | None:
    """The variables of the innermost of the handler's frames, and the nodes of the expression that failed in it."""
    frame = evidence.frame
    if frame is None or (known := _variables(evidence, frame)) is None:
        return None
    trace = evidence.trace(frame)
    start, end = _position(trace) if trace is not None else inferred_values.position(evidence, frame)
    nodes = list(ast.walk(source_search.tree(evidence, frame.file)))
    inside = [node for node in nodes if isinstance(node, ast.expr) and start <= _start(node) and _end(node) <= end]
    around = [node for node in nodes if isinstance(node, ast.expr) and _start(node) <= start and end <= _end(node)]
    return inferred_values.with_loop_variables(known, around, _value), inside


def _variables(evidence: Evidence, frame: Frame) -> dict[str, Any] | None:
    """Those of a frame of the handler's; None if nothing is known of them."""
    if (trace := evidence.trace(frame)) is not None:
        return {**trace.tb_frame.f_globals, **trace.tb_frame.f_locals}
    if is_live(evidence):
        return None
    return inferred_values.variables(evidence, _value)


def _value(node: ast.expr, variables: dict[str, Any]) -> Any:
    return _evaluate(node, variables, {})[0]


def _position(trace: TracebackType) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where the expression that failed begins and ends: its whole line if the code does not say."""
    line, last, column, stop = list(trace.tb_frame.f_code.co_positions())[trace.tb_lasti // 2]
    if line is None or last is None or column is None or stop is None:
        return (trace.tb_lineno, 0), (trace.tb_lineno + 1, 0)
    return (line, column), (last, stop)


def _start(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: ast.expr) -> tuple[int, int]:
    return node.end_lineno or node.lineno, node.end_col_offset or 0


def _origins(evidence: Evidence) -> dict[int, tuple[int, Path]]:
    """Where each object of the rows is, by its identity, which small texts and numbers share."""
    origins: dict[int, tuple[int, Path]] = {}
    waiting: list[tuple[Any, int, Path]] = [(row, index, ()) for index, row in enumerate(evidence.rows)]
    for value, index, path in waiting:  # which grows meanwhile
        if type(value) in (dict, list, bytearray) or (type(value) in (str, bytes) and len(value) > 1):
            origins.setdefault(id(value), (index, path))
        if len(path) < _DEEP and len(waiting) < _MOST:
            if type(value) is dict:
                waiting += [(inner, index, (*path, key)) for key, inner in value.items()]
            elif type(value) is list:
                waiting += [(inner, index, (*path, number)) for number, inner in enumerate(value)]
    return origins


def _evaluate(
    node: ast.expr, variables: dict[str, Any], origins: dict[int, tuple[int, Path]]
) -> tuple[Any, tuple[int, Path] | None]:
    """The value of an expression and where it is in the rows; UNKNOWN if that takes running code."""
    if isinstance(node, ast.Constant):
        return node.value, None
    if isinstance(node, ast.Name):
        value = variables.get(node.id, UNKNOWN)
        return value, origins.get(id(value))
    if isinstance(node, ast.Attribute):
        base, _ = _evaluate(node.value, variables, origins)
        value = vars(base).get(node.attr, UNKNOWN) if hasattr(type(base), "__dict__") and _has_vars(base) else UNKNOWN
        return value, origins.get(id(value))
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
        for part in node.values:
            value, where = _evaluate(part, variables, origins)
            if value is UNKNOWN or type(value) not in (str, bytes, bytearray, dict, list, int, float, type(None)):
                return UNKNOWN, None
            if value:
                return value, where
        return value, where
    return _look_up(node, variables, origins)


def _has_vars(value: Any) -> bool:
    try:
        return type(object.__getattribute__(value, "__dict__")) is dict
    except AttributeError:
        return False


def _look_up(
    node: ast.expr, variables: dict[str, Any], origins: dict[int, tuple[int, Path]]
) -> tuple[Any, tuple[int, Path] | None]:
    """container[key] and container.get(key)."""
    default: Any = UNKNOWN
    where: tuple[int, Path] | None
    if isinstance(node, ast.Subscript):
        holder, key_node = node.value, node.slice
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
        holder, key_node = node.func.value, node.args[0]
        default = None
        if len(node.args) == 2:
            default, where = _evaluate(node.args[1], variables, origins)
    else:
        return UNKNOWN, None
    base, where = _evaluate(holder, variables, origins)
    key, _ = _evaluate(key_node, variables, origins)
    if type(key) not in (str, int) or type(base) not in (dict, list):
        return UNKNOWN, None
    try:
        value = base[key]
    except (LookupError, TypeError):
        return (default, None) if type(base) is dict else (UNKNOWN, None)
    return value, (where[0], (*where[1], key)) if where is not None else origins.get(id(value))
