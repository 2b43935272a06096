"""The magics: each parses its line, calls the session's method of the same name, and returns what that returns."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class

from handlerkit.model import READY_MADE, ready_made

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from handlerkit.notebook.session import Session

ENVELOPES = ("body", "json", "kserve", "kservev2", "all")
FORMATS = ("default", "zip-store", "tgz", "no-archive")


class _Help(Exception):
    """--help was asked for; the text is shown instead of anything else."""


class _Parser(argparse.ArgumentParser):
    """An argument parser for a magic: a slip is one line of UsageError, --help is text."""

    def __init__(self, magic: str, description: str) -> None:
        super().__init__(prog=magic, description=description, add_help=False, allow_abbrev=False)
        self.add_argument("--help", "-h", action="store_true", help="show this text")

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message} ({self.prog} --help shows the options)")

    def read(self, line: str) -> dict[str, Any]:
        """The options of a line. Raises UsageError for a slip and _Help for --help."""
        try:
            words = shlex.split(line)
        except ValueError as problem:
            self.error(str(problem).lower())
        if {"--help", "-h"} & set(words):
            raise _Help(self.format_help())
        read = vars(self.parse_args(words))
        del read["help"]
        return read


def _pair(separator: str, form: str) -> Callable[[str], tuple[str, str]]:
    def split(text: str) -> tuple[str, str]:
        key, found, value = text.partition(separator)
        if not found or not key:
            raise argparse.ArgumentTypeError(f"{text!r} is not {form}")
        return key.strip(), value.strip()

    return split


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _counts(text: str) -> list[int]:
    return [_count(one) for one in text.split(",")]


def _model_parser() -> _Parser:
    parser = _Parser("%model", "Choose what the archive will hold, in torch-model-archiver's words.")
    add = parser.add_argument
    add("name", nargs="?", help="the model's name; without it, the current model is shown")
    add("--version", "-v", default="1.0", help="the model's version")
    add("--handler", help="a file, module:function, or a default handler's name")
    add("--serialized-file", help="the weights")
    add("--model-file", help="the file with the model's class, for a state_dict")
    add("--extra-files", default="", help="files, wildcards and folders that travel along, separated by commas")
    add("--requirements-file", "-r", help="pip requirements")
    add("--config-file", "-c", help="model-config.yaml")
    add("--batch-size", type=_count, help="requests a batch holds at most")
    add("--max-batch-delay", type=int, help="milliseconds a batch waits for more")
    add("--response-timeout", type=_count, help="seconds a call may take")
    add("--gpu-id", type=int, help="the device a GPU worker is given")
    key = _pair("=", "KEY=VALUE")
    add("--config-property", dest="config_properties", action="append", type=key, metavar="KEY=VALUE",
        help="a line of config.properties; may be repeated")  # fmt: skip
    return parser


def _handler_parser() -> _Parser:
    parser = _Parser("%%handler", "Write the cell to a file and load it as the current model's handler.")
    parser.add_argument("file", nargs="?", help="the file to write (handler.py, or the ready-made handler's name)")
    parser.add_argument("--function", help="the function that is the entry point, instead of a class or handle")
    parser.add_argument("--reload", action="store_true", help="load anew, also where the loaded model could be kept")
    parser.add_argument("--from", dest="from_", choices=READY_MADE, help="begin with a ready-made handler: an empty "
        "cell is filled with its source, and the module it needs travels along")  # fmt: skip
    return parser


def _module_parser() -> _Parser:
    parser = _Parser("%%module", "Write the cell to a helper module that travels with the current model.")
    parser.add_argument("file", help="the file to write")
    return parser


def _request_parser() -> _Parser:
    parser = _Parser("%request", "Send requests through the current model's worker; %%request sends the cell.")
    add = parser.add_argument
    add("what", nargs="*", help="files, or names of variables; several arrive together; none sends a GET")
    add("--envelope", choices=ENVELOPES, help="wrap the payload for this envelope, and serve with it; all: send it "
        "without one and in each, and compare the answers")  # fmt: skip
    add("--as-tensor", action="store_true", help="the envelope carries an image's pixels instead of its file")
    add("--batch", type=_count, default=1, help="send this many of each, in one batch")
    add("--header", "-H", dest="headers", action="append", default=[], type=_pair(":", "'Name: value'"),
        metavar="'NAME: VALUE'", help="a request header; may be repeated")  # fmt: skip
    add("--content-type", help="the Content-Type, instead of the one that goes with the payload; '' sends none")
    add("--part", "-F", dest="parts", action="append", default=[], metavar="NAME=CONTENT",
        help="a part of a multipart form, NAME=@FILE for a file; may be repeated")  # fmt: skip
    add("--method", "-X", help="the HTTP method (POST)")
    add("--path", help="the path (/predictions/MODEL)")
    add("--query", help="the query string")
    add("--against", metavar="RUN", help="compare with a variable's Run; previous: with the last answers")
    add("--as", dest="shown_as", metavar="VIEW", help="show the answers as boxes, segmentation, classes, tensor, ...")
    add("--geometry", help="where maps lie on the photograph: stretch, or such as 'resize 256 crop 224'")
    return parser


def _export_parser() -> _Parser:
    parser = _Parser("%export", "Write the current model's archive.")
    parser.add_argument("folder", nargs="?", default="model_store", help="where to (model_store)")
    parser.add_argument("--archive-format", choices=FORMATS, default="default", help="the archive's format")
    parser.add_argument("--force", "-f", action="store_true", help="replace an archive that is there")
    return parser


def _verify_parser() -> _Parser:
    parser = _Parser("%verify", "Replay the last run on a real TorchServe that serves the exported archive.")
    parser.add_argument("endpoint", nargs="?", metavar="archive", help="an archive to serve instead")
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="NAME",
        help="a header, or a path such as body.id, that may differ",
    )
    parser.add_argument("--rtol", type=float, default=0, help="relative tolerance for numbers in JSON")
    return parser


def _bench_parser() -> _Parser:
    parser = _Parser("%bench", "Measure the current model, and say where its time goes.")
    add = parser.add_argument
    add("what", nargs="*", help="files, or names of variables; without any, the last requests again")
    add("--batch-sizes", "-b", type=_counts, default=[1], metavar="N,N,...", help="requests a batch holds (1)")
    add("--repeats", "-n", type=_count, default=50, help="calls of each sample at each batch size (50)")
    add("--warm-up", type=_count, default=3, help="calls of each before, which are not timed (3)")
    add("--against", metavar="previous|NAME", help="compare with the last version of the handler, call by call; NAME: "
        "a handler file loaded before, or another model")  # fmt: skip
    add("--endpoint", choices=["server"], help="measure a real TorchServe that serves the model")
    add("--concurrency", "-c", type=_count, help="clients that send to it at the same time (the largest batch)")
    add("--profile", action="store_true", help="torch's operators, a chrome trace, and the lines of the handler")
    return parser


def _preview_parser() -> _Parser:
    parser = _Parser("%preview", "The current model as an interactive display, which runs again with its handler.")
    add = parser.add_argument
    add("what", nargs="*", help="files, folders of pictures, or names of variables; without any, the last requests")
    add("--envelope", choices=ENVELOPES[:-1], help="wrap each payload for this envelope, and serve with it")
    add("--as", dest="shown_as", default="", metavar="VIEW", help="show the answers as boxes, segmentation, ...")
    add("--geometry", default="", help="where maps lie on the photograph: stretch, or such as 'resize 256 crop 224'")
    add("--save", metavar="PAGE.html", help="write a page that works offline, with the answers it holds")
    return parser


_PARSERS: dict[str, Callable[[], _Parser]] = {
    "model": _model_parser,
    "handler": _handler_parser,
    "module": _module_parser,
    "request": _request_parser,
    "export": _export_parser,
    "verify": _verify_parser,
    "bench": _bench_parser,
    "preview": _preview_parser,
}


@magics_class
class HandlerkitMagics(Magics):
    """%model, %%handler, %%module, %request, %export, %verify, %bench and %preview."""

    @line_magic
    def model(self, line: str) -> Any:
        """Choose what the archive will hold: %model NAME [options]; %model --help shows them."""
        return self._door("model", line, lambda session, options: session.model(**_model_options(options)))

    @line_cell_magic
    def handler(self, line: str, cell: str | None = None) -> Any:
        """Write the cell to a file and load it as the handler: %%handler [FILE] [options]; --help shows them."""
        from handlerkit.notebook.cell import write

        def load(session: Session, options: dict[str, Any]) -> Any:
            name = options["from_"]
            file = options["file"] or (f"{name}.py" if name else "handler.py")
            body = self._begin(line, file, name) if name and not (cell or "").strip() else self._body("handler", cell)
            path = write(file, _as_file(body))
            return session.use(path, function=options["function"], from_=name, reload=options["reload"])

        return self._door("handler", line, load)

    @line_cell_magic
    def module(self, line: str, cell: str | None = None) -> Any:
        """Write the cell to a helper module that travels with the model: %%module FILE."""
        return self._door(
            "module",
            line,
            lambda session, options: session.module(options["file"], _as_file(self._body("module", cell))),
        )

    @line_cell_magic
    def request(self, line: str, cell: str | None = None) -> Any:
        """Send a request through the worker: %request FILE [options]; %%request sends the cell's text."""

        def send(session: Session, options: dict[str, Any]) -> Any:
            what = [self._value(word) for word in options.pop("what")]
            if cell is not None:
                what.append(_payload(cell))
            options["parts"] = [_part(text) for text in options["parts"]]
            if options["against"] not in (None, "previous"):
                options["against"] = self._value(options["against"])
            return session.request(*what, **{key: value for key, value in options.items() if value is not None})

        return self._door("request", line, send)

    @line_magic
    def export(self, line: str) -> Any:
        """Write the archive: %export [FOLDER] [--archive-format FORMAT] [--force]."""
        return self._door("export", line, lambda session, options: session.export(**options))

    @line_magic
    def verify(self, line: str) -> Any:
        """Prove the archive on a real TorchServe: %verify [ARCHIVE] [--ignore NAME] [--rtol NUMBER]."""
        return self._door("verify", line, lambda session, options: session.verify(**options))

    @line_magic
    def bench(self, line: str) -> Any:
        """Measure the model: %bench [FILE] [--batch-sizes 1,4] [--against previous] [--endpoint server] [--profile]."""

        def measure(session: Session, options: dict[str, Any]) -> Any:
            return session.bench(*(self._value(word, "bench") for word in options.pop("what")), **options)

        return self._door("bench", line, measure)

    @line_magic
    def preview(self, line: str) -> Any:
        """Play with the model's answers: %preview [FILE ...] [--save PAGE.html]; %preview --help shows all options."""

        def show(session: Session, options: dict[str, Any]) -> Any:
            return session.preview(*(self._value(word, "preview") for word in options.pop("what")), **options)

        return self._door("preview", line, show)

    def _door(self, magic: str, line: str, call: Callable[[Session, dict[str, Any]], Any]) -> Any:
        try:
            options = _PARSERS[magic]().read(line)
        except _Help as text:
            print(text)
            return None
        from handlerkit.notebook.session import session

        return call(session, options)

    def _begin(self, line: str, file: str, name: str) -> str:
        """The source of a ready-made handler, which takes the empty cell's place."""
        source = ready_made(name).read_text()
        path = Path(file).expanduser()
        if path.is_file() and path.read_text() != _as_file(source):
            raise UsageError(f"%%handler: {file} is there already and is another one; name another file to write")
        if self.shell is not None:
            self.shell.set_next_input(f"%%handler {line.strip()}\n{source}", replace=True)
        return source

    def _body(self, magic: str, cell: str | None) -> str:
        if cell is None or not cell.strip():
            raise UsageError(f"%%{magic}: the cell is empty; write the Python code below the first line")
        return cell

    def _value(self, word: str, magic: str = "request") -> Any:
        """What a word of the line names: a variable of the notebook, else a file."""
        variables = self.shell.user_ns if self.shell else {}
        if word in variables:
            return variables[word]
        if word.isidentifier() and not Path(word).exists():
            raise UsageError(f"%{magic}: there is no variable and no file {word!r}")
        return Path(word)


def _model_options(options: dict[str, Any]) -> dict[str, Any]:
    given = {**options, "extra_files": [file for file in options["extra_files"].split(",") if file]}
    if given["config_properties"] is not None:
        given["config_properties"] = dict(given["config_properties"])
    return given


def _as_file(cell: str) -> str:
    """The cell as it is, with an empty line where the magic's stood: line N of the file is line N of the cell."""
    return "\n" + cell


def _payload(cell: str) -> Any:
    """A curl command is run as one, JSON is sent as JSON, anything else as text."""
    from handlerkit.messages import Request

    text = cell.strip()
    if text.startswith("curl "):
        return Request.curl(text)
    try:
        json.loads(text)
    except ValueError:
        return Request.text(cell)
    return Request(body=text.encode(), headers=(("Content-Type", "application/json"),))


def _part(text: str) -> Any:
    from handlerkit.messages.curl import read_part

    return read_part(text)


def _complete(shell: Any, event: Any) -> Sequence[str]:
    """Options of the magic on this line; file names come from IPython itself."""
    from IPython.core.error import TryNext

    magic = event.line.split()[0].lstrip("%") if event.line.split() else ""
    if magic not in _PARSERS or not event.symbol.startswith("-"):
        raise TryNext
    return [
        option for action in _PARSERS[magic]()._actions for option in action.option_strings if option.startswith("--")
    ]


def _with_body(lines: list[str]) -> list[str]:
    """IPython refuses a cell magic without a body; with an empty line, `%%handler --help` reaches us."""
    first = lines[0].split() if len(lines) == 1 else []
    return [*lines, "\n"] if first and first[0].startswith("%%") and first[0][2:] in _PARSERS else lines


_HOOKED = tuple(f"{sign}{name}" for name in _PARSERS for sign in ("%", "%%"))
#: What IPython shows as text, html and picture, by module and class; their views load when one is shown.
_SHOWN = (
    ("handlerkit.messages.run", "Run"),
    ("handlerkit.verify", "Report"),
    ("handlerkit.verify", "Envelopes"),
    ("handlerkit.bench.results", "Bench"),
)


def _bundle(shown: object, include: Any = None, exclude: Any = None) -> dict[str, str]:
    from handlerkit import view

    return view.bundle(shown, include, exclude)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """What %load_ext handlerkit does: the magics, their completion, and the displays."""
    unload_ipython_extension(shell)
    shell.register_magics(HandlerkitMagics)
    shell.input_transformers_cleanup.append(_with_body)
    for key in _HOOKED:
        shell.set_hook("complete_command", _complete, str_key=key)  # type: ignore[no-untyped-call]
    for module, kind in _SHOWN:
        _formatter(shell).for_type_by_name(module, kind, _bundle)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """What %unload_ext handlerkit does: everything load_ipython_extension did is taken back."""
    ours = shell.magics_manager.registry.pop(HandlerkitMagics.__name__, None)
    for table in shell.magics_manager.magics.values():
        for name in [name for name in _PARSERS if getattr(table.get(name), "__self__", shell) is ours]:
            del table[name]
    if _with_body in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(_with_body)
    hooks = shell.strdispatchers["complete_command"].strs if "complete_command" in shell.strdispatchers else {}
    for key in _HOOKED:
        hooks.pop(key, None)
    for module, kind in _SHOWN:
        _formatter(shell).pop(f"{module}.{kind}", None)


def _formatter(shell: Any) -> Any:
    return shell.display_formatter.mimebundle_formatter
