"""What TorchServe takes for the handler in its file."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from handlerkit.check.code.classes import classes, may_have_more
from handlerkit.check.code.source import dotted
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding
from handlerkit.targets import Target
from handlerkit.why.findings import handler_file


def taken(subject: Subject, target: Target) -> Iterator[Finding]:
    """What it takes in the place of something else."""
    if subject.handler_file is not None:
        text, handler = subject.source(subject.handler_file).text, str(subject.said.get("handler", ""))
        yield from handler_file.not_meant(text, handler)


def class_count(subject: Subject, target: Target) -> Iterator[Finding]:
    """Without a function, it takes the one class that the file defines."""
    if subject.handler_file is None:
        return
    source = subject.source(subject.handler_file)
    wanted = str(subject.said.get("handler", "")).partition(":")[2] or "handle"
    if source.problem is not None or source.is_open or wanted in source.names:
        return
    found = classes(source)
    if len(found) > 1 or (not found and not may_have_more(source)):
        yield handler_file.class_count(found)


def methods(subject: Subject, target: Target) -> Iterator[Finding]:
    """The class has both methods that TorchServe calls."""
    if subject.handler_file is None or subject.handler_file not in subject.program(target.python).sources:
        return
    source = subject.source(subject.handler_file)
    found = [node for node in source.tree.body if isinstance(node, ast.ClassDef)]
    if len(found) != 1 or source.is_open or "handle" in source.names or found[0].decorator_list or found[0].keywords:
        return
    if any(dotted(base) != "object" for base in found[0].bases):
        return
    names = {node.name for node in ast.walk(found[0]) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    names |= {node.id for node in ast.walk(found[0]) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {
        node.attr
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    if names & {"__getattr__", "__getattribute__"}:
        return
    for method in ("handle", "initialize"):
        if method not in names:
            yield handler_file.no_method(method)
            return


#: In the order in which they are asked.
ENTRY_POINT_RULES = (taken, class_count, methods)
