"""Why a handler does not load."""

from __future__ import annotations

import ast
import itertools
import re
import sys
import sysconfig
from pathlib import Path, PurePath

from handlerkit.messages import Finding
from handlerkit.why import live_values, source_search
from handlerkit.why.effects import LOAD
from handlerkit.why.evidence import Evidence, Rule
from handlerkit.why.findings import handler_file
from handlerkit.why.findings.config_file import compiling, not_yaml
from handlerkit.why.rules import context_calls, context_reads
from handlerkit.why.rules import weights as weight_files
from handlerkit.why.rules.common import (
    attribute_not_set,
    command_failed,
    missing_import,
    missing_name,
    missing_variable,
    module_attribute,
    reads_command_line,
    signature,
    variable_not_set,
)
from handlerkit.why.rules.input_mismatch import missing_file
from handlerkit.why.rules.timing import startup_timeout
from handlerkit.why.rules.torchserve_code import session_called


def died(evidence: Evidence) -> Finding | None:
    """The process ended, or took too long, and no exception is known."""
    death = evidence.attempt.death
    if death is None or evidence.error is not None:
        return None
    fixes = {
        "timeout": f"Load less in initialize, or {startup_timeout(evidence)}",
        "exit": "Find what ends the process: sys.exit, os._exit, a crash in native code, or too little memory.",
    }
    return Finding(f"worker_{death.kind}", death.message, effect=LOAD, fix=fixes.get(death.kind, ""))


def shadowed(evidence: Evidence) -> Finding | None:
    """Python looks for a module in the archive's folder before it looks in the standard library."""
    if evidence.error is None:
        return None
    own = {file.removesuffix(".py") for file in evidence.source.files if "/" not in file} & sys.stdlib_module_names
    name = next((name for name in sorted(own) if _is_in_the_way(evidence, name)), None)
    if name is None:
        return None
    message = f"{name}.py in the archive hides Python's own module {name}, and code that needs that one fails."
    return Finding("shadowed", message, evidence.where, LOAD, f"Give {name}.py another name.")


def _is_in_the_way(evidence: Evidence, name: str) -> bool:
    """Whether code that is not the model's imports this module of the archive, or a name is missed in it that Python's
    own module has."""
    frames = [frame for frame in evidence.functions if not frame[0].startswith("<frozen")]
    for (importer, _), (file, function) in itertools.pairwise(frames):
        if file == f"{name}.py" and function == "<module>" and not importer.startswith("ts/"):
            return importer not in evidence.source.files
    missed = re.search(
        rf"module '{name}' has no attribute '(\w+)'|cannot import name '(\w+)' from '{name}'", evidence.text
    )
    missed = missed or re.search(rf"No module named '{name}\.(\w+)()'; '{name}' is not a package", evidence.text)
    return missed is not None and _is_standard(name, missed[1] or missed[2])


def _is_standard(module: str, name: str) -> bool:
    """Whether Python's own module of that name has this name in it."""
    folder = Path(sysconfig.get_path("stdlib"))
    if (folder / module / f"{name}.py").is_file() or (folder / module / name).is_dir():
        return True
    for file in (folder / f"{module}.py", folder / module / "__init__.py"):
        if file.is_file():
            return re.search(rf"\b{name}\b", file.read_text("utf-8")) is not None
    return True  # it is written in C


def config_file(evidence: Evidence) -> Finding | None:
    """The worker reads model-config.yaml with PyYAML."""
    if evidence.error is None or not any(file.startswith("yaml/") for file, _ in evidence.functions):
        return None
    if not any(function == "get_yaml_config" for _, function in evidence.functions):
        return None
    mark, problem = getattr(evidence.error, "problem_mark", None), getattr(evidence.error, "problem", None)
    where = f"{PurePath(mark.name).name}, line {mark.line + 1}" if mark is not None else ""
    return not_yaml(problem or evidence.text, where)


def compile_settings(evidence: Evidence) -> Finding | None:
    """What BaseHandler.initialize cannot read below pt2 in the config file."""
    if not isinstance(evidence.error, KeyError | TypeError | ValueError | AttributeError):
        return None
    file = source_search.manifest(evidence).get("configFile")
    if not file or not evidence.raised_in("torch_handler/base_handler.py", "initialize"):
        return None
    written = context_reads.read_config(evidence, str(file))
    found = compiling(written) if isinstance(written, dict) else ()
    return next((one for one in found if one.severity == "error"), None)


def class_count(evidence: Evidence) -> Finding | None:
    if not (isinstance(evidence.error, ValueError) and "Expected only one class in custom" in evidence.text):
        return None
    return handler_file.class_count([kind.__name__ for kind in evidence.source.classes])


def syntax(evidence: Evidence) -> Finding | None:
    error = evidence.error
    if not isinstance(error, SyntaxError):
        return None
    file = (error.filename or "").rsplit("/", 1)[-1]
    line = f": {error.text.strip()}" if error.text else ""
    text = source_search.text(evidence, file).splitlines()
    if not line and error.lineno and 0 < error.lineno <= len(text):
        line = f": {text[error.lineno - 1].strip()}"
    said = str(error.msg)
    fix = next((fix for words, fix in _SYNTAX if words in said), "Correct that line.")
    place = f"{file}, line {error.lineno}{line}" if file else ""  # a NUL byte has no place
    end = "" if said.endswith("?") else "."
    return Finding("syntax", f"Python cannot read the file: {said}{end}", place, LOAD, fix)


_SYNTAX = (
    ("was never closed", "Close the bracket that this line opens."),
    ("unmatched", "Remove that bracket, or add the one that opens it."),
    ("expected an indented block", "Indent the lines that belong to the line before, by four spaces."),
    ("unexpected indent", "Indent the line as the ones around it."),
    ("unindent does not match", "Indent the line as the ones around it."),
    ("inconsistent use of tabs", "Indent with spaces only."),
    ("expected ':'", "End the line with a colon."),
    ("unterminated", "Close the quotation mark."),
    ("outside function", "Indent the line, so that it is in its function."),
    ("invalid syntax", "Complete or correct that line; a listing copied from a page may have lost a part of it."),
)


def no_method(evidence: Evidence) -> Finding | None:
    error = evidence.error
    if isinstance(error, ValueError) and "Expect handle method" in evidence.text:
        missing = "handle"
    elif (
        isinstance(error, AttributeError)
        and error.name == "initialize"
        and isinstance(error.obj, evidence.source.classes)
    ):
        missing = "initialize"
    else:
        return None
    return handler_file.no_method(missing)


def entry_point(evidence: Evidence) -> Finding | None:
    """What has the entry point's name is called once with (None, context), and this is no function of two."""
    if not isinstance(evidence.error, TypeError) or evidence.frame is not None:
        return None
    wanted = evidence.attempt.setup.handler.partition(":")[2] or "handle"
    module = source_search.tree(evidence, source_search.handler_file(evidence))
    kinds = {node.name for node in module.body if isinstance(node, ast.ClassDef)}
    values = {
        target.id
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    if wanted in kinds:
        message = f"The handler is named as a function, {evidence.attempt.setup.handler!r}, but {wanted} is a class."
        fix = (
            f"Name the file alone: TorchServe finds the class in it (--handler {source_search.handler_file(evidence)})."
        )
        return Finding("entry_point", message, effect=LOAD, fix=fix)
    if wanted in values:
        message = (
            f"{wanted} in the handler's file is a value and cannot be called; TorchServe takes it for the handler."
        )
        return Finding("entry_point", message, effect=LOAD, fix=f"Give that variable another name than {wanted}.")
    return None


def none_at_load(evidence: Evidence) -> Finding | None:
    """A function handler is called once with data=None when the worker starts."""
    if evidence.frame is None or evidence.source.classes or evidence.frame.function == "<module>":
        return None
    if not isinstance(evidence.error, TypeError | AttributeError) or "None" not in evidence.text:
        return None
    module = source_search.tree(evidence, source_search.handler_file(evidence))
    wanted = evidence.attempt.setup.handler.partition(":")[2] or "handle"
    entry = next(
        (node for node in module.body if isinstance(node, source_search.Function) and node.name == wanted), None
    )
    if entry is None or source_search.tests_argument(entry):
        return None
    missing = live_values.none_on_line(evidence)
    if missing is not None and not source_search.is_argument(evidence, missing.source):
        return None
    message = "A function handler is called once with data=None when it is loaded, and this one fails then."
    return Finding("none_at_load", message, evidence.where, LOAD, "Begin it with: if data is None: return None.")


def not_enough_memory(evidence: Evidence) -> Finding | None:
    if not isinstance(evidence.error, MemoryError) and not (
        isinstance(evidence.error, RuntimeError) and "CUDA" in evidence.text
    ):
        return None
    effect = evidence.effect
    if isinstance(evidence.error, RuntimeError) and "out of memory" not in evidence.text:
        message = f"Loading the handler raised {evidence.error_line}; TorchServe takes any error that says CUDA for a "
        message += "lack of GPU memory."
        fix = "Correct the CUDA error."
        if "deserialize object on a CUDA device" in evidence.text:
            fix = "The weights were saved on a GPU, and there is none here: torch.load(path, map_location=self.device)."
        return Finding("memory", message, evidence.where, effect, fix)
    message = f"There is not enough memory to load the model ({evidence.error_line})."
    return Finding("memory", message, evidence.where, effect, "Use a smaller model or batch, or another device.")


def any_exception(evidence: Evidence) -> Finding | None:
    if evidence.error is None:
        return None
    return Finding(
        "load",
        f"Loading the handler raised {evidence.error_line}.",
        evidence.where,
        LOAD,
        source_search.fix_of_line(evidence),
    )


RULES: tuple[Rule, ...] = (
    reads_command_line, died, config_file, compile_settings, shadowed, class_count, weight_files.labels,
    weight_files.model_class, *weight_files.RULES, missing_import, missing_variable, syntax, no_method, entry_point,
    signature, context_reads.no_request_yet, *context_reads.RULES, none_at_load, missing_name, missing_file,
    session_called, not_enough_memory, *context_calls.RULES, attribute_not_set, variable_not_set, module_attribute,
    command_failed, any_exception,
)  # fmt: skip
