"""What TorchServe takes for the handler in its file."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator

from handlerkit.messages import Finding
from handlerkit.why.effects import LOAD

_SILENT = "The model loads, and nothing is logged."


def not_meant(text: bytes, handler: str) -> Iterator[Finding]:
    """Where TorchServe takes another entry point than was meant. `handler` is the manifest's entry."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    wanted = handler.partition(":")[2]
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    classes = [node.name for node in body if isinstance(node, ast.ClassDef)]
    names = {alias.asname or alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names}
    values = {target.id for node in body if isinstance(node, ast.Assign) for target in node.targets
              if isinstance(target, ast.Name)}  # fmt: skip
    if wanted and classes and wanted not in functions | names | values | set(classes):
        message = f"The handler's file has no function {wanted}, so TorchServe uses its class {classes[0]} instead."
        fix = f"Define {wanted}, or name the file alone as the handler."
        yield Finding("no_function", message, "", _SILENT, fix, "warning")
    used = wanted or "handle"
    if used in functions and len(classes) == 1 and _has_handle(body) and not _is_made(body, classes[0]):
        message = f"The handler's file has a function {used} and a class {classes[0]}; TorchServe uses the function, "
        message += "not the class."
        fix = f"Remove or rename one of them, {used} or {classes[0]}."
        yield Finding("function_wins", message, "", _SILENT, fix, "warning")


def class_count(names: list[str]) -> Finding:
    """For a handler file that defines no function, and not one class, but these."""
    if not names:
        message = "The handler file defines no class and no function named handle; an imported class does not count."
        fix = "Define the handler class in this file, or a function handle(data, context)."
    elif twice := [name for name, count in Counter(names).items() if count > 1]:
        message = f"The class {twice[0]} has two names in the handler file, and TorchServe counts it as two classes."
        fix = f"Remove the second name (Other = {twice[0]})."
    else:
        listed = ", ".join(sorted(names))
        message = f"The handler file defines {len(names)} classes ({listed}); TorchServe takes one, or a function."
        fix = "Move the others to a helper module (%%module, --extra-files) and import them from there."
    return Finding("class_count", message, effect=LOAD, fix=fix)


def no_method(method: str) -> Finding:
    """A handler class without `handle` or `initialize`."""
    sign = "handle(self, data, context)" if method == "handle" else "initialize(self, context)"
    message = f"The handler class has no method {method}; TorchServe needs both initialize and handle."
    return Finding("no_method", message, effect=LOAD, fix=f"Add {sign}, or derive from BaseHandler, which has it.")


def _is_made(body: list[ast.stmt], kind: str) -> bool:
    """Whether the file makes an object of the class, as a function does that calls its methods."""
    calls = (node for one in body for node in ast.walk(one) if isinstance(node, ast.Call))
    return any(isinstance(call.func, ast.Name) and call.func.id == kind for call in calls)


def _has_handle(body: list[ast.stmt]) -> bool:
    """Whether a class of the file looks like a handler."""
    return any(
        isinstance(node, ast.FunctionDef) and node.name == "handle"
        for kind in body
        if isinstance(kind, ast.ClassDef)
        for node in kind.body
    )
