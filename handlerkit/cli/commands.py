"""The commands of the command line, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from handlerkit.cli import check, targets, test
from handlerkit.notebook.options import Parser


class Command(Protocol):
    """A command: a module of this folder."""

    def parser(self) -> Parser:
        """Its options, a description of one line, and examples."""
        ...

    def run(self, options: Mapping[str, Any]) -> int:
        """Do it, and return the exit status: 0, or 1 for an error that was found. Raises HandlerkitError."""
        ...


COMMANDS: Mapping[str, Command] = {"check": check, "targets": targets, "test": test}


def overview() -> str:
    """What `handlerkit --help` shows."""
    parsers = {name: command.parser() for name, command in COMMANDS.items()}
    width = max(map(len, parsers))
    lines = [f"  {name:{width}}  {parser.description}" for name, parser in parsers.items()]
    examples = [line for parser in parsers.values() for line in (parser.epilog or "").splitlines()[1:]]
    return "\n".join(
        [
            "usage: handlerkit COMMAND [options]",
            "",
            "The notebook's commands for scripts and CI.",
            "",
            "commands:",
            *lines,
            "",
            "handlerkit COMMAND --help shows the options of a command, handlerkit --version the version.",
            "",
            "examples:",
            *examples,
        ]
    )
