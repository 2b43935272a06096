"""What TorchServe does about a line that raises, in the words that all rules share."""

from __future__ import annotations

import ast

from handlerkit.check.code.program import Program
from handlerkit.check.code.source import Source
from handlerkit.why.evidence import LOAD

__all__ = ["LOAD", "REQUEST", "when"]

REQUEST = "The request that comes to this line is answered 503, with every request of its batch."


def when(program: Program, source: Source, node: ast.AST) -> str:
    """What comes of an exception on this line."""
    return LOAD if program.loading(source, node) else REQUEST
