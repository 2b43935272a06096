"""`%preview`: the live display."""

from __future__ import annotations

from handlerkit.envelope import ENVELOPES
from handlerkit.notebook.commands.arguments import add_display, add_model, add_what
from handlerkit.notebook.commands.command import Command
from handlerkit.notebook.options import Parser


def _parser(prog: str) -> Parser:
    parser = Parser(prog, "Show the current model as an interactive display, which follows its handler.",
        outside="Write a page with a model's answers to play with, which works offline.")  # fmt: skip
    add_model(parser)
    add_what(parser)
    add = parser.add_argument
    add("--envelope", choices=[*ENVELOPES], help="wrap each payload for this envelope, and serve with it")
    add_display(parser)
    add("--save", metavar="PAGE.html", required=not parser.in_notebook, help="write a page that works offline, with "
        "the answers it shows")  # fmt: skip
    return parser


PREVIEW = Command("preview", _parser, examples=("pictures", "coins.png --save coins.html"))
