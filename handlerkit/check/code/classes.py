"""The classes that a file defines, as inspect finds them in the module: under each name that they have."""

from __future__ import annotations

import ast

from handlerkit.check.code.source import SourceFile, dotted


def classes(source: SourceFile) -> list[str]:
    """The names of the classes that a file is sure to define, one for each name under which a class is found."""
    found: list[str] = []
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef) and node.name not in found:
            found.append(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in found:
            found += [node.value.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _makes_class(node.value):
            found += [target.id for target in node.targets if isinstance(target, ast.Name) and target.id not in found]
        elif isinstance(node, ast.Delete):
            gone = {target.id for target in node.targets if isinstance(target, ast.Name)}
            found = [name for name in found if name not in gone]
    return found


def _makes_class(call: ast.Call) -> bool:
    """Whether it is namedtuple("Box", ...) and the like, which define their class in the module that calls them."""
    named = call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    return bool(named) and len(call.args) > 1 and dotted(call.func).rpartition(".")[2] in _MAKERS


_MAKERS = {"namedtuple", "NamedTuple", "Enum", "IntEnum", "StrEnum", "Flag"}


def may_have_more(source: SourceFile) -> bool:
    """Whether it may define a class in another way: in a condition, by a call, a decorator that gives another, or a
    name that is not seen."""
    if source.is_open or source.problem is not None:
        return True
    if any(
        isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call) for node in source.tree.body
    ):
        return True
    return any(
        isinstance(node, ast.ClassDef)
        and source.function(node) is None
        and not isinstance(source.parents[node], ast.Module | ast.ClassDef)
        for node in ast.walk(source.tree)
    )
