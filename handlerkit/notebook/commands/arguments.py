"""Arguments that several commands take."""

from __future__ import annotations

import os
from collections.abc import Iterable

from handlerkit.endpoints import ENDPOINTS, is_endpoint
from handlerkit.notebook.options import Parser, archive, named

FORMATS = ("default", "zip-store", "tgz", "no-archive")


def add_model(parser: Parser, *, several: bool = False) -> None:
    """What a command of the command line works on; a magic works on the current model."""
    if parser.in_notebook:
        return
    name, number, which = ("models", "*", "each") if several else ("model", "?", "the one")
    parser.add_argument(name, nargs=number, type=archive, metavar="MODEL", help="an archive (.mar, .tar.gz or a "
        "folder), the file of a handler, or a model of the handlerkit.toml or pyproject.toml of this folder or the "
        f"next one above it; without it, {which} that is described there")  # fmt: skip


def add_what(parser: Parser, alone: str = "") -> None:
    """What is sent, and what the command does alone, without any of it. In a notebook the last requests are sent again,
    if nothing else is said; elsewhere there are none, and no variables."""
    names = ", or names of variables" * parser.in_notebook
    files = "files, wildcards, folders of pictures" if names else "files, wildcards or folders of pictures"
    alone = alone or "without any, the last requests" * parser.in_notebook
    parser.add_argument(
        "what", nargs="*", metavar="what" if names else "FILE", help="; ".join(filter(None, [files + names, alone]))
    )


def add_endpoint(parser: Parser, what: str) -> None:
    """Who answers instead: what `cases.places` knows by a word."""
    named = "; ".join(f"{name}, {one.summary}" for name, one in ENDPOINTS.items())
    target = "a target, or a requirements or lock file, TorchServe in that environment"
    app = "the folder of an exported app, which is started for that"
    url = "the URL of a TorchServe or an app that runs"
    variable = "; or a variable that holds an endpoint, such as hk.Remote(...)" * parser.in_notebook
    help_ = f"{what}: {named}; {target}; {app}; {'' if variable else 'or '}{url}{variable}"
    parser.add_argument("--endpoint", metavar="NAME|URL|FOLDER", help=help_)
    add_token(parser, "the token that the URL is sent")
    parser.suggestions["--endpoint"] = lambda: (*ENDPOINTS, *targets())
    parser.variables["--endpoint"] = is_endpoint


def add_token(parser: Parser, what: str) -> None:
    place = "the notebook or of the environment" if parser.in_notebook else "the environment"
    parser.add_argument("--token-from", metavar="VARIABLE", help=f"the variable of {place} that holds {what}")
    parser.suggestions["--token-from"] = lambda: sorted(os.environ)


def add_target(parser: Parser, what: str, default: str) -> None:
    parser.add_argument("--target", type=named, metavar="NAME", help=f"{what} ({default}): declared, "
        "torchserve-0.12.0-cpu, torchserve-0.12.0-gpu, here, or a requirements or lock file")  # fmt: skip
    parser.suggestions["--target"] = targets


def add_archive(parser: Parser, export_path: str) -> None:
    """How torch-model-archiver writes an archive, in its spelling."""
    add = parser.add_argument
    add("--export-path", metavar="FOLDER", help=export_path)
    add("--archive-format", choices=FORMATS, help="the archive's format (default: a .mar)")
    add("--force", "-f", action="store_true", help="replace an archive that exists")


def add_display(parser: Parser) -> None:
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


def add_cases(parser: Parser) -> None:
    add = parser.add_argument
    add("--cases", dest="folder", type=named, default="cases", metavar="FOLDER", help="the cases' folder, or one "
        "file (cases)")  # fmt: skip


def add_may_differ(parser: Parser, which: str) -> None:
    """What may differ in a case that is kept."""
    add = parser.add_argument
    add("--ignore", action="append", default=[], metavar="NAME",
        help=f"{which}a header, or a path such as body.id or body[*].id, that may differ; may be repeated")  # fmt: skip
    add("--rtol", type=float, default=0, metavar="X", help=f"{which}relative tolerance for numbers in JSON (0)")
    add("--levels", type=int, default=0, metavar="N", help=f"{which}how far apart pixels may be, of 255 (0)")
    add("--pixels", type=float, default=0, metavar="SHARE",
        help=f"{which}the share of pixels that may be further apart (0)")  # fmt: skip
    add(
        "--iou", type=float, default=1, metavar="X", help=f"{which}the overlap from which on two boxes are the same (1)"
    )
    add("--with-secrets", dest="secrets", action="store_true", help=f"{which}keep secrets as they are")


def targets() -> Iterable[str]:
    from handlerkit.targets import NAMES

    return NAMES


def _views() -> Iterable[str]:
    from handlerkit import view

    return view.names()
