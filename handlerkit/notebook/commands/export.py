"""`%export`: where the archive or the app is written, and in which format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlerkit.notebook.commands.arguments import add_archive, add_model, add_target
from handlerkit.notebook.commands.command import Command, Line
from handlerkit.notebook.options import Parser

if TYPE_CHECKING:
    from handlerkit.notebook.session import Session


def _parser(prog: str) -> Parser:
    parser = Parser(prog, "Check the current model, and write its archive, or an app that serves it.",
        outside="Check a model, and write its archive, or an app that serves it.")  # fmt: skip
    add_model(parser)
    add = parser.add_argument
    add("folder", nargs="?", help="the folder to write to (model_store; an app's own: MODEL-app)")
    add("--to", choices=["archive", "app"], default="archive", help="app: a folder with all that serves the model: a "
        "server of its own, a container, Ray Serve, Kubernetes, SageMaker, bulk scoring")  # fmt: skip
    add_archive(parser, "the same")
    add("--strict", action="store_true", help="write nothing if the check finds an error or the handler does not load")
    add("--requirements", choices=["auto"], help="write the requirements file that the check asks for, with the "
        "versions installed here, and put it into the archive")  # fmt: skip
    add_target(parser, "the environment it is checked for", "the model's own")
    return parser


def _call(session: Session, options: dict[str, Any], line: Line) -> Any:
    return session.export(line.one_of("folders", options.pop("folder"), options.pop("export_path")), **options)


EXPORT = Command("export", _parser, call=_call, examples=(
    "--force",
    "model_store --strict --requirements auto",
    "--to app",
))  # fmt: skip
