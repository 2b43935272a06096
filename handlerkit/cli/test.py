"""`handlerkit test [MODEL ...]`: the cases that were kept, run where they are to hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from handlerkit.notebook.case_commands import test_parser
from handlerkit.notebook.options import Parser, WrongOption

if TYPE_CHECKING:
    from handlerkit.cases.places import Place, Setup

_EXAMPLES = """examples:
  handlerkit test                                                    # the models of handlerkit.toml
  handlerkit test model_store/*.mar --target torchserve-0.12.0-cpu --target here
  handlerkit test --endpoint https://staging.example --token-from STAGING_TOKEN --report page.html
  handlerkit test model_store/coins.mar --from visit.har --accept"""


def parser() -> Parser:
    """The options of %test, and the models."""
    parser = test_parser("handlerkit test")
    parser.epilog = _EXAMPLES
    return parser


def run(options: dict[str, Any]) -> int:
    """Run them; returns 1 if an answer is not as it was kept."""
    from handlerkit.cases import accept, run_cases
    from handlerkit.cases.recordings import find_cases
    from handlerkit.cli.output import write
    from handlerkit.cli.progress import steps
    from handlerkit.view.cases import write_report

    token = _token(options)
    known = [token] if token else []
    models = _models(options)
    # without a model on the line, a case of another model is one that cannot run: its model may have been renamed
    named = [*models] if options["models"] else None
    found = find_cases(options["folder"], options["from_"], named, next(iter(models)) if len(models) == 1 else "")
    with steps() as progress:
        where = _places(options, models, token, progress)
        report = run_cases(found, *where, known=known, progress=progress)
    write(report)
    write_report(report, options["report"], options["junit"])
    if options["accept"]:
        report = accept(report, known)
        kept = [one for one in report.places[0].results if one.verdict == "kept"]
        print(f"kept from now on: {', '.join(one.name for one in kept)}" if kept else "there is nothing to accept")
        for one in kept:
            if one.why:
                print(f"{one.name}: {one.why}")
    return 0 if report else 1


def _models(options: Mapping[str, Any]) -> Mapping[str, Setup]:
    """Those that are named. A URL needs none: it has its own."""
    from handlerkit.cli.setups import setups

    return {} if _is_url(options) and not options["models"] else setups(options["models"])


def _is_url(options: Mapping[str, Any]) -> bool:
    return options["endpoint"] is not None and "://" in options["endpoint"]


def _places(
    options: Mapping[str, Any], models: Mapping[str, Setup], token: str | None, progress: Callable[[str], None]
) -> list[Place]:
    """Raises WrongOption for a combination that means nothing."""
    from handlerkit.cases import places

    endpoint, targets = options["endpoint"], options["targets"]
    if targets and endpoint not in (None, "server"):
        raise _wrong("--target is an environment of TorchServe: leave it or --endpoint out")
    if options["accept"] and len(targets) > 1:
        raise _wrong("--accept keeps the answers of one target, not of several")
    if _is_url(options):
        return [places.remote(endpoint, token)]
    if token is not None:
        raise _wrong("--token-from goes with the URL of an --endpoint")
    if targets:
        return [places.servers("server", models, target=target, progress=progress) for target in targets]
    if endpoint is not None:
        return [places.servers(endpoint, models, progress=progress)]
    return [places.workers(models)]


def _token(options: Mapping[str, Any]) -> str | None:
    name = options["token_from"]
    if name is not None and not os.environ.get(name):
        raise _wrong(f"--token-from: no variable {name!r} of the environment holds a text")
    return None if name is None else os.environ[name]


def _wrong(what: str) -> WrongOption:
    return WrongOption(f"handlerkit test: {what}")
