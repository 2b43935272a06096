"""`handlerkit preview [MODEL] [FILE ...] --save PAGE.html`"""

from __future__ import annotations

from typing import Any

from handlerkit.cli import on_model
from handlerkit.notebook.commands import COMMANDS, Line
from handlerkit.notebook.options import Parser

_EXAMPLES = """examples:
  handlerkit preview model_store/coins.mar coins.png --save coins.html
  handlerkit preview pictures --save pictures.html --as segmentation    # the model of handlerkit.toml"""


def parser() -> Parser:
    """The options of %preview; --save is needed."""
    parser = COMMANDS["preview"].parser("handlerkit preview")
    parser.epilog = _EXAMPLES
    return parser


def run(options: dict[str, Any]) -> int:
    """Write the page. Raises RequestError without anything to send."""
    from handlerkit.errors import RequestError

    model = on_model.choose(options, "what")
    if not options["what"]:
        raise RequestError("there is nothing to send: name a file or a folder of pictures")
    with on_model.opened(model) as session:
        print(COMMANDS["preview"].act(session, options, Line("handlerkit preview")))
    return 0
