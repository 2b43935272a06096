"""`%request`: what is sent, how, and how the answer is shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from handlerkit.envelope import ENVELOPES
from handlerkit.notebook.commands.arguments import add_display, add_model, add_what
from handlerkit.notebook.commands.command import Command, Line
from handlerkit.notebook.options import Parser, count, pair

if TYPE_CHECKING:
    from handlerkit.notebook.session import Session


def _parser(prog: str) -> Parser:
    parser = Parser(prog, "Send requests to the current model; %%request sends the cell.",
        outside="Send requests to a model, and show its answers.")  # fmt: skip
    add_model(parser)
    add_what(parser, "several arrive together, none sends a GET. A file is the body, with the Content-Type of its "
        "name, as a browser sends it")  # fmt: skip
    add = parser.add_argument
    add("--envelope", choices=[*ENVELOPES, "all"], help="wrap the payload for this envelope, and serve with it; "
        "all: send it without one and in each, and compare the answers")  # fmt: skip
    add("--as-tensor", action="store_true", help="put an image's pixels into the envelope instead of its file")
    add("--batch", type=count, default=1, metavar="N", help="send each N times, in one batch")
    add("--header", "-H", dest="headers", action="append", default=[], type=pair(":", "'Name: value'"),
        metavar="'NAME: VALUE'", help="a request header; may be repeated")  # fmt: skip
    add("--content-type", metavar="TYPE", help="the Content-Type, instead of the payload's own; '' sends none, as "
        "curl -T does")  # fmt: skip
    variables = "CONTENT may be the name of a variable; " * parser.in_notebook
    add("--part", "-F", dest="parts", action="append", default=[], metavar="NAME=CONTENT", help="a part of a multipart "
        f"form as curl's -F sends it, NAME=@FILE for a file; {variables}may be repeated")  # fmt: skip
    add("--method", "-X", help="the HTTP method (POST)")
    add("--path", help="the path (/predictions/MODEL)")
    add("--query", help="the query string")
    parser.add_to_magic("--against", metavar="RUN", help="compare with the Run of a variable; previous: with the last "
        "answers")  # fmt: skip
    add_display(parser)
    here = "the notebook's process, where breakpoint() and %%debug work"
    if not parser.in_notebook:
        here = "this process, where breakpoint() stops, and an exception opens the debugger"
    ends = "the kernel" if parser.in_notebook else "the command"
    add("--debug", action="store_true", help=f"run the handler in {here}. What it changes there stays changed, and "
        f"what would end a worker ends {ends}")  # fmt: skip
    parser.suggestions["--against"] = lambda: ("previous",)
    parser.suggestions["--content-type"] = lambda: ("application/json", "application/octet-stream", "text/plain")
    parser.suggestions["--method"] = lambda: ("GET", "POST", "PUT", "OPTIONS")
    return parser


def _call(session: Session, options: dict[str, Any], line: Line) -> Any:
    what = [line.value(word) for word in options.pop("what")]
    if line.cell is not None:
        what.append(_payload(line.cell))
    options["parts"] = [_part(text, line) for text in options["parts"]]
    if options["against"] not in (None, "previous"):
        options["against"] = line.value(options["against"])
    return session.request(*what, **options)


def _part(text: str, line: Line) -> Any:
    """As curl's -F names it; a variable's name stands for its value."""
    from handlerkit.messages.curl import read_part
    from handlerkit.notebook.requests import to_part

    name, _, content = text.partition("=")
    return to_part(name, line.variables[content]) if name and content in line.variables else read_part(text)


def _payload(cell: str) -> Any:
    """A curl command is sent as curl would, JSON as JSON, anything else as text."""
    from handlerkit.messages import Request

    text = cell.strip()
    if text.startswith("curl "):
        return Request.curl(text)
    try:
        json.loads(text)
    except ValueError:
        return Request.text(cell)
    return Request(body=text.encode(), headers=(("Content-Type", "application/json"),))


REQUEST = Command("request", _parser, cell="optional", call=_call, examples=(
    "coins.png",
    "pictures/*.png --batch 2",
    "-F data=@coins.png -F threshold=0.5",
    "coins.png --against previous",
))  # fmt: skip
