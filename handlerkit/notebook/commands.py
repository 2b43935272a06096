"""The commands of the notebook. Each is in COMMANDS once: the magics, Tab, --help, the command line
(handlerkit.cli) and the documentation's page of commands read it from there. No IPython here.

To add one: a parser in parsers.py, a Command below, and a method of the same name in session.py, whose result draws
itself (`_repr_mimebundle_`, or the View that `hk.view` returns).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from handlerkit.endpoints import ENDPOINTS, is_endpoint
from handlerkit.model import ready_made
from handlerkit.notebook.options import Parser, WrongOption, did_you_mean
from handlerkit.notebook.parsers import (
    bench_parser,
    check_parser,
    export_parser,
    handler_parser,
    model_parser,
    module_parser,
    preview_parser,
    request_parser,
    serve_parser,
    verify_parser,
)

if TYPE_CHECKING:
    from handlerkit.notebook.session import Session


@dataclass(frozen=True)
class Line:
    """What calls a command, such as "%request", its words and cell (None without one), and what its call needs of the
    notebook around it: the variables, and a way to put another text into the cell's place."""

    prog: str
    text: str = ""
    cell: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    replace_cell: Callable[[str], object] = lambda text: None

    @property
    def in_notebook(self) -> bool:
        return self.prog.startswith("%")

    def wrong(self, what: str) -> WrongOption:
        return WrongOption(f"{self.prog}: {what}")

    def value(self, word: str) -> Any:
        """What a word of the line names: a variable, else a file. Raises WrongOption for a name that is neither."""
        if word in self.variables:
            return self.variables[word]
        if word.isidentifier() and not Path(word).exists():
            near = did_you_mean(word, [name for name in self.variables if not name.startswith("_")])
            raise self.wrong(f"there is no {'variable and no ' * self.in_notebook}file {word!r}{near}")
        return Path(word)

    def secret(self, name: str) -> str:
        """What a variable of the notebook, or else of the environment, holds. Raises WrongOption if there is none."""
        found = self.variables[name] if name in self.variables else os.environ.get(name)
        if not isinstance(found, str) or not found:
            place = "the notebook or the environment" if self.in_notebook else "the environment"
            raise self.wrong(f"no variable {name!r} of {place} holds a text")
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
        if not prog:
            parser.belongs_to = _belongs_to
            examples = "\n".join(["examples:", *(f"  {self.magic} {words}".rstrip() for words in self.examples)])
            parser.epilog = "\n\n".join(filter(None, [parser.epilog, examples]))
        return parser

    def run(self, session: Session, line: Line) -> Any:
        """What the magic returns. Raises HelpRequested, and as `act` does."""
        return self.act(session, self.parser().read_line(line.text), line)

    def act(self, session: Session, options: dict[str, Any], line: Line) -> Any:
        """Do it with options that were read. Raises WrongOption, and what the session's method raises."""
        if self.call is not None:
            return self.call(session, options, line)
        what = [line.value(word) for word in options.pop("what", ())]
        return getattr(session, self.name)(*what, **options)


def _belongs_to(option: str) -> str:
    others = [f"%{command.name}" for command in COMMANDS.values() if option in command.options("%").spellings()]
    return f"; {option} belongs to {', '.join(others)}" if others else ""


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
        f"--endpoint takes {known}, {'' if line.in_notebook else 'or '}a URL such as http://127.0.0.1:8080, "
        f"{'or a variable that holds an endpoint, ' * line.in_notebook}not {word!r}{near}"
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
        Command("serve", serve_parser, call=_serve, examples=(
            "", "8081", "--host 0.0.0.0 --token-from COINS_TOKEN", "--stop",
        )),
    )
}  # fmt: skip
