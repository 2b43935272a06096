"""What TorchServe does about a line or a file that fails, in the words that all rules share."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from handlerkit.check.code.program import Program
from handlerkit.check.code.source import SourceFile
from handlerkit.check.subject import Subject
from handlerkit.why.effects import LOAD

__all__ = ["LOAD", "REQUEST", "fails", "listed", "when"]

REQUEST = "The request that comes to this line is answered 503, with every request of its batch."


def when(program: Program, source: SourceFile, node: ast.AST) -> str:
    """What comes of an exception on this line."""
    return LOAD if program.loading(source, node) else REQUEST


def fails(subject: Subject, file: str) -> str:
    """What comes of a file that cannot be read."""
    return LOAD if file == subject.serialized_file else "Whatever reads it fails."


def listed(names: Sequence[str]) -> str:
    """The first three of some names."""
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def after(condition: str, effect: str) -> str:
    """An effect that comes only under a condition: "Without a GPU: the request ..."."""
    return f"{condition}: {effect[0].lower()}{effect[1:]}"


def shown(node: ast.AST) -> str:
    """An expression as a message quotes it, shortened."""
    text = ast.unparse(node)
    return text if len(text) <= 70 else f"{text[:69]}…"
