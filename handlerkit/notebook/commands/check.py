"""`%check`: what would fail elsewhere."""

from __future__ import annotations

from handlerkit.notebook.commands.arguments import add_model, add_target
from handlerkit.notebook.commands.command import Command
from handlerkit.notebook.options import Parser, archive


def _parser(prog: str) -> Parser:
    parser = Parser(prog, "Say what would fail where an archive will run, without running it.")
    if parser.in_notebook:
        parser.add_argument("archive", nargs="?", type=archive, help="an archive, instead of the current model")
    else:
        add_model(parser, several=True)
    add_target(parser, "the environment it is checked for", "the model's own")
    return parser


CHECK = Command("check", _parser, examples=("", "model_store/coins.mar --target torchserve-0.12.0-cpu"))
