"""What the code takes from the process around it: its command line, its environment, its settings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import yaml

from handlerkit.check.code.source import text_of
from handlerkit.check.rules.effects import when
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding
from handlerkit.targets import Target

#: Variables that a worker has in any container.
_THERE = frozenset("PATH HOME PWD HOSTNAME LANG LC_ALL PYTHONPATH LOG_LOCATION METRICS_LOCATION TEMP JAVA_HOME".split())


def command_line(subject: Subject, target: Target) -> Iterator[Finding]:
    """argparse on the command line of TorchServe's worker script."""
    program = subject.program(target.python)
    for source, node in program.nodes(ast.Call):
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        is_argparse = any(module.partition(".")[0] == "argparse" for module in source.aliases.values())
        if method != "parse_args" or node.args or node.keywords or not is_argparse:
            continue
        message = "parse_args() reads the command line of TorchServe's worker, whose options it does not know."
        effect = f"It ends the process with SystemExit. {when(program, source, node)}"
        fix = "Take the settings from context.model_yaml_config, or call parse_args([])."
        yield Finding("command_line", message, source.place(node), effect, fix)


def environment_variables(subject: Subject, target: Target) -> Iterator[Finding]:
    """Variables that must be set where the model is served."""
    program = subject.program(target.python)
    told: set[str] = set()
    for source, node in program.nodes(ast.Subscript):
        name = text_of(node.slice)
        if name is None or source.name(node.value) != "os.environ" or not isinstance(node.ctx, ast.Load):
            continue
        if name in _THERE | told or name.startswith("TS_") or source.tried(node, ("KeyError",)):
            continue
        if _is_set(program.nodes(ast.Subscript, ast.Call, ast.Compare), name):
            continue
        told.add(name)
        message = f"The environment variable {name} must be set where the model is served."
        fix = f"Set {name} there, or ask with os.environ.get({name!r}, ...)."
        effect = f"Without it: a KeyError. {when(program, source, node)}"
        yield Finding("environment_variable", message, source.place(node), effect, fix, "warning")


def config_keys(subject: Subject, target: Target) -> Iterator[Finding]:
    """Settings that the code takes from context.model_yaml_config, and the archive's config file does not have."""
    program = subject.program(target.python)
    settings: Any = _settings(subject)
    for source, node in program.nodes(ast.Subscript):
        if settings is None or not isinstance(node.ctx, ast.Load) or source.tried(node, ("KeyError",)):
            continue
        keys = _keys(node)
        if keys is None or _has(settings, keys[:-1]) is not True or _has(settings, keys) is not False:
            continue
        asks = {text_of(part) for outer in source.around(node) if isinstance(outer, ast.If | ast.IfExp)
                for part in ast.walk(outer.test)}  # fmt: skip
        if keys[-1] in asks:
            continue
        name = subject.said.get("configFile")
        path = ": ".join(keys)
        message = f"{name} has no `{path}`" if name else f"There is no config file with `{path}`"
        fix = f"Write {path}: ... into {name or 'model-config.yaml (--config-file)'}, or ask with .get({keys[-1]!r})."
        effect = f"`{ast.unparse(node)}` is a KeyError. {when(program, source, node)}"
        yield Finding("config_key", f"{message}, which the code asks for.", source.place(node), effect, fix)


def _settings(subject: Subject) -> object:
    """What context.model_yaml_config is; None where that is not known."""
    name = subject.said.get("configFile")
    if not name:
        return {}
    if not isinstance(name, str) or name not in subject.sizes:
        return None
    try:
        return yaml.safe_load(subject.read(name))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return None  # said by another rule


def _keys(node: ast.Subscript) -> list[str] | None:
    """The keys of context.model_yaml_config["handler"]["max_length"]; None for what is not such an expression."""
    key = text_of(node.slice)
    if key is None:
        return None
    if isinstance(node.value, ast.Attribute) and node.value.attr == "model_yaml_config":
        return [key]
    outer = _keys(node.value) if isinstance(node.value, ast.Subscript) else None
    return None if outer is None else [*outer, key]


def _has(settings: Any, keys: list[str]) -> bool | None:
    """Whether the settings have such a key; None where something else than a mapping stands on the way."""
    for key in keys:
        if not isinstance(settings, dict):
            return None
        if key not in settings:
            return False
        settings = settings[key]
    return True


def main_module(subject: Subject, target: Target) -> Iterator[Finding]:
    """`__main__`, which is the notebook here and the worker script there."""
    program = subject.program(target.python)
    for one in program.imports:
        if one.module == "__main__" and one.source.tried(one.node, ("ImportError",)) is None:
            message = "`__main__` is TorchServe's worker script there, and not the notebook."
            fix = "Write what is taken from it into the handler, or into a file of the archive."
            effect = when(program, one.source, one.node)
            yield Finding("main_module", message, one.place, f"Its names are not found. {effect}", fix)


def _is_set(nodes: Iterator[tuple[object, ast.AST]], name: str) -> bool:
    """Whether the code sets a variable, or asks whether it is set."""
    for _, node in nodes:
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and text_of(node.slice) == name:
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            if node.func.attr in ("setdefault", "get", "getenv") and text_of(node.args[0]) == name:
                return True
        elif isinstance(node, ast.Compare) and text_of(node.left) == name:
            return True
    return False


SURROUNDING_RULES = (command_line, environment_variables, config_keys, main_module)
