"""The commands of the notebook. Each is in COMMANDS once: the magics, Tab, --help, the command line
(handlerkit.cli) and the documentation's page of commands read it from there. No IPython here.

To add one: a parser and a Command below, and a method of the same name in session.py, whose result draws itself
(`_repr_mimebundle_`, or the View that `hk.view` returns).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from handlerkit.endpoints import ENDPOINTS, is_endpoint
from handlerkit.envelope import ENVELOPES
from handlerkit.model import DEFAULT_HANDLERS, READY_MADE, RUNTIMES, ready_made
from handlerkit.notebook.case_commands import call_keep, call_test, keep_parser, test_parser
from handlerkit.notebook.options import (
    Mapped,
    Parser,
    WrongOption,
    archive,
    count,
    counts,
    did_you_mean,
    named,
    names,
    pair,
    port,
    variable,
)

if TYPE_CHECKING:
    from handlerkit.notebook.session import Session

FORMATS = ("default", "zip-store", "tgz", "no-archive")


@dataclass(frozen=True)
class Line:
    """A magic's line and cell (None without one), and what its call needs of the notebook around it: the variables,
    and a way to put another text into the cell's place."""

    magic: str
    text: str
    cell: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    replace_cell: Callable[[str], object] = lambda text: None

    def wrong(self, what: str) -> WrongOption:
        return WrongOption(f"{self.magic}: {what}")

    def value(self, word: str) -> Any:
        """What a word of the line names: a variable, else a file. Raises WrongOption for a name that is neither."""
        if word in self.variables:
            return self.variables[word]
        if word.isidentifier() and not Path(word).exists():
            near = did_you_mean(word, [name for name in self.variables if not name.startswith("_")])
            raise self.wrong(f"there is no variable and no file {word!r}{near}")
        return Path(word)

    def secret(self, name: str) -> str:
        """What a variable of the notebook, or else of the environment, holds. Raises WrongOption if there is none."""
        found = self.variables[name] if name in self.variables else os.environ.get(name)
        if not isinstance(found, str) or not found:
            raise self.wrong(f"no variable {name!r} of the notebook or the environment holds a text")
        return found

    def code(self) -> str:
        """The cell, with an empty line where the magic's was: line N of the file is line N of the cell."""
        if self.cell is None or not self.cell.strip():
            raise self.wrong("the cell is empty; write the Python code below the first line")
        return "\n" + self.cell


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        name: the magic's, and that of the session's method.
        options: makes its parser for the name that it is called by, such as "%export" or "handlerkit export".
        cell: whether the magic takes a cell.
        call: what it does with the options that were read; without one, it calls the session's method of that name.
        examples: for --help: what follows the magic.
    """

    name: str
    options: Callable[[str], Parser]
    cell: Literal["never", "optional", "always"] = "never"
    call: Callable[[Session, dict[str, Any], Line], Any] | None = None
    examples: tuple[str, ...] = ()

    @property
    def magic(self) -> str:
        return f"{'%%' if self.cell == 'always' else '%'}{self.name}"

    def parser(self, prog: str = "") -> Parser:
        """The parser of the magic, with examples; or the one of `prog`, another way to call it."""
        parser = self.options(prog or self.magic)
        parser.belongs_to = _belongs_to
        if not prog:
            examples = "\n".join(["examples:", *(f"  {self.magic} {words}".rstrip() for words in self.examples)])
            parser.epilog = "\n\n".join(filter(None, [parser.epilog, examples]))
        return parser

    def run(self, session: Session, line: Line) -> Any:
        """What it returns. Raises HelpRequested, WrongOption, and what the session's method raises."""
        options = self.parser().read_line(line.text)
        if self.call is not None:
            return self.call(session, options, line)
        what = [line.value(word) for word in options.pop("what", ())]
        return getattr(session, self.name)(*what, **options)


def _belongs_to(option: str) -> str:
    others = [f"%{command.name}" for command in COMMANDS.values() if option in command.options("").spellings()]
    return f"; {option} belongs to {', '.join(others)}" if others else ""


# --- their options --------------------------------------------------------------------------------------------------

_CHOSEN_AGAIN = """A name used before chooses that model again. The options from --batch-size on, alone, change
it or, without a name, the current model, and leave its files; any of the others starts the model again."""


def model_parser(prog: str) -> Parser:
    parser = Parser(prog, "Choose what the archive will hold, with torch-model-archiver's options.", _CHOSEN_AGAIN)
    add = parser.add_argument
    add("name", nargs="?", help="the model's name; without it, the current model is meant, and shown")
    add("--model-name", metavar="NAME", help="the same")
    add("--archive", type=named, metavar="FILE", help="an archive (.mar, .tar.gz or a folder) in place of the options "
        "below, down to --runtime; it is unpacked into a temporary folder")  # fmt: skip
    add("--version", "-v", default="1.0", help="the model's version (1.0)")
    add("--handler", help="a file, module:function, or the name of a default handler")
    add("--serialized-file", metavar="FILE", help="the weights")
    add("--model-file", metavar="FILE", help="the file with the model's class, if the weights are a state_dict")
    add("--extra-files", type=names, default=[], metavar="FILES",
        help="files, wildcards and folders to add, separated by commas")  # fmt: skip
    add("--requirements-file", "-r", metavar="FILE", help="pip requirements")
    add("--config-file", "-c", metavar="FILE", help="model-config.yaml")
    add("--runtime", choices=RUNTIMES, default="python", help="the manifest's runtime (python)")
    add("--batch-size", type=count, metavar="N", help="the most requests in a batch")
    add("--max-batch-delay", type=int, metavar="N", help="milliseconds that a batch waits for more requests")
    add("--response-timeout", type=count, metavar="N", help="seconds that a call may take")
    add("--gpu-id", type=int, metavar="N", help="the device that a GPU worker gets")
    add("--env", dest="environment", action=Mapped, type=variable, metavar="NAME[=VALUE]", help="a variable of the "
        "worker's environment, beside the shell's; without a value, the one it has here; may be repeated")  # fmt: skip
    parser.suggestions["--env"] = lambda: sorted(os.environ)
    add("--config-property", dest="config_properties", action=Mapped, type=pair("=", "KEY=VALUE"), metavar="KEY=VALUE",
        help="a line of config.properties; may be repeated")  # fmt: skip
    _add_target(parser, "the environment that the archive will run in", "declared")
    _add_archive(parser, "for %%export: the folder to write to (model_store)")
    parser.suggestions["--handler"] = lambda: (*DEFAULT_HANDLERS, *(f"handlerkit:{name}" for name in READY_MADE))
    return parser


def handler_parser(prog: str) -> Parser:
    parser = Parser(prog, "Write the cell to a file and load it as the current model's handler.")
    add = parser.add_argument
    add("file", nargs="?", help="the file to write (handler.py, or the name of the ready-made handler)")
    add("--function", metavar="NAME", help="the function to call, instead of a class or handle")
    add("--reload", action="store_true", help="load it again, even if the loaded model could be kept")
    add("--from", dest="from_", choices=READY_MADE, help="start with a ready-made handler: its source fills an empty "
        "cell, and the module that it needs is added to the archive")  # fmt: skip
    return parser


def module_parser(prog: str) -> Parser:
    parser = Parser(prog, "Write the cell to a helper module and add it to the current model's archive.")
    parser.add_argument("file", help="the file to write")
    return parser


def request_parser(prog: str) -> Parser:
    parser = Parser(prog, "Send requests to the current model; %%request sends the cell.")
    add = parser.add_argument
    add("what", nargs="*", help="files, wildcards, folders of pictures, or names of variables; several arrive "
        "together, none sends a GET. A file is the body, with the Content-Type of its name, as a browser "
        "sends it")  # fmt: skip
    add("--envelope", choices=[*ENVELOPES, "all"], help="wrap the payload for this envelope, and serve with it; "
        "all: send it without one and in each, and compare the answers")  # fmt: skip
    add("--as-tensor", action="store_true", help="put an image's pixels into the envelope instead of its file")
    add("--batch", type=count, default=1, metavar="N", help="send each N times, in one batch")
    add("--header", "-H", dest="headers", action="append", default=[], type=pair(":", "'Name: value'"),
        metavar="'NAME: VALUE'", help="a request header; may be repeated")  # fmt: skip
    add("--content-type", metavar="TYPE", help="the Content-Type, instead of the payload's own; '' sends none, as "
        "curl -T does")  # fmt: skip
    add("--part", "-F", dest="parts", action="append", default=[], metavar="NAME=CONTENT", help="a part of a multipart "
        "form as curl's -F sends it, NAME=@FILE for a file; CONTENT may be the name of a variable; may be "
        "repeated")  # fmt: skip
    add("--method", "-X", help="the HTTP method (POST)")
    add("--path", help="the path (/predictions/MODEL)")
    add("--query", help="the query string")
    add("--against", metavar="RUN", help="compare with the Run of a variable; previous: with the last answers")
    _add_display(parser)
    add("--debug", action="store_true", help="run the handler in the notebook's process, where breakpoint() and "
        "%%debug work. What it changes there stays changed, and what would end a worker ends the kernel")  # fmt: skip
    parser.suggestions["--against"] = lambda: ("previous",)
    parser.suggestions["--content-type"] = lambda: ("application/json", "application/octet-stream", "text/plain")
    parser.suggestions["--method"] = lambda: ("GET", "POST", "PUT", "OPTIONS")
    return parser


def preview_parser(prog: str) -> Parser:
    parser = Parser(prog, "Show the current model as an interactive display, which follows its handler.")
    add = parser.add_argument
    add("what", nargs="*", help="files, wildcards, folders of pictures, or names of variables; without any, the last "
        "requests")  # fmt: skip
    add("--envelope", choices=[*ENVELOPES], help="wrap each payload for this envelope, and serve with it")
    _add_display(parser)
    add("--save", metavar="PAGE.html", help="write a page that works offline, with the answers it shows")
    return parser


def bench_parser(prog: str) -> Parser:
    parser = Parser(prog, "Measure the current model, and say where its time goes.")
    add = parser.add_argument
    add("what", nargs="*", help="files, wildcards, folders of pictures, or names of variables; without any, the last "
        "requests")  # fmt: skip
    add("--batch-sizes", "-b", type=counts, default=[1], metavar="N,N,...", help="requests in a batch (1)")
    add("--repeats", "-n", type=count, default=50, metavar="N", help="calls of each sample at each batch size (50)")
    add("--warm-up", type=count, default=3, metavar="N", help="calls of each before, which are not timed (3)")
    add("--against", metavar="previous|NAME", help="compare with the handler's last version, call by call; NAME: a "
        "handler file loaded before, or another model")  # fmt: skip
    _add_endpoint(parser, "measure another endpoint")
    add("--yes", action="store_true", help="the endpoint may have this load, though it is not this machine")
    add("--concurrency", "-c", type=count, metavar="N", help="clients that send to it at once (the largest batch)")
    add("--profile", action="store_true", help="torch's operators, a chrome trace, and the handler's lines")
    parser.suggestions["--against"] = lambda: ("previous",)
    return parser


def check_parser(prog: str) -> Parser:
    parser = Parser(prog, "Say what would fail where an archive will run, without running it.")
    magic = prog.startswith("%")
    if magic:
        parser.add_argument("archive", nargs="?", type=archive, help="an archive, instead of the current model")
    else:
        parser.add_argument("archives", nargs="+", metavar="archive", type=archive, help="a .mar, a .tar.gz, or the "
            "folder of an archive; several are checked one after the other")  # fmt: skip
    _add_target(parser, "the environment it is checked for", "the model's own" if magic else "declared")
    return parser


def export_parser(prog: str) -> Parser:
    parser = Parser(prog, "Check the current model, and write its archive, or an app that serves it.")
    add = parser.add_argument
    add("folder", nargs="?", help="the folder to write to (model_store; an app's own: MODEL-app)")
    add("--to", choices=["archive", "app"], default="archive", help="app: a folder with all that serves the model: a "
        "server of its own, a container, Ray Serve, Kubernetes, SageMaker, bulk scoring")  # fmt: skip
    _add_archive(parser, "the same")
    add("--strict", action="store_true", help="write nothing if the check finds an error or the handler does not load")
    add("--requirements", choices=["auto"], help="write the requirements file that the check asks for, with the "
        "versions installed here, and put it into the archive")  # fmt: skip
    _add_target(parser, "the environment it is checked for", "the model's own")
    return parser


def verify_parser(prog: str) -> Parser:
    parser = Parser(prog, "Send the last requests to a real TorchServe that serves the exported archive, or to another "
        "endpoint, and compare.")  # fmt: skip
    add = parser.add_argument
    add("archive", nargs="?", type=archive, help="an archive to serve instead")
    _add_endpoint(parser, "compare with another endpoint")
    add("--ignore", action="append", default=[], metavar="NAME",
        help="a header, or a path such as body.id, that may differ; may be repeated")  # fmt: skip
    add("--rtol", type=float, default=0, metavar="X", help="relative tolerance for numbers in JSON (0)")
    _add_target(parser, "the environment that TorchServe runs in", "the model's own")
    return parser


def serve_parser(prog: str) -> Parser:
    parser = Parser(
        prog, "Answer HTTP clients with the current model, as its handler is when a request comes.", _SERVED
    )
    add = parser.add_argument
    add("port", nargs="?", type=port, help="where it listens (8080, or the port before); 0 takes a free one")
    add("--host", type=named, help="the address (127.0.0.1); one that other machines reach needs a token")
    _add_token(parser, "the token, which clients send as 'Authorization: Bearer TOKEN'")
    add("--stop", action="store_true", help="answer what runs, and listen no more")
    parser.suggestions["--host"] = lambda: ("127.0.0.1", "0.0.0.0")
    return parser


_SERVED = """Requests that came in are in hk.session.served, as Runs, the newest last; %request sends one of a variable
again. Another model, address or token takes the place of the one before."""


def _add_endpoint(parser: Parser, what: str) -> None:
    named = "; ".join(f"{name}, {one.summary}" for name, one in ENDPOINTS.items())
    add = parser.add_argument
    add("--endpoint", metavar="NAME|URL", help=f"{what}: {named}; the URL of a TorchServe or an app that runs; or a "
        "variable that holds an endpoint, such as hk.Remote(...)")  # fmt: skip
    _add_token(parser, "the token that the URL is sent")
    parser.suggestions["--endpoint"] = lambda: ENDPOINTS
    parser.variables["--endpoint"] = is_endpoint


def _add_token(parser: Parser, what: str) -> None:
    parser.add_argument("--token-from", metavar="VARIABLE", help="the variable of the notebook or of the environment "
        f"that holds {what}")  # fmt: skip
    parser.suggestions["--token-from"] = lambda: sorted(os.environ)


def _add_target(parser: Parser, what: str, default: str) -> None:
    parser.add_argument("--target", type=named, metavar="NAME", help=f"{what} ({default}): declared, "
        "torchserve-0.12.0-cpu, torchserve-0.12.0-gpu, here, or a requirements or lock file")  # fmt: skip
    parser.suggestions["--target"] = _targets


def _add_archive(parser: Parser, export_path: str) -> None:
    """How torch-model-archiver writes an archive, in its spelling."""
    add = parser.add_argument
    add("--export-path", metavar="FOLDER", help=export_path)
    add("--archive-format", choices=FORMATS, help="the archive's format (default: a .mar)")
    add("--force", "-f", action="store_true", help="replace an archive that exists")


def _add_display(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "--as",
        dest="shown_as",
        default="",
        metavar="VIEW",
        help="show the answers as boxes, segmentation, classes, ...",
    )
    add("--geometry", default="", help="how the handler scales the input image, for maps drawn on it: stretch, or for "
        "example 'resize 256 crop 224'")  # fmt: skip
    parser.suggestions["--as"] = _views


def _targets() -> Iterable[str]:
    from handlerkit.targets import NAMES

    return NAMES


def _views() -> Iterable[str]:
    from handlerkit import view

    return view.names()


# --- what they do ---------------------------------------------------------------------------------------------------


def _model(session: Session, options: dict[str, Any], line: Line) -> Any:
    name, spelled = options.pop("name"), options.pop("model_name")
    if name and spelled and name != spelled:
        raise line.wrong(f"two names, {name} and {spelled}: leave one out")
    return session.model(name or spelled, **options)


def _export(session: Session, options: dict[str, Any], line: Line) -> Any:
    folder, spelled = options.pop("folder"), options.pop("export_path")
    if folder and spelled and folder != spelled:
        raise line.wrong(f"two folders, {folder} and {spelled}: leave one out")
    return session.export(folder or spelled, **options)


def _handler(session: Session, options: dict[str, Any], line: Line) -> Any:
    from handlerkit.notebook.cell import write

    name = options["from_"]
    file = options["file"] or (f"{name}.py" if name else "handler.py")
    code = _begun(line, file, name) if name and not (line.cell or "").strip() else line.code()
    path = write(file, code)
    return session.use(path, function=options["function"], from_=name, reload=options["reload"])


def _begun(line: Line, file: str, name: str) -> str:
    """The code of a ready-made handler, which takes the empty cell's place."""
    source = ready_made(name).read_text()
    code, path = "\n" + source, Path(file).expanduser()
    if path.is_file() and path.read_text() != code:
        raise line.wrong(f"{file} exists and holds another handler; name another file to write")
    line.replace_cell(f"%%handler {line.text.strip()}\n{source}")
    return code


def _module(session: Session, options: dict[str, Any], line: Line) -> Any:
    return session.module(options["file"], line.code())


def _bench(session: Session, options: dict[str, Any], line: Line) -> Any:
    what = [line.value(word) for word in options.pop("what")]
    options["endpoint"] = _endpoint(options["endpoint"], line)
    return session.bench(*what, **_with_token(options, line))


def _verify(session: Session, options: dict[str, Any], line: Line) -> Any:
    file, endpoint = options.pop("archive"), _endpoint(options.pop("endpoint"), line)
    if file and endpoint not in (None, "server"):
        raise line.wrong("an archive is served by the server: leave the archive or --endpoint out")
    return session.verify(file or endpoint, **_with_token(options, line))


def _endpoint(word: str | None, line: Line) -> Any:
    """What --endpoint names: an endpoint's name and a URL as they are, a variable's endpoint."""
    if word is None or word in ENDPOINTS or "://" in word:
        return word
    if is_endpoint(line.variables.get(word)):
        return line.variables[word]
    near = did_you_mean(word, [*ENDPOINTS, *(name for name, one in line.variables.items() if is_endpoint(one))])
    known = ", ".join(ENDPOINTS)
    raise line.wrong(
        f"--endpoint takes {known}, a URL such as http://127.0.0.1:8080, or a variable that holds an endpoint, "
        f"not {word!r}{near}"
    )


def _request(session: Session, options: dict[str, Any], line: Line) -> Any:
    what = [line.value(word) for word in options.pop("what")]
    if line.cell is not None:
        what.append(_payload(line.cell))
    options["parts"] = [_part(text, line) for text in options["parts"]]
    if options["against"] not in (None, "previous"):
        options["against"] = line.value(options["against"])
    return session.request(*what, **options)


def _serve(session: Session, options: dict[str, Any], line: Line) -> Any:
    return session.serve(**_with_token(options, line))


def _with_token(options: dict[str, Any], line: Line) -> dict[str, Any]:
    """The options with the token of --token-from, if that is given."""
    name = options.pop("token_from")
    return options if name is None else options | {"token": line.secret(name)}


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


#: By name, in the order of use.
COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command("model", model_parser, call=_model, examples=(
            "coins --serialized-file coins.pt --model-file network.py --extra-files index_to_name.json",
            "--archive model_store/coins.mar",
            "--batch-size 4 --target torchserve-0.12.0-cpu",
        )),
        Command("handler", handler_parser, cell="always", call=_handler, examples=(
            "segmenter.py", "--from detection_boxes",
        )),
        Command("module", module_parser, cell="always", call=_module, examples=("words.py",)),
        Command("request", request_parser, cell="optional", call=_request, examples=(
            "coins.png", "pictures/*.png --batch 2", "-F data=@coins.png -F threshold=0.5",
            "coins.png --against previous",
        )),
        Command("preview", preview_parser, examples=("pictures", "coins.png --save coins.html")),
        Command("bench", bench_parser, call=_bench, examples=(
            "coins.png --batch-sizes 1,4,8", "--against previous --profile",
            "coins.png --endpoint https://staging.example --token-from STAGING_TOKEN --yes",
        )),
        Command("check", check_parser, examples=("", "model_store/coins.mar --target torchserve-0.12.0-cpu")),
        Command("export", export_parser, call=_export, examples=(
            "--force", "model_store --strict --requirements auto", "--to app",
        )),
        Command("verify", verify_parser, call=_verify, examples=(
            "", "--ignore body.id --rtol 1e-5", "--endpoint ray",
            "--endpoint https://staging.example --token-from STAGING_TOKEN",
        )),
        Command("keep", keep_parser, call=call_keep, examples=(
            "two_coins", "two_coins --rtol 1e-4 --ignore body.id", "mask --pixels 0.001 --force",
            "visit --from visit.har", "monday --from served",
        )),
        Command("test", test_parser, call=call_test, examples=(
            "", "--accept", "--target torchserve-0.12.0-cpu --target here", "--report page.html",
            "--endpoint https://staging.example --token-from STAGING_TOKEN",
        )),
        Command("serve", serve_parser, call=_serve, examples=(
            "", "8081", "--host 0.0.0.0 --token-from COINS_TOKEN", "--stop",
        )),
    )
}  # fmt: skip
