"""Why a handler does not load."""

from __future__ import annotations

import ast
import sys
from collections import Counter

from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.why import source_search
from handlerkit.why.evidence import LOAD, Evidence, Rule
from handlerkit.why.rules.common import attribute_not_set, missing_import, missing_name, signature
from handlerkit.why.rules.config_file import not_yaml
from handlerkit.why.rules.input_mismatch import missing_file
from handlerkit.why.rules.weights import labels, model_class, weights


def died(seen: Evidence) -> Finding | None:
    """The process ended, or took too long, and no exception is known."""
    if not seen.died or seen.error is not None:
        return None
    kind, _, what = seen.died.partition(": ")
    changes = {
        "timeout": "Load less in initialize, or raise startupTimeout (model-config.yaml) or default_startup_timeout.",
        "exit": "Find what ends the process: sys.exit, os._exit, a crash in native code, or too little memory.",
    }
    return Finding(f"worker_{kind}", what, effect=LOAD, fix=changes.get(kind, ""))


def shadowed(seen: Evidence) -> Finding | None:
    """The archive's folder stands before the standard library when Python looks for a module."""
    if seen.error is None:
        return None
    own = {file.removesuffix(".py") for file in seen.files if "/" not in file} & sys.stdlib_module_names
    inside = {file.removesuffix(".py") for file, function in seen.functions if function == "<module>"}
    hit = own & inside or {name for name in own if f"'{name}'" in seen.text}
    if not hit:
        return None
    name = sorted(hit)[0]
    what = f"{name}.py in the archive stands in the place of Python's own module {name}, and what needs that one fails."
    return Finding("shadowed", what, seen.where, LOAD, f"Give {name}.py another name.")


def config_file(seen: Evidence) -> Finding | None:
    """The worker reads model-config.yaml with PyYAML."""
    if seen.error is None or not any(file.startswith("yaml/") for file, _ in seen.functions):
        return None
    if not any(function == "get_yaml_config" for _, function in seen.functions):
        return None
    return not_yaml(seen.text)


def class_count(seen: Evidence) -> Finding | None:
    if not (isinstance(seen.error, ValueError) and "Expected only one class in custom" in seen.text):
        return None
    return counted([kind.__name__ for kind in seen.classes])


def counted(names: list[str]) -> Finding:
    """A handler file with these names of classes, which are not one, and without a function."""
    if not names:
        what = "The handler file defines no class and no function named handle; an imported class does not count."
        change = "Define the handler class in this file, or a function handle(data, context)."
    elif twice := [name for name, count in Counter(names).items() if count > 1]:
        what = f"The class {twice[0]} has two names in the handler file, and TorchServe counts it as two classes."
        change = f"Remove the second name (Other = {twice[0]})."
    else:
        listed = ", ".join(sorted(names))
        what = f"The handler file defines {len(names)} classes ({listed}); TorchServe takes one, or a function."
        change = "Move the others to a helper module (%%module, --extra-files) and import them from there."
    return Finding("class_count", what, effect=LOAD, fix=change)


def syntax(seen: Evidence) -> Finding | None:
    error = seen.error
    if not isinstance(error, SyntaxError):
        return None
    file = (error.filename or "").rsplit("/", 1)[-1]
    line = f": {error.text.strip()}" if error.text else ""
    text = source_search.text(seen, file).splitlines()
    if not line and error.lineno and 0 < error.lineno <= len(text):
        line = f": {text[error.lineno - 1].strip()}"
    said = str(error.msg)
    change = next((change for words, change in _SYNTAX if words in said), "Correct that line.")
    place = f"{file}, line {error.lineno}{line}"
    return Finding("syntax", f"Python cannot read the file: {said}.", place, LOAD, change)


_SYNTAX = (
    ("was never closed", "Close the bracket that this line opens."),
    ("unmatched", "Remove that bracket, or open it before."),
    ("expected an indented block", "Indent what belongs to the line before, by four spaces."),
    ("unexpected indent", "Indent the line as the ones around it."),
    ("unindent does not match", "Indent the line as the ones around it."),
    ("inconsistent use of tabs", "Indent with spaces only."),
    ("expected ':'", "End the line with a colon."),
    ("unterminated", "Close the quotation mark."),
    ("outside function", "Indent the line, so that it stands in its function."),
    ("invalid syntax", "Complete or correct that line; a listing copied from a page may have lost a part of it."),
)


def no_method(seen: Evidence) -> Finding | None:
    error = seen.error
    if isinstance(error, ValueError) and "Expect handle method" in seen.text:
        lacks = "handle"
    elif isinstance(error, AttributeError) and error.name == "initialize" and isinstance(error.obj, seen.classes):
        lacks = "initialize"
    else:
        return None
    return lacking(lacks)


def lacking(method: str) -> Finding:
    """A handler class without `handle` or `initialize`."""
    sign = "handle(self, data, context)" if method == "handle" else "initialize(self, context)"
    what = f"The handler class has no method {method}; TorchServe needs both initialize and handle."
    return Finding("no_method", what, effect=LOAD, fix=f"Add {sign}, or derive from BaseHandler, which has it.")


def entry_point(seen: Evidence) -> Finding | None:
    """What stands under the entry point's name is called once with (None, context), and this is no function of two."""
    if not isinstance(seen.error, TypeError) or seen.frame is not None:
        return None
    wanted = seen.setup.handler.partition(":")[2] or "handle"
    module = source_search.tree(seen, source_search.handler_file(seen))
    kinds = {node.name for node in module.body if isinstance(node, ast.ClassDef)}
    values = {
        target.id
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    if wanted in kinds:
        what = f"The handler is named as a function, {seen.setup.handler!r}, but {wanted} is a class."
        change = (
            f"Name the file alone: TorchServe finds the class in it (--handler {source_search.handler_file(seen)})."
        )
        return Finding("entry_point", what, effect=LOAD, fix=change)
    if wanted in values:
        what = f"{wanted} in the handler's file is a value and cannot be called; TorchServe takes it for the handler."
        return Finding("entry_point", what, effect=LOAD, fix=f"Give that variable another name than {wanted}.")
    return None


def none_at_load(seen: Evidence) -> Finding | None:
    """A function handler is called once with data=None when the worker starts."""
    if seen.frame is None or seen.classes or seen.frame.function == "<module>":
        return None
    if not isinstance(seen.error, TypeError | AttributeError) or "None" not in seen.text:
        return None
    what = "A function handler is called once with data=None when it is loaded, and this one fails then."
    return Finding("none_at_load", what, seen.where, LOAD, "Begin it with: if data is None: return None.")


def not_enough_memory(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, MemoryError) and not (isinstance(seen.error, RuntimeError) and "CUDA" in seen.text):
        return None
    served = f"Registering the model answers 507 '{facts.NOT_STARTED}'."
    what = f"There is not enough memory to load the model ({seen.name})."
    return Finding("memory", what, seen.where, served, "Use a smaller model or batch, or another device.")


def any_exception(seen: Evidence) -> Finding | None:
    if seen.error is None:
        return None
    return Finding("load", f"Loading the handler raised {seen.name}.", seen.where, LOAD, source_search.correct(seen))


LOAD_RULES: tuple[Rule, ...] = (
    died, config_file, shadowed, class_count, missing_import, syntax, no_method, entry_point, labels,
    model_class, weights, signature, none_at_load, missing_name, missing_file,
    not_enough_memory, attribute_not_set, any_exception,
)  # fmt: skip
