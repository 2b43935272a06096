"""What the variables of a handler held when it failed, where the exception is known from a server's log alone.

They follow from the request and the code: the statements before the failing line are gone through, none of the
handler's code is run, and a variable whose value cannot be told is left out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from handlerkit.messages import Frame
from handlerkit.why import source_search
from handlerkit.why.evidence import Evidence
from handlerkit.why.source_search import Function

UNKNOWN = object()
#: Gives the value of an expression, with these variables; UNKNOWN if that takes running code.
Evaluate = Callable[[ast.expr, dict[str, Any]], Any]
Variables = dict[str, Any]
#: A line and a column.
Place = tuple[int, int]
#: What TorchServe calls with the rows.
_ENTRIES = ("handle", "preprocess")
_COMPOUND = (ast.If, ast.For, ast.While, ast.With, ast.Try)
#: Methods that change what they are called on.
_CHANGES = {
    "pop",
    "popitem",
    "clear",
    "update",
    "setdefault",
    "append",
    "extend",
    "insert",
    "remove",
    "sort",
    "reverse",
}
_PLAIN = (str, bytes, bytearray, int, float, bool, type(None), list, dict)
_TYPES = {kind.__name__: kind for kind in (str, bytes, bytearray, int, float, bool, list, dict, tuple)}


def variables(evidence: Evidence, evaluate: Evaluate) -> Variables | None:
    """Those of the innermost of the handler's frames; None where nothing is known of them."""
    frames = _own_frames(evidence)
    if not frames or evidence.attempt.envelope is not None or evidence.attempt.loading:
        return None
    known: Variables | None = None
    for number, (frame, function) in enumerate(frames):
        if number == 0:
            arguments = _entry(evidence, frame, function)
        else:
            arguments = _passed(evidence, frames[number - 1][0], function, known or {}, evaluate)
        known = _Reader(evaluate, arguments).until(function.body, _start(evidence, frame))
    return known


def with_loop_variables(known: Variables, around: Iterable[ast.expr], evaluate: Evaluate) -> Variables:
    """The variables of comprehensions over one row, too; Python 3.12 forgets them once one raised (PEP 709)."""
    known = dict(known)
    for node in around:
        for loop in (
            node.generators if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) else ()
        ):
            if isinstance(loop.target, ast.Name) and loop.target.id not in known:
                rows = evaluate(loop.iter, known)
                if type(rows) is list and len(rows) == 1:
                    known[loop.target.id] = rows[0]
    return known


def position(evidence: Evidence, frame: Frame) -> tuple[Place, Place]:
    """Where the expression that failed begins and ends, as the traceback marks it: its whole line if it does not."""
    lines = evidence.info.traceback.splitlines() if evidence.info else []
    text = source_search.text(evidence, frame.file).splitlines()
    head = re.compile(rf'  File "(.*/)?{re.escape(frame.file)}", line {frame.line}, in {re.escape(frame.function)}$')
    for at in range(len(lines) - 3, -1, -1):
        marks = lines[at + 2]
        if head.match(lines[at]) and re.fullmatch(r" +[~^]+ *", marks) and frame.line <= len(text):
            source = text[frame.line - 1]
            shift = len(source) - len(source.lstrip()) - 4
            begin, end = len(marks) - len(marks.lstrip()) + shift, len(marks.rstrip()) + shift
            before, inside = source[:begin].encode(), source[:end].encode()  # columns are counted in bytes
            return (frame.line, len(before)), (frame.line, len(inside))
    return (frame.line, 0), (frame.line + 1, 0)


def _start(evidence: Evidence, frame: Frame) -> Place:
    """Where the expression that failed begins, or its line."""
    start, _ = position(evidence, frame)
    source = source_search.text(evidence, frame.file).splitlines()[frame.line - 1 : frame.line]
    return start if start[1] or not source else (frame.line, len(source[0]) - len(source[0].lstrip()))


def _own_frames(evidence: Evidence) -> list[tuple[Frame, Function]]:
    """The handler's frames with their functions, outermost first; a comprehension is part of its function."""
    found: list[tuple[Frame, Function]] = []
    for frame in evidence.info.frames if evidence.info else ():
        if frame.file not in evidence.source.files:
            continue
        function = source_search.enclosing(source_search.tree(evidence, frame.file), frame.line)
        if function is None:
            return []
        if found and frame.function.startswith("<") and found[-1][1].lineno == function.lineno:
            found.pop()
        found.append((frame, function))
    return found


def _entry(evidence: Evidence, frame: Frame, function: Function) -> Variables:
    wanted = evidence.attempt.setup.handler.partition(":")[2]
    names = [argument.arg for argument in function.args.args if argument.arg not in ("self", "cls")]
    return {names[0]: list(evidence.rows)} if names and function.name in (*_ENTRIES, wanted) else {}


def _passed(evidence: Evidence, outer: Frame, function: Function, known: Variables, evaluate: Evaluate) -> Variables:
    """The arguments that a line gives to a function."""
    nodes = list(ast.walk(source_search.tree(evidence, outer.file)))
    calls = [
        node
        for node in nodes
        if isinstance(node, ast.Call) and node.lineno <= outer.line <= (node.end_lineno or node.lineno)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) == function.name
    ]  # fmt: skip
    if len(calls) != 1 or any(isinstance(one, ast.Starred) for one in calls[0].args):
        return {}
    names = [argument.arg for argument in function.args.args if argument.arg not in ("self", "cls")]
    given = dict(zip(names, calls[0].args, strict=False))
    given |= {word.arg: word.value for word in calls[0].keywords if word.arg in names}
    around = [node for node in nodes if isinstance(node, ast.expr) and calls[0] in ast.walk(node)]
    known = with_loop_variables(known, around, evaluate)
    values = {name: evaluate(node, known) for name, node in given.items()}
    return {name: value for name, value in values.items() if value is not UNKNOWN}


class _Reader:
    """Goes through the statements of a function."""

    def __init__(self, evaluate: Evaluate, known: Variables) -> None:
        self._evaluate = evaluate
        self._known = known

    def until(self, body: Sequence[ast.stmt], place: Place) -> Variables:
        """The variables when the statement in that place is reached."""
        self._go(body, place)
        return self._known

    def _go(self, body: Iterable[ast.stmt], place: Place) -> None:
        """Go through these statements, up to the one with that place."""
        for statement in body:
            inside = _holds([statement], place)
            if not inside:
                self._do(statement)
            elif isinstance(statement, _COMPOUND):
                self._enter(statement, place)
            if inside:
                return

    def _enter(self, statement: ast.If | ast.For | ast.While | ast.With | ast.Try, place: Place) -> None:
        """Go into the part of a statement that holds the place."""
        if isinstance(statement, ast.For):
            self._bind(statement, place)
        elif isinstance(statement, ast.While):
            self._forget(statement)
        elif isinstance(statement, ast.With):
            self._forget(*(item.optional_vars for item in statement.items if item.optional_vars is not None))
        elif isinstance(statement, ast.Try) and not _holds(statement.body, place):
            self._forget(*statement.body)
        parts = [getattr(statement, name, []) for name in ("body", "orelse", "finalbody")]
        parts += [handler.body for handler in getattr(statement, "handlers", [])]
        for part in parts:
            if _holds(part, place):
                self._go(part, place)

    def _bind(self, loop: ast.For, place: Place) -> None:
        """The variable of a loop over one row is that row; of others it is not known which failed."""
        items, target = loop.iter, loop.target
        if isinstance(items, ast.Call) and getattr(items.func, "id", "") == "enumerate" and items.args:
            items = items.args[0]
            target = target.elts[1] if isinstance(target, ast.Tuple) and len(target.elts) == 2 else target
        values = self._evaluate(items, self._known)
        self._forget(loop)
        if type(values) is list and len(values) == 1 and isinstance(target, ast.Name) and _holds(loop.body, place):
            self._known[target.id] = values[0]

    def _do(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            value = self._evaluate(statement.value, self._known)
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            self._forget(statement)
            if len(targets) == 1 and isinstance(targets[0], ast.Name) and value is not UNKNOWN:
                self._known[targets[0].id] = value
        elif isinstance(statement, ast.If) and (truth := self._truth(statement.test)) is not None:
            for inner in statement.body if truth else statement.orelse:
                self._do(inner)
        else:
            self._forget(statement)

    def _forget(self, *nodes: ast.AST) -> None:
        """Leave out what these set or change."""
        for node in (inner for outer in nodes for inner in ast.walk(outer)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
                self._known.pop(node.id, None)
            elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
                self._change(node.value)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGES:
                self._change(node.func.value)

    def _change(self, changed: ast.expr) -> None:
        """Parts of it may be in other variables, too."""
        if self._evaluate(changed, self._known) is not UNKNOWN:
            self._known.clear()

    def _truth(self, test: ast.expr) -> bool | None:
        """Whether a condition is true; None if that cannot be told."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return None if (inner := self._truth(test.operand)) is None else not inner
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            return self._compared(test.left, test.ops[0], test.comparators[0])
        if isinstance(test, ast.Call) and getattr(test.func, "id", "") == "isinstance" and len(test.args) == 2:
            return self._is_instance(*test.args)
        value = self._evaluate(test, self._known)
        return bool(value) if type(value) in _PLAIN else None

    def _compared(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> bool | None:
        one, other = self._evaluate(left, self._known), self._evaluate(right, self._known)
        if one is UNKNOWN or other is UNKNOWN:
            return None
        if isinstance(operator, ast.Is | ast.IsNot) and other is None:
            return (one is None) == isinstance(operator, ast.Is)
        if isinstance(operator, ast.In | ast.NotIn) and type(other) in (dict, list) and type(one) in (str, int):
            return (one in other) == isinstance(operator, ast.In)
        return None

    def _is_instance(self, value: ast.expr, kinds: ast.expr) -> bool | None:
        given = self._evaluate(value, self._known)
        names = [getattr(one, "id", "") for one in (kinds.elts if isinstance(kinds, ast.Tuple) else [kinds])]
        if type(given) not in _PLAIN or not all(name in _TYPES for name in names):
            return None
        return isinstance(given, tuple(_TYPES[name] for name in names))


def _holds(body: Sequence[ast.stmt], place: Place) -> bool:
    ends = ((one.end_lineno or one.lineno, one.end_col_offset or 0) for one in body)
    return any((one.lineno, one.col_offset) <= place <= end for one, end in zip(body, ends, strict=True))
