"""What the code takes from the process around it: its command line, its environment, its settings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

import yaml

from handlerkit.check.code.program import Program
from handlerkit.check.code.source import SourceFile, argument, text_of
from handlerkit.check.rules.effects import shown, when
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding
from handlerkit.serving.torchserve_facts import WORKER_VARIABLES
from handlerkit.targets import Target

#: Variables that a worker has in any container.
_THERE = frozenset({*"PATH HOME PWD HOSTNAME LANG LC_ALL TEMP JAVA_HOME".split(), *WORKER_VARIABLES})
#: Those that torchrun gives its workers.
_OF_TORCHRUN = frozenset(
    "RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE GROUP_RANK MASTER_ADDR MASTER_PORT OMP_NUM_THREADS".split()
)


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
    there = _are_set(subject, program)
    reported: set[str] = set()
    for source, node in program.nodes(ast.Subscript):
        name = text_of(node.slice)
        if name is None or source.name(node.value) != "os.environ" or not isinstance(node.ctx, ast.Load):
            continue
        if name in there | reported or name.startswith("TS_") or source.tried(node, ("KeyError",)):
            continue
        reported.add(name)
        message = f"The environment variable {name} must be set where the model is served."
        fix = f"Set {name} there, or ask with os.environ.get({name!r}, ...)."
        effect = f"Without it: a KeyError. {when(program, source, node)}"
        yield Finding("environment_variable", message, source.place(node), effect, fix, "warning")


def unset_variables(subject: Subject, target: Target) -> Iterator[Finding]:
    """Variables whose value is used at once, although it is None if they are not set."""
    program = subject.program(target.python)
    there = _are_set(subject, program)
    reported: set[str] = set()
    for source, node in program.nodes(ast.Call):
        name = text_of(node.args[0]) if node.args else None
        if name is None or name in there | reported or name.startswith("TS_") or not _is_used_at_once(source, node):
            continue
        if source.tried(node, ("TypeError",)) or source.tried(node, ("AttributeError",)):
            continue
        reported.add(name)
        message = f"`{shown(source.parents[node])}` needs the environment variable {name}."
        effect = f"Where {name} is not set, os.getenv gives None. {when(program, source, node)}"
        fix = f"Set {name} where the model is served, or give a default: os.getenv({name!r}, ...)."
        yield Finding("environment_variable", message, source.place(node), effect, fix, "warning")


def _are_set(subject: Subject, program: Program) -> set[str]:
    """The variables that a worker has, or that the code sets or asks for."""
    of_torchrun = subject.settings.keys() & {"torchrun", "parallelType"}
    return {*_THERE, *_variables(program), *(_OF_TORCHRUN if of_torchrun else ())}


def _is_used_at_once(source: SourceFile, node: ast.Call) -> bool:
    """Whether it asks for a variable without a default, in an expression that fails with None."""
    if source.name(node.func) not in ("os.getenv", "os.environ.get") or node.keywords:
        return False
    if len(node.args) == 2 and not (isinstance(node.args[1], ast.Constant) and node.args[1].value is None):
        return False
    outer = source.parents[node]
    if isinstance(outer, ast.Attribute | ast.Subscript):
        return outer.value is node
    if isinstance(outer, ast.BinOp):
        return not (isinstance(outer.op, ast.Mod) and outer.right is node)  # "%s" % None
    return isinstance(outer, ast.Call) and node in outer.args and source.name(outer.func) in _NEEDING


#: Functions that do not take None.
_NEEDING = {"int", "float", "len", "open", "json.loads", "os.path.join", "os.listdir", "pathlib.Path", "os.makedirs"}


def programs(subject: Subject, target: Target) -> Iterator[Finding]:
    """Programs and libraries of the system that TorchServe's images do not have."""
    program = subject.program(target.python)
    texts = {text_of(node.args[0]) for source, node in program.nodes(ast.Call)
             if node.args and source.name(node.func) in ("shutil.which", "ctypes.util.find_library")}  # fmt: skip
    for source, node in program.nodes(ast.Call):
        is_program = (name := _program(source, node)) is not None
        name = name or _library(source, node, subject)
        if name is None or name in texts or source.tried(node, ("OSError",)) or program.asked(source, node):
            continue
        lacks = "do not have" if is_program else "may not have"
        message = f"`{shown(node)}` needs {name} of the system, which TorchServe's images {lacks}."
        fix = f"Install it in the image that serves the model, or do without {name}."
        yield Finding("system_program", message, source.place(node), when(program, source, node), fix, "warning")


def _program(source: SourceFile, node: ast.Call) -> str | None:
    """The program that a call runs, where it is one of those that containers lack."""
    if not source.name(node.func).startswith(("subprocess.", "os.system", "os.popen", "asyncio.create_subprocess")):
        return None
    given = argument(node, 0, "args")
    first = given.elts[0] if isinstance(given, ast.List | ast.Tuple) and given.elts else given
    words = (text_of(first) or "").split()
    name = words[0].rpartition("/")[2] if words else ""
    return name if name in _PROGRAMS else None


def _library(source: SourceFile, node: ast.Call, subject: Subject) -> str | None:
    """The library of the system that a call loads."""
    loads = ("ctypes.CDLL", "ctypes.cdll.LoadLibrary", "ctypes.PyDLL")
    name = text_of(node.args[0]) if node.args and source.name(node.func) in loads else None
    if name is None or "/" in name or name in subject.sizes or _OF_EVERY_SYSTEM.match(name):
        return None
    return name


_PROGRAMS = frozenset(
    "ffmpeg ffprobe git wget tesseract convert magick pdftotext pdftoppm sox soffice libreoffice node npm".split()
)
#: Libraries that a worker has in any image.
_OF_EVERY_SYSTEM = re.compile(r"lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s|z|python.*|cu\w+|nv\w+|torch\w*|c10\w*|gomp)\.so")


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
        if not name and (extra := _config_like(subject, keys)) is not None:
            message = f"{extra} is in the archive as an extra file, so there is no config file with `{path}`"
            fix = f"Give {extra} as the config file (--config-file)."
        effect = f"`{ast.unparse(node)}` is a KeyError. {when(program, source, node)}"
        yield Finding("config_key", f"{message}, which the code asks for.", source.place(node), effect, fix)


def _settings(subject: Subject) -> object:
    """What context.model_yaml_config is; None if that is not known."""
    name = subject.said.get("configFile")
    if not name:
        return {}
    if not isinstance(name, str) or name not in subject.sizes:
        return None
    try:
        return yaml.safe_load(subject.read(name))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return None  # said by another rule


def _config_like(subject: Subject, keys: list[str]) -> str | None:
    """A YAML file of the archive that has these keys."""
    for file in subject.sizes:
        if file.endswith((".yaml", ".yml")):
            try:
                settings = yaml.safe_load(subject.read(file))
            except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
                continue
            if _has(settings, keys):
                return file
    return None


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
    """Whether the settings have such a key; None if something else than a mapping is on the way."""
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


def _variables(program: Program) -> frozenset[str]:
    """The names of variables that the code sets, or of which it asks whether they are set."""
    found: set[str] = set()
    for source, node in program.nodes(ast.Subscript, ast.Call, ast.Compare):
        given: list[ast.expr] = []
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            given = [node.slice] if source.name(node.value) == "os.environ" else []
        elif isinstance(node, ast.Call) and source.name(node.func) in _NAMING and not _is_used_at_once(source, node):
            given = node.args[:1]
            found |= {one.arg for one in node.keywords if one.arg}
        elif isinstance(node, ast.Compare) and "environ" in ast.unparse(node):
            given = [node.left, *node.comparators]
        for one in given:
            looped = source.looped(one) if isinstance(one, ast.Name) else None
            values = (looped, *program.meant(looped)) if looped is not None else (one, *program.meant(one))
            found |= {text for value in values for part in ast.walk(value) if (text := text_of(part))}
    return frozenset(found)


#: What sets a variable, or asks for it without failing.
_NAMING = {"os.environ.setdefault", "os.environ.get", "os.environ.update", "os.environ.pop", "os.getenv", "os.putenv"}


SURROUNDING_RULES = (command_line, environment_variables, unset_variables, programs, config_keys, main_module)
