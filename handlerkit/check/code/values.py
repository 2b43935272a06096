"""The value of an expression, as far as its text gives it: above all paths, and whether they are in model_dir."""

from __future__ import annotations

import ast
import posixpath
import re
from dataclasses import dataclass
from typing import Literal

from handlerkit.check.code.source import Function, SourceFile, text_of

Root = Literal["model_dir", "cwd", "absolute", "home"]
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]")
#: Calls that give the path they are given, in one form or another.
_SAME = {"str", "os.fspath", "os.path.abspath", "os.path.realpath", "os.path.normpath", "os.path.expanduser"}
_SAME_METHODS = {"resolve", "absolute", "as_posix", "expanduser"}
_JOINS = {"os.path.join", "posixpath.join", "pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath"}
_DEPTH = 12


@dataclass(frozen=True)
class RootedPath:
    """A path: `text` is relative to `root`; that is model_dir, the working directory (which is model_dir in a worker),
    "absolute", or "home"."""

    root: Root
    text: str

    @property
    def in_archive(self) -> str | None:
        """The name in the archive that it stands for; None for a path that leads elsewhere."""
        if self.root not in ("model_dir", "cwd"):
            return None
        normal = posixpath.normpath(self.text) if self.text else "."
        return None if normal.startswith("..") else "" if normal == "." else normal

    def join(self, other: RootedPath) -> RootedPath:
        """This path with another one behind it, as os.path.join."""
        if other.root in ("absolute", "home"):
            return other
        return RootedPath(self.root, posixpath.join(self.text, other.text) if self.text else other.text)

    def parent(self) -> RootedPath:
        """The folder it is in."""
        return RootedPath(
            self.root, posixpath.dirname(self.text) if self.text not in ("", "..") else posixpath.join("..", self.text)
        )


def place_of(source: SourceFile, node: ast.AST | None, depth: int = 0) -> RootedPath | None:
    """The path that an expression gives; None if that is not known."""
    if node is None or depth > _DEPTH:
        return None
    if (text := text_of(node)) is not None:
        return _of_text(text)
    if isinstance(node, ast.Name):
        return _of_name(source, node, depth)
    if isinstance(node, ast.Attribute):
        return _of_attribute(source, node, depth)
    if isinstance(node, ast.Subscript) and text_of(node.slice) == "model_dir":
        return RootedPath("model_dir", "")
    if isinstance(node, ast.Call):
        return _of_call(source, node, depth)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Add):
        left, right = place_of(source, node.left, depth + 1), place_of(source, node.right, depth + 1)
        if left is None or right is None:
            return None
        return left.join(right) if isinstance(node.op, ast.Div) else _put_together(left, right.text, right.root)
    if isinstance(node, ast.JoinedStr):
        return _of_parts(source, node, depth)
    return None


def default_of(source: SourceFile, node: ast.expr) -> ast.expr | None:
    """The default of an environment variable that an expression, or the name that stands for it, asks for."""
    if isinstance(node, ast.Name) and (value := _assigned(source, node)) is not None:
        return default_of(source, value)
    is_call = isinstance(node, ast.Call) and source.name(node.func) in ("os.getenv", "os.environ.get")
    return node.args[1] if is_call and isinstance(node, ast.Call) and len(node.args) == 2 else None


def _of_text(text: str) -> RootedPath:
    if text.startswith("~"):
        return RootedPath("home", text)
    if text.startswith("/") or _WINDOWS.match(text):
        return RootedPath("absolute", text)
    return RootedPath("cwd", text)


def _put_together(left: RootedPath, text: str, root: Root) -> RootedPath | None:
    """`left + text`: what follows model_dir begins with a slash."""
    if left.root in ("model_dir", "cwd") and not left.text:
        return RootedPath(left.root, text.lstrip("/")) if text.startswith("/") else None
    return RootedPath(left.root, left.text + text)


def _of_parts(source: SourceFile, node: ast.JoinedStr, depth: int) -> RootedPath | None:
    found: RootedPath | None = None
    for part in node.values:
        value = part.value if isinstance(part, ast.FormattedValue) else part
        one = place_of(source, value, depth + 1)
        if one is None:
            return None
        found = one if found is None else _put_together(found, one.text, one.root)
        if found is None:
            return None
    return found


def _of_name(source: SourceFile, node: ast.Name, depth: int) -> RootedPath | None:
    if node.id == "__file__":
        return RootedPath("model_dir", source.file)
    value = _assigned(source, node)
    if value is not None:
        return place_of(source, value, depth + 1)
    return RootedPath("model_dir", "") if node.id == "model_dir" and node.id not in source.names else None


def _of_attribute(source: SourceFile, node: ast.Attribute, depth: int) -> RootedPath | None:
    if node.attr == "parent":
        inner = place_of(source, node.value, depth + 1)
        return inner.parent() if inner is not None else None
    if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
        stores = source.attributes.get(node.attr, [])
        if len(stores) == 1:
            return place_of(source, stores[0], depth + 1)
    return RootedPath("model_dir", "") if node.attr == "model_dir" else None


def _of_call(source: SourceFile, node: ast.Call, depth: int) -> RootedPath | None:
    name, arguments = source.name(node.func), node.args
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if name in ("os.getcwd", "pathlib.Path.cwd"):
        return RootedPath("cwd", "")
    if name == "pathlib.Path.home":
        return RootedPath("home", "~")
    if method == "get" and arguments and text_of(arguments[0]) == "model_dir":
        return RootedPath("model_dir", "")
    if name in _JOINS and arguments and not node.keywords:
        return _joined(source, arguments, depth)
    if name in _SAME and len(arguments) == 1:
        return place_of(source, arguments[0], depth + 1)
    if name == "os.path.dirname" and len(arguments) == 1:
        inner = place_of(source, arguments[0], depth + 1)
        return inner.parent() if inner is not None else None
    if isinstance(node.func, ast.Attribute) and method == "joinpath":
        return _joined(source, [node.func.value, *arguments], depth)
    if isinstance(node.func, ast.Attribute) and method in _SAME_METHODS and not arguments:
        return place_of(source, node.func.value, depth + 1)
    return None


def _joined(source: SourceFile, nodes: list[ast.expr], depth: int) -> RootedPath | None:
    found: RootedPath | None = None
    for node in nodes:
        one = place_of(source, node, depth + 1)
        if one is None:
            return None
        found = one if found is None else found.join(one)
    return found


def _assigned(source: SourceFile, node: ast.Name) -> ast.expr | None:
    """The value of a name that is assigned once, in the function around the use or else in the file."""
    function = source.function(node)
    while function is not None:
        arguments = function.args
        if any(one.arg == node.id for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)):
            return None
        stores, value = _stores(function, node.id)
        if stores:
            return value if stores == 1 else None
        function = source.function(function)
    stores, value = _stores(source.tree, node.id)
    return value if stores == 1 else None


def _stores(scope: Function | ast.Module, name: str) -> tuple[int, ast.expr | None]:
    """How often a scope binds a name, and the last value that it is given by an assignment."""
    count, value = 0, None
    waiting: list[ast.AST] = list(scope.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, Function | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store | ast.Del):
            count += 1
        if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == name for one in node.targets):
            value = node.value
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            value = node.value
        waiting += ast.iter_child_nodes(node)
    return count, value
