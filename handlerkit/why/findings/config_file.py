"""How the server reads model-config.yaml: the frontend reads its own keys with SnakeYAML, the worker all of it with
PyYAML (org.pytorch.serve.archive.model.ModelConfig, ts.model_loader)."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.why.effects import LOAD

_LOGGED = "The model loads; only the server's own log says so."
_SILENT = "The model loads, and nothing is logged."

_MOST = (1 << 31) - 1  # Java's int
_WORDS = {"deviceType": ("cpu", "gpu"), "parallelType": ("pp", "tp", "pptp", "custom")}
#: All that the frontend knows, and what TorchServe's Python code reads.
_KEYS = (*facts.LEAST, *facts.SWITCHES, *_WORDS, "deviceIds", "torchrun")
_PYTHON_KEYS = ("handler", "pt2", "micro_batching")

#: What SnakeYAML makes of YAML that is no mapping.
_JAVA = {
    list: "java.util.ArrayList", str: "java.lang.String", int: "java.lang.Integer", float: "java.lang.Double",
    bool: "java.lang.Boolean",
}  # fmt: skip
#: Backends that ts.utils.util.PT2Backend names; BaseHandler compiles with no other.
_BACKENDS = (
    "eager", "aot_eager", "inductor", "nvfuser", "aot_nvfuser", "aot_cudagraphs", "ofi", "fx2trt", "onnxrt", "ipex",
    "torchxla_trace_once", "openvino", "tensorrt", "hpu_backend",
)  # fmt: skip


#: What torch.compile takes, in any version, and what BaseHandler takes out of it.
_COMPILE_OPTIONS = (
    "enable", "backend", "mode", "dynamic", "fullgraph", "options", "disable", "name", "recompile_limit",
    "isolate_recompiles", "dynamic_shapes",
)  # fmt: skip


class Unusable(NamedTuple):
    """A config file that the frontend cannot take: the `type` and `message` of its 500, and the cause."""

    type: str
    message: str
    finding: Finding


def unusable(content: str | bytes, name: str) -> Unusable | None:
    """What the frontend says to a file that is empty or no mapping, before any worker is started."""
    import yaml

    try:
        read = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None  # the worker fails on it, and says so
    if isinstance(read, dict):
        return None
    message = f"{name} is empty." if read is None else f"{name} holds a {type(read).__name__}, not key: value lines."
    if read is None:
        thrown = "NullPointerException"
        text = 'Cannot invoke "java.util.Map.forEach(java.util.function.BiConsumer)" because "yamlMap" is null'
    else:
        thrown, kind = "ClassCastException", _JAVA.get(type(read), "java.lang.Object")
        text = f"class {kind} cannot be cast to class java.util.Map ({kind} and java.util.Map are in module "
        text += "java.base of loader 'bootstrap')"
    effect = f"Registering the model answers 500, with a {thrown} of the server's own."
    fix = "Write key: value lines into it, such as batchSize: 4, or leave the file out."
    return Unusable(thrown, text, Finding("config_file", message, "", effect, fix))


def not_yaml(problem: str, where: str = "") -> Finding:
    """The worker cannot parse the file."""
    message = f"The config file is not YAML: {' '.join(problem.split())}."
    return Finding("config_file", message, where, LOAD, "Correct that line; indent with spaces, not with tabs.")


def not_readable(text: str | bytes, name: str) -> Finding | None:
    """For a file that is not YAML."""
    import yaml

    try:
        yaml.safe_load(text)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        where = f"{name}, line {mark.line + 1}" if mark is not None else name
        return not_yaml(problem.problem or str(problem), where)
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        return not_yaml(str(problem), name)
    return None


def ignored_settings(text: str | bytes, name: str, is_read: Callable[[str], bool]) -> Iterator[Finding]:
    """Keys that the server ignores or misreads.

    Args:
        text: the file's content, which is a mapping.
        name: the file's name.
        is_read: whether the handler's code names a key, as one of its own.
    """
    import yaml

    try:
        written = yaml.safe_load(text)
        places = _places(yaml.compose(text, Loader=yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError):
        return
    if not isinstance(written, dict):
        return

    def at(key: object) -> str:
        return f"{name}, line {places[key][-1]}" if places.get(key) else ""

    for key, lines in places.items():
        if len(lines) > 1:
            message = (
                f"{key} is set {len(lines)} times in {name} (lines {', '.join(map(str, lines))}); the last one counts."
            )
            yield Finding("config_twice", message, at(key), _SILENT, "Keep one of them.", "warning")
    for key, value in written.items():
        if (problem := _not_taken(key, value)) is not None:
            reason, fix = problem
            message = f"{key}: {_shown(value)} in the config file is {reason}, and is ignored."
            yield Finding("config_value", message, at(key), _LOGGED, fix, "warning")
        elif isinstance(key, str) and (near := _meant(key, written)) and not is_read(key):
            message = f"{key} in the config file is not a key of TorchServe, and the handler does not read it."
            yield Finding("config_key", message, at(key), _SILENT, f"Did you mean {near}?", "warning")
    for key, value in written.items():
        below = [one for one in value if one in _KEYS and one not in written] if isinstance(value, dict) else []
        if below and key not in (*_KEYS, *_PYTHON_KEYS) and not is_read(str(key)):
            message = f"{', '.join(map(str, below))} in the config file is below {key}, where TorchServe does not look."
            yield Finding(
                "config_key", message, at(key), _SILENT, f"Write {below[0]} at the beginning of a line.", "warning"
            )
    if "service_envelope" in written:
        yield envelope(str(written["service_envelope"]), "service_envelope in the config file", at("service_envelope"))
    least, most = written.get("minWorkers"), written.get("maxWorkers")
    if (least is None) != (most is None) or (isinstance(least, int) and isinstance(most, int) and least > most):
        message = "minWorkers and maxWorkers count only together, and only if maxWorkers is not the smaller one."
        where = at("minWorkers") or at("maxWorkers")
        fix = "Write both: minWorkers: 1 and maxWorkers: 1."
        yield Finding("worker_counts", message, where, _SILENT, fix, "warning")


def compiling(written: Mapping[str, Any]) -> Iterator[Finding]:
    """How BaseHandler reads `pt2`, which says how to compile the model."""
    if "pt2" not in written:
        return
    said = written["pt2"]
    if not isinstance(said, str | dict):
        message = f"pt2: {_shown(said)} in the config file is neither a backend's name nor a mapping."
        yield Finding("config_pt2", message, "", LOAD, "Write pt2: {compile: {enable: true, backend: inductor}}.")
        return
    options = said.get("compile", said) if isinstance(said, dict) else {"backend": said}
    if isinstance(said, dict) and "compile" in said and not (isinstance(options, dict) and "enable" in options):
        message = "pt2: compile in the config file does not say whether to compile: it needs enable."
        yield Finding("config_pt2", message, "", LOAD, "Write pt2: {compile: {enable: true, backend: inductor}}.")
        return
    backend = options.get("backend") if isinstance(options, dict) else None
    if backend is not None and "export" not in options and backend not in _BACKENDS:
        near = difflib.get_close_matches(str(backend), _BACKENDS, 1)
        message = f"{_shown(backend)} is not a backend that TorchServe knows, so the model is not compiled."
        fix = f"Did you mean {near[0]}?" if near else f"Write one of {', '.join(_BACKENDS[:3])}."
        yield Finding("config_pt2", message, "", _LOGGED, fix, "warning")

    elif isinstance(options, dict) and options.get("enable", True) is True and "export" not in options:
        for key in options:
            if key not in _COMPILE_OPTIONS:
                near = difflib.get_close_matches(str(key), _COMPILE_OPTIONS, 1)
                message = f"torch.compile has no option {key!r} (pt2 in the config file), so the model is not compiled."
                fix = f"Did you mean {near[0]}?" if near else f"It takes {', '.join(_COMPILE_OPTIONS[1:6])}."
                yield Finding("config_pt2", message, "", _LOGGED, fix, "warning")


def envelope(value: str, said: str, where: str = "") -> Finding:
    """For an envelope that is set where it does not count."""
    message = f"{said} does not count: only config.properties can set it, for all models."
    fix = f"Write service_envelope={value} into config.properties."
    return Finding("envelope_setting", message, where, _SILENT, fix, "warning")


def reads(code: bytes, key: str) -> bool:
    """Whether a Python file's text names a key, as it has to for reading it."""
    return any(f"{quote}{key}{quote}".encode() in code for quote in ('"', "'"))


def _not_taken(key: object, value: Any) -> tuple[str, str] | None:
    """Why the frontend does not take a value, and what to write; None if it does, or the key is not its own."""
    if key in facts.LEAST:
        least = facts.LEAST[str(key)]
        if not isinstance(value, int) or isinstance(value, bool):
            return "no whole number", f"Write {key}: 4, without quotes or a point."
        if not least <= value <= _MOST:
            return f"not between {least} and {_MOST}", f"Write {key}: {max(least, 1)}, or more."
    elif key in facts.SWITCHES and not isinstance(value, bool):
        return "neither true nor false", f"Write {key}: true, without quotes."
    elif key in _WORDS and str(value).lower() not in _WORDS[str(key)]:
        words = _WORDS[str(key)]
        return f"none of {', '.join(words)}", f"Write {key}: {words[0]}, or leave it out."
    elif key == "deviceIds" and not (isinstance(value, list) and all(type(one) is int for one in value)):
        return "no list of whole numbers", "Write deviceIds: [0, 1]."
    elif key == "torchrun" and not isinstance(value, dict):
        return "no mapping", "Write torchrun: {nproc-per-node: 2}."
    return None


def _meant(key: str, written: Mapping[Any, Any]) -> str:
    """The key of TorchServe's that someone meant by another one; "" for none."""
    if key in (*_KEYS, *_PYTHON_KEYS):
        return ""
    plain = {_plain(known): known for known in _KEYS}
    near = plain.get(_plain(key)) or next(iter(difflib.get_close_matches(key, _KEYS, 1, cutoff=0.85)), "")
    return "" if near in written else near


def _plain(key: str) -> str:
    return key.replace("_", "").replace("-", "").lower()


def _places(node: Any) -> dict[object, list[int]]:
    """The lines of each key of the top mapping."""
    found: dict[object, list[int]] = {}
    for key, _ in getattr(node, "value", ()) if type(node).__name__ == "MappingNode" else ():
        found.setdefault(key.value, []).append(key.start_mark.line + 1)
    return found


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
