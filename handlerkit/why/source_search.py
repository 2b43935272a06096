"""The handler's own files, read for the lines that a finding names."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from handlerkit.serving import torchserve_facts as facts
from handlerkit.why.evidence import Evidence, RecordedCall, place

Function = ast.FunctionDef | ast.AsyncFunctionDef


def text(evidence: Evidence, file: str) -> str:
    """A file of the model as it was loaded; empty if it cannot be read."""
    try:
        return (evidence.source.folder / file).read_text("utf-8") if evidence.source.folder else ""
    except (OSError, UnicodeDecodeError):
        return ""


def tree(evidence: Evidence, file: str) -> ast.Module:
    """The file's syntax tree; an empty one where Python cannot read it."""
    try:
        return ast.parse(text(evidence, file))
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def handler_file(evidence: Evidence) -> str:
    """The name of the handler's file: `handler.py` for handler.py and for handler:function."""
    return evidence.attempt.setup.handler.partition(":")[0].removesuffix(".py") + ".py"


def line(evidence: Evidence, file: str, number: int, function: str) -> str:
    """A line of a file, as a reader finds it."""
    lines = text(evidence, file).splitlines()
    source = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    return place(file, number, function, source)


def manifest(evidence: Evidence) -> dict[str, Any]:
    """What the archive's manifest says of the model; empty where it cannot be read."""
    try:
        said = json.loads((evidence.source.folder / facts.MANIFEST).read_text()) if evidence.source.folder else {}
    except (OSError, ValueError):
        return {}
    model = said.get("model") if isinstance(said, dict) else None
    return model if isinstance(model, dict) else {}


def local(evidence: Evidence, file: str, function: str, name: str) -> Any:
    """A variable of the innermost call of a function in the traceback; `file` is the end of its path. None where there
    is none, as there is of an exception that is known from a log alone."""
    found, trace = None, evidence.error.__traceback__ if evidence.error is not None else None
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_name == function and code.co_filename.endswith(file):
            found = trace.tb_frame.f_locals.get(name)
        trace = trace.tb_next
    return found


def method(evidence: Evidence, name: str) -> Function | None:
    """The method of that name of the handler's own class, which derives from another."""
    for kind in tree(evidence, handler_file(evidence)).body:
        if isinstance(kind, ast.ClassDef) and kind.bases:
            for node in kind.body:
                if isinstance(node, Function) and node.name == name:
                    return node
    return None


def classes(evidence: Evidence, file: str) -> set[str]:
    """The names of the classes that a file defines."""
    return {node.name for node in ast.walk(tree(evidence, file)) if isinstance(node, ast.ClassDef)}


def is_global(evidence: Evidence, file: str, name: str) -> bool:
    """Whether a file gives a variable of its own that name."""
    return any(
        isinstance(one, ast.Name) and one.id == name
        for node in tree(evidence, file).body
        if isinstance(node, ast.Assign)
        for one in node.targets
    )


def super_calls(function: Function) -> dict[str, int]:
    """The methods that a method calls by super(), with the lines."""
    return {
        node.func.attr: node.lineno
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Call) and _name(node.func.value) == "super"
    }  # fmt: skip


def fix_of_line(evidence: Evidence) -> str:
    """What to do about the line that raised; "" for a raise or assert statement, which meant to."""
    if evidence.frame is None:
        return "The exception comes from a library: look at what the handler passes to it."
    if evidence.frame.source.startswith(("raise ", "assert ")):
        return ""
    is_own = evidence.functions[-1][0] in evidence.source.files
    return "Correct that line." if is_own else "Look at what that line passes to the function that raised it."


def return_line(evidence: Evidence, gives_none: bool = False) -> str:
    """The only return statement of the handler's entry point that gives a value, or that gives None, else its first
    line. Where the entry point is inherited, that of postprocess, whose value it returns."""
    file = handler_file(evidence)
    if file not in evidence.source.files:
        return ""
    module = tree(evidence, file)
    wanted = evidence.attempt.setup.handler.partition(":")[2] or "handle"
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
    returns = [node for node in _returns(function) if _is_none(node.value) == gives_none]
    return line(evidence, file, returns[0].lineno if len(returns) == 1 else function.lineno, function.name)


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def call_line(evidence: Evidence, call: RecordedCall) -> str:
    """The line that called the context, if it is one of the model's own; else ""."""
    files, folder, _ = evidence.source
    if call.file_name not in files or folder is None or not call.file.startswith(str(folder)):
        return ""
    around = enclosing(tree(evidence, call.file_name), call.line)
    return line(evidence, call.file_name, call.line, around.name if around else "<module>")


def find(evidence: Evidence, pattern: str) -> str:
    """The first line of the model's own files that the pattern matches; empty if there is none."""
    return next(find_all(evidence, pattern), "")


def find_all(evidence: Evidence, pattern: str) -> Iterator[str]:
    """The lines of the model's own files that the pattern matches."""
    for file in evidence.source.files:
        for number, source in enumerate(text(evidence, file).splitlines(), 1):
            if not source.lstrip().startswith("#") and re.search(pattern, source):
                yield f"{file}, line {number}: {source.strip()}"


def methods(evidence: Evidence, kind: str, name: str) -> Iterator[str]:
    """The first lines of the methods of this name, in classes of that name."""
    for file in evidence.source.files:
        for node in ast.walk(tree(evidence, file)):
            if isinstance(node, ast.ClassDef) and node.name == kind:
                for method in node.body:
                    if isinstance(method, Function) and method.name == name:
                        header = text(evidence, file).splitlines()[method.lineno - 1].strip()
                        yield f"{file}, line {method.lineno}: {header}"


def enclosing(module: ast.Module, number: int) -> Function | None:
    """The innermost function around a line."""
    around = [
        node
        for node in ast.walk(module)
        if isinstance(node, Function) and node.lineno <= number <= (node.end_lineno or node.lineno)
    ]
    return max(around, key=lambda node: node.lineno, default=None)


def tests_argument(function: Function) -> bool:
    """Whether it tests its first argument for being there: data is None, not data, if data."""
    given = function.args.args[0].arg if function.args.args else ""
    asked = [node.left for node in ast.walk(function) if isinstance(node, ast.Compare)]
    asked += [node for node in _conditions(function) if isinstance(node, ast.Name)]
    return any(isinstance(node, ast.Name) and node.id == given for node in asked)


def is_argument(evidence: Evidence, name: str) -> bool:
    """Whether it is an argument of the failing function, and still what was given."""
    frame = evidence.frame
    function = enclosing(tree(evidence, frame.file), frame.line) if frame is not None else None
    given = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)} if function is not None else set()
    return name in given and not assigned(evidence, name)


def row_lookups(evidence: Evidence) -> list[tuple[str, ast.expr]]:
    """(key, expression) of the `row_choices` that have one key."""
    return [(keys[0], node) for keys, node in row_choices(evidence) if len(keys) == 1]


def row_choices(evidence: Evidence) -> list[tuple[tuple[str, ...], ast.expr]]:
    """(keys, expression) of the lookups in rows of `data` in the functions that failed, innermost first, up to the line
    that failed: data[0][key], and row[key] or row.get(key) where row is data[0], or goes through data in a loop, or is
    an argument. `row.get(a) or row.get(b)` and `row.get(a, row.get(b))` have several keys. Not where an `or` says what
    else to take instead."""
    frames = [frame for frame in evidence.info.frames if frame.file in evidence.source.files] if evidence.info else []
    found: list[tuple[tuple[str, ...], ast.expr]] = []
    for frame in reversed(frames):
        function = enclosing(tree(evidence, frame.file), frame.line)
        if function is not None:
            found += _choices(function, frame.line, evidence.row_names(frame))
    return found


def _choices(function: Function, last: int, names: set[str]) -> list[tuple[tuple[str, ...], ast.expr]]:
    nodes = list(ast.walk(function))
    given = {argument.arg for argument in function.args.args}

    def is_data(node: ast.expr) -> bool:
        if isinstance(node, ast.Call) and _name(node) == "enumerate" and node.args:
            return is_data(node.args[0])
        return isinstance(node, ast.Name) and node.id in given

    def is_row(node: ast.expr) -> bool:
        return (isinstance(node, ast.Subscript) and is_data(node.value)) or (
            isinstance(node, ast.Name) and node.id in names
        )

    def keys_of(node: ast.AST) -> tuple[str, ...]:
        key: ast.expr | None = None
        rest: tuple[str, ...] = ()
        if isinstance(node, ast.Subscript) and is_row(node.value):
            key = node.slice
        elif isinstance(node, ast.Call) and _name(node) == "get" and isinstance(node.func, ast.Attribute):
            if is_row(node.func.value) and 1 <= len(node.args) <= 2:
                key = node.args[0]
                rest = keys_of(node.args[1]) if len(node.args) == 2 else ()
                if len(node.args) == 2 and not rest:
                    return ()
        elif isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            choices = [keys_of(value) for value in node.values]
            return tuple(one for keys in choices for one in keys) if all(choices) else ()
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.lineno <= last:
            return (key.value, *rest)
        return ()

    for node in nodes:
        if isinstance(node, ast.For | ast.comprehension) and is_data(node.iter):
            names |= {name.id for name in ast.walk(node.target) if isinstance(name, ast.Name)}
        elif isinstance(node, ast.Assign) and is_row(node.value):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    outer = [node for node in nodes if isinstance(node, ast.BoolOp) or (isinstance(node, ast.Call) and node.args)]
    spared = {
        part
        for node in outer
        if isinstance(node, ast.BoolOp) or _name(node) == "get"
        for part in (node.values if isinstance(node, ast.BoolOp) else node.args)
    }
    found = [(keys_of(node), node) for node in nodes if node not in spared]
    return [(keys, node) for keys, node in found if keys and isinstance(node, ast.expr)]


def assigned(evidence: Evidence, target: str) -> str:
    """The last line that gives `target` its value: a variable of the failing function or of its file, or an attribute.
    It is before the failing line if it is in that function; "" if there is none."""
    file, node = _assignment(evidence, target)
    if node is None:
        return ""
    around = enclosing(tree(evidence, file), node.lineno)
    return line(evidence, file, node.lineno, around.name if around else "<module>")


def assigned_value(evidence: Evidence, target: str) -> str:
    """The expression on that line."""
    _, node = _assignment(evidence, target)
    return ast.unparse(node.value) if node is not None else ""


def _assignment(evidence: Evidence, target: str) -> tuple[str, ast.Assign | None]:
    frame = evidence.frame
    file, last = (frame.file, frame.line) if frame is not None else (handler_file(evidence), 0)
    module = tree(evidence, file)
    inner = enclosing(module, last)
    taken = {argument.arg for argument in ast.walk(inner) if isinstance(argument, ast.arg)} if inner else set()
    found: list[tuple[bool, ast.Assign]] = []
    for node in ast.walk(module):
        if isinstance(node, ast.Assign) and any(ast.unparse(one) == target for one in node.targets):
            around = enclosing(module, node.lineno)
            if "." in target or around is inner or (around is None and target not in taken):
                is_near = inner is not None and inner.lineno <= node.lineno < last
                found.append((is_near, node))
    return file, max(found, key=lambda one: (one[0], one[1].lineno))[1] if found else None


def skipped_branch(evidence: Evidence, target: str) -> tuple[int, str] | None:
    """(line, condition) of the only line that sets `target`, if it is in the failing function, before the failing
    line, under an `if` that does not enclose that."""
    frame = evidence.frame
    module = tree(evidence, frame.file) if frame else ast.Module([], [])
    setters = [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.Assign) and any(ast.unparse(one) == target for one in node.targets)
    ]
    function = enclosing(module, frame.line) if frame else None
    if frame is None or function is None or len(setters) != 1 or enclosing(module, setters[0].lineno) is not function:
        return None
    around = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.If)
        and any(setters[0] is one for inner in node.body for one in ast.walk(inner))
        and (node.end_lineno or 0) < frame.line
    ]
    if not around:
        return None
    inner = max(around, key=lambda node: node.lineno)
    return setters[0].lineno, ast.unparse(inner.test)


def none_returns(evidence: Evidence, name: str) -> str:
    """The only line on which a function of that name, in the file that failed, returns None; "" if there is no such."""
    file = evidence.frame.file if evidence.frame else ""
    found = [node for node in ast.walk(tree(evidence, file)) if isinstance(node, Function) and node.name == name]
    lines = [one.lineno for function in found for one in _returns(function) if _is_none(one.value)]
    return line(evidence, file, lines[0], name) if len(lines) == 1 else ""


def in_place_call(evidence: Evidence) -> tuple[str, int] | None:
    """(method, line) of a method that works in place and returns None, where its value is used on the failing line or
    returned by a function that is called there."""
    frame = evidence.frame
    if frame is None:
        return None
    module = tree(evidence, frame.file)
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


def is_tested_for_truth(evidence: Evidence, file: str, number: int) -> bool:
    """Whether the header read on this line is used as a condition, in a function that compares it with no text."""
    module = tree(evidence, file)
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
    for test in _conditions(function):
        value = test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else None
        if test in read or (value is not None and value in names):
            return True
    return False


def _conditions(function: ast.AST) -> Iterator[ast.AST]:
    """The expressions that are only tested for being true."""
    for node in ast.walk(function):
        if isinstance(node, ast.If | ast.IfExp | ast.While):
            yield from node.test.values if isinstance(node.test, ast.BoolOp) else (node.test,)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node.operand
