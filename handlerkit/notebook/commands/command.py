"""What a command of the notebook is, and the line that calls it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from handlerkit.endpoints import ENDPOINTS, is_endpoint
from handlerkit.notebook.options import Parser, WrongOption, did_you_mean, is_magic

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
        """Whether a magic called it, and not the command line."""
        return is_magic(self.prog)

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

    def one_of(self, kind: str, word: str | None, option: str | None) -> str | None:
        """What is named by a word or by an option; names of that kind. Raises WrongOption for two different ones."""
        if word and option and word != option:
            raise self.wrong(f"two {kind}, {word} and {option}: leave one out")
        return word or option

    def endpoint(self, word: str | None) -> Any:
        """What --endpoint names: the endpoint of a variable, else the word, which `places.named` knows. Raises
        WrongOption for anything else."""
        from handlerkit.cases.places import is_place
        from handlerkit.targets import NAMES

        if word is None:
            return None
        if is_endpoint(self.variables.get(word)):
            return self.variables[word]
        if is_place(word):
            return word
        known = [*ENDPOINTS, *NAMES]
        near = did_you_mean(word, [*known, *(name for name, one in self.variables.items() if is_endpoint(one))])
        raise self.wrong(
            f"--endpoint takes {', '.join(known)}, a URL such as http://127.0.0.1:8080, the folder of an exported app, "
            f"{'' if self.in_notebook else 'or '}a requirements or lock file, "
            f"{'or a variable that holds an endpoint, ' * self.in_notebook}not {word!r}{near}"
        )

    def with_token(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options with the token of --token-from, if that is given. Raises WrongOption as `secret` does."""
        name = options.pop("token_from")
        return options if name is None else options | {"token": self.secret(name)}


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
            examples = "\n".join(["examples:", *(f"  {self.magic} {words}".rstrip() for words in self.examples)])
            parser.epilog = "\n\n".join(filter(None, [parser.epilog, examples]))
        return parser

    def act(self, session: Session, options: dict[str, Any], line: Line) -> Any:
        """Do it with options that were read. Raises WrongOption, and what the session's method raises."""
        if self.call is not None:
            return self.call(session, options, line)
        what = [line.value(word) for word in options.pop("what", ())]
        return getattr(session, self.name)(*what, **options)
