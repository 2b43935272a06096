"""What a registration sets aside without a word: settings that do not count, files that are not used."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from handlerkit.messages import Finding
from handlerkit.model import Model

_SILENT = "The model loads, and nothing is said of it."
_LOGGED = "The model loads; only the server's own log says so."
#: Keys of model-config.yaml that the frontend takes as whole numbers (org.pytorch.serve.archive.model.ModelConfig).
_NUMBERS = (
    "minWorkers", "maxWorkers", "batchSize", "maxBatchDelay", "responseTimeout", "startupTimeout", "parallelLevel",
    "maxRetryTimeoutInSec", "clientTimeoutInMills", "jobQueueSize",
)  # fmt: skip


#: What SnakeYAML makes of YAML that is no mapping.
_JAVA = {
    list: "java.util.ArrayList", str: "java.lang.String", int: "java.lang.Integer", float: "java.lang.Double",
    bool: "java.lang.Boolean",
}  # fmt: skip


class Unusable(NamedTuple):
    """A config file that the frontend cannot take: the `type` and `message` of its 500, and the cause."""

    type: str
    message: str
    finding: Finding


def unusable(model: Model) -> Unusable | None:
    """What the frontend says to a config file that is empty or no mapping, before any worker is started."""
    if model.config_file is None:
        return None
    import yaml

    try:
        read = yaml.safe_load(model.config_file.read_text())
    except (OSError, yaml.YAMLError):
        return None  # the worker meets it again, and says so
    if isinstance(read, dict):
        return None
    name = model.config_file.name
    what = f"{name} is empty." if read is None else f"{name} holds a {type(read).__name__}, not key: value lines."
    if read is None:
        thrown = "NullPointerException"
        message = 'Cannot invoke "java.util.Map.forEach(java.util.function.BiConsumer)" because "yamlMap" is null'
    else:
        thrown, kind = "ClassCastException", _JAVA.get(type(read), "java.lang.Object")
        message = f"class {kind} cannot be cast to class java.util.Map ({kind} and java.util.Map are in module "
        message += "java.base of loader 'bootstrap')"
    served = f"Registering the model answers 500, with a {thrown} of the server's own."
    change = "Write key: value lines into it, such as batchSize: 4, or leave the file out."
    return Unusable(thrown, message, Finding("config_file", what, "", served, change))


def declares_metrics(properties: Mapping[str, Any]) -> bool:
    """Whether metrics that TorchServe's own metrics.yaml does not declare may reach the server's pages."""
    detects = str(properties.get("model_metrics_auto_detect", "")).lower() == "true"
    return detects or bool(properties.get("metrics_config"))


def set_aside(model: Model, properties: Mapping[str, Any], *, response_timeout: int | None) -> tuple[Finding, ...]:
    """What is worth knowing of a model that loaded: all of it quiet. `response_timeout` is the register call's."""
    return tuple(_set_aside(model, properties, response_timeout))


def _set_aside(model: Model, properties: Mapping[str, Any], response_timeout: int | None) -> Iterator[Finding]:
    written = model.settings()
    if model.config_file is not None and response_timeout is not None:
        now = written.get("responseTimeout", 120)
        if now != response_timeout:
            what = f"response_timeout={response_timeout} does not count: with a config file its responseTimeout does "
            what += f"({now} s here)."
            change = f"Write responseTimeout: {response_timeout} into {model.config_file.name}."
            yield Finding("timeout_set_aside", what, "", _SILENT, change, "warning")
    for key in _NUMBERS:
        value = written.get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            what = f"{key}: {value!r} in the config file is no whole number, and is ignored."
            yield Finding("config_value", what, "", _LOGGED, f"Write {key}: 4, without quotes or a point.", "warning")
    if "service_envelope" in written:
        what = "service_envelope in the config file does not count: only config.properties can set it, for all models."
        change = f"Write service_envelope={written['service_envelope']} into config.properties."
        yield Finding("envelope_setting", what, "", _SILENT, change, "warning")
    least, most = written.get("minWorkers"), written.get("maxWorkers")
    if (least is None) != (most is None) or (isinstance(least, int) and isinstance(most, int) and least > most):
        what = "minWorkers and maxWorkers count only together, and only where maxWorkers is not the smaller one."
        yield Finding("worker_counts", what, "", _SILENT, "Write both: minWorkers: 1 and maxWorkers: 1.", "warning")
    if model.requirements_file is not None and str(properties.get("install_py_dep_per_model", "")).lower() != "true":
        what = f"{model.requirements_file.name} travels with the model, but the server installs nothing from it."
        change = "Set install_py_dep_per_model=true in config.properties."
        yield Finding("requirements", what, "", _SILENT, change, "warning")
    yield from _handler(model)


def _handler(model: Model) -> Iterator[Finding]:
    if model.handler_file is None:
        return
    try:
        body = ast.parse(model.handler_file.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return
    wanted = model.handler.partition(":")[2]
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    classes = [node.name for node in body if isinstance(node, ast.ClassDef)]
    names = {alias.asname or alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names}
    values = {target.id for node in body if isinstance(node, ast.Assign) for target in node.targets
              if isinstance(target, ast.Name)}  # fmt: skip
    if wanted and classes and wanted not in functions | names | values | set(classes):
        what = f"The handler's file has no function {wanted}, so TorchServe takes its class {classes[0]} instead."
        change = f"Define {wanted}, or name the file alone as the handler."
        yield Finding("no_function", what, "", _SILENT, change, "warning")
    used = wanted or "handle"
    if used in functions and len(classes) == 1 and _has_handle(body):
        what = f"The handler's file has a function {used} and a class {classes[0]}; TorchServe takes the function, and "
        what += "the class is not used by it."
        change = f"Remove or rename one of them, {used} or {classes[0]}."
        yield Finding("function_wins", what, "", _SILENT, change, "warning")


def _has_handle(body: list[ast.stmt]) -> bool:
    """Whether a class of the file looks like a handler."""
    return any(
        isinstance(node, ast.FunctionDef) and node.name == "handle"
        for kind in body
        if isinstance(kind, ast.ClassDef)
        for node in kind.body
    )
