"""`%verify`: who answers again, and what may differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from handlerkit.notebook.commands.arguments import add_endpoint, add_model, add_target, add_what
from handlerkit.notebook.commands.command import Command, Line
from handlerkit.notebook.options import Parser, archive

if TYPE_CHECKING:
    from handlerkit.notebook.session import Session


def _parser(prog: str) -> Parser:
    parser = Parser(prog, "Send the last requests to a real TorchServe that serves the exported archive, or to another "
        "endpoint, and compare.", outside="Compare a model's answers with those of a real TorchServe, or of "
        "another endpoint.")  # fmt: skip
    add = parser.add_argument
    if parser.in_notebook:
        add("archive", nargs="?", type=archive, help="an archive to serve instead")
    else:
        add_model(parser)
        add_what(parser, "none sends a GET")
    add_endpoint(parser, "compare with another endpoint")
    add("--ignore", action="append", default=[], metavar="NAME",
        help="a header, or a path such as body.id, that may differ; may be repeated")  # fmt: skip
    add("--rtol", type=float, default=0, metavar="X", help="relative tolerance for numbers in JSON (0)")
    add_target(parser, "the environment that TorchServe runs in", "the model's own")
    return parser


def _call(session: Session, options: dict[str, Any], line: Line) -> Any:
    file, endpoint = options.pop("archive"), line.endpoint(options.pop("endpoint"))
    if file and endpoint not in (None, "server"):
        raise line.wrong("an archive is served by the server: leave the archive or --endpoint out")
    return session.verify(Path(file) if file else endpoint, **line.with_token(options))


VERIFY = Command("verify", _parser, call=_call, examples=(
    "",
    "--ignore body.id --rtol 1e-5",
    "--endpoint ray",
    "--endpoint https://staging.example --token-from STAGING_TOKEN",
))  # fmt: skip
