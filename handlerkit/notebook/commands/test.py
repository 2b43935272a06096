"""`%test`: which cases run, where, and what is written of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlerkit.notebook.commands.arguments import add_cases, add_endpoint, add_may_differ, targets
from handlerkit.notebook.commands.command import Command, Line
from handlerkit.notebook.options import Parser, archive, named

if TYPE_CHECKING:
    from handlerkit.notebook.session import Session


def _parser(prog: str) -> Parser:
    parser = Parser(prog, "Run the cases that were kept, and say what is answered otherwise.")
    add = parser.add_argument
    if not parser.in_notebook:
        add("models", nargs="*", metavar="MODEL", type=archive, help="an archive, the file of a handler, or a model of "
            "handlerkit.toml, which all are meant without one; a URL and an app need none")  # fmt: skip
    add_cases(parser)
    add("--target", dest="targets", action="append", type=named, default=[], metavar="NAME", help="run them on a real "
        "TorchServe in this environment: declared, torchserve-0.12.0-cpu, torchserve-0.12.0-gpu, here, or a "
        "requirements or lock file; several are compared in one table")  # fmt: skip
    add_endpoint(parser, "run them elsewhere")
    add("--from", dest="from_", metavar="FILE", help="send the requests of a HAR that a browser saved, or of a file of "
        "curl lines, too; --accept keeps them")  # fmt: skip
    add_may_differ(parser, "for new cases: ")
    add("--accept", action="store_true", help="keep the answers that differ, and the new ones, from now on")
    add("--report", metavar="PAGE.html", help="write a page that needs no network, with every difference drawn")
    add("--junit", metavar="FILE.xml", help="write the results for a CI server")
    parser.suggestions["--target"] = targets
    return parser


def _call(session: Session, options: dict[str, Any], line: Line) -> Any:
    options["endpoint"] = line.endpoint(options["endpoint"])
    return session.test(options.pop("folder"), **line.with_token(options))


TEST = Command("test", _parser, call=_call, examples=(
    "",
    "--accept",
    "--target torchserve-0.12.0-cpu --target here",
    "--report page.html",
    "--endpoint https://staging.example --token-from STAGING_TOKEN",
))  # fmt: skip
