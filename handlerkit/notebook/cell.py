"""A handler class defined in a plain cell, as the source of a module of its own."""

from __future__ import annotations

import ast
import linecache
import types

from handlerkit.errors import ModelError


def module_source(kind: type) -> str:
    """The source of the cell that `kind` stands in, without handlerkit calls and magics.

    What is left out becomes empty lines, so that line N of the module is line N of the cell. Raises ModelError where
    the class was not defined in a cell.
    """
    lines = linecache.getlines(_file_of(kind))
    source = "".join(lines)
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        statements = []
    if not any(isinstance(node, ast.ClassDef) and node.name == kind.__name__ for node in statements):
        raise ModelError(f"the cell of class {kind.__name__} is not to be found; write it with %%handler instead")
    names = _kit_names(statements)
    for node in statements:
        if _mentions(node, names):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = "\n"
    return "".join(lines)


def _file_of(kind: type) -> str:
    """Methods remember the cell they were compiled from; a class does not."""
    for member in vars(kind).values():
        function = member.__func__ if isinstance(member, staticmethod | classmethod) else member
        if isinstance(function, types.FunctionType):
            return function.__code__.co_filename
    raise ModelError(f"class {kind.__name__} has no method of its own")


def _kit_names(statements: list[ast.stmt]) -> set[str]:
    """The names by which this cell may reach handlerkit or IPython."""
    names = {"handlerkit", "hk", "get_ipython"}
    for node in statements:
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name for alias in node.names if alias.name.split(".")[0] == "handlerkit"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "handlerkit":
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def _mentions(node: ast.stmt, names: set[str]) -> bool:
    if isinstance(node, ast.Import):
        return any((alias.asname or alias.name.split(".")[0]) in names for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] == "handlerkit"
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return any(isinstance(part, ast.Name) and part.id in names for part in ast.walk(node))
