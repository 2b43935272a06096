"""Arguments that the standard library of an older Python does not take: literals, and how many there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from handlerkit.check.code.program import Program
from handlerkit.check.code.source import SourceFile, dotted, keyword, text_of
from handlerkit.check.rules.effects import shown, when
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding
from handlerkit.targets import Target

_ESCAPED = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
#: Atomic groups, and quantifiers that give nothing back.
_POSSESSIVE = re.compile(r"\(\?>|[*+?]\+|\{\d*,?\d*\}\+")
_EXCEPTIONS = {"traceback.format_exception", "traceback.print_exception", "traceback.format_exception_only"}


def newer_arguments(subject: Subject, target: Target) -> Iterator[Finding]:
    """Calls that the target's Python has, with arguments that only a newer one takes."""
    program = subject.program(target.python)
    for source, node in program.nodes(ast.Call):
        found = _newer(source, node)
        if found is None or target.python >= found[0]:
            continue
        if source.tried(node, ("ValueError",)) or source.tried(node, ("TypeError",)) or program.asked(source, node):
            continue
        version, what, fix = found
        has = ".".join(map(str, target.python))
        message = f"`{shown(node)}`: {what} Python {version[0]}.{version[1]}; {target.name} has {has}."
        yield Finding("newer_python", message, source.place(node), when(program, source, node), fix)


def _newer(source: SourceFile, node: ast.Call) -> tuple[tuple[int, int], str, str] | None:
    """The version that takes a call's arguments, what that is about, and what to write; None for one that all take."""
    name = source.name(node.func)
    text = text_of(node.args[0]) if node.args else None
    if name.startswith("re.") and text is not None and _is_possessive(text, node):
        return (3, 11), "possessive quantifiers and atomic groups need", "Write the expression without them."
    if name.endswith(".fromisoformat") and name.startswith("datetime.") and (text or "").endswith("Z"):
        return (3, 11), "a time that ends with Z needs", "Write +00:00 in the place of Z."
    if name in _EXCEPTIONS and len(node.args) == 1 and not isinstance(node.args[0], ast.Starred) and not node.keywords:
        return (3, 10), "the exception alone needs", "Give type(exc), exc, exc.__traceback__."
    return None


def _is_possessive(text: str, node: ast.Call) -> bool:
    flags = " ".join(ast.unparse(one) for one in (*node.args[1:], keyword(node, "flags")) if one is not None)
    if re.search(r"\b(VERBOSE|X)\b", flags) or "(?x" in text:
        return False  # comments may hold anything
    return _POSSESSIVE.search(_ESCAPED.sub("a", text)) is not None


def type_hints(subject: Subject, target: Target) -> Iterator[Finding]:
    """`X | Y` in annotations that are postponed, and that get_type_hints evaluates after all."""
    if target.python >= (3, 10):
        return
    program = subject.program(target.python)
    for source, call in program.nodes(ast.Call):
        if source.name(call.func) not in ("typing.get_type_hints", "typing_extensions.get_type_hints") or not call.args:
            continue
        for other, union in _hinted(program, dotted(call.args[0]).rpartition(".")[2]):
            message = f"get_type_hints evaluates `{ast.unparse(union)}`, which needs Python 3.10."
            effect, fix = when(program, source, call), "Write typing.Optional or typing.Union there."
            if source.tried(call, ("TypeError",)) is None:
                yield Finding("newer_python", message, other.place(union), effect, fix)
            break


def _hinted(program: Program, name: str) -> Iterator[tuple[SourceFile, ast.BinOp]]:
    """The unions in the annotations of a class's attributes."""
    for source in program.sources.values():
        for kind in source.tree.body:
            if isinstance(kind, ast.ClassDef) and kind.name == name and source.postponed:
                for node in (inner.annotation for inner in kind.body if isinstance(inner, ast.AnnAssign)):
                    for union in ast.walk(node):
                        if isinstance(union, ast.BinOp) and isinstance(union.op, ast.BitOr):
                            yield source, union


ARGUMENT_RULES = (newer_arguments, type_hints)
