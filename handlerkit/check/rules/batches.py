"""Answers that do not fit a batch of several requests."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from handlerkit.check.code.source import Function, SourceFile
from handlerkit.check.rules.effects import shown
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.targets import Target

_MISMATCHED = f"Where several requests come together, each is answered 503 '{facts.WRONG_LENGTH}'."
_FIX = "Return a list with one item for each request: [... for row in data]."


def one_answer(subject: Subject, target: Target) -> Iterator[Finding]:
    """One answer for a whole batch, where the config file asks for batches."""
    size = subject.settings.get("batchSize")
    if not isinstance(size, int) or size < 2 or subject.handler_file is None:
        return
    source = subject.source(subject.handler_file)
    for function in _answering(source, str(subject.said.get("handler", "")).partition(":")[2] or "handle"):
        for node in ast.walk(function):
            if isinstance(node, ast.Return) and _is_one(node.value) and _is_always(source, node, function):
                message = f"`{shown(node)}` is one answer, and batchSize is {size}."
                yield Finding("batch_answer", message, source.place(node), _MISMATCHED, _FIX)
                return
    for function in _reading(source):
        if (first := _reads_first_alone(function)) is not None:
            message = f"Of the batch, {function.name} reads `{shown(first)}` alone; batchSize is {size}."
            effect = f"The other requests are not looked at. {_MISMATCHED}"
            yield Finding("batch_answer", message, source.place(first), effect, _FIX, "warning")
            return


def _answering(source: SourceFile, entry: str) -> list[Function]:
    """The functions whose lists TorchServe gives to the clients."""
    for node in source.tree.body:
        if isinstance(node, Function) and node.name == entry:
            return [node]
    methods = _methods(source)
    if (handle := methods.get("handle")) is None:
        return [methods["postprocess"]] if "postprocess" in methods else []
    calls = {node.attr for node in ast.walk(handle) if isinstance(node, ast.Attribute)}
    return [methods[name] for name in ("handle", "postprocess") if name == "handle" or name in calls & methods.keys()]


def _reading(source: SourceFile) -> list[Function]:
    """The functions that are given the requests."""
    methods = _methods(source)
    functions = [node for node in source.tree.body if isinstance(node, Function) and node.name == "handle"]
    return functions or [methods[name] for name in ("handle", "preprocess") if name in methods]


def _methods(source: SourceFile) -> dict[str, Function]:
    """Those of the one class that the file defines."""
    kinds = [node for node in source.tree.body if isinstance(node, ast.ClassDef)]
    return {node.name: node for node in kinds[0].body if isinstance(node, Function)} if len(kinds) == 1 else {}


def _is_one(value: ast.expr | None) -> bool:
    """Whether it is a list of one item: [answer], or one over data[:1]."""
    if isinstance(value, ast.List):
        return len(value.elts) == 1 and not isinstance(value.elts[0], ast.Starred)
    if not isinstance(value, ast.ListComp) or len(value.generators) != 1:
        return False
    over = value.generators[0].iter
    return isinstance(over, ast.Subscript) and ast.unparse(over.slice) == ":1"


def _is_always(source: SourceFile, node: ast.Return, function: Function) -> bool:
    """Whether it is what the function returns whatever it is given, and not an inner function's."""
    return source.function(node) is function and not source.conditional(node)


def _reads_first_alone(function: Function) -> ast.Subscript | None:
    """`data[0]`, where nothing else is done with the requests."""
    arguments = [one.arg for one in (*function.args.posonlyargs, *function.args.args) if one.arg not in ("self", "cls")]
    uses = [
        node
        for node in ast.walk(function)
        if arguments and isinstance(node, ast.Name) and node.id == arguments[0] and isinstance(node.ctx, ast.Load)
    ]
    firsts = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Subscript) and node.value in uses and ast.unparse(node.slice) == "0"
    ]
    return firsts[0] if firsts and len(firsts) == len(uses) else None


BATCH_RULES = (one_answer,)
