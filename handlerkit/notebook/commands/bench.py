"""`%bench`: what is measured, how often, and beside what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlerkit.notebook.commands.arguments import add_endpoint, add_model, add_what
from handlerkit.notebook.commands.command import Command, Line
from handlerkit.notebook.options import Parser, count, counts

if TYPE_CHECKING:
    from handlerkit.notebook.session import Session


def _parser(prog: str) -> Parser:
    parser = Parser(prog, "Measure the current model, and say where its time goes.",
        outside="Measure a model, and say where its time goes.")  # fmt: skip
    add_model(parser)
    add_what(parser)
    add = parser.add_argument
    add("--batch-sizes", "-b", type=counts, default=[1], metavar="N,N,...", help="requests in a batch (1)")
    add("--repeats", "-n", type=count, default=50, metavar="N", help="calls of each sample at each batch size (50)")
    add("--warm-up", type=count, default=3, metavar="N", help="calls of each before, which are not timed (3)")
    parser.add_to_magic("--against", metavar="previous|NAME", help="compare with the handler's last version, call by "
        "call; NAME: a handler file loaded before, or another model")  # fmt: skip
    add_endpoint(parser, "measure another endpoint")
    add("--yes", action="store_true", help="the endpoint may have this load, though it is not this machine")
    add("--concurrency", "-c", type=count, metavar="N", help="clients that send to it at once (the largest batch)")
    add("--profile", action="store_true", help="torch's operators, a chrome trace, and the handler's lines")
    parser.suggestions["--against"] = lambda: ("previous",)
    return parser


def _call(session: Session, options: dict[str, Any], line: Line) -> Any:
    what = [line.value(word) for word in options.pop("what")]
    options["endpoint"] = line.endpoint(options["endpoint"])
    return session.bench(*what, **line.with_token(options))


BENCH = Command("bench", _parser, call=_call, examples=(
    "coins.png --batch-sizes 1,4,8",
    "--against previous --profile",
    "coins.png --endpoint https://staging.example --token-from STAGING_TOKEN --yes",
))  # fmt: skip
