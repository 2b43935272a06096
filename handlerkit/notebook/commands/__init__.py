"""The commands of the notebook, once for all their doors: the magics, Tab, --help, the command line (handlerkit.cli),
the file of a project, and the site's page of commands. No IPython here.

A new command is a file of its own here, such as export, that ends with its Command: its options, and its call if it
does more than call the session's method of its name. Add that to the list below. What the method returns draws itself:
`_repr_mimebundle_`, or the View that `hk.view` returns. If a notebook has what a terminal has not, `Parser.in_notebook`
says which of them is meant.

- command: what a command is, and the line that calls it. arguments: those that several commands take.
- model, handler, module: what the archive will hold.
- request, preview, bench, serve: answers. check, export, verify: the archive. keep, test: cases.

May import notebook.options, endpoints and below; a call may import what it needs of the notebook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlerkit.notebook.commands.bench import BENCH
from handlerkit.notebook.commands.check import CHECK
from handlerkit.notebook.commands.command import Command, Line
from handlerkit.notebook.commands.export import EXPORT
from handlerkit.notebook.commands.handler import HANDLER
from handlerkit.notebook.commands.keep import KEEP
from handlerkit.notebook.commands.model import MODEL
from handlerkit.notebook.commands.module import MODULE
from handlerkit.notebook.commands.preview import PREVIEW
from handlerkit.notebook.commands.request import REQUEST
from handlerkit.notebook.commands.serve import SERVE
from handlerkit.notebook.commands.test import TEST
from handlerkit.notebook.commands.verify import VERIFY

if TYPE_CHECKING:
    from handlerkit.notebook.session import Session

__all__ = ["COMMANDS", "Command", "Line", "run"]

#: By name, in the order of use.
COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        MODEL,
        HANDLER,
        MODULE,
        REQUEST,
        PREVIEW,
        BENCH,
        CHECK,
        EXPORT,
        VERIFY,
        KEEP,
        TEST,
        SERVE,
    )
}


def run(session: Session, command: Command, line: Line) -> Any:
    """What a magic returns. Raises HelpRequested, and as `Command.act` does."""
    parser = command.parser()
    parser.belongs_to = _belongs_to
    return command.act(session, parser.read_line(line.text), line)


def _belongs_to(option: str) -> str:
    others = [f"%{command.name}" for command in COMMANDS.values() if option in command.options("%").spellings()]
    return f"; {option} belongs to {', '.join(others)}" if others else ""
