"""Arguments that TorchServe gives the handler's functions, and that they do not take."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from handlerkit.check.code.source import Function, SourceFile, dotted
from handlerkit.check.loading import BASE_CLASSES
from handlerkit.check.rules.effects import LOAD, REQUEST
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.targets import Target

#: Methods that TorchServe calls, and what it gives them behind self.
_OF_WORKER: dict[str, tuple[str, ...]] = {"__init__": (), "initialize": ("context",), "handle": ("data", "context")}
#: Methods that BaseHandler.handle calls, if it is not overridden.
_OF_BASE = {"preprocess": ("data",), "inference": ("data",), "postprocess": ("data",)}


def signatures(subject: Subject, target: Target) -> Iterator[Finding]:
    """Functions and methods that cannot be called as TorchServe calls them."""
    if subject.handler_file is None or subject.handler_file not in subject.program(target.python).sources:
        return
    source = subject.source(subject.handler_file)
    wanted = str(subject.said.get("handler", "")).partition(":")[2] or "handle"
    function = next((node for node in source.tree.body if isinstance(node, Function) and node.name == wanted), None)
    if function is not None:
        yield from _called(source, function, ("data", "context"), LOAD)
        yield from _waiting(source, function)
        return
    kinds = [node for node in source.tree.body if isinstance(node, ast.ClassDef)]
    if wanted in source.names or len(kinds) != 1 or kinds[0].decorator_list or kinds[0].keywords:
        return
    methods = {node.name: node for node in kinds[0].body if isinstance(node, Function)}
    calls = dict(_OF_WORKER)
    if "handle" not in methods and any(dotted(base).rpartition(".")[2] in BASE_CLASSES for base in kinds[0].bases):
        calls |= _OF_BASE
    for name, given in calls.items():
        if (method := methods.get(name)) is not None:
            yield from _called(source, method, ("self", *given), REQUEST if name in _ANSWERING else LOAD)
            yield from _waiting(source, method)


_ANSWERING = ("handle", *_OF_BASE)


def _waiting(source: SourceFile, function: Function) -> Iterator[Finding]:
    """Functions that give a coroutine or a generator, which TorchServe neither awaits nor goes through."""
    if function.decorator_list or function.name not in ("initialize", "handle"):
        return
    own = (node for node in ast.walk(function) if source.function(node) is function)
    if isinstance(function, ast.AsyncFunctionDef):
        message = f"{function.name} is a coroutine, which TorchServe does not await."
        fix = f"Write def {function.name}, and await in it with asyncio.run."
    elif any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own):
        message = f"{function.name} is a generator, as it holds a yield: calling it runs none of its lines."
        fix = "Return a list; to send an answer in parts, call send_intermediate_predict_response."
    else:
        return
    effect = "The handler is never initialized." if function.name == "initialize" else _NO_LIST
    yield Finding("signature", message, source.place(function), effect, fix)


_NO_LIST = f"Every request is answered 503 '{facts.NO_LIST}'."


def _called(source: SourceFile, function: Function, given: tuple[str, ...], effect: str) -> Iterator[Finding]:
    arguments = function.args
    if function.decorator_list:
        return  # whatever these make of it
    taken = [*arguments.posonlyargs, *arguments.args]
    least = len(taken) - len(arguments.defaults)
    lacking = [one.arg for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if not default]
    if lacking or least > len(given) or (len(taken) < len(given) and arguments.vararg is None):
        message = f"{function.name} takes ({ast.unparse(arguments)}), and is called with ({', '.join(given)})."
        fix = f"Write def {function.name}({', '.join(given)})."
        yield Finding("signature", message, source.place(function), effect, fix)


SIGNATURE_RULES = (signatures,)
