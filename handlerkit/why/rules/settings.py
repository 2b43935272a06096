"""What a registration ignores without a message: settings that do not count, files that are not used."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from handlerkit.messages import Finding
from handlerkit.model import Model
from handlerkit.serving.torchserve_facts import RESPONSE_TIMEOUT
from handlerkit.why.rules import config_file

_SILENT = "The model loads, and nothing is logged."


def unusable_config(model: Model) -> config_file.Unusable | None:
    """What the frontend says to a config file that is empty or no mapping, before any worker is started."""
    text = _config(model)
    return None if text is None or model.config_file is None else config_file.unusable(text, model.config_file.name)


def declares_metrics(properties: Mapping[str, Any]) -> bool:
    """Whether metrics that TorchServe's own metrics.yaml does not declare may reach the server's pages."""
    detects = str(properties.get("model_metrics_auto_detect", "")).lower() == "true"
    return detects or bool(properties.get("metrics_config"))


def ignored_settings(
    model: Model, properties: Mapping[str, Any], *, response_timeout: int | None
) -> tuple[Finding, ...]:
    """The warnings about a model that loaded. `response_timeout` is the register call's."""
    return tuple(_set_aside(model, properties, response_timeout))


def _set_aside(model: Model, properties: Mapping[str, Any], response_timeout: int | None) -> Iterator[Finding]:
    written = model.settings()
    if model.config_file is not None and response_timeout is not None:
        now = written.get("responseTimeout", RESPONSE_TIMEOUT)
        if now != response_timeout:
            message = f"response_timeout={response_timeout} does not count: the config file's responseTimeout does "
            message += f"({now} s here)."
            fix = f"Write responseTimeout: {response_timeout} into {model.config_file.name}."
            yield Finding("timeout_set_aside", message, "", _SILENT, fix, "warning")
    for name, key in (("default_response_timeout", "responseTimeout"), ("default_startup_timeout", "startupTimeout")):
        default, now = properties.get(name), written.get(key, RESPONSE_TIMEOUT)
        if model.config_file is None or default is None or str(default) == str(now):
            continue
        message = f"{name}={default} in config.properties does not count for this model: with a config file, its {key} "
        message += f"does ({now} s here)."
        fix = f"Write {key}: {default} into {model.config_file.name}."
        yield Finding("timeout_set_aside", message, "", _SILENT, fix, "warning")
    if model.config_file is not None and (text := _config(model)) is not None:
        yield from config_file.ignored_settings(text, model.config_file.name, lambda key: _is_read(model, key))
        if _compiles(model):
            yield from (found for found in config_file.compiling(written) if found.severity == "warning")
    if model.requirements_file is not None and str(properties.get("install_py_dep_per_model", "")).lower() != "true":
        message = f"{model.requirements_file.name} is in the archive, but the server installs nothing from it."
        fix = "Set install_py_dep_per_model=true in config.properties."
        yield Finding("requirements", message, "", _SILENT, fix, "warning")
    if model.handler_file is not None:
        try:
            yield from entry_point(model.handler_file.read_bytes(), model.handler)
        except OSError:
            return


def _config(model: Model) -> bytes | None:
    try:
        return None if model.config_file is None else model.config_file.read_bytes()
    except OSError:
        return None  # the worker fails on it, and says so


def _compiles(model: Model) -> bool:
    """Whether TorchServe's BaseHandler reads `pt2`, as far as the handler's file shows: it is derived from one of
    TorchServe's, calls its initialize or has none, and reads no pt2 itself."""
    if model.handler_file is None:
        return True
    try:
        code = model.handler_file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    own = "def initialize" in code and ".initialize(" not in code
    return "torch_handler" in code and not own and not config_file.reads(code.encode(), "pt2")


def _is_read(model: Model, key: str) -> bool:
    """Whether a Python file of the model names a key."""
    for entry in model.entries():
        try:
            if entry.name.endswith(".py") and config_file.reads(entry.source.read_bytes(), key):
                return True
        except OSError:
            continue
    return False


def entry_point(text: bytes, handler: str) -> Iterator[Finding]:
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
