"""The magics in IPython: each of `COMMANDS` is registered, completed, and its result displayed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from handlerkit.endpoints.loads.fork_server import fork_server
from handlerkit.notebook.commands import COMMANDS, Command, Line, run
from handlerkit.notebook.completion import complete
from handlerkit.notebook.options import HelpRequested, WrongOption
from handlerkit.view import bundle
from handlerkit.view.displays import DISPLAYS

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


class Magic:
    """A command as IPython calls it."""

    def __init__(self, command: Command, shell: Any) -> None:
        self._command, self._shell = command, shell
        self.__doc__ = command.parser().format_help()

    def __call__(self, line: str, cell: str | None = None) -> Any:
        from handlerkit.notebook.session import session

        def replace_cell(text: str) -> None:
            self._shell.set_next_input(text, replace=True)

        given = Line(self._command.magic, line, cell, self._shell.user_ns, replace_cell)
        try:
            return run(session, self._command, given)
        except HelpRequested as text:
            print(text)
            return None
        except WrongOption as mistake:
            raise UsageError(str(mistake)) from None


def _with_body(lines: list[str]) -> list[str]:
    """IPython refuses a cell magic without a body; with an empty line, `%%handler --help` reaches us."""
    first = lines[0].split() if len(lines) == 1 else []
    return [*lines, "\n"] if first and first[0].startswith("%%") and first[0][2:] in COMMANDS else lines


def load_ipython_extension(shell: InteractiveShell) -> None:
    """What %load_ext handlerkit does: adds the magics, their completion and the displays, and starts the process that
    imports torch for the workers."""
    unload_ipython_extension(shell)
    with suppress(OSError):  # the first worker reports it
        fork_server().start()
    for command in COMMANDS.values():
        kind = "line" if command.cell == "never" else "line_cell"
        shell.magics_manager.register_function(Magic(command, shell), kind, command.name)
    shell.input_transformers_cleanup.append(_with_body)
    shell.Completer.custom_matchers.append(complete)
    for module, name in DISPLAYS:
        _formatter(shell).for_type_by_name(module, name, bundle)
        _own_displays(shell).for_type_by_name(module, name, _leave_to_live_display)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """What %unload_ext handlerkit does: takes back all that load_ipython_extension did."""
    for table in shell.magics_manager.magics.values():
        for name in [name for name in COMMANDS if isinstance(table.get(name), Magic)]:
            del table[name]
    for name in [name for name, one in vars(shell.magics_manager.user_magics).items() if isinstance(one, Magic)]:
        delattr(shell.magics_manager.user_magics, name)
    if _with_body in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(_with_body)
    if complete in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.remove(complete)
    for module, name in DISPLAYS:
        _formatter(shell).pop(f"{module}.{name}", None)
        _own_displays(shell).pop(f"{module}.{name}", None)


def _leave_to_live_display(shown: object) -> None:
    """Display nothing for what the cell shows already; NotImplementedError leaves it to the other formatters."""
    from handlerkit.notebook.session import session

    if not session.live.stands_for(shown):
        raise NotImplementedError


def _own_displays(shell: Any) -> Any:
    return shell.display_formatter.ipython_display_formatter


def _formatter(shell: Any) -> Any:
    return shell.display_formatter.mimebundle_formatter
