"""The handler's own files, read for the lines that a finding names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from handlerkit.why.evidence import Evidence, Noted, place

Function = ast.FunctionDef | ast.AsyncFunctionDef


def text(seen: Evidence, file: str) -> str:
    """A file of the model as it was loaded; empty where it cannot be read."""
    try:
        return (seen.folder / file).read_text("utf-8") if seen.folder else ""
    except (OSError, UnicodeDecodeError):
        return ""


def tree(seen: Evidence, file: str) -> ast.Module:
    """The file's syntax tree; an empty one where Python cannot read it."""
    try:
        return ast.parse(text(seen, file))
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def handler_file(seen: Evidence) -> str:
    """The name of the handler's file: `handler.py` for handler.py and for handler:function."""
    return seen.setup.handler.partition(":")[0].removesuffix(".py") + ".py"


def line(seen: Evidence, file: str, number: int, function: str) -> str:
    """A line of a file, as a reader finds it."""
    lines = text(seen, file).splitlines()
    source = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    return place(file, number, function, source)


def answering(seen: Evidence) -> str:
    """The only return statement of the handler's entry point, else its first line. Where the entry point is inherited,
    that of postprocess, whose value it returns."""
    file = handler_file(seen)
    if file not in seen.files:
        return ""
    module = tree(seen, file)
    wanted = seen.setup.handler.partition(":")[2] or "handle"
    outer = {node.name: node for node in module.body if isinstance(node, Function)}
    inner = {
        node.name: node
        for kind in module.body
        if isinstance(kind, ast.ClassDef)
        for node in kind.body
        if isinstance(node, Function)
    }
    function = outer.get(wanted) or inner.get("handle") or inner.get("postprocess")
    if function is None:
        return ""
    returns = list(_returns(function))
    return line(seen, file, returns[0].lineno if len(returns) == 1 else function.lineno, function.name)


def name(note: Noted) -> str:
    """The name of the file that asked."""
    return note.file.rpartition("/")[2]


def noted(seen: Evidence, note: Noted) -> str:
    """The line that asked, where it is one of the model's own."""
    if name(note) not in seen.files or seen.folder is None or not note.file.startswith(str(seen.folder)):
        return ""
    around = enclosing(tree(seen, name(note)), note.line)
    return line(seen, name(note), note.line, around.name if around else "<module>")


def find(seen: Evidence, pattern: str) -> str:
    """The first line of the model's own files that the pattern matches; empty where there is none."""
    for file in seen.files:
        for number, source in enumerate(text(seen, file).splitlines(), 1):
            if not source.lstrip().startswith("#") and re.search(pattern, source):
                return f"{file}, line {number}: {source.strip()}"
    return ""


def enclosing(module: ast.Module, number: int) -> Function | None:
    """The innermost function around a line."""
    around = [
        node
        for node in ast.walk(module)
        if isinstance(node, Function) and node.lineno <= number <= (node.end_lineno or node.lineno)
    ]
    return max(around, key=lambda node: node.lineno, default=None)


def returned_in_place(seen: Evidence) -> tuple[str, int] | None:
    """(method, line) of a method that works in place and returns None, where its value is used on the failing line or
    returned by a function that is called there."""
    frame = seen.frame
    if frame is None:
        return None
    module = tree(seen, frame.file)
    functions = {node.name: node for node in ast.walk(module) if isinstance(node, Function)}
    for node in ast.walk(module):
        if not isinstance(node, ast.Call) or not node.lineno <= frame.line <= (node.end_lineno or node.lineno):
            continue
        called = _name(node)
        for statement in _returns(functions[called]) if called in functions else ():
            if isinstance(statement.value, ast.Call) and (name := _name(statement.value)) in _IN_PLACE:
                return name, statement.lineno
    used = [
        node.value
        for node in ast.walk(module)
        if isinstance(node, ast.Attribute | ast.Subscript) and node.lineno == frame.line
    ]
    for value in used:
        if isinstance(value, ast.Call) and (name := _name(value)) in _IN_PLACE:
            return name, value.lineno
    return None


#: Methods of lists, dicts, sets and PIL images that change the object and return None.
_IN_PLACE = {
    "append", "extend", "insert", "remove", "clear", "sort", "reverse", "update", "add", "discard",
    "putalpha", "putdata", "putpalette", "putpixel", "paste", "thumbnail", "alpha_composite",
}  # fmt: skip


def _name(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _returns(function: ast.AST) -> Iterator[ast.Return]:
    """The return statements of a function, without those of functions inside it."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.Return):
            yield node
        elif not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            yield from _returns(node)


def tests_text(seen: Evidence, file: str, number: int) -> bool:
    """Whether the header read on this line is tested for being true, in a function that compares it with no text."""
    module = tree(seen, file)
    function = enclosing(module, number)
    if function is None:
        return False
    constants = {node.value for node in ast.walk(function) if isinstance(node, ast.Constant)}
    texts = {value.lower() for value in constants if isinstance(value, str)}
    if texts & {"true", "false"}:
        return False
    read = [node for node in ast.walk(function) if isinstance(node, ast.Call) and node.lineno == number]
    names = {
        target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and node.value in read
        for target in node.targets
    }
    for test in _tests(function):
        value = test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else None
        if test in read or (value is not None and value in names):
            return True
    return False


def _tests(function: ast.AST) -> Iterator[ast.AST]:
    """What stands where only true or false counts."""
    for node in ast.walk(function):
        if isinstance(node, ast.If | ast.IfExp | ast.While):
            yield from node.test.values if isinstance(node.test, ast.BoolOp) else (node.test,)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node.operand
