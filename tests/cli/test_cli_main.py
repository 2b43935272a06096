"""The door of the command line: names, help, ways out, and what it costs."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from cli_runs import FINE, SCRIPT, closed_pipe, imported_by, script

from handlerkit.cli.commands import COMMANDS
from handlerkit.notebook import commands

VERSION = f"handlerkit {importlib.metadata.version('handlerkit')}\n"
HEAVY = {"torch", "torchvision", "ts", "numpy", "PIL", "matplotlib", "IPython", "ipywidgets", "captum"}


def test_version(command) -> None:
    assert command("--version") == (0, VERSION, "")
    assert command("--version", "check") == (0, VERSION, "")


def test_version_imports_no_command() -> None:
    assert {name for name in imported_by("--version") if name.startswith("handlerkit")} == {
        "handlerkit",
        "handlerkit.cli",
        "handlerkit.cli.main",
        "handlerkit.shell",
    }
    assert "importlib.metadata" not in imported_by("--version")


def test_help_lists_every_command_with_its_description(command) -> None:
    status, said, error = command("--help")
    assert (status, error) == (0, "")
    for name, module in COMMANDS.items():
        assert f"  {name:10}  {module.parser().description}\n" in said


def test_no_command_is_told_how_to_ask(command) -> None:
    status, said, error = command()
    assert (status, said) == (2, "")
    assert error.startswith("usage: handlerkit COMMAND")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_examples_that_its_parser_reads(command, name: str) -> None:
    status, said, error = command(name, "--help")
    assert (status, error) == (0, "")
    assert said.startswith(f"usage: handlerkit {name} ")
    examples = [line.partition("#")[0].split() for line in said.partition("examples:")[2].splitlines() if line.strip()]
    assert len(examples) > 1
    for program, of, *words in examples:
        assert (program, of) == ("handlerkit", name)
        COMMANDS[name].parser().read(words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["chek"], "handlerkit: there is no command 'chek'; did you mean check?"),
        (["fly"], "handlerkit: there is no command 'fly'; there is check, request, "),
        (["--verson"], "handlerkit: there is no option '--verson'; did you mean --version?"),
        (["check"], "handlerkit check: there is no model: begin with an archive or the file of a handler"),
        (["preview", "m.mar"], "handlerkit preview: the following arguments are required: --save"),
        (["request", "m.mar", "--against", "x"], "--against (handlerkit request --help"),
        (["check", "x.mar", "--taget", "here"], "unrecognized arguments: --taget; did you mean --target?"),
        (["check", ""], "handlerkit check: argument MODEL: an empty name"),
        (["check", "x.mar", "--target", ""], "handlerkit check: argument --target: an empty name"),
        (["targets", "--remove", ""], "handlerkit targets: argument --remove: an empty name"),
        (["check", "x.mar", "--target"], "handlerkit check: argument --target: expected one argument"),
        (["check", "x.mar", "--strict"], "unrecognized arguments: --strict; --strict belongs to handlerkit export ("),
        (["check", "x.mar", "--strit"], "unrecognized arguments: --strit (handlerkit check --help"),
        (["check", "x.mar", "-x"], "unrecognized arguments: -x (handlerkit check --help"),
        (["check", "here"], "argument MODEL: here is the name of a target; did you mean --target here?"),
        (["targets", "x.mar"], "handlerkit targets: unrecognized arguments: x.mar"),
        (["targets", "--json", "--build", "here"], "--build: not allowed with argument --json"),
        (["--remote"], "handlerkit: there is no option '--remote'; there is --help, --version"),
        (["check", "-x\ny"], r"unrecognized arguments: -x\ny"),
        (["test", "no\nwhere"], r"handlerkit test: no\nwhere is no model"),
        (["check", "nowhere.mar"], "handlerkit check: no archive 'nowhere.mar'"),
        (["targets", "--build", "moon"], "handlerkit targets: there is no target 'moon': choose declared, "),
        (["targets", "--remove", "moon"], "handlerkit targets: no environment of 'moon' is kept: there are none"),
        (["targets", "--build", "here", "--remove", "here"], "--remove: not allowed with argument --build"),
    ],
)
def test_a_slip_is_one_line_and_status_2(command, words: list[str], says: str) -> None:
    status, said, error = command(*words)
    assert (status, said) == (2, "")
    assert says in error
    assert len(error.splitlines()) == 1


#: What only a notebook has, and what only the command line has, by the command.
ONLY_MAGICS = {"request": {"--against"}, "bench": {"--against"}, "serve": {"--stop"}}
ONLY_COMMANDS = {
    "check": {"--fail-on", "--format", "--json"},
    "request": {"--show", "--log"},
    "serve": {"--port", "-p"},
}


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() & commands.COMMANDS.keys()))
def test_both_doors_read_the_same_options(name: str) -> None:
    magic, command = commands.COMMANDS[name].parser().spellings(), COMMANDS[name].parser().spellings()
    assert magic.keys() - command.keys() == ONLY_MAGICS.get(name, set())
    assert command.keys() - magic.keys() == ONLY_COMMANDS.get(name, set())
    for option in magic.keys() & command.keys():
        one, other = vars(magic[option]), vars(command[option])
        differ = {key for key in one if one[key] != other[key]} - {"container", "help", "required"}
        assert differ <= {"type"}  # a function that is made for the option, such as a pair


def test_a_command_imports_nothing_heavy(archive) -> None:
    assert HEAVY.isdisjoint(imported_by("check", str(archive(FINE))))


def test_the_script_is_installed() -> None:
    done = script("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, VERSION, "")


def test_an_interrupt_is_one_line_and_status_130(folder: Path) -> None:
    code = """
        import sys, time
        from handlerkit.cli import commands, main

        class Wait:
            parser = staticmethod(lambda: commands.Parser("handlerkit wait", "Wait."))
            def run(self, options):
                print("waiting", flush=True)
                time.sleep(60)

        commands.COMMANDS["wait"] = Wait()
        sys.exit(main.main(["wait"]))
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (130, "handlerkit: interrupted\n")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["targets"], ["check", "--help"]])
def test_a_reader_that_went_away_is_no_error_to_read(words: list[str]) -> None:
    writer = closed_pipe()
    try:
        done = script(*words, capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_leave_the_status(closed: str) -> None:
    for words, status in (("--help", 0), ("chek", 2), ("targets", 0)):
        done = subprocess.run(["sh", "-c", f"'{SCRIPT}' {words} {closed}"], capture_output=True, text=True, check=False)
        assert done.returncode == status
        assert "Traceback" not in done.stdout + done.stderr
        assert "chek" not in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full is Linux's")
def test_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = script("--help", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (2, "handlerkit: No space left on device\n")


def test_what_a_terminal_cannot_write_is_a_question_mark(archive) -> None:
    (name,) = [archive(FINE).rename("mü.mar")]
    done = script("check", "nö.mar", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert (done.returncode, done.stderr) == (2, "handlerkit check: no archive 'n?.mar'; looked from here/\n")
    assert script("check", name, env={**os.environ, "PYTHONIOENCODING": "ascii"}).returncode == 0
