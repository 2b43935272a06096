"""`handlerkit bench [MODEL] [FILE ...]`"""

from __future__ import annotations

from typing import Any

from handlerkit.cli import on_model
from handlerkit.cli.output import write
from handlerkit.notebook.commands import COMMANDS, Line
from handlerkit.notebook.options import Parser

INTERRUPTED = 130  # as shells say for Ctrl-C
_EXAMPLES = """Ctrl-C ends it with status 130, and what was measured until then is written.

examples:
  handlerkit bench model_store/coins.mar coins.png --batch-sizes 1,4,8
  handlerkit bench coins.png --profile                # the model of handlerkit.toml
  handlerkit bench coins.png --endpoint server --concurrency 8"""


def parser() -> Parser:
    """The options of %bench."""
    parser = COMMANDS["bench"].parser("handlerkit bench")
    parser.epilog = _EXAMPLES
    return parser


def run(options: dict[str, Any]) -> int:
    """Write the figures. Raises RequestError without anything to send, ResponseError for a first answer that is no
    success."""
    from handlerkit.errors import RequestError

    model = on_model.choose(options, "what")
    if not options["what"]:
        raise RequestError("there is nothing to send: name a file")
    with on_model.opened(model) as session:
        figures = COMMANDS["bench"].act(session, options, Line("handlerkit bench"))
        write(figures)
    return INTERRUPTED if figures.interrupted else 0
