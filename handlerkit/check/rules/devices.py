"""Devices that the code names although a worker may have none of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from handlerkit.check.code.program import Program
from handlerkit.check.code.source import Function, SourceFile, dotted, text_of
from handlerkit.check.rules.effects import after, shown, when
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding, Severity
from handlerkit.targets import Target

_DEVICE = re.compile(r"(cuda|xpu|mps|hpu)(:\d+)?")
#: A condition that asks for the device.
_ASKED = re.compile(r"is_available|device_count|gpu|cuda|device|mps|xpu", re.IGNORECASE)
#: What a name in a condition was assigned, where that asks for the device.
_ASKING = re.compile(r"is_available|device_count|gpu_id|[!=]= '(cpu|cuda|gpu)", re.IGNORECASE)
#: Keyword arguments that name a device.
_ARGUMENTS = ("device", "map_location", "device_map", "device_type")
_MOVERS = ("cuda", "xpu")
_HONEST = (
    'Take the worker\'s: "cuda:" + str(properties.get("gpu_id")) if torch.cuda.is_available() and '
    'properties.get("gpu_id") is not None else "cpu".'
)


def hard_coded_devices(subject: Subject, target: Target) -> Iterator[Finding]:
    """A GPU that is used without asking whether there is one."""
    program = subject.program(target.python)
    for source in program.sources.values():
        for node in program.nodes_of(source, ast.Call):
            device = _device(node)
            if (
                device is None
                or _is_asked(program, source, node)
                or source.tried(node, ("RuntimeError", "AssertionError"))
            ):
                continue
            is_sure = target.name.endswith("-cpu") and not source.conditional(node)
            severity: Severity = "error" if is_sure else "warning"
            message = f"`{shown(node)}` uses the device {device} without asking whether there is one."
            effect = after("Without a GPU", when(program, source, node))
            if ":" in device:
                effect += " With several, every worker uses this one."
            yield Finding("hard_coded_device", message, source.place(node), effect, _HONEST, severity)
            break  # one a file tells it


def _device(call: ast.Call) -> str | None:
    """The GPU that a call names."""
    name = dotted(call.func)
    method = call.func.attr if isinstance(call.func, ast.Attribute) else name
    if method in _MOVERS and isinstance(call.func, ast.Attribute) and not name.startswith("torch."):
        return method
    given = [keyword.value for keyword in call.keywords if keyword.arg in _ARGUMENTS]
    if method == "to" or name in ("torch.device", "device", "torch.cuda.set_device"):
        given += call.args[:1]
    if name in ("torch.load", "torch.jit.load") and len(call.args) > 1:
        given.append(call.args[1])
    for value in given:
        text = text_of(value)
        if text is not None and _DEVICE.fullmatch(text):
            return text
    if name == "torch.cuda.set_device" and call.args and isinstance(call.args[0], ast.Constant):
        return f"cuda:{ast.unparse(call.args[0])}"
    return None


def _is_asked(program: Program, source: SourceFile, node: ast.AST) -> bool:
    """Whether some condition around it, or a way out before it, asks for a device."""
    for outer in source.around(node):
        tests = [test for test in _tests(outer) if all(inner is not node for inner in ast.walk(test))]
        if isinstance(outer, ast.Lambda) or any(_asks(program, test) for test in tests):
            return True
    function = source.function(node)
    statements = function.body if isinstance(function, Function) else source.tree.body
    for statement in statements:
        if statement.lineno >= getattr(node, "lineno", 0):
            break
        if isinstance(statement, ast.Assert) and _asks(program, statement.test):
            return True
        if isinstance(statement, ast.If) and _asks(program, statement.test) and _leaves(statement):
            return True
    return False


def _tests(outer: ast.AST) -> list[ast.expr]:
    """What decides whether, or how often, something inside such a node runs."""
    if isinstance(outer, ast.If | ast.IfExp | ast.While):
        return [outer.test]
    if isinstance(outer, ast.BoolOp):
        return outer.values[:-1]
    if isinstance(outer, ast.For):
        return [outer.iter]
    if isinstance(outer, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return [test for one in outer.generators for test in (one.iter, *one.ifs)]
    return [outer.subject] if isinstance(outer, ast.Match) else []


def _asks(program: Program, test: ast.expr) -> bool:
    """Whether a condition asks for a device itself, or by what its names were assigned."""
    if _ASKED.search(ast.unparse(test)):
        return True
    return any(_ASKING.search(ast.unparse(value)) for value in program.meant(test))


def _leaves(statement: ast.If) -> bool:
    return isinstance(statement.body[-1], ast.Return | ast.Raise | ast.Continue | ast.Break)


DEVICE_RULES = (hard_coded_devices,)
