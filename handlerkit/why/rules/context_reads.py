"""What a handler reads where it is not there: headers while the model loads, keys that the config file or the manifest
lacks, what BaseHandler sets only in its own initialize."""

from __future__ import annotations

import ast
import re
from typing import Any

from handlerkit.messages import Finding
from handlerkit.serving.torchserve_facts import SYSTEM_PROPERTIES
from handlerkit.why import live_values, source_search
from handlerkit.why.evidence import Evidence, Rule

#: What BaseHandler.initialize sets, beside the labels.
_SET_BY_BASE = ("model", "manifest", "model_pt_path", "map_location", "device", "model_yaml_config")
#: The options that put files into the manifest.
_OPTIONS = {
    "serializedFile": "--serialized-file", "modelFile": "--model-file", "configFile": "--config-file",
    "requirementsFile": "--requirements-file",
}  # fmt: skip
_STEP = r"(?:\[\s*['\"]([^'\"]+)['\"]\s*\]|\.get\(\s*['\"]([^'\"]+)['\"]\s*\))"


def no_request_yet(evidence: Evidence) -> Finding | None:
    """A request's headers and ids, and the response, in initialize."""
    frame = evidence.frame
    if not evidence.attempt.loading or "NoneType" not in evidence.text or frame is None or not evidence.source.classes:
        return None
    file, function = evidence.functions[-1]
    is_of_context = file.endswith("ts/context.py") and re.search("request|response|header", function)
    if not is_of_context and not re.search(r"\.(request_ids|request_processor)\b", frame.source):
        return None
    message = "While a model is loaded there is no request: no headers or ids to read, and no response to set."
    fix = "Do that in handle, or in a method that it calls; BaseHandler's handle keeps the context in self.context."
    return Finding("no_request_yet", message, evidence.where, evidence.effect, fix)


def config_key(evidence: Evidence) -> Finding | None:
    """A key of model_yaml_config, which is empty without a config file."""
    chain = _chain(evidence, "model_yaml_config")
    if not chain:
        return None
    file = source_search.manifest(evidence).get("configFile")
    if not file:
        message = "The model has no config file, so model_yaml_config is empty."
        fix = f"Write one with {chain[0]}: in it, and archive it: --config-file model-config.yaml."
        return Finding("config_missing", message, evidence.where, evidence.effect, fix)
    level: Any = read_config(evidence, str(file))
    for depth, key in enumerate(chain):
        if not isinstance(level, dict):
            return None
        if key in level:
            level = level[key]
            continue
        under = f" under {'.'.join(chain[:depth])}" if depth else ""
        there = ", ".join(map(str, level)) or "nothing"
        message = f"{file} has no {key}{under}; it has {there}{' there' if depth else ''}."
        fix = f"Write {key}: into {file}{under}, or read it with a default: .get({key!r}, ...)."
        return Finding("config_missing", message, evidence.where, evidence.effect, fix)
    return None


def manifest_key(evidence: Evidence) -> Finding | None:
    """context.manifest is a dict whose "model" holds what was archived."""
    chain = _chain(evidence, "manifest")
    if not chain or not isinstance(evidence.error, KeyError):
        return None
    model, key = source_search.manifest(evidence), chain[-1]
    if key in model and "model" not in chain:
        message = f"context.manifest has no {key!r} of its own: it is in context.manifest['model']."
        fix = f"Read context.manifest['model'][{key!r}]."
        return Finding("manifest_key", message, evidence.where, evidence.effect, fix)
    if key in _OPTIONS and key not in model:
        message = f"The manifest has no {key!r}, as the model was archived without {_OPTIONS[key]}."
        fix = f"Archive that file with {_OPTIONS[key]}; or open it by its name, in system_properties['model_dir']."
        if "model" not in chain:
            fix = f"Archive that file with {_OPTIONS[key]}, and read context.manifest['model'][{key!r}]."
        return Finding("manifest_key", message, evidence.where, evidence.effect, fix)
    return None


def property_key(evidence: Evidence) -> Finding | None:
    attribute = re.search(r"^'dict' object (?:is not callable|has no attribute '(\w+)')", evidence.text)
    used = rf"\.{attribute[1]}\b" if attribute and attribute[1] else r"\("
    source = evidence.frame.source if evidence.frame is not None else ""
    read = re.search(rf"(system_properties|model_yaml_config|manifest){used}", source)
    if attribute and read is not None:
        message = f"context.{read[1]} is a dict, whose values are read with square brackets."
        key = "model_dir" if read[1] == "system_properties" else attribute[1] or "key"
        fix = f"Write context.{read[1]}[{key!r}]."
        return Finding("property_key", message, evidence.where, evidence.effect, fix)
    chain = _chain(evidence, "system_properties")
    if not isinstance(evidence.error, KeyError) or not chain or chain[0] in SYSTEM_PROPERTIES:
        return None
    message = f"context.system_properties has no {chain[0]!r}; it has {', '.join(SYSTEM_PROPERTIES)}."
    fix = "Read one of these; settings of your own belong into the config file (context.model_yaml_config)."
    return Finding("property_key", message, evidence.where, evidence.effect, fix)


def not_initialized(evidence: Evidence) -> Finding | None:
    """self.model and its like are None until BaseHandler's initialize has run, and where it never does."""
    if not isinstance(evidence.error, AttributeError | TypeError):
        return None
    initialize = source_search.method(evidence, "initialize")
    name = _unset(evidence)
    if name is None or initialize is None:
        return None
    calls, frame = source_search.super_calls(initialize), evidence.frame
    file, where = source_search.handler_file(evidence), evidence.where
    later, is_there = calls.get("initialize"), frame is not None and frame.function == "initialize"
    if later is not None:
        if frame is None or not is_there or frame.line >= later:
            return None  # it has run
        message = f"self.{name} has no value yet: BaseHandler sets it in super().initialize(context), on line {later}."
        fix = "Call super().initialize(context) first."
        return Finding("not_initialized", message, where, evidence.effect, fix)
    if _assigns(initialize, name):
        return None
    if (line := calls.get("__init__")) is not None:
        where = source_search.line(evidence, file, line, "initialize")
        message = f"self.{name} has no value: initialize calls super().__init__(), which loads nothing."
        fix = "Write super().initialize(context) in its place."
        return Finding("not_initialized", message, where, evidence.effect, fix)
    where = source_search.line(evidence, file, initialize.lineno, "initialize")
    message = f"self.{name} has no value: the handler's initialize neither sets it nor calls BaseHandler's, which does."
    fix = f"Begin initialize with super().initialize(context), or set self.{name} in it."
    return Finding("not_initialized", message, where, evidence.effect, fix)


def _unset(evidence: Evidence) -> str | None:
    """The attribute of self that is None, or not there, on the line that raised."""
    last = evidence.info.frames[-1] if evidence.info and evidence.info.frames else None
    frame = evidence.frame
    if frame is None and (last is None or not last.file.endswith("torch_handler/base_handler.py")):
        return None
    source = frame.source if frame is not None else last.source if last is not None else ""
    text = evidence.text
    if (found := re.search(r"has no attribute '(\w+)'", text)) and found[1] in _SET_BY_BASE and "NoneType" not in text:
        return found[1] if f"self.{found[1]}" in source else None
    if (use := live_values.use_of_none(text)) is None:
        return None
    before, behind = use
    names = re.findall(rf"{before}\bself\.({'|'.join(_SET_BY_BASE)}){behind}", source)
    return names[0] if names else None


def _assigns(function: ast.AST, name: str) -> bool:
    """Whether it gives self.NAME a value, or leaves that to another method of its own."""
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and node.attr == name and isinstance(node.ctx, ast.Store):
            return True
        target = node.func.value if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None
        if isinstance(target, ast.Name) and target.id == "self":
            return True
    return False


def _chain(evidence: Evidence, name: str) -> list[str]:
    """The keys by which the line that raised reads on from context.NAME, or from a name that was given its value; empty
    where the error is not of a key that is missing."""
    frame, error = evidence.frame, evidence.error
    is_none = isinstance(error, TypeError | AttributeError) and "NoneType" in evidence.text
    if frame is None or not (is_none or isinstance(error, KeyError)):
        return []
    given = rf"^\s*([\w.]+)\s*=\s*[\w.]+\.{name}((?:{_STEP})*)\s*$"
    aliases = [("", rf"\.{name}")]
    aliases += [
        (found[2], rf"(?<![\w.]){re.escape(found[1])}")
        for found in re.finditer(given, source_search.text(evidence, frame.file), re.MULTILINE)
    ]
    for before, pattern in aliases:
        for found in re.finditer(rf"{pattern}((?:{_STEP})+)", frame.source):
            keys = [one or other for one, other in re.findall(_STEP, before + found[1])]
            if is_none or (error is not None and error.args and error.args[0] in keys):
                return keys
    return []


def read_config(evidence: Evidence, file: str) -> Any:
    """The model's config file; None if it is no YAML."""
    import yaml

    try:
        return yaml.safe_load(source_search.text(evidence, file)) or {}
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def no_gpu(evidence: Evidence) -> Finding | None:
    """gpu_id is None for a worker on a CPU, and "cuda:None" is no device."""
    text = evidence.text
    is_joined = isinstance(evidence.error, TypeError) and "NoneType" in text and "str" in text
    fix = 'Write: torch.device(f"cuda:{gpu_id}" if torch.cuda.is_available() and gpu_id is not None else "cpu").'
    if re.search("Found no NVIDIA driver|not compiled with CUDA|No CUDA GPUs are available", text):
        message = "The handler asks for a GPU (cuda), and there is none where the model runs."
        return Finding("no_gpu", message, evidence.where, evidence.effect, fix)
    if is_joined:
        if live_values.gave_none(evidence, "gpu_id") is None:
            return None
    elif "cuda:None" not in text:
        return None
    message = "gpu_id is None, as it is for a worker on a CPU, and the handler makes the name of a device of it."
    return Finding("no_gpu", message, evidence.where, evidence.effect, fix)


#: Asked of a load and of a call.
RULES: tuple[Rule, ...] = (config_key, manifest_key, property_key, not_initialized, no_gpu)
