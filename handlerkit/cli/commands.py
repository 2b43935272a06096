"""The commands of the command line, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from handlerkit.cli import bench, check, completion, export, init, preview, request, serve, targets, test, verify, watch
from handlerkit.notebook.options import Parser


class CommandModule(Protocol):
    """A command: a module of this folder."""

    def parser(self) -> Parser:
        """Its options, a description of one line, and examples."""
        ...

    def run(self, options: dict[str, Any]) -> int:
        """Do it, and return the exit status: 0, or 1 for what was found. Raises HandlerkitError."""
        ...


#: In the order of use.
COMMANDS: Mapping[str, CommandModule] = {
    "check": check,
    "request": request,
    "watch": watch,
    "serve": serve,
    "export": export,
    "verify": verify,
    "test": test,
    "bench": bench,
    "preview": preview,
    "targets": targets,
    "init": init,
    "completion": completion,
}


def parser_of(name: str) -> Parser:
    """The parser of a command, which knows the options of the others."""
    parser = COMMANDS[name].parser()
    parser.belongs_to = _belongs_to
    return parser


def overview() -> str:
    """What `handlerkit --help` shows."""
    parsers = {name: command.parser() for name, command in COMMANDS.items()}
    width = max(map(len, parsers))
    lines = [f"  {name:{width}}  {parser.description}" for name, parser in parsers.items()]
    examples = [(parser.epilog or "").partition("examples:\n")[2].splitlines()[0] for parser in parsers.values()]
    return "\n".join(
        [
            "usage: handlerkit COMMAND [options]",
            "",
            "The notebook's commands for editors, scripts and CI.",
            "",
            "commands:",
            *lines,
            "",
            "handlerkit COMMAND --help shows the options of a command, handlerkit --version the version.",
            "Exit status: 0 if all is well, 1 if something was found, 2 for what cannot be done as asked.",
            "",
            "examples:",
            *(example.partition("#")[0].rstrip() for example in examples),
        ]
    )


def _belongs_to(option: str) -> str:
    others = [f"handlerkit {name}" for name, one in COMMANDS.items() if option in one.parser().spellings()]
    return f"; {option} belongs to {', '.join(others)}" if others else ""
