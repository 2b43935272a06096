"""The options of each command, once for both doors: the magics' line and the command line's words.

Nothing of IPython is imported here. A command's parser is a function of the name it is called by, such as "%export" or
"handlerkit export"; PARSERS holds those of the magics.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn

from handlerkit.messages.shell_words import split_words
from handlerkit.model import READY_MADE

ENVELOPES = ("body", "json", "kserve", "kservev2", "all")
FORMATS = ("default", "zip-store", "tgz", "no-archive")


class HelpRequested(Exception):
    """--help is among the words; its text is shown instead of anything else."""


class WrongOption(Exception):
    """The words do not fit the command's options; the text is one line that says why."""


class Parser(argparse.ArgumentParser):
    """The options of one command. Nothing is printed and nothing exits: a slip and --help are raised."""

    def __init__(self, prog: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=False,
            allow_abbrev=False,
        )
        self.add_argument("--help", "-h", action="store_true", help="show this text")

    def error(self, message: str) -> NoReturn:
        raise WrongOption(f"{self.prog}: {message} ({self.prog} --help shows the options)")

    def read_line(self, line: str) -> dict[str, Any]:
        """The options in a line, which is split as a shell does, without its comment. Raises as `read` does."""
        try:
            words = split_words(line)
        except ValueError as problem:
            self.error(str(problem).lower())
        return self.read(words)

    def read(self, words: Sequence[str]) -> dict[str, Any]:
        """The options in these words. Raises WrongOption for a slip and HelpRequested for --help."""
        if {"--help", "-h"} & set(words):
            raise HelpRequested(self.format_help())
        if strange := [word for word in takewhile("--".__ne__, words) if self._is_unknown(word)]:
            self.error(f"unrecognized arguments: {' '.join(strange)}{self._meant(strange[0].partition('=')[0])}")
        read, unknown = self.parse_known_args(words)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        options = vars(read)
        del options["help"]
        return options

    def _is_unknown(self, word: str) -> bool:
        """Whether it is an option, which has no space in it, and none of this command's. Told before its value can be
        taken for something else."""
        return word.startswith("--") and " " not in word and word.partition("=")[0] not in self._option_string_actions

    def _meant(self, option: str) -> str:
        """The end of a sentence about an option that this command does not have: of which others it is, or which one
        of its own is near."""
        others = [f"%{name}" for name, parser in PARSERS.items() if option in parser()._option_string_actions]
        if others:
            return f"; {option} belongs to {', '.join(others)}"
        return did_you_mean(option, [known for known in self._option_string_actions if known.startswith("--")])


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """The end of a sentence about an unknown word: "; did you mean check?", or "" if none of these is near. The dashes
    of options make none of them near to another."""
    bare = {one.lstrip("-"): one for one in known}
    near = difflib.get_close_matches(word.lstrip("-"), bare, n=1, cutoff=0.7)
    return f"; did you mean {bare[near[0]]}?" if near else ""


def named(text: str) -> str:
    """A name or path as it is: "" is a variable of a script that is not set, and no way to ask for the default."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name")
    return text


def _archive(text: str) -> str:
    """An archive's path. A target's name is none, unless something of that name is there."""
    from handlerkit.targets import NAMES

    if text in NAMES and not Path(text).exists():
        raise argparse.ArgumentTypeError(f"{text} is the name of a target; did you mean --target {text}?")
    return named(text)


def _pair(separator: str, form: str) -> Callable[[str], tuple[str, str]]:
    def split(text: str) -> tuple[str, str]:
        key, found, value = text.partition(separator)
        if not found or not key:
            raise argparse.ArgumentTypeError(f"{text!r} is not {form}")
        return key.strip(), value.strip()

    return split


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _counts(text: str) -> list[int]:
    return [_count(one) for one in text.split(",")]


_CHOSEN_AGAIN = """A name used before chooses that model again. The options from --batch-size to --target alone change
it or, without a name, the current model, and leave its files; with any of the others the model begins anew."""


def model_parser(prog: str = "%model") -> Parser:
    parser = Parser(prog, "Choose what the archive will hold, in torch-model-archiver's words.", _CHOSEN_AGAIN)
    add = parser.add_argument
    add("name", nargs="?", help="the model's name; without it, the current model is meant, and shown")
    add("--archive", type=named, metavar="FILE", help="an archive (.mar, .tar.gz or a folder) instead of all that "
        "follows up to --config-file; it is unpacked into a temporary folder")  # fmt: skip
    add("--version", "-v", default="1.0", help="the model's version")
    add("--handler", help="a file, module:function, or a default handler's name")
    add("--serialized-file", help="the weights")
    add("--model-file", help="the file with the model's class, for a state_dict")
    add("--extra-files", default="", help="files, wildcards and folders that travel along, separated by commas")
    add("--requirements-file", "-r", help="pip requirements")
    add("--config-file", "-c", help="model-config.yaml")
    add("--batch-size", type=_count, help="requests a batch holds at most")
    add("--max-batch-delay", type=int, help="milliseconds a batch waits for more")
    add("--response-timeout", type=_count, help="seconds a call may take")
    add("--gpu-id", type=int, help="the device a GPU worker is given")
    key = _pair("=", "KEY=VALUE")
    add("--config-property", dest="config_properties", action="append", type=key, metavar="KEY=VALUE",
        help="a line of config.properties; may be repeated")  # fmt: skip
    _add_target(parser, "the environment that the archive is to run in", "declared")
    return parser


def handler_parser(prog: str = "%%handler") -> Parser:
    parser = Parser(prog, "Write the cell to a file and load it as the current model's handler.")
    parser.add_argument("file", nargs="?", help="the file to write (handler.py, or the ready-made handler's name)")
    parser.add_argument("--function", help="the function that is the entry point, instead of a class or handle")
    parser.add_argument("--reload", action="store_true", help="load anew, also where the loaded model could be kept")
    parser.add_argument("--from", dest="from_", choices=READY_MADE, help="begin with a ready-made handler: an empty "
        "cell is filled with its source, and the module it needs travels along")  # fmt: skip
    return parser


def module_parser(prog: str = "%%module") -> Parser:
    parser = Parser(prog, "Write the cell to a helper module that travels with the current model.")
    parser.add_argument("file", help="the file to write")
    return parser


def request_parser(prog: str = "%request") -> Parser:
    parser = Parser(prog, "Send requests through the current model's worker; %%request sends the cell.")
    add = parser.add_argument
    add("what", nargs="*", help="files, or names of variables; several arrive together; none sends a GET")
    add("--envelope", choices=ENVELOPES, help="wrap the payload for this envelope, and serve with it; all: send it "
        "without one and in each, and compare the answers")  # fmt: skip
    add("--as-tensor", action="store_true", help="the envelope carries an image's pixels instead of its file")
    add("--batch", type=_count, default=1, help="send this many of each, in one batch")
    add("--header", "-H", dest="headers", action="append", default=[], type=_pair(":", "'Name: value'"),
        metavar="'NAME: VALUE'", help="a request header; may be repeated")  # fmt: skip
    add("--content-type", help="the Content-Type, instead of the one that goes with the payload; '' sends none")
    add("--part", "-F", dest="parts", action="append", default=[], metavar="NAME=CONTENT",
        help="a part of a multipart form, NAME=@FILE for a file; may be repeated")  # fmt: skip
    add("--method", "-X", help="the HTTP method (POST)")
    add("--path", help="the path (/predictions/MODEL)")
    add("--query", help="the query string")
    add("--against", metavar="RUN", help="compare with a variable's Run; previous: with the last answers")
    add("--as", dest="shown_as", metavar="VIEW", help="show the answers as boxes, segmentation, classes, tensor, ...")
    add("--geometry", help="where maps lie on the input image: stretch, or such as 'resize 256 crop 224'")
    add("--debug", action="store_true", help="in the notebook's process, where breakpoint() and %%debug work; what the "
        "handler changes stays changed there, and what ends a worker ends the kernel")  # fmt: skip
    return parser


def check_parser(prog: str = "%check", epilog: str = "") -> Parser:
    parser = Parser(prog, "Say what would fail where an archive will run; nothing of it is run.", epilog)
    if prog.startswith("%"):
        parser.add_argument("archive", nargs="?", type=_archive, help="an archive, instead of the current model")
    else:
        parser.add_argument("archives", nargs="+", metavar="archive", type=_archive, help="a .mar, a .tar.gz, or the "
            "folder of an archive; several are checked one after the other")  # fmt: skip
    _add_target(parser, "the environment it is checked for", "the model's own" if prog.startswith("%") else "declared")
    return parser


def export_parser(prog: str = "%export") -> Parser:
    parser = Parser(prog, "Check the current model, and write its archive.")
    parser.add_argument("folder", nargs="?", default="model_store", help="where to (model_store)")
    parser.add_argument("--archive-format", choices=FORMATS, default="default", help="the archive's format")
    parser.add_argument("--force", "-f", action="store_true", help="replace an archive that is there")
    parser.add_argument("--strict", action="store_true", help="write nothing if the check finds an error, or "
        "the handler did not load")  # fmt: skip
    parser.add_argument("--requirements", choices=["auto"], help="write the requirements file that the check asks "
        "for, with the versions installed here, and put it into the archive")  # fmt: skip
    _add_target(parser, "the environment it is checked for", "the model's own")
    return parser


def verify_parser(prog: str = "%verify") -> Parser:
    parser = Parser(prog, "Replay the last run on a real TorchServe that serves the exported archive.")
    parser.add_argument("endpoint", nargs="?", metavar="archive", type=_archive, help="an archive to serve instead")
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="NAME",
        help="a header, or a path such as body.id, that may differ",
    )
    parser.add_argument("--rtol", type=float, default=0, help="relative tolerance for numbers in JSON")
    _add_target(parser, "the environment that TorchServe runs in", "the model's own")
    return parser


def bench_parser(prog: str = "%bench") -> Parser:
    parser = Parser(prog, "Measure the current model, and say where its time goes.")
    add = parser.add_argument
    add("what", nargs="*", help="files, or names of variables; without any, the last requests again")
    add("--batch-sizes", "-b", type=_counts, default=[1], metavar="N,N,...", help="requests a batch holds (1)")
    add("--repeats", "-n", type=_count, default=50, help="calls of each sample at each batch size (50)")
    add("--warm-up", type=_count, default=3, help="calls of each before, which are not timed (3)")
    add("--against", metavar="previous|NAME", help="compare with the last version of the handler, call by call; NAME: "
        "a handler file loaded before, or another model")  # fmt: skip
    add("--endpoint", choices=["server"], help="measure a real TorchServe that serves the model")
    add("--concurrency", "-c", type=_count, help="clients that send to it at the same time (the largest batch)")
    add("--profile", action="store_true", help="torch's operators, a chrome trace, and the lines of the handler")
    return parser


def preview_parser(prog: str = "%preview") -> Parser:
    parser = Parser(prog, "The current model as an interactive display, which runs again with its handler.")
    add = parser.add_argument
    add("what", nargs="*", help="files, folders of pictures, or names of variables; without any, the last requests")
    add("--envelope", choices=ENVELOPES[:-1], help="wrap each payload for this envelope, and serve with it")
    add("--as", dest="shown_as", default="", metavar="VIEW", help="show the answers as boxes, segmentation, ...")
    add("--geometry", default="", help="where maps lie on the input image: stretch, or such as 'resize 256 crop 224'")
    add("--save", metavar="PAGE.html", help="write a page that works offline, with the answers it holds")
    return parser


def _add_target(parser: Parser, what: str, default: str) -> None:
    parser.add_argument("--target", type=named, metavar="NAME", help=f"{what} ({default}): declared, "
        "torchserve-0.12.0-cpu, torchserve-0.12.0-gpu, here, or a requirements or lock file")  # fmt: skip


#: Those of the magics, by name.
PARSERS: dict[str, Callable[[], Parser]] = {
    "model": model_parser,
    "handler": handler_parser,
    "module": module_parser,
    "request": request_parser,
    "check": check_parser,
    "export": export_parser,
    "verify": verify_parser,
    "bench": bench_parser,
    "preview": preview_parser,
}
