"""Quiet faults of a handler: it answers 200, and the answer or what it left behind is not what was meant.

Each is reported once for a load, and not again until the handler changes. A comment in one of the model's files
silences it, as any warning of a call: `# handlerkit: ignore=untyped_json`, with several names separated by commas.
"""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from handlerkit.messages import Finding, Headers
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving.wire import Prediction
from handlerkit.why import source_search
from handlerkit.why.effects import NOTHING
from handlerkit.why.evidence import Attempt, Evidence, Rule, once_per_load
from handlerkit.why.model_code import STAGES
from handlerkit.why.source_search import Function

#: A dict whose first key is a number, as class numbers are.
_NUMBERED = re.compile(rb'\{\s*"\d+":')
#: A class number under a name of its own, as boxes and rows have it, and how far into an answer one is looked for.
_CLASS = r"(?:class|label|category|cls)(?:_?(?:id|index|idx))?"
_CLASSES = r"(?:classes|labels|categories|(?:class|label|category)_?(?:ids|indices|idxs))"
_LABELED = re.compile(rf'"{_CLASS}"\s*:\s*"?\d+"?\s*[,}}]|"{_CLASSES}"\s*:\s*\[\s*"?\d+"?\s*[,\]]'.encode())
_LOOK = 4096
#: The rows of a map of class numbers, which as an image is gray or has a palette: how it begins, and PNG's color types.
_MAP = re.compile(rb"\[\s*\[\s*\d+\s*,")
_PNG, _INDEXED = b"\x89PNG\r\n\x1a\n", (0, 3)
#: How wide and high a map of class numbers is at least, and how many pixels are looked at at most.
_WIDE, _PIXELS = 8, 4_000_000


def may_warn(attempt: Attempt) -> bool:
    """Whether a rule of WARNINGS can have something to say."""
    if attempt.describe:
        return False
    if attempt.first or attempt.recorded:
        return True
    answer, reported = attempt.answer, attempt.reported
    if answer is None or answer.code != 200 or not answer.predictions:
        return False
    rows = answer.predictions
    typed = rows[0].content_type or rows[0].headers
    if len(rows) > 1 and typed and not rows[1].content_type and "content_type_of_row_0" not in reported:
        return True
    if not rows[0].content_type and "untyped_json" not in reported:
        for request in attempt.requests:
            if _accepts_json(request.headers):
                return True
    return "labels_unused" not in reported and _is_numbered(rows[0].body)


def _is_numbered(body: bytes) -> bool:
    """Whether it looks like JSON with class numbers, or like a map of them."""
    if body[:1] in (b"{", b"["):
        found = _NUMBERED.match(body) or _LABELED.search(body, 0, _LOOK) or _MAP.search(body, 0, _LOOK)
        return found is not None
    return body.startswith(_PNG) and len(body) > 25 and body[25] in _INDEXED


@functools.lru_cache(maxsize=256)
def _accepts_json(headers: Headers) -> bool:
    """Whether the client asked for nothing sooner than for JSON."""
    weights: dict[str, float] = {}
    for one in ",".join(value for name, value in headers if name.lower() == "accept").lower().split(","):
        kind, _, parameters = one.partition(";")
        given = re.search(r"\bq=(\d(?:\.\d+)?)", parameters)
        weights[kind.strip()] = float(given[1]) if given else 1.0
    return weights.get("application/json", 0.0) == max(weights.values()) > 0


def content_type_of_row_0(evidence: Evidence) -> Finding | None:
    """context.set_response_content_type(0, ...) in a handler that gets several rows."""
    answer = evidence.attempt.answer
    rows = answer.predictions if answer is not None else ()
    kind = _content_type(rows[0]) if len(rows) > 1 else ""
    if not kind or any(_content_type(row) or row.status != 200 for row in rows[1:]):
        return None
    where = source_search.find(evidence, r"set_response_content_type\(\s*(idx\s*=\s*)?0\s*,") or source_search.find(
        evidence, r"""(?i)set_response_header\(\s*(idx\s*=\s*)?0\s*,\s*["']content-type"""
    )
    if not where:
        return None
    others = f"other {len(rows) - 1} requests" if len(rows) > 2 else "other request"
    message = f"The content type {kind} was set for request 1 alone: the {others} of the batch got none."
    fix = "Set it for each row: for index in range(len(data)): context.set_response_content_type(index, ...)."
    return Finding("content_type_of_row_0", message, where, NOTHING, fix, "warning")


def _content_type(row: Prediction) -> str:
    """The content type that the handler set, in either way."""
    return row.content_type or next((value for name, value in row.headers if name.lower() == "content-type"), "")


def untyped_json(evidence: Evidence) -> Finding | None:
    """JSON without a Content-Type, for a client that asked for JSON."""
    answer = evidence.attempt.answer
    if answer is None or answer.code != 200 or evidence.attempt.intermediate:
        return None
    for request, row in zip(evidence.attempt.requests, answer.predictions, strict=False):
        if not _accepts_json(request.headers) or _content_type(row) or row.status != 200 or not _is_json(row.body):
            continue
        message = (
            "The client asked for application/json (its Accept header) and gets JSON without a Content-Type: "
            "TorchServe sets only the one that the handler sets."
        )
        fix = 'Set it for each row: context.set_response_content_type(index, "application/json").'
        return Finding("untyped_json", message, source_search.return_line(evidence), NOTHING, fix, "warning")
    return None


def _is_json(body: bytes) -> bool:
    try:
        return body[:1] in (b"{", b"[") and isinstance(json.loads(body), dict | list)
    except (ValueError, RecursionError):
        return False


def labels_unused(evidence: Evidence) -> Finding | None:
    """Class numbers in an answer, though the archive holds their names."""
    answer, folder = evidence.attempt.answer, evidence.source.folder
    rows = [row.body for row in answer.predictions if _is_numbered(row.body)] if answer is not None else []
    if answer is None or answer.code != 200 or folder is None or not rows:
        return None
    try:
        labels = json.loads((folder / facts.LABELS).read_text("utf-8"))
        bodies = [_map_of(row) if row.startswith(_PNG) else json.loads(row) for row in rows]
    except (OSError, ValueError, RecursionError):
        return None
    for body in bodies:
        numbers = _class_numbers(body) if isinstance(labels, dict) else []
        if isinstance(labels, dict) and not numbers and (of_map := _map_numbers(body, labels)):
            return _unnamed_map(evidence, labels, of_map)
        if numbers and all(number in labels for number in numbers) and not _holds_names(body, labels):
            key = numbers[0]
            message = (
                f"The archive holds {facts.LABELS}, and the answer has the classes' numbers in place of their names "
                f"({key!r} for {_label(labels[key])})."
            )
            fix = "super().initialize(context) reads the names into self.mapping; in an initialize of your own: "
            fix += f'self.mapping = load_label_mapping(os.path.join(model_dir, "{facts.LABELS}")), from ts.utils.util.'
            where = source_search.find(evidence, r"map_class_to_label\(") or source_search.return_line(evidence)
            return Finding("labels_unused", message, where, NOTHING, fix, "warning")
    return None


def _unnamed_map(evidence: Evidence, labels: dict[str, Any], numbers: list[str]) -> Finding | None:
    """For a map of these numbers."""
    key = numbers[-1]
    message = (
        f"The archive holds {facts.LABELS}, and the answer is a map of the classes' numbers that does not say their "
        f"names ({key!r} is {_label(labels[key])})."
    )
    fix = 'Answer with both, {"mask": mask, "labels": self.mapping}: super().initialize(context) reads the names into '
    fix += "self.mapping."
    return Finding("labels_unused", message, source_search.return_line(evidence), NOTHING, fix, "warning")


def _map_of(image: bytes) -> Any:
    """The rows of pixels of a PNG image, as numbers. Raises ValueError for what is no small image."""
    import io

    from PIL import Image

    try:
        with Image.open(io.BytesIO(image)) as opened:
            if opened.mode not in ("L", "P") or opened.width * opened.height > _PIXELS:
                return None
            values, width = opened.tobytes(), opened.width
    except (OSError, SyntaxError, Image.DecompressionBombError) as problem:
        raise ValueError(str(problem)) from None
    return [list(values[at : at + width]) for at in range(0, len(values), width)]


def _map_numbers(body: Any, labels: dict[str, Any]) -> list[str]:
    """The class numbers of the first map of them in an answer, each of which has a name; none if it holds a name."""
    for part in _parts(body):
        if not isinstance(part, list) or len(part) < _WIDE or not all(isinstance(row, list) for row in part):
            continue
        if len(part[0]) < _WIDE or len({len(row) for row in part}) > 1:
            continue
        numbers: set[Any] = set()
        for row in part:
            numbers |= {value if type(value) is int else None for value in row if not isinstance(value, list | dict)}
            if any(isinstance(value, list | dict) for value in row) or any(str(one) not in labels for one in numbers):
                return []
        is_flat = len(numbers) > 1 and not _holds_names(body, labels)
        return sorted(map(str, numbers)) if is_flat else []
    return []


def _class_numbers(body: Any) -> list[str]:
    """The class numbers in an answer: the keys of a dict, or what boxes and rows have under the name of a class."""
    if isinstance(body, dict) and body and all(key.isdecimal() for key in body):
        return list(body)
    found = [
        value
        for holder in _parts(body)
        if isinstance(holder, dict)
        for key, given in holder.items()
        if re.fullmatch(_CLASSES if isinstance(given, list) else _CLASS, key)
        for value in (given if isinstance(given, list) else [given])
    ]
    is_number = all(type(value) is int or (isinstance(value, str) and value.isdecimal()) for value in found)
    return list(map(str, found)) if is_number else []


def _holds_names(body: Any, labels: dict[str, Any]) -> bool:
    names = {name for value in labels.values() for name in (value if isinstance(value, list) else [value])}
    return any(part in names for part in _parts(body) if isinstance(part, str))


def _parts(body: Any) -> Iterator[Any]:
    """An answer and what is in it, some thousand values at most."""
    waiting, number = [body], 0
    while number < len(waiting) and number < _MOST:
        value, number = waiting[number], number + 1
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
        yield value


#: How many values of an answer are looked at.
_MOST = 5000


def _label(value: object) -> str:
    names = [value] if isinstance(value, str) else value
    return repr(names[-1]) if isinstance(names, list) and names else repr(value)


#: What makes files and folders without Python's open.
_WRITES = r"\.?\b(save\w*|imwrite|makedirs|mkdir|write\w*|to_\w+|dump|mkdtemp|copy\w*|VideoWriter)\("


def written_in_model_dir(evidence: Evidence) -> Finding | None:
    for call in evidence.calls:
        if call.kind == "wrote":
            name, where = call.arguments
            if not (where := where or source_search.find(evidence, _WRITES)):
                continue  # it may be another's
            message = (
                f"The handler wrote {name} into model_dir, which is the worker's working directory; that folder is "
                "removed when the model is unregistered or the server stops."
            )
            fix = "Answer with the bytes, or write to a folder of your own, named in model-config.yaml."
            return Finding("written_in_model_dir", message, _with_source(evidence, where), NOTHING, fix, "warning")
    return None


def _with_source(evidence: Evidence, where: str) -> str:
    """`h.py, line 5` with the function and what is written there."""
    found = re.fullmatch(r"(.+), line (\d+)", where)
    if found is None:
        return where
    function = source_search.enclosing(source_search.tree(evidence, found[1]), int(found[2]))
    return source_search.line(evidence, found[1], int(found[2]), function.name if function else "<module>")


def unused_stage(evidence: Evidence) -> Finding | None:
    """A class with stages and a handle of its own, which never calls one of them."""
    file = source_search.handler_file(evidence)
    module = source_search.tree(evidence, file)
    wanted = evidence.attempt.setup.handler.partition(":")[2] or "handle"
    if not evidence.attempt.first or any(isinstance(node, Function) and node.name == wanted for node in module.body):
        return None
    used = _used(evidence)
    if "MicroBatching" in used:
        return None
    for kind in module.body:
        if not isinstance(kind, ast.ClassDef):
            continue
        methods = {node.name: node for node in kind.body if isinstance(node, Function)}
        unused = [stage for stage in STAGES if stage in methods and stage not in used]
        if "handle" not in methods or not unused or _calls_base(methods.values()):
            continue
        names = " and ".join(filter(None, (", ".join(unused[:-1]), unused[-1])))
        message = f"{kind.name} has a handle of its own, which never calls {names}: TorchServe calls handle alone."
        fix = f"Call it in handle: self.{unused[0]}(...); or leave handle out, and BaseHandler.handle calls all stages."
        where = source_search.line(evidence, file, methods["handle"].lineno, "handle")
        return Finding("unused_stage", message, where, NOTHING, fix, "warning")
    return None


def _used(evidence: Evidence) -> set[str]:
    """The names, attributes and texts in the model's files."""
    used: set[str] = set()
    for file in evidence.source.files:
        for node in ast.walk(source_search.tree(evidence, file)):
            if isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.Name):
                used.add(node.id)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                used.add(node.value)
    return used


def _calls_base(methods: Iterable[Function]) -> bool:
    """Whether a method calls another class's handle, which calls all stages."""
    return any(
        isinstance(node, ast.Attribute) and node.attr == "handle" for method in methods for node in ast.walk(method)
    )


def shared_in_self(evidence: Evidence) -> Finding | None:
    """What the loop over the rows puts into self for each, and a later stage reads once for all."""
    count = len(evidence.attempt.jobs)
    if count < 2 or not evidence.attempt.first:
        return None
    file = source_search.handler_file(evidence)
    for kind in source_search.tree(evidence, file).body:
        if not isinstance(kind, ast.ClassDef):
            continue
        methods = {node.name: node for node in kind.body if isinstance(node, Function)}
        for name, number, loop in _kept(methods):
            if (reader := _reader(methods, name, loop)) is None:
                continue
            around, line = reader
            message = (
                f"self.{name} is set for each row of the batch, and {around} reads it when the last row has set "
                f"it: each of the {count} answers gets that row's."
            )
            where = source_search.line(evidence, file, number, _around(methods, number))
            fix = f"Keep one for each row: self.{name} = [] before the loop, and append to it; line {line} reads it."
            return Finding("shared_in_self", message, where, NOTHING, fix, "warning")
    return None


def _around(methods: dict[str, Function], number: int) -> str:
    inside = (name for name, node in methods.items() if node.lineno <= number <= (node.end_lineno or node.lineno))
    return next(inside, "<module>")


class _Loop:
    """A loop over the rows of a batch in a method.

    Attributes:
        names: the variables in it that depend on the row.
        calls: the methods of the handler that it calls.
    """

    def __init__(self, method: Function, node: ast.For | ast.ListComp, names: set[str]) -> None:
        self.method, self.node, self.names = method, node, names
        self.calls: set[str] = set()

    def holds(self, number: int) -> bool:
        return self.node.lineno <= number <= (self.node.end_lineno or self.node.lineno)


def _loops(method: Function) -> Iterator[_Loop]:
    """The loops over an argument of the method."""
    given = {argument.arg for argument in method.args.args[1:]}
    for node in ast.walk(method):
        if isinstance(node, ast.For) and _names(node.iter) & given:
            yield _Loop(method, node, _names(node.target))
        elif isinstance(node, ast.ListComp) and _names(node.generators[0].iter) & given:
            yield _Loop(method, node, _names(node.generators[0].target))


def _names(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} - {
        "self",
        "enumerate",
        "range",
        "len",
        "zip",
    }


def _kept(methods: dict[str, Function]) -> Iterator[tuple[str, int, _Loop]]:
    """(attribute, line, loop) of self's attributes that a loop over the rows sets from the row."""
    for method in methods.values():
        if method.name in ("__init__", "initialize"):
            continue
        for loop in _loops(method):
            yield from list(_set_in(loop.node, loop.names, methods, loop, 0))  # so that loop.calls is whole


def _set_in(
    body: ast.AST, names: set[str], methods: dict[str, Function], loop: _Loop, depth: int
) -> Iterator[tuple[str, int, _Loop]]:
    spared = {  # as a cache is filled: if self.size is None: self.size = ...
        attribute
        for node in ast.walk(body)
        if isinstance(node, ast.If | ast.IfExp)
        for attribute in _own_attributes(node.test)
    }
    for node in ast.walk(body):
        if isinstance(node, ast.Assign) and _names(node.value) & names:
            for target in node.targets:
                for one in ast.walk(target):
                    if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
                        names.add(one.id)
                    elif _is_own(one) and isinstance(one.ctx, ast.Store):  # type: ignore[attr-defined]
                        attribute = one.attr  # type: ignore[attr-defined]
                        if attribute not in _own_attributes(node.value) | spared:
                            yield attribute, node.lineno, loop
        elif isinstance(node, ast.Call) and _is_own(node.func):
            called = methods.get(node.func.attr)  # type: ignore[attr-defined]
            loop.calls.add(node.func.attr)  # type: ignore[attr-defined]
            if called is not None and depth < 3:
                taken = [argument.arg for argument in called.args.args[1:]]
                given = {name for name, value in zip(taken, node.args, strict=False) if _names(value) & names}
                given |= {word.arg for word in node.keywords if word.arg and _names(word.value) & names}
                yield from _set_in(called, given, methods, loop, depth + 1)


def _is_own(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def _own_attributes(node: ast.AST) -> set[str]:
    return {one.attr for one in ast.walk(node) if _is_own(one)}  # type: ignore[attr-defined]


def _reader(methods: dict[str, Function], name: str, loop: _Loop) -> tuple[str, int] | None:
    """(method, line) of what reads the attribute outside of the loop, and does not set it itself."""
    for method in methods.values():
        if method.name in loop.calls or method.name in ("__init__", "initialize"):
            continue
        own = [one for one in ast.walk(method) if _is_own(one) and one.attr == name]  # type: ignore[attr-defined]
        if method is not loop.method and any(isinstance(one.ctx, ast.Store) for one in own):  # type: ignore[attr-defined]
            continue
        for one in own:
            number: int = one.lineno  # type: ignore[attr-defined]
            if not isinstance(one.ctx, ast.Load) or loop.holds(number):  # type: ignore[attr-defined]
                continue
            if method is loop.method and number <= loop.node.lineno:
                continue
            return method.name, number
    return None


#: Asked after the first call since a load, and if the answer or what the handler did is unusual.
WARNINGS: tuple[Rule, ...] = tuple(map(once_per_load, (
    content_type_of_row_0, untyped_json, labels_unused, written_in_model_dir, unused_stage, shared_in_self,
)))  # fmt: skip
