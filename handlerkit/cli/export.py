"""`handlerkit export [MODEL] [FOLDER]`"""

from __future__ import annotations

from typing import Any

from handlerkit.cli import on_model
from handlerkit.notebook.commands import COMMANDS, Line
from handlerkit.notebook.options import Parser

_EXAMPLES = """The status is 1 if the check finds an error or fails, or the handler does not load; without --strict, the
archive is written all the same.

examples:
  handlerkit export --strict --force             # the model of handlerkit.toml, into model_store
  handlerkit export segmenter.py build
  handlerkit export model_store/coins.mar --to app"""


def parser() -> Parser:
    """The options of %export."""
    parser = COMMANDS["export"].parser("handlerkit export")
    parser.epilog = _EXAMPLES
    return parser


def run(options: dict[str, Any]) -> int:
    """Write what was written; returns 1 if it is not ok."""
    with on_model.opened(on_model.choose(options, "folder")) as session:
        written = COMMANDS["export"].act(session, options, Line("handlerkit export"))
    print(repr(written))
    return 0 if written.ok else 1
