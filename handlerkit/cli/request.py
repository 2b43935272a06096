"""`handlerkit request [MODEL] [FILE ...]`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlerkit.cli import on_model
from handlerkit.cli.output import picture_file, save_picture, write, write_log
from handlerkit.notebook.commands import COMMANDS, Line
from handlerkit.notebook.options import Parser

if TYPE_CHECKING:
    from handlerkit.notebook.session import Session

_EXAMPLES = """The status is 0 for a success, 1 for any other answer and for a handler that does not load.

examples:
  handlerkit request model_store/coins.mar coins.png --show out.png
  handlerkit request segmenter.py -F data=@coins.png -F threshold=0.5
  handlerkit request coins.png --envelope kservev2    # the model of handlerkit.toml
  handlerkit request coins.png --debug                # breakpoint() in the handler stops"""


def parser() -> Parser:
    """The options of %request, and --show and --log."""
    parser = COMMANDS["request"].parser("handlerkit request")
    parser.epilog = _EXAMPLES
    parser.add_argument("--show", metavar="PICTURE", help="write the answer as it is drawn, such as answer.png")
    parser.add_argument("--log", action="store_true", help="write what the handler printed and logged, too")
    return parser


def run(options: dict[str, Any]) -> int:
    """Write the answers; returns 1 if one of them is no success, or differs in an envelope."""
    from handlerkit.messages import Run

    show, log = options.pop("show"), options.pop("log")
    path = picture_file(show) if show is not None else None
    with on_model.opened(on_model.choose(options, "what")) as session:
        result = COMMANDS["request"].act(session, options, Line("handlerkit request"))
        made = write(result)
        ok = result.ok if isinstance(result, Run) else all(one == "same" for one in result.verdicts)
        if log and isinstance(result, Run):
            write_log(result)
        if path is not None and (ok or made.image is not None):
            save_picture(made, path)
        if options["debug"]:
            debug(session)
    return 0 if ok else 1


def debug(session: Session) -> None:
    """Open the debugger at the exception that the handler raised, if it did and somebody is there to use it."""
    import pdb
    import sys

    if session.last_exception is not None and sys.stdin is not None and sys.stdin.isatty():
        pdb.post_mortem(session.last_exception.__traceback__)
