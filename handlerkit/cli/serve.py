"""`handlerkit serve [MODEL] --port N`"""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn

from handlerkit.cli import on_model
from handlerkit.cli.output import write
from handlerkit.notebook.commands import COMMANDS, Line
from handlerkit.notebook.options import Parser

if TYPE_CHECKING:
    from handlerkit.endpoints.lent.served_runs import ServedRuns
    from handlerkit.messages import Run

_INTERVAL = 0.2  # seconds between two lines of what was served
_EXAMPLES = """A request that comes after the handler's file was saved gets the new handler's answer. Each request is a
line on the standard output. Ctrl-C and SIGTERM end it, with status 0, when the requests that run are answered.

examples:
  handlerkit serve model_store/coins.mar --port 8080
  handlerkit serve                                    # the model of handlerkit.toml
  handlerkit serve segmenter.py --host 0.0.0.0 --token-from COINS_TOKEN"""


def parser() -> Parser:
    """The options of %serve; the port is --port."""
    parser = COMMANDS["serve"].parser("handlerkit serve")
    parser.epilog = _EXAMPLES
    return parser


def run(options: dict[str, Any]) -> int:
    """Until Ctrl-C or SIGTERM. Raises LoadError if the handler does not load, ServerError if it cannot listen there."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    model = on_model.choose(options)
    try:
        with on_model.opened(model) as session:  # at its end, the requests that run are answered
            server = COMMANDS["serve"].act(session, options, Line("handlerkit serve"))
            write(server)
            _tell(server.served)
    except KeyboardInterrupt:
        return 0


def _tell(served: ServedRuns) -> NoReturn:
    """A line for each request, until this is interrupted; of many at once, the last ones."""
    last: Run | None = None
    while True:
        runs = tuple(served)
        new = next((number for number, one in enumerate(runs, start=1) if one is last), 0)
        for one in runs[new:]:
            _line(one)
            last = one
        time.sleep(_INTERVAL)


def _line(run: Run) -> None:
    from handlerkit.formatting import duration, visible
    from handlerkit.messages import describe_response

    took = f"  {duration(run.calls[0].timings.total)}" if run.calls else ""
    for request, response in zip(run.requests, run.responses, strict=True):
        print(visible(f"{request.method} {request.path}  {describe_response(response)}{took}"), flush=True)
