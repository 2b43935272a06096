"""`handlerkit watch [MODEL] --send FILE`"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handlerkit.cli import on_model
from handlerkit.cli.output import write, write_log
from handlerkit.formatting import visible
from handlerkit.notebook.commands import COMMANDS, Line
from handlerkit.notebook.options import Parser

if TYPE_CHECKING:
    from handlerkit.endpoints.file_watch import FileWatch
    from handlerkit.messages import Run
    from handlerkit.notebook.session import Session

_INTERVAL = 0.2  # seconds between two looks at the files
_EXAMPLES = """Each answer is shown with what changed since the last one. What is sent and handlerkit.toml are
followed, too. A handler that does not load is shown, and the next save tries again. Ctrl-C ends it, with status 0.

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

    word = options["model"]
    model = on_model.choose(options, "what")
    if (archive := model.get("archive")) is not None:
        raise ModelError(f"{archive} is an archive, and watch follows the files of a handler: unpack it first")
    options["what"] += options.pop("send")
    log = options.pop("log")
    try:
        with on_model.opened(model) as session:
            _Watch(session, word, model, options, log).forever()
    except KeyboardInterrupt:
        print()
    return 0


class _Watch:
    """Sends the same requests to a session's model again and again.

    Args:
        word: what the model was called by.
        model: its arguments of Session.model.
    """

    def __init__(
        self, session: Session, word: str | None, model: dict[str, Any], options: dict[str, Any], log: bool
    ) -> None:
        self._session, self._word, self._described, self._options, self._log = session, word, model, options, log
        self._description = _description(word)
        self._model = on_model.build(model)
        self._last: Run | None = None

    def forever(self) -> None:
        """Raises KeyboardInterrupt at its end, and what the first request raises if it cannot be sent."""
        from handlerkit.endpoints.file_watch import FileWatch
        from handlerkit.errors import HandlerkitError, LoadError

        started = False
        while True:
            files, others = FileWatch(self._model), self._others()
            try:
                if started and self._describe():
                    files = FileWatch(self._model)
                self._send()
            except LoadError as problem:
                write(problem)
            except HandlerkitError as problem:
                if not started:
                    raise
                print(visible(str(problem)))
            started = True
            print("-- waiting for a change, Ctrl-C ends --", flush=True)
            while not _saved(files) and self._others() in (others, None):
                time.sleep(_INTERVAL)
            print(f"\n-- {time.strftime('%H:%M:%S')} --", flush=True)

    def _others(self) -> dict[str, tuple[int, int]] | None:
        """What is sent, and the file that describes the model, with when each was written; None while one is gone, as
        for a moment when an editor saves it."""
        from handlerkit.errors import RequestError
        from handlerkit.messages.curl import part_file
        from handlerkit.notebook.requests import expanded

        try:
            what = [str(one) for word in self._options["what"] for one in expanded(Path(word))]
        except RequestError:  # no file matches
            return None
        parts = filter(None, map(part_file, self._options["parts"]))
        try:
            found = {one: os.stat(os.path.expanduser(one)) for one in (*what, *parts, *self._description)}
        except OSError:
            return None
        return {one: (stat.st_mtime_ns, stat.st_size) for one, stat in found.items()}

    def _describe(self) -> bool:
        """Choose the model again, if it is described in another way by now; whether it is. Raises ModelError."""
        described = on_model.choose({"model": self._word, "what": []}, "what")
        if described == self._described:
            return False
        model = on_model.build(described)
        self._session.model(**described)
        self._described, self._model = described, model
        return True

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


def _description(word: str | None) -> list[str]:
    """The file that describes the model that this word names, if there is one."""
    from handlerkit.notebook import project

    file = Path(word) if word is not None and Path(word).name in project.FILES else project.find()
    return [str(file)] if file is not None else []
