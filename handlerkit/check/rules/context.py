"""Attributes and methods that the context of TorchServe does not have."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator

from handlerkit.check.code.source import Function, SourceFile, dotted
from handlerkit.check.rules.effects import when
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding
from handlerkit.serving.torchserve_facts import CONTEXT, SYSTEM_PROPERTIES
from handlerkit.targets import Target


def context_names(subject: Subject, target: Target) -> Iterator[Finding]:
    """Names that handle and initialize take from their context, and that nothing gives it."""
    program = subject.program(target.python)
    if subject.handler_file is None or subject.handler_file not in program.sources:
        return
    source = program.sources[subject.handler_file]
    given = {
        node.attr
        for _, node in program.nodes(ast.Attribute)
        if isinstance(node.ctx, ast.Store) and dotted(node.value) != "self"
    }
    reported: set[str] = set()
    for node in program.nodes_of(source, ast.Attribute):
        name = node.attr
        if not isinstance(node.ctx, ast.Load) or name in {*CONTEXT, *given, *reported} or name.startswith("_"):
            continue
        if not _is_context(source, node.value) or source.tried(node, ("AttributeError",)):
            continue
        if program.asked(source, node):
            continue
        reported.add(name)
        near = difflib.get_close_matches(name, CONTEXT, 1)
        fix = f"Did you mean {near[0]}?" if near else "Take it from context.manifest or context.model_yaml_config."
        if name in SYSTEM_PROPERTIES:
            fix = f"Write context.system_properties.get({name!r})."
        message = f"TorchServe's context has no {name!r}."
        yield Finding("context_name", message, source.place(node), when(program, source, node), fix)


def _is_context(source: SourceFile, node: ast.expr) -> bool:
    """Whether it is the last argument of initialize(self, context) or handle(self, data, context), or self.context if
    nothing else is stored there."""
    if dotted(node) == "self.context":
        stores = source.attributes.get("context", [])
        return bool(stores) and all(isinstance(one, ast.Name) and _is_context(source, one) for one in stores)
    function = source.function(node)
    if not isinstance(node, ast.Name) or not isinstance(function, Function) or function.decorator_list:
        return False
    taken = [one.arg for one in function.args.args]
    is_method = taken[:1] == ["self"]
    wanted = {"initialize": 1, "handle": 2}.get(function.name)
    if wanted is None or len(taken) != wanted + is_method or taken[-1] != node.id:
        return False
    return not any(
        isinstance(inner, ast.Name) and inner.id == node.id and isinstance(inner.ctx, ast.Store)
        for inner in ast.walk(function)
    )


CONTEXT_RULES = (context_names,)
