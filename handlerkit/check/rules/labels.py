"""index_to_name.json and other JSON files, as the code that reads them finds them."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any

from handlerkit.check.code.program import Program
from handlerkit.check.code.source import Function, dotted, text_of
from handlerkit.check.loading import BASE_CLASSES
from handlerkit.check.rules.effects import LOAD, REQUEST, after
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding
from handlerkit.serving.torchserve_facts import LABELS
from handlerkit.targets import Target

_MOST = 64 << 20
_FIX = 'Make it one JSON object with a text for each class, such as {"0": "cat", "1": "dog"}.'


def label_mapping(subject: Subject, target: Target) -> Iterator[Finding]:
    """index_to_name.json in a shape that ts.utils.util.load_label_mapping refuses, or that names no class."""
    program = subject.program(target.python)
    if not _is_loaded(subject, program):
        return
    if LABELS not in subject.sizes:
        yield from _elsewhere(subject)
        return
    found = _read(subject, LABELS)
    if isinstance(found, str):
        yield Finding("labels", f"{LABELS} {found}.", LABELS, LOAD, _FIX)
    elif (wrong := _wrong(found)) is not None:
        yield Finding("labels", f"{LABELS} {wrong}.", LABELS, LOAD, _FIX)
    elif "object_type_names" not in found:
        yield from _unnamed(subject, program, found)


def broken_json(subject: Subject, target: Target) -> Iterator[Finding]:
    """JSON files that the code names, and that json.load cannot read."""
    program = subject.program(target.python)
    named = {
        node.value: source.place(node) for source, node in program.nodes(ast.Constant) if isinstance(node.value, str)
    }
    if "utf-8-sig" in named:
        return
    gives_bytes = _reads_bytes(program)
    for file, size in subject.sizes.items():
        told_by_other = file == LABELS and _is_loaded(subject, program)
        if not file.endswith(".json") or size > _MOST or told_by_other:
            continue
        place = named.get(file) or named.get(file.rpartition("/")[2])
        if place is None or not isinstance(found := _read(subject, file), str) or _has_lines(subject, file):
            continue
        if gives_bytes and _is_json(subject.read(file, _MOST)):
            continue  # json tells their encoding by itself
        yield Finding("broken_json", f"{file} {found}.", place, "json.load raises an exception.", f"Correct {file}.")


def _reads_bytes(program: Program) -> bool:
    """Whether the code reads some file's bytes, which json takes in UTF-16, UTF-32 and with a byte order mark too."""
    for _, call in program.nodes(ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "read_bytes":
            return True
        if dotted(call.func).rpartition(".")[2] == "open" or (
            isinstance(call.func, ast.Attribute) and call.func.attr == "open"
        ):
            modes = (*call.args, *(one.value for one in call.keywords))
            if any(text in ("rb", "br") for mode in modes if (text := text_of(mode))):
                return True
    return False


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True


def _is_loaded(subject: Subject, program: Program) -> bool:
    """Whether BaseHandler.initialize runs, which loads the mapping, or the handler loads it in the same way."""
    if subject.handler_file is None:
        return True
    for _, call in program.nodes(ast.Call):
        if dotted(call.func).rpartition(".")[2] == "load_label_mapping":
            return True
    for source in program.sources.values():
        for kind in program.nodes_of(source, ast.ClassDef):
            if not any(dotted(base).rpartition(".")[2] in BASE_CLASSES for base in kind.bases):
                continue
            own = [node for node in kind.body if isinstance(node, Function) and node.name == "initialize"]
            if not own or any(_calls_inherited(node) for node in own):
                return True
    return False


def _calls_inherited(function: Function) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "initialize"
        and not (isinstance(node.func.value, ast.Attribute) and dotted(node.func.value).startswith("self."))
        for node in ast.walk(function)
    )


def _read(subject: Subject, file: str) -> Any:
    """What the file holds; as a text, why json.load cannot read it: that is no mapping either."""
    content = subject.read(file, _MOST)
    if content.startswith(b"\xef\xbb\xbf"):
        return "begins with a byte order mark, which json.load refuses"
    try:
        found = json.loads(content.decode())
    except UnicodeDecodeError:
        return "is not in UTF-8"
    except json.JSONDecodeError as problem:
        return f"is no JSON: {problem}"
    except RecursionError:
        return "is nested too deeply"
    return [found] if isinstance(found, str) else found


def _wrong(found: Any) -> str | None:
    """What ts.utils.util.load_label_mapping refuses in it."""
    if not isinstance(found, dict):
        return "is no JSON object"
    if isinstance(found.get("object_type_names"), list):
        return None
    for key, value in found.items():
        if value == []:
            return f"has an empty list for {key!r}"
        last = value[-1] if isinstance(value, list) else value
        if not isinstance(last, str):
            return f"has {json.dumps(last)[:40]} for {key!r}, which is no text"
    return None


def _unnamed(subject: Subject, program: Program, names: dict[str, Any]) -> Iterator[Finding]:
    """Classes without a name, where an image classifier asks for every class's."""
    numbers = {int(key) for key in names if key.isdecimal() and str(int(key)) == key}
    if not _is_classifier(subject, program) or not names:
        return
    if not numbers:
        message = (
            f"{LABELS} has no numbers as keys, such as {next(iter(names))!r}: "
            "the classifier looks for those of classes."
        )
        yield Finding("labels", message, LABELS, REQUEST, _FIX)
    elif missing := sorted(set(range(max(numbers))) - numbers):
        message = f"{LABELS} has no name for class {missing[0]}"
        message += f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        effect = after("An image for which the classifier gives that class", REQUEST)
        yield Finding("labels", f"{message}, and one for class {max(numbers)}.", LABELS, effect, _FIX, "warning")


def _is_classifier(subject: Subject, program: Program) -> bool:
    """Whether ImageClassifier's postprocess maps the classes."""
    if subject.default_handler == "image_classifier":
        return True
    for _, kind in program.nodes(ast.ClassDef):
        own = {node.name for node in kind.body if isinstance(node, Function)}
        if any(dotted(base).endswith("ImageClassifier") for base in kind.bases) and not own & {"postprocess", "handle"}:
            return True
    return False


def _elsewhere(subject: Subject) -> Iterator[Finding]:
    """The mapping in a folder, where BaseHandler does not look."""
    for file in subject.sizes:
        if file.endswith(f"/{LABELS}"):
            message = f"{file} is not in the archive's root, where TorchServe's handlers look for {LABELS}."
            effect = "Answers have the numbers of classes instead of their names."
            yield Finding("labels", message, file, effect, f"Name the file itself in extra_files: {file}.", "warning")


def _has_lines(subject: Subject, file: str) -> bool:
    """Whether it is one JSON text a line, which some code reads line by line."""
    lines = subject.read(file).splitlines()[:20]
    try:
        return len(lines) > 1 and all(json.loads(line) is not None for line in lines[:-1] if line.strip())
    except (ValueError, RecursionError):
        return False


LABEL_RULES = (label_mapping, broken_json)
