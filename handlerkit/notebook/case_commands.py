"""The options of %keep and %test, and of `handlerkit test`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlerkit.notebook.options import Parser, archive, named

if TYPE_CHECKING:
    from handlerkit.notebook.commands import Line
    from handlerkit.notebook.session import Session

_KEPT = """The case is FOLDER/NAME.har, which people read and diff, with pictures and large bodies beside it. Keeping
the same answer again changes nothing. Authorization, cookies, tokens and keys are replaced by REDACTED."""


def keep_parser(prog: str) -> Parser:
    """Options of `%keep`: the case's name, and what of the exchange is kept."""
    parser = Parser(prog, "Keep the last answers as a regression case, which %test runs again.", _KEPT)
    add = parser.add_argument
    add("name", help="letters, digits, '_' and '-'")
    add("run", nargs="?", metavar="RUN", help="a variable that holds another Run than the last")
    add("--from", dest="from_", metavar="FILE", help="send the requests of a HAR that a browser saved, or of a file of "
        "curl lines, and keep each as NAME-1, NAME-2, ...; served: what clients of %%serve asked and got")  # fmt: skip
    _add_folder(parser)
    _add_new(parser, "")
    add("--force", "-f", action="store_true", help="replace a case of this name")
    parser.suggestions["--from"] = lambda: ("served",)
    return parser


def test_parser(prog: str) -> Parser:
    """Options of `%test`: which cases run, where, and what is written of it."""
    parser = Parser(prog, "Run the cases that were kept, and say what is answered otherwise.")
    add = parser.add_argument
    if not parser.magic:
        add("models", nargs="*", metavar="MODEL", type=archive, help="an archive, the file of a handler, or a model of "
            "handlerkit.toml, which all are meant without one; a URL and an app need none")  # fmt: skip
    _add_folder(parser)
    add("--target", dest="targets", action="append", type=named, default=[], metavar="NAME", help="run them on a real "
        "TorchServe in this environment: declared, torchserve-0.12.0-cpu, torchserve-0.12.0-gpu, here, or a "
        "requirements or lock file; several are compared in one table")  # fmt: skip
    add("--endpoint", metavar="NAME|URL|FOLDER", help="run them elsewhere: server, ray, a target, the folder of an "
        "exported app, which is started for that, or the URL of a TorchServe or an app that runs"
        + ("; or a variable that holds one" if parser.magic else ""))  # fmt: skip
    add("--token-from", metavar="VARIABLE",
        help=f"the variable of the {'notebook or the ' * parser.magic}environment "
        "that holds the token that the URL is sent")  # fmt: skip
    add("--from", dest="from_", metavar="FILE", help="send the requests of a HAR that a browser saved, or of a file of "
        "curl lines, too; --accept keeps them")  # fmt: skip
    _add_new(parser, "for new cases: ")
    add("--accept", action="store_true", help="keep the answers that differ, and the new ones, from now on")
    add("--report", metavar="PAGE.html", help="write a page that needs no network, with every difference drawn")
    add("--junit", metavar="FILE.xml", help="write the results for a CI server")
    parser.suggestions["--target"] = _targets
    return parser


def _add_new(parser: Parser, which: str) -> None:
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


def _add_folder(parser: Parser) -> None:
    add = parser.add_argument
    add("--cases", dest="folder", type=named, default="cases", metavar="FOLDER", help="the cases' folder, or one "
        "file (cases)")  # fmt: skip


def _targets() -> tuple[str, ...]:
    from handlerkit.targets import NAMES

    return NAMES


def call_keep(session: Session, options: dict[str, Any], line: Line) -> Any:
    """`Session.keep` with these options."""
    run = options.pop("run")
    return session.keep(options.pop("name"), None if run is None else line.value(run), **options)


def call_test(session: Session, options: dict[str, Any], line: Line) -> Any:
    """`Session.test` with these options."""
    from handlerkit.endpoints import is_endpoint

    word, name = options.pop("endpoint"), options.pop("token_from")
    endpoint = line.variables[word] if word and is_endpoint(line.variables.get(word)) else word
    token = None if name is None else line.secret(name)
    return session.test(options.pop("folder"), endpoint=endpoint, token=token, **options)
