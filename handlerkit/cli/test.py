"""`handlerkit test [ARCHIVE ...]`: the cases that were kept, run where they are to hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from handlerkit.notebook.case_commands import test_parser
from handlerkit.notebook.options import Parser, WrongOption

if TYPE_CHECKING:
    from handlerkit.cases.places import Place, Source

_EXAMPLES = """examples:
  handlerkit test model_store/coins.mar
  handlerkit test model_store/*.mar --target torchserve-0.12.0-cpu --target here
  handlerkit test --endpoint https://staging.example --token-from STAGING_TOKEN --report page.html
  handlerkit test model_store/coins.mar --from visit.har --accept"""


def parser() -> Parser:
    """The options of %test, and archives."""
    parser = test_parser("handlerkit test")
    parser.epilog = _EXAMPLES
    return parser


def run(options: Mapping[str, Any]) -> int:
    """Run them; returns 1 if an answer is not as it was kept."""
    from handlerkit.cases import accept, places, run_cases
    from handlerkit.cases.recordings import find_cases
    from handlerkit.cli.progress import steps
    from handlerkit.view.cases import write_report
    from handlerkit.view.displays import view

    token = _token(options)
    known = [token] if token else []
    sources = places.by_model(options["archives"])
    found = find_cases(options["folder"], options["from_"], [*sources] or None)
    with steps() as progress:
        where = _places(options, sources, token, progress)
        report = run_cases(found, *where, known=known, progress=progress)
    print(view(report))
    write_report(report, options["report"], options["junit"])
    if options["accept"]:
        report = accept(report, known)
        kept = [one.name for one in report.places[0].results if one.verdict == "kept"]
        print(f"kept from now on: {', '.join(kept)}" if kept else "there is nothing to accept")
    return 0 if report else 1


def _places(
    options: Mapping[str, Any], sources: Mapping[str, Source], token: str | None, progress: Callable[[str], None]
) -> list[Place]:
    """Raises WrongOption for a combination that means nothing."""
    from handlerkit.cases import places

    endpoint, targets = options["endpoint"], options["targets"]
    is_url = endpoint is not None and "://" in endpoint
    if targets and endpoint not in (None, "server"):
        raise WrongOption("handlerkit test: --target is an environment of TorchServe: leave it or --endpoint out")
    if options["accept"] and len(targets) > 1:
        raise WrongOption("handlerkit test: --accept keeps the answers of one target, not of several")
    if is_url:
        return [places.remote(endpoint, token)]
    if token is not None:
        raise WrongOption("handlerkit test: --token-from goes with the URL of an --endpoint")
    if not sources:
        raise WrongOption("handlerkit test: name an archive, or the URL of an --endpoint")
    if targets:
        return [places.servers("server", sources, target=target, progress=progress) for target in targets]
    if endpoint is not None:
        return [places.servers(endpoint, sources, progress=progress)]
    return [places.workers(sources)]


def _token(options: Mapping[str, Any]) -> str | None:
    name = options["token_from"]
    if name is not None and not os.environ.get(name):
        raise WrongOption(f"handlerkit test: --token-from: no variable {name!r} of the environment holds a text")
    return None if name is None else os.environ[name]
