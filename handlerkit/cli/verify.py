"""`handlerkit verify [MODEL] [FILE ...]`"""

from __future__ import annotations

import tempfile
from typing import Any

from handlerkit.cli import on_model
from handlerkit.cli.output import write
from handlerkit.notebook.commands import COMMANDS, Line
from handlerkit.notebook.options import Parser

_EXAMPLES = """The status is 1 if an answer differs. A model that is no archive is exported to a temporary folder.

examples:
  handlerkit verify model_store/coins.mar coins.png
  handlerkit verify coins.png --target torchserve-0.12.0-cpu      # the model of handlerkit.toml
  handlerkit verify coins.png --endpoint https://staging.example --token-from STAGING_TOKEN --rtol 1e-5"""


def parser() -> Parser:
    """The options of %verify, and what is sent."""
    parser = COMMANDS["verify"].parser("handlerkit verify")
    parser.epilog = _EXAMPLES
    return parser


def run(options: dict[str, Any]) -> int:
    """Write the report; returns 1 if an answer differs. Raises as %request, %export and %verify do."""
    model, line = on_model.choose(options, "what"), Line("handlerkit verify")
    what = [line.value(word) for word in options.pop("what")]
    with on_model.opened(model) as session, tempfile.TemporaryDirectory(prefix="handlerkit-") as folder:
        session.request(*what)
        if not model.get("archive") and options["endpoint"] in (None, "server"):
            session.export(folder)
        report = COMMANDS["verify"].act(session, {**options, "archive": None}, line)
        write(report)
    return 0 if report else 1
