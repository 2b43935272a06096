"""What Tab offers behind a magic: its options, the values of those whose values are known, variables and files."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from IPython import get_ipython
from IPython.core.completer import SimpleCompletion, context_matcher

from handlerkit.notebook.commands import COMMANDS
from handlerkit.notebook.options import Parser, repeats

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext

_FIRST = 1000  # before IPython's own matchers, whose priorities are small
_FILES = "IPCompleter.file_matcher"


@context_matcher(priority=_FIRST, identifier="handlerkit")  # type: ignore[untyped-decorator]
def complete(context: CompletionContext) -> Any:
    """Options where one begins; elsewhere an option's values or variables, and IPython's files after them."""
    line = context.full_text.split("\n")[context.cursor_line][: context.cursor_position]
    magic, _, text = line.lstrip().partition(" ")
    command = COMMANDS.get(magic.lstrip("%"))
    if command is None or not magic.startswith("%") or not (text or line.endswith(" ")):
        return {"completions": [], "suppress": False}
    before, _, word = text.rpartition(" ")
    offered = _offered(command.parser(), before.split(), word)
    return {
        "completions": [SimpleCompletion(text=one) for one in offered if one.startswith(word)],
        "matched_fragment": word,
        "ordered": True,
        "suppress": True,
        "do_not_suppress": set() if word.startswith("-") else {_FILES},
    }


def _offered(parser: Parser, before: list[str], word: str) -> list[str]:
    option, equals, _ = word.partition("=")
    if equals:
        return [f"{option}={value}" for value in _values(parser, option)]
    actions = parser.spellings()
    if before and (action := actions.get(before[-1])) is not None and action.nargs != 0:
        return _values(parser, before[-1])
    if word and not word.startswith("-"):
        return _variables(_is_sent) if any(action.dest == "what" for action in parser._actions) else []
    given = {actions.get(one.partition("=")[0]) for one in before}
    return [one for one, action in actions.items() if one.startswith("--") and (action not in given or repeats(action))]


def _values(parser: Parser, option: str) -> list[str]:
    fits = parser.variables.get(option)
    return [*parser.values(option), *(_variables(fits) if fits else ())]


def _variables(fits: Callable[[object], bool]) -> list[str]:
    """The notebook's own whose values fit."""
    shell = get_ipython()
    names = [] if shell is None else [name for name in shell.user_ns if name not in shell.user_ns_hidden]
    return sorted(name for name in names if fits(shell.user_ns[name]))


def _is_sent(value: object) -> bool:
    """Modules and functions cannot be sent."""
    return not isinstance(value, ModuleType | FunctionType | type)
