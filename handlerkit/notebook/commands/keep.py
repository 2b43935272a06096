"""`%keep`: the case's name, and what of the exchange is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlerkit.notebook.commands.arguments import add_cases, add_may_differ
from handlerkit.notebook.commands.command import Command, Line
from handlerkit.notebook.options import Parser

if TYPE_CHECKING:
    from handlerkit.notebook.session import Session


_KEPT = """The case is FOLDER/NAME.har, which people read and diff, with pictures and large bodies beside it. Keeping
the same answer again changes nothing. Authorization, cookies, tokens and keys are replaced by REDACTED."""


def _parser(prog: str) -> Parser:
    parser = Parser(prog, "Keep the last answers as a regression case, which %test runs again.", _KEPT)
    add = parser.add_argument
    add("name", help="letters, digits, '_' and '-'")
    add("run", nargs="?", metavar="RUN", help="a variable that holds another Run than the last")
    add("--from", dest="from_", metavar="FILE", help="send the requests of a HAR that a browser saved, or of a file of "
        "curl lines, and keep each as NAME-1, NAME-2, ...; served: what clients of %%serve asked and got")  # fmt: skip
    add_cases(parser)
    add_may_differ(parser, "")
    add("--force", "-f", action="store_true", help="replace a case of this name")
    parser.suggestions["--from"] = lambda: ("served",)
    return parser


def _call(session: Session, options: dict[str, Any], line: Line) -> Any:
    run = options.pop("run")
    return session.keep(options.pop("name"), None if run is None else line.value(run), **options)


KEEP = Command("keep", _parser, call=_call, examples=(
    "two_coins",
    "two_coins --rtol 1e-4 --ignore body.id",
    "mask --pixels 0.001 --force",
    "visit --from visit.har",
    "monday --from served",
))  # fmt: skip
