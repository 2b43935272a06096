"""A command's options, read from a magic's line or from the words of the command line. No IPython here."""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn

from handlerkit.messages.shell_words import split_words

#: What Tab offers for the value of an option that has no choices.
Suggestions = Callable[[], Iterable[str]]


class HelpRequested(Exception):
    """--help is among the words; its text is shown instead of anything else."""


class WrongOption(Exception):
    """The words do not fit the command's options; the text is one line that says why, `mistake` what is wrong alone."""

    def __init__(self, text: str, mistake: str = "") -> None:
        super().__init__(text)
        self.mistake = mistake or text


def is_magic(prog: str) -> bool:
    """Whether what calls a command is a notebook's magic, such as "%request", and not "handlerkit request"."""
    return prog.startswith("%")


class Parser(argparse.ArgumentParser):
    """The options of one command. It prints nothing and does not exit: a mistake and --help are raised.

    Args:
        prog: what it is called by, such as "%request" or "handlerkit request".
        description, epilog: for --help.
        outside: the description where it is called outside a notebook, if that is another.
    """

    def __init__(self, prog: str, description: str, epilog: str = "", *, outside: str = "") -> None:
        super().__init__(
            prog=prog,
            description=description if is_magic(prog) else outside or description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=False,
            allow_abbrev=False,
        )
        #: By option: what Tab offers for its value.
        self.suggestions: dict[str, Suggestions] = {}
        #: By option: which of the notebook's variables Tab offers for its value.
        self.variables: dict[str, Callable[[object], bool]] = {}
        #: By option of another command: the end of a sentence that says whose it is.
        self.belongs_to: Callable[[str], str] = lambda option: ""
        self.add_argument("--help", "-h", action="store_true", help="show this text")

    def error(self, message: str) -> NoReturn:
        raise WrongOption(f"{self.prog}: {message} ({self.prog} --help shows the options)", message)

    @property
    def in_notebook(self) -> bool:
        """Whether it is a notebook's magic, and not a command of the command line."""
        return is_magic(self.prog)

    def add_to_magic(self, *names: str, **options: Any) -> None:
        """An argument that needs a notebook: elsewhere it has its default, and cannot be given."""
        if self.in_notebook:
            self.add_argument(*names, **options)
        else:
            action = argparse.ArgumentParser(add_help=False).add_argument(*names, **options)
            self.set_defaults(**{action.dest: action.default})

    def read_line(self, line: str) -> dict[str, Any]:
        """The options in a line, which is split as a shell does, without its comment. Raises as `read` does."""
        try:
            words = split_words(line)
        except ValueError as problem:
            self.error(str(problem).lower())
        return self.read(words)

    def read(self, words: Sequence[str]) -> dict[str, Any]:
        """The options in these words. Raises WrongOption for a mistake and HelpRequested for --help."""
        if {"--help", "-h"} & set(words):
            raise HelpRequested(self.format_help())
        if broken := [word for word in words if word != word.encode("utf-8", "ignore").decode()]:
            self.error(f"{broken[0]!r} is no UTF-8")
        if strange := [word for word in takewhile("--".__ne__, words) if self._is_unknown(word)]:
            self.error(f"unrecognized arguments: {' '.join(strange)}{self._meant(strange[0].partition('=')[0])}")
        read, unknown = self.parse_known_intermixed_args(words)  # names may stand before and behind options
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        options = vars(read)
        del options["help"]
        return options

    def spellings(self) -> dict[str, argparse.Action]:
        """By each spelling of an option, in the order of the help text."""
        return {option: action for action in self._actions for option in action.option_strings}

    def values(self, option: str) -> tuple[str, ...]:
        """What the option's value can be, as far as it is known; nothing for one without a value."""
        action = self.spellings().get(option)
        if action is None:
            return ()
        named = next((self.suggestions[name] for name in action.option_strings if name in self.suggestions), None)
        return tuple(action.choices or (named() if named else ()))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse, and says which choice is near."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as problem:
            near = did_you_mean(str(value), tuple(map(str, action.choices or ())))
            raise argparse.ArgumentError(action, f"{problem.message}{near}") from None

    def _is_unknown(self, word: str) -> bool:
        """Whether it looks like an option, without a space in it, and is none of this command's. Asked before the
        option's value can be taken for something else."""
        return word.startswith("--") and " " not in word and word.partition("=")[0] not in self._option_string_actions

    def _meant(self, option: str) -> str:
        """The end of a sentence about an option that this command does not have: whose it is, or which one is near."""
        near = did_you_mean(option, [known for known in self._option_string_actions if known.startswith("--")])
        return self.belongs_to(option) or near


def did_you_mean(word: str, known: Sequence[str], near_from: float = 0.7) -> str:
    """The end of a sentence about an unknown word: "; did you mean check?", or "" if none of these is near: from that
    ratio of difflib's on, 1 for the same word. The dashes of options do not count."""
    bare = {one.lstrip("-"): one for one in known}
    near = difflib.get_close_matches(word.lstrip("-"), bare, n=1, cutoff=near_from)
    return f"; did you mean {bare[near[0]]}?" if near else ""


def named(text: str) -> str:
    """A name or path as it is; "", such as a variable of a script that is not set, does not ask for the default."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name")
    return text


def archive(text: str) -> str:
    """An archive's path. The name of a target is refused, unless there is a file of that name."""
    from handlerkit.targets import NAMES

    if text in NAMES and not Path(text).exists():
        raise argparse.ArgumentTypeError(f"{text} is the name of a target; did you mean --target {text}?")
    return named(text)


def pair(separator: str, form: str) -> Callable[[str], tuple[str, str]]:
    """A type for `key separator value`; `form` shows it in the message."""

    def split(text: str) -> tuple[str, str]:
        key, found, value = text.partition(separator)
        if not found or not key:
            raise argparse.ArgumentTypeError(f"{text!r} is not {form}")
        return key.strip(), value.strip()

    return split


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def port(text: str) -> int:
    """A port's number; 0 stands for a free one."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port, a number from 0 to 65535")
    return int(text)


def counts(text: str) -> list[int]:
    """Whole numbers, separated by commas."""
    return [count(one) for one in text.split(",")]


def names(text: str) -> list[str]:
    r"""Names, separated by commas; \, is a comma of a name."""
    return [name.replace(r"\,", ",") for name in re.split(r"(?<!\\),", text) if name]


class Mapped(argparse.Action):
    """Collects the pairs of an option that may be repeated into a dict."""

    def __call__(self, parser: Any, namespace: Any, pair: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest) or {}), pair[0]: pair[1]})


def repeats(action: argparse.Action) -> bool:
    """Whether the option may be given more than once."""
    return isinstance(action, Mapped | argparse._AppendAction)


def variable(text: str) -> tuple[str, str]:
    """A variable of the environment; one without a value has that of this process, as `docker run --env` takes it."""
    name, found, value = text.partition("=")
    if not found and name not in os.environ:
        raise argparse.ArgumentTypeError(f"{name!r} is not set here; write {name}=VALUE")
    return name, value if found else os.environ[name]
