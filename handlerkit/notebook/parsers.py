"""The options of each command, once for both of its doors: the magic and, where it has one, the command of the command
line. `Parser.magic` says which of them is meant, where a notebook has what a terminal has not.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from handlerkit.endpoints import ENDPOINTS, is_endpoint
from handlerkit.envelope import ENVELOPES
from handlerkit.model import DEFAULT_HANDLERS, READY_MADE, RUNTIMES
from handlerkit.notebook.options import Mapped, Parser, archive, count, counts, named, names, pair, port, variable

FORMATS = ("default", "zip-store", "tgz", "no-archive")

_CHOSEN_AGAIN = """A name used before chooses that model again. The options from --batch-size on, alone, change
it or, without a name, the current model, and leave its files; any of the others starts the model again."""


def model_parser(prog: str) -> Parser:
    """Options of `%model`: those of Model, of Worker, and of the export."""
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
    _add_target(parser, "the environment that the archive will run in", "declared")
    _add_archive(parser, "for %%export: the folder to write to (model_store)")
    parser.suggestions["--handler"] = lambda: (*DEFAULT_HANDLERS, *(f"handlerkit:{name}" for name in READY_MADE))
    return parser


def handler_parser(prog: str) -> Parser:
    """Options of `%%handler`, whose cell is the handler's file."""
    parser = Parser(prog, "Write the cell to a file and load it as the current model's handler.")
    add = parser.add_argument
    add("file", nargs="?", help="the file to write (handler.py, or the name of the ready-made handler)")
    add("--function", metavar="NAME", help="the function to call, instead of a class or handle")
    add("--reload", action="store_true", help="load it again, even if the loaded model could be kept")
    add("--from", dest="from_", choices=READY_MADE, help="start with a ready-made handler: its source fills an empty "
        "cell, and the modules that it needs are added to the archive")  # fmt: skip
    return parser


def module_parser(prog: str) -> Parser:
    """Options of `%%module`, whose cell is a file beside the handler."""
    parser = Parser(prog, "Write the cell to a helper module and add it to the current model's archive.")
    parser.add_argument("file", help="the file to write")
    return parser


def request_parser(prog: str) -> Parser:
    """Options of `%request`: what is sent, how, and how the answer is shown."""
    parser = Parser(prog, "Send requests to the current model; %%request sends the cell.",
        outside="Send requests to a model, and show its answers.")  # fmt: skip
    _add_model(parser)
    _add_what(parser, "several arrive together, none sends a GET. A file is the body, with the Content-Type of its "
        "name, as a browser sends it")  # fmt: skip
    add = parser.add_argument
    add("--envelope", choices=[*ENVELOPES, "all"], help="wrap the payload for this envelope, and serve with it; "
        "all: send it without one and in each, and compare the answers")  # fmt: skip
    add("--as-tensor", action="store_true", help="put an image's pixels into the envelope instead of its file")
    add("--batch", type=count, default=1, metavar="N", help="send each N times, in one batch")
    add("--header", "-H", dest="headers", action="append", default=[], type=pair(":", "'Name: value'"),
        metavar="'NAME: VALUE'", help="a request header; may be repeated")  # fmt: skip
    add("--content-type", metavar="TYPE", help="the Content-Type, instead of the payload's own; '' sends none, as "
        "curl -T does")  # fmt: skip
    variables = "CONTENT may be the name of a variable; " * parser.magic
    add("--part", "-F", dest="parts", action="append", default=[], metavar="NAME=CONTENT", help="a part of a multipart "
        f"form as curl's -F sends it, NAME=@FILE for a file; {variables}may be repeated")  # fmt: skip
    add("--method", "-X", help="the HTTP method (POST)")
    add("--path", help="the path (/predictions/MODEL)")
    add("--query", help="the query string")
    parser.add_to_magic("--against", metavar="RUN", help="compare with the Run of a variable; previous: with the last "
        "answers")  # fmt: skip
    _add_display(parser)
    here = "the notebook's process, where breakpoint() and %%debug work"
    if not parser.magic:
        here = "this process, where breakpoint() stops, and an exception opens the debugger"
    ends = "the kernel" if parser.magic else "the command"
    add("--debug", action="store_true", help=f"run the handler in {here}. What it changes there stays changed, and "
        f"what would end a worker ends {ends}")  # fmt: skip
    parser.suggestions["--against"] = lambda: ("previous",)
    parser.suggestions["--content-type"] = lambda: ("application/json", "application/octet-stream", "text/plain")
    parser.suggestions["--method"] = lambda: ("GET", "POST", "PUT", "OPTIONS")
    return parser


def preview_parser(prog: str) -> Parser:
    """Options of `%preview`."""
    parser = Parser(prog, "Show the current model as an interactive display, which follows its handler.",
        outside="Write a page with a model's answers to play with, which works offline.")  # fmt: skip
    _add_model(parser)
    _add_what(parser, _LAST)
    add = parser.add_argument
    add("--envelope", choices=[*ENVELOPES], help="wrap each payload for this envelope, and serve with it")
    _add_display(parser)
    add("--save", metavar="PAGE.html", required=not parser.magic, help="write a page that works offline, with the "
        "answers it shows")  # fmt: skip
    return parser


def bench_parser(prog: str) -> Parser:
    """Options of `%bench`: what is measured, how often, and beside what."""
    parser = Parser(prog, "Measure the current model, and say where its time goes.",
        outside="Measure a model, and say where its time goes.")  # fmt: skip
    _add_model(parser)
    _add_what(parser, _LAST)
    add = parser.add_argument
    add("--batch-sizes", "-b", type=counts, default=[1], metavar="N,N,...", help="requests in a batch (1)")
    add("--repeats", "-n", type=count, default=50, metavar="N", help="calls of each sample at each batch size (50)")
    add("--warm-up", type=count, default=3, metavar="N", help="calls of each before, which are not timed (3)")
    parser.add_to_magic("--against", metavar="previous|NAME", help="compare with the handler's last version, call by "
        "call; NAME: a handler file loaded before, or another model")  # fmt: skip
    _add_endpoint(parser, "measure another endpoint")
    add("--yes", action="store_true", help="the endpoint may have this load, though it is not this machine")
    add("--concurrency", "-c", type=count, metavar="N", help="clients that send to it at once (the largest batch)")
    add("--profile", action="store_true", help="torch's operators, a chrome trace, and the handler's lines")
    parser.suggestions["--against"] = lambda: ("previous",)
    return parser


def check_parser(prog: str) -> Parser:
    """Options of `%check`."""
    parser = Parser(prog, "Say what would fail where an archive will run, without running it.")
    if parser.magic:
        parser.add_argument("archive", nargs="?", type=archive, help="an archive, instead of the current model")
    else:
        _add_model(parser, several=True)
    _add_target(parser, "the environment it is checked for", "the model's own")
    return parser


def export_parser(prog: str) -> Parser:
    """Options of `%export`: where the archive or the app is written, and in which format."""
    parser = Parser(prog, "Check the current model, and write its archive, or an app that serves it.",
        outside="Check a model, and write its archive, or an app that serves it.")  # fmt: skip
    _add_model(parser)
    add = parser.add_argument
    add("folder", nargs="?", help="the folder to write to (model_store; an app's own: MODEL-app)")
    add("--to", choices=["archive", "app"], default="archive", help="app: a folder with all that serves the model: a "
        "server of its own, a container, Ray Serve, Kubernetes, SageMaker, bulk scoring")  # fmt: skip
    _add_archive(parser, "the same")
    add("--strict", action="store_true", help="write nothing if the check finds an error or the handler does not load")
    add("--requirements", choices=["auto"], help="write the requirements file that the check asks for, with the "
        "versions installed here, and put it into the archive")  # fmt: skip
    _add_target(parser, "the environment it is checked for", "the model's own")
    return parser


def verify_parser(prog: str) -> Parser:
    """Options of `%verify`: who answers again, and what may differ."""
    parser = Parser(prog, "Send the last requests to a real TorchServe that serves the exported archive, or to another "
        "endpoint, and compare.", outside="Compare a model's answers with those of a real TorchServe, or of "
        "another endpoint.")  # fmt: skip
    add = parser.add_argument
    if parser.magic:
        add("archive", nargs="?", type=archive, help="an archive to serve instead")
    else:
        _add_model(parser)
        _add_what(parser, "none sends a GET")
    _add_endpoint(parser, "compare with another endpoint")
    add("--ignore", action="append", default=[], metavar="NAME",
        help="a header, or a path such as body.id, that may differ; may be repeated")  # fmt: skip
    add("--rtol", type=float, default=0, metavar="X", help="relative tolerance for numbers in JSON (0)")
    _add_target(parser, "the environment that TorchServe runs in", "the model's own")
    return parser


def serve_parser(prog: str) -> Parser:
    """Options of `%serve`: where it listens, and who may ask."""
    parser = Parser(
        prog, "Answer HTTP clients with the current model, as its handler is when a request comes.", _SERVED,
        outside="Answer HTTP clients with a model, as its handler's file is when a request comes, until Ctrl-C.",
    )  # fmt: skip
    _add_model(parser)
    add = parser.add_argument
    where = "where it listens (8080{}); 0 takes a free one"
    if parser.magic:
        add("port", nargs="?", type=port, help=where.format(", or the port before"))
    else:
        add("--port", "-p", type=port, metavar="N", help=where.format(""))
    add("--host", type=named, help="the address (127.0.0.1); one that other machines reach needs a token")
    _add_token(parser, "the token, which clients send as 'Authorization: Bearer TOKEN'")
    parser.add_to_magic("--stop", action="store_true", help="answer what runs, and listen no more")
    parser.suggestions["--host"] = lambda: ("127.0.0.1", "0.0.0.0")
    return parser


_SERVED = """Requests that came in are in hk.session.served, as Runs, the newest last; %request sends one of a variable
again. Another model, address or token takes the place of the one before."""
_LAST = "without any, the last requests"


def _add_model(parser: Parser, *, several: bool = False) -> None:
    """What a command of the command line works on; a magic works on the current model."""
    if parser.magic:
        return
    name, number, which = ("models", "*", "each") if several else ("model", "?", "the one")
    parser.add_argument(name, nargs=number, type=archive, metavar="MODEL", help="an archive (.mar, .tar.gz or a "
        "folder), the file of a handler, or a model of the handlerkit.toml or pyproject.toml of this folder or the "
        f"next one above it; without it, {which} that is described there")  # fmt: skip


def _add_what(parser: Parser, more: str) -> None:
    """What is sent. Outside a notebook there are no variables, and nothing was sent before."""
    names = ", or names of variables" * parser.magic
    files = "files, wildcards, folders of pictures" if names else "files, wildcards or folders of pictures"
    more = f"; {more}" if parser.magic or more is not _LAST else ""
    parser.add_argument("what", nargs="*", metavar="what" if names else "FILE", help=f"{files}{names}{more}")


def _add_endpoint(parser: Parser, what: str) -> None:
    named = "; ".join(f"{name}, {one.summary}" for name, one in ENDPOINTS.items())
    url = "the URL of a TorchServe or an app that runs"
    variable = "; or a variable that holds an endpoint, such as hk.Remote(...)" * parser.magic
    add = parser.add_argument
    add("--endpoint", metavar="NAME|URL", help=f"{what}: {named}; {'' if variable else 'or '}{url}{variable}")
    _add_token(parser, "the token that the URL is sent")
    parser.suggestions["--endpoint"] = lambda: ENDPOINTS
    parser.variables["--endpoint"] = is_endpoint


def _add_token(parser: Parser, what: str) -> None:
    place = "the notebook or of the environment" if parser.magic else "the environment"
    parser.add_argument("--token-from", metavar="VARIABLE", help=f"the variable of {place} that holds {what}")
    parser.suggestions["--token-from"] = lambda: sorted(os.environ)


def _add_target(parser: Parser, what: str, default: str) -> None:
    parser.add_argument("--target", type=named, metavar="NAME", help=f"{what} ({default}): declared, "
        "torchserve-0.12.0-cpu, torchserve-0.12.0-gpu, here, or a requirements or lock file")  # fmt: skip
    parser.suggestions["--target"] = _targets


def _add_archive(parser: Parser, export_path: str) -> None:
    """How torch-model-archiver writes an archive, in its spelling."""
    add = parser.add_argument
    add("--export-path", metavar="FOLDER", help=export_path)
    add("--archive-format", choices=FORMATS, help="the archive's format (default: a .mar)")
    add("--force", "-f", action="store_true", help="replace an archive that exists")


def _add_display(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "--as",
        dest="shown_as",
        default="",
        metavar="VIEW",
        help="show the answers as boxes, segmentation, classes, ...",
    )
    add("--geometry", default="", help="how the handler scales the input image, for maps drawn on it: stretch, or for "
        "example 'resize 256 crop 224'")  # fmt: skip
    parser.suggestions["--as"] = _views


def _targets() -> Iterable[str]:
    from handlerkit.targets import NAMES

    return NAMES


def _views() -> Iterable[str]:
    from handlerkit import view

    return view.names()
