"""`%%module`: the cell is a file beside the handler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlerkit.notebook.commands.command import Command, Line
from handlerkit.notebook.options import Parser

if TYPE_CHECKING:
    from handlerkit.notebook.session import Session


def _parser(prog: str) -> Parser:
    parser = Parser(prog, "Write the cell to a helper module and add it to the current model's archive.")
    parser.add_argument("file", help="the file to write")
    return parser


def _call(session: Session, options: dict[str, Any], line: Line) -> Any:
    return session.module(options["file"], line.code())


MODULE = Command("module", _parser, cell="always", call=_call, examples=("words.py",))
