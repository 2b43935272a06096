"""`%%handler`: the cell is the handler's file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from handlerkit.model import READY_MADE, ready_made
from handlerkit.notebook.commands.command import Command, Line
from handlerkit.notebook.options import Parser

if TYPE_CHECKING:
    from handlerkit.notebook.session import Session


def _parser(prog: str) -> Parser:
    parser = Parser(prog, "Write the cell to a file and load it as the current model's handler.")
    add = parser.add_argument
    add("file", nargs="?", help="the file to write (handler.py, or the name of the ready-made handler)")
    add("--function", metavar="NAME", help="the function to call, instead of a class or handle")
    add("--reload", action="store_true", help="load it again, even if the loaded model could be kept")
    add("--from", dest="from_", choices=READY_MADE, help="start with a ready-made handler: its source fills an empty "
        "cell, and the modules that it needs are added to the archive")  # fmt: skip
    return parser


def _call(session: Session, options: dict[str, Any], line: Line) -> Any:
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


HANDLER = Command("handler", _parser, cell="always", call=_call, examples=("segmenter.py", "--from detection_boxes"))
