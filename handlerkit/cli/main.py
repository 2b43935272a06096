"""The console script `handlerkit`."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

#: What is in a command's place.
_OPTIONS = ("--help", "--version")
#: Exit statuses, beside 0.
_FOUND = 1  # something, by the command or by what it was to do its work with
_WRONG = 2  # an option, a name or a file that it cannot work with
_INTERRUPTED = 130  # as shells say for Ctrl-C
_BROKEN_PIPE = 141  # as shells say for a reader that went away


def main(words: Sequence[str] | None = None) -> int:
    """Run the command in these words (sys.argv's).

    Returns the exit status: 0 if all is well, 1 if something was found, 2 for what cannot be done as asked, which one
    line on the standard error explains.
    """
    _write_what_the_terminal_can()
    try:
        status = _run(sys.argv[1:] if words is None else words)
        _flush()
        return status
    except KeyboardInterrupt:
        status = _fail("handlerkit: interrupted", _INTERRUPTED)
    except BrokenPipeError:  # `handlerkit ... | head`
        status = _BROKEN_PIPE
    except OSError as problem:
        status = _fail(f"handlerkit: {_line(problem)}", _WRONG)
    _give_up_output()
    return status


def _run(words: Sequence[str]) -> int:
    if words and words[0] == "--version":
        print(f"handlerkit {_version()}")
        return 0

    from handlerkit.cli.commands import COMMANDS, overview, parser_of
    from handlerkit.errors import CheckError, HandlerkitError, LoadError, ResponseError, ServerError, WorkerError
    from handlerkit.formatting import printable
    from handlerkit.notebook.options import HelpRequested, WrongOption, did_you_mean

    if "_ARGCOMPLETE" in os.environ:  # the shell asks what Tab offers
        from handlerkit.cli.completion import complete

        complete({name: command.parser() for name, command in COMMANDS.items()})
    if not words or words[0] in ("--help", "-h"):
        if not words:
            return _fail(overview(), _WRONG)
        print(overview())
        return 0
    name, *rest = words
    if name not in COMMANDS:
        kind, known = ("option", _OPTIONS) if name.startswith("-") else ("command", tuple(COMMANDS))
        near = did_you_mean(name, known) or f"; there is {', '.join(known)}"
        return _fail(f"handlerkit: there is no {kind} {name!r}{near} (handlerkit --help tells more)", _WRONG)
    try:
        return COMMANDS[name].run(parser_of(name).read(rest))
    except HelpRequested as text:
        print(text)
        return 0
    except WrongOption as mistake:
        return _fail(printable(str(mistake)), _WRONG)
    except LoadError as problem:
        from handlerkit.cli.output import write

        write(problem)
        return _FOUND
    except (CheckError, ResponseError) as problem:
        return _fail(f"handlerkit {name}: {problem}", _FOUND)
    except (ServerError, WorkerError) as problem:  # with the end of a log
        return _fail(f"handlerkit {name}: {problem}", _WRONG)
    except HandlerkitError as problem:
        return _fail(printable(f"handlerkit {name}: {problem}"), _WRONG)


def _version() -> str:
    """As the name of the installed metadata says: importlib.metadata takes longer to import than all the rest."""
    for folder in filter(os.path.isdir, sys.path):
        for name in os.listdir(folder):
            if name.startswith("handlerkit-") and name.endswith(".dist-info"):
                return name.removeprefix("handlerkit-").removesuffix(".dist-info")
    from importlib.metadata import version  # from a zip file

    return version("handlerkit")


def _line(problem: OSError) -> str:
    """What the system says, and of which file."""
    said = problem.strerror or str(problem)
    return f"{problem.filename}: {said}" if problem.filename else said


def _give_up_output() -> None:
    """Where what is still to be written cannot be, Python would complain at its end."""
    try:
        _flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _flush() -> None:
    if sys.stdout is not None:  # closed: `handlerkit ... >&-`
        sys.stdout.flush()


def _fail(text: str, status: int) -> int:
    from handlerkit.formatting import visible

    if sys.stderr is not None:  # closed; print would take the standard output
        print(visible(text), file=sys.stderr)
    return status


def _write_what_the_terminal_can() -> None:
    """A character that its encoding does not have is written as "?", and ends no command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
