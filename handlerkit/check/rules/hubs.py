"""Folders of models as hubs have them, of which the archive holds a part."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any

from handlerkit.check.code.source import dotted, keyword
from handlerkit.check.code.values import place_of
from handlerkit.check.rules.effects import listed, when
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding
from handlerkit.targets import Target

_LOADS = "from_pretrained fails where it reads this folder."


def shards(subject: Subject, target: Target) -> Iterator[Finding]:
    """Files that an index of weights names: model.safetensors.index.json."""
    for name in subject.sizes:
        folder, _, base = name.rpartition("/")
        if not base.endswith(".index.json") or not isinstance(weights := _read(subject, name).get("weight_map"), dict):
            continue
        files = dict.fromkeys(str(file) for file in weights.values())
        missing = [file for file in files if (f"{folder}/{file}" if folder else file) not in subject.sizes]
        if missing and len(missing) < len(files):
            message = f"{name} names {listed(missing)}, which the archive does not hold."
            yield Finding("missing_file", message, "", _LOADS, "Put every file that it names into the archive.")


def configs(subject: Subject, target: Target) -> Iterator[Finding]:
    """config.json, which AutoModel and AutoConfig read in a folder."""
    program = subject.program(target.python)
    if program.unpacks:
        return
    for source, node in program.nodes(ast.Call):
        kind, _, method = source.name(node.func).rpartition(".")
        if method != "from_pretrained" or not kind.rpartition(".")[2].startswith(("AutoModel", "AutoConfig")):
            continue
        place = place_of(source, node.args[0]) if node.args else None
        if place is None or place.root != "model_dir" or (folder := place.in_archive) is None:
            continue
        if any(keyword(node, one) for one in ("config", "subfolder", "gguf_file")) or _is_made(subject, folder):
            continue
        name = f"{folder}/config.json" if folder else "config.json"
        has = name in subject.sizes or name.replace("config", "adapter_config") in subject.sizes
        if has or source.tried(node, ("OSError",)) or source.conditional(node):
            continue
        message = f"{dotted(node.func)} reads {name}, which is not in the archive."
        fix = "Put the whole folder that save_pretrained wrote into the archive (extra_files)."
        yield Finding("missing_file", message, source.place(node), when(program, source, node), fix)


def _is_made(subject: Subject, folder: str) -> bool:
    """Whether a folder of the model is not in the archive at all: something else makes it, or says that it lacks."""
    return bool(folder) and not any(file.startswith(f"{folder}/") for file in subject.sizes)


def own_code(subject: Subject, target: Target) -> Iterator[Finding]:
    """Modules that config.json names as the model's own code (auto_map), where they are trusted."""
    program = subject.program(target.python)
    calls = [node for _, node in program.nodes(ast.Call) if _is_true(keyword(node, "trust_remote_code"))]
    for name in subject.sizes:
        folder, slash, base = name.rpartition("/")
        if not calls or base != "config.json" or not isinstance(named := _read(subject, name).get("auto_map"), dict):
            continue
        texts = [one for value in named.values() for one in (value if isinstance(value, list) else [value])]
        modules = dict.fromkeys(one.partition(".")[0] for one in texts if isinstance(one, str) and "--" not in one)
        missing = [f"{one}.py" for one in modules if f"{folder}{slash}{one}.py" not in subject.sizes]
        if missing:
            message = f"{name} names {listed(missing)} as the model's own code, which the archive does not hold."
            yield Finding("missing_file", message, "", _LOADS, f"Put {listed(missing)} into the archive (extra_files).")


def _is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _read(subject: Subject, name: str) -> dict[str, Any]:
    try:
        found = json.loads(subject.read(name))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


HUB_RULES = (shards, configs, own_code)
