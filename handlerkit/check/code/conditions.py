"""What a condition comes to where a handler is served, as far as its text says."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from handlerkit.check.code.source import dotted, text_of

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip
_EQUAL = (operator.eq, operator.ne)
#: TorchServe's images are Linux.
_TEXTS = {"sys.platform": "linux", "os.name": "posix"}
_CALLS = {"platform.system": "Linux"}


def verdict(test: ast.expr, python: tuple[int, int]) -> bool | None:
    """Whether the condition holds in a worker with that Python; None if that is not known."""
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = verdict(test.operand, python)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        decided = isinstance(test.op, ast.Or)  # one that is true decides an `or`, one that is false an `and`
        found = [verdict(value, python) for value in test.values]
        return decided if decided in found else None if None in found else not decided
    if dotted(test).rpartition(".")[2] == "TYPE_CHECKING":
        return False
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return _compared(test.left, test.ops[0], test.comparators[0], python)
    if isinstance(test, ast.Call) and dotted(test.func) == "sys.platform.startswith" and len(test.args) == 1:
        begin = text_of(test.args[0])
        return None if begin is None else "linux".startswith(begin)
    return None


def _compared(left: ast.expr, kind: ast.cmpop, right: ast.expr, python: tuple[int, int]) -> bool | None:
    try:
        said = ast.literal_eval(right)
    except ValueError:
        return None
    compare = _COMPARE.get(type(kind))
    if dotted(left) == "__name__" and said == "__main__" and isinstance(kind, ast.Eq | ast.NotEq):
        return isinstance(kind, ast.NotEq)
    if compare is None:
        return None
    if isinstance(said, tuple):
        known = _version(left, python)
        # what lies behind the minor version is not known
        if not known or (len(said) > 2 and said[:2] == python) or (compare in _EQUAL and len(said) != len(known)):
            return None
        return _holds(compare, known, said)
    one = _text(left) if isinstance(said, str) else _part(left, python)
    return None if one is None else _holds(compare, one, said)


def _holds(compare: Callable[[Any, Any], bool], known: object, said: object) -> bool | None:
    try:
        return compare(known, said)
    except TypeError:
        return None


def _version(node: ast.expr, python: tuple[int, int]) -> tuple[int, ...] | None:
    """What sys.version_info and its first two are; behind the minor version something always follows."""
    if dotted(node) == "sys.version_info":
        return (*python, 0)
    if isinstance(node, ast.Subscript) and dotted(node.value) == "sys.version_info":
        return {":1": python[:1], ":2": python}.get(ast.unparse(node.slice))
    return None


def _part(node: ast.expr, python: tuple[int, int]) -> int | None:
    """The major or the minor version."""
    if dotted(node) in ("sys.version_info.major", "sys.version_info.minor"):
        return python[dotted(node).endswith("minor")]
    if isinstance(node, ast.Subscript) and dotted(node.value) == "sys.version_info":
        return {"0": python[0], "1": python[1]}.get(ast.unparse(node.slice))
    return None


def _text(node: ast.expr) -> str | None:
    if isinstance(node, ast.Call):
        return _CALLS.get(dotted(node.func))
    return _TEXTS.get(dotted(node))
