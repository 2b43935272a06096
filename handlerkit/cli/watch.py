"""`handlerkit watch [MODEL] --send FILE`"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from handlerkit.cli import on_model
from handlerkit.cli.output import write, write_log
from handlerkit.formatting import visible
from handlerkit.notebook.commands import COMMANDS, Line
from handlerkit.notebook.options import Parser

if TYPE_CHECKING:
    from handlerkit.endpoints.file_watch import FileWatch
    from handlerkit.messages import Run
    from handlerkit.model import Model
    from handlerkit.notebook.session import Session

_INTERVAL = 0.2  # seconds between two looks at the files
_EXAMPLES = """Each answer is shown with what changed since the last one. A handler that does not load is shown,
too, and the next save tries again. Ctrl-C ends it, with status 0.

examples:
  handlerkit watch segmenter.py --send coins.png
  handlerkit watch --send coins.png --send leaves.png    # the model of handlerkit.toml
  handlerkit watch coins coins.png --as segmentation --log"""


def parser() -> Parser:
    """The options of `handlerkit request`, without --show; --send is another spelling of FILE."""
    parser = COMMANDS["request"].parser("handlerkit watch")
    parser.description = "Send requests again at each save of the handler's files, and show what changed."
    parser.epilog = _EXAMPLES
    parser.add_argument("--send", action="append", default=[], metavar="FILE", help="the same; may be repeated")
    parser.add_argument("--log", action="store_true", help="write what the handler printed and logged, too")
    return parser


def run(options: dict[str, Any]) -> int:
    """Until Ctrl-C."""
    from handlerkit.errors import ModelError

    model = on_model.choose(options, "what")
    if (archive := model.get("archive")) is not None:
        raise ModelError(f"{archive} is an archive, and watch follows the files of a handler: unpack it first")
    options["what"] += options.pop("send")
    log = options.pop("log")
    try:
        with on_model.opened(model) as session:
            _Watch(session, on_model.build(model), options, log).forever()
    except KeyboardInterrupt:
        print()
    return 0


class _Watch:
    """Sends the same requests to a session's model again and again."""

    def __init__(self, session: Session, model: Model, options: dict[str, Any], log: bool) -> None:
        self._session, self._model, self._options, self._log = session, model, options, log
        self._last: Run | None = None

    def forever(self) -> None:
        """Raises KeyboardInterrupt at its end, and what the first request raises if it cannot be sent."""
        from handlerkit.endpoints.file_watch import FileWatch
        from handlerkit.errors import HandlerkitError, LoadError

        started = False
        while True:
            files, sent = FileWatch(self._model), _times(self._options["what"])
            try:
                self._send()
            except LoadError as problem:
                write(problem)
            except HandlerkitError as problem:
                if not started:
                    raise
                print(visible(str(problem)))
            started = True
            print("-- waiting for a change, Ctrl-C ends --", flush=True)
            while not _saved(files) and _times(self._options["what"]) == sent:
                time.sleep(_INTERVAL)
            print(f"\n-- {time.strftime('%H:%M:%S')} --", flush=True)

    def _send(self) -> None:
        from handlerkit.messages import Run
        from handlerkit.view.diff.comparison import compare

        options = {**self._options, "what": [*self._options["what"]]}
        result = COMMANDS["request"].act(self._session, options, Line("handlerkit watch"))
        write(result)
        if isinstance(result, Run):
            if self._log:
                write_log(result)
            if self._last is not None:
                print(compare(self._last, result))
            self._last = result


def _saved(files: FileWatch) -> bool:
    """Whether a file has another content; one that an editor removed for a moment is waited for."""
    change = files.change()
    return change is not None and bool(change.changed)


def _times(what: Sequence[str]) -> list[float]:
    """When each file that is sent was written."""
    return [os.stat(word).st_mtime if os.path.isfile(word) else 0.0 for word in what]
