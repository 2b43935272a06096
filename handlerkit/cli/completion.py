"""`handlerkit completion SHELL`, and what Tab offers."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from handlerkit.cli import on_model
from handlerkit.notebook.options import Parser

SHELLS = ("bash", "zsh", "fish")
_EXAMPLES = """examples:
  handlerkit completion bash    # in ~/.bashrc: eval "$(handlerkit completion bash)"
  handlerkit completion zsh     # in ~/.zshrc, below compinit: eval "$(handlerkit completion zsh)"
  handlerkit completion fish    # in ~/.config/fish/config.fish: handlerkit completion fish | source"""


def parser() -> Parser:
    """The shell."""
    parser = Parser("handlerkit completion", "Write what makes Tab complete handlerkit in a shell.", _EXAMPLES)
    parser.add_argument("shell", choices=SHELLS)
    return parser


def run(options: Mapping[str, Any]) -> int:
    """Write the shell's script."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["handlerkit"], shell=options["shell"]))
    return 0


def complete(parsers: Mapping[str, Parser]) -> None:
    """Answer the shell, which asks through the environment (_ARGCOMPLETE), and end the process."""
    import argcomplete

    parser = argparse.ArgumentParser("handlerkit", add_help=False)
    for option in ("--help", "--version"):
        parser.add_argument(option, action="store_true")
    commands = parser.add_subparsers()
    for name, own in parsers.items():
        commands.choices[name] = own
        for action in own._actions:
            if action.choices is None and action.nargs != 0:
                action.completer = _offered  # type: ignore[attr-defined]  # argcomplete's
    argcomplete.autocomplete(parser, always_complete_options="long")


def _offered(prefix: str, action: argparse.Action, parser: Parser, **_: Any) -> Sequence[str]:
    """The values that are known, and files."""
    from argcomplete.completers import FilesCompleter

    if action.dest in ("model", "models"):
        known = on_model.names()
    else:
        known = parser.values(action.option_strings[0]) if action.option_strings else ()
    return [*known, *FilesCompleter()(prefix)]
