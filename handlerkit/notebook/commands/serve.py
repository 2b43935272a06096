"""`%serve`: where it listens, and who may ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlerkit.notebook.commands.arguments import add_model, add_token
from handlerkit.notebook.commands.command import Command, Line
from handlerkit.notebook.options import Parser, named, port

if TYPE_CHECKING:
    from handlerkit.notebook.session import Session


_SERVED = """Requests that came in are in hk.session.served, as Runs, the newest last; %request sends one of a variable
again. Another model, address or token takes the place of the one before."""


def _parser(prog: str) -> Parser:
    parser = Parser(
        prog, "Answer HTTP clients with the current model, as its handler is when a request comes.", _SERVED,
        outside="Answer HTTP clients with a model, as its handler's file is when a request comes, until Ctrl-C.",
    )  # fmt: skip
    add_model(parser)
    add = parser.add_argument
    where = "where it listens (8080{}); 0 takes a free one"
    if parser.in_notebook:
        add("port", nargs="?", type=port, help=where.format(", or the port before"))
    else:
        add("--port", "-p", type=port, metavar="N", help=where.format(""))
    add("--host", type=named, help="the address (127.0.0.1); one that other machines reach needs a token")
    add_token(parser, "the token, which clients send as 'Authorization: Bearer TOKEN'")
    parser.add_to_magic("--stop", action="store_true", help="answer what runs, and listen no more")
    parser.suggestions["--host"] = lambda: ("127.0.0.1", "0.0.0.0")
    return parser


def _call(session: Session, options: dict[str, Any], line: Line) -> Any:
    return session.serve(**line.with_token(options))


SERVE = Command("serve", _parser, call=_call, examples=(
    "", "8081", "--host 0.0.0.0 --token-from COINS_TOKEN", "--stop",
))  # fmt: skip
