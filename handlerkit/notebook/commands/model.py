"""`%model`: what the archive will hold."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from handlerkit.model import DEFAULT_HANDLERS, READY_MADE, RUNTIMES
from handlerkit.notebook.commands.arguments import add_archive, add_target
from handlerkit.notebook.commands.command import Command, Line
from handlerkit.notebook.options import Mapped, Parser, count, named, names, pair, variable

if TYPE_CHECKING:
    from handlerkit.notebook.session import Session


_CHOSEN_AGAIN = """A name used before chooses that model again. The options from --batch-size on, alone, change
it or, without a name, the current model, and leave its files; any of the others starts the model again."""


def _parser(prog: str) -> Parser:
    parser = Parser(prog, "Choose what the archive will hold, with torch-model-archiver's options.", _CHOSEN_AGAIN)
    add = parser.add_argument
    add("name", nargs="?", help="the model's name; without it, the current model is meant, and shown")
    add("--model-name", metavar="NAME", help="the same")
    add("--file", type=named, metavar="FILE", help="a handlerkit.toml or pyproject.toml in place of all options below; "
        "NAME chooses one of several models in it. hk.session.save() writes it")  # fmt: skip
    add("--archive", type=named, metavar="FILE", help="an archive (.mar, .tar.gz or a folder) in place of the options "
        "below, down to --runtime; it is unpacked into a temporary folder")  # fmt: skip
    add("--version", "-v", default="1.0", help="the model's version (1.0)")
    add("--handler", help="a file, module:function, or the name of a default handler")
    add("--serialized-file", metavar="FILE", help="the weights")
    add("--model-file", metavar="FILE", help="the file with the model's class, if the weights are a state_dict")
    add("--extra-files", type=names, default=[], metavar="FILES",
        help="files, wildcards and folders to add, separated by commas")  # fmt: skip
    add("--requirements-file", "-r", metavar="FILE", help="pip requirements")
    add("--config-file", "-c", metavar="FILE", help="model-config.yaml")
    add("--runtime", choices=RUNTIMES, default="python", help="the manifest's runtime (python)")
    add("--batch-size", type=count, metavar="N", help="the most requests in a batch")
    add("--max-batch-delay", type=int, metavar="N", help="milliseconds that a batch waits for more requests")
    add("--response-timeout", type=count, metavar="N", help="seconds that a call may take")
    add("--gpu-id", type=int, metavar="N", help="the device that a GPU worker gets")
    add("--env", dest="environment", action=Mapped, type=variable, metavar="NAME[=VALUE]", help="a variable of the "
        "worker's environment, beside the shell's; without a value, the one it has here; may be repeated")  # fmt: skip
    parser.suggestions["--env"] = lambda: sorted(os.environ)
    add("--config-property", dest="config_properties", action=Mapped, type=pair("=", "KEY=VALUE"), metavar="KEY=VALUE",
        help="a line of config.properties; may be repeated")  # fmt: skip
    add_target(parser, "the environment that the archive will run in", "declared")
    add_archive(parser, "for %%export: the folder to write to (model_store)")
    parser.suggestions["--handler"] = lambda: (*DEFAULT_HANDLERS, *(f"handlerkit:{name}" for name in READY_MADE))
    return parser


def _call(session: Session, options: dict[str, Any], line: Line) -> Any:
    return session.model(line.one_of("names", options.pop("name"), options.pop("model_name")), **options)


MODEL = Command("model", _parser, call=_call, examples=(
    "coins --serialized-file coins.pt --model-file network.py --extra-files index_to_name.json",
    "--archive model_store/coins.mar",
    "--batch-size 4 --target torchserve-0.12.0-cpu",
))  # fmt: skip
