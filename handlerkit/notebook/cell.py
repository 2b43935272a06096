"""Cells as Python files: what %%handler and %%module write, and the module around a class of a plain cell."""

from __future__ import annotations

import ast
import inspect
import linecache
import types
from collections.abc import Iterator
from pathlib import Path

from handlerkit.errors import ModelError


def write(file: str | Path, source: str) -> Path:
    """Write a cell to the file it names, only where that changes something: a cell that is run again leaves the
    archive up to date. Raises ModelError for a folder that is not there, and for a name that cannot be imported."""
    path = Path(file).expanduser()
    if path.suffix != ".py":
        path = path.with_name(f"{path.name}.py")
    if not path.parent.is_dir():
        raise ModelError(f"there is no folder {path.parent.as_posix()!r} to write {path.name} into")
    if not path.stem.replace("-", "_").isidentifier():
        raise ModelError(f"{path.name!r} cannot be imported: name the file with letters, digits and '_'")
    if not path.is_file() or path.read_bytes() != source.encode():
        path.write_bytes(source.encode())
    return path


def module_source(kind: type) -> str:
    """The source of the cell that defines `kind`, without handlerkit calls and magics.

    What is left out becomes empty lines, so that line N of the module is line N of the cell. Raises ModelError if
    the class was not defined in a cell.
    """
    lines, statements = _cell_of(kind)
    names = _kit_names(statements)
    for node in reversed(statements):
        if _mentions(node, names):
            _leave_out(node, lines)
    return "".join(lines)


def _cell_of(kind: type) -> tuple[list[str], list[ast.stmt]]:
    """The lines of the class's cell. Methods remember the cell they were compiled from; a class does not."""
    for file in dict.fromkeys(_files(kind)):
        lines = linecache.getlines(file)
        try:
            statements = ast.parse("".join(lines)).body
        except SyntaxError:
            continue
        if any(isinstance(node, ast.ClassDef) and node.name == kind.__name__ for node in statements):
            return list(lines), statements
    raise ModelError(
        f"the cell of class {kind.__name__} is not to be found (it needs a method of its own, at the top of a cell "
        "without a magic); write it with %%handler instead"
    )


def _files(kind: type) -> Iterator[str]:
    """Where the class's functions were compiled; what a decorator wraps is under it."""
    for member in vars(kind).values():
        function = member.fget if isinstance(member, property) else inspect.unwrap(getattr(member, "__func__", member))
        if isinstance(function, types.FunctionType):
            yield function.__code__.co_filename


def _leave_out(node: ast.stmt, lines: list[str]) -> None:
    """Empty the statement's lines; where another shares one, `pass` stands for it."""
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    before = lines[first].encode()[: node.col_offset].decode()
    after = lines[last].encode()[node.end_col_offset :].decode()
    shared = before.strip() or after.strip(" \t\n;").partition("#")[0]
    for number in range(first, last + 1):
        lines[number] = "\n"
    if shared:
        lines[first] = f"{before}pass{after}"


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
