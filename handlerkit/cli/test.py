"""`handlerkit test [MODEL ...]`: the cases that were kept, run where they are to hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from handlerkit.notebook.commands import COMMANDS
from handlerkit.notebook.options import Parser, WrongOption

if TYPE_CHECKING:
    from handlerkit.cases.places import Place, RegisteredModel

_EXAMPLES = """examples:
  handlerkit test                                                    # the models of handlerkit.toml
  handlerkit test model_store/*.mar --target torchserve-0.12.0-cpu --target here
  handlerkit test --endpoint coins-app                               # starts the app that export --to app wrote
  handlerkit test --endpoint https://staging.example --token-from STAGING_TOKEN --report page.html
  handlerkit test model_store/coins.mar --from visit.har --rtol 1e-4 --accept"""


def parser() -> Parser:
    """The options of %test, and the models."""
    parser = COMMANDS["test"].parser("handlerkit test")
    parser.epilog = _EXAMPLES
    return parser


def run(options: dict[str, Any]) -> int:
    """Run them; returns 1 if an answer is not as it was kept."""
    from handlerkit.cases import accept, run_cases
    from handlerkit.cases.recordings import find_cases, for_new
    from handlerkit.cli.output import write
    from handlerkit.cli.progress import steps
    from handlerkit.verify import MayDiffer
    from handlerkit.view.cases import write_report

    token = _token(options)
    known = [token] if token else []
    models = _models(options)
    may_differ = MayDiffer(**{key: options[key] for key in ("ignore", "rtol", "levels", "pixels", "iou")})
    # without a model on the line, a case of another model is one that cannot run: its model may have been renamed
    named = [*models] if options["models"] else None
    found = find_cases(options["folder"], options["from_"], named, next(iter(models)) if len(models) == 1 else "")
    found = for_new(found, options["from_"], may_differ, options["secrets"])
    with steps() as progress, ExitStack() as stack:
        where = _places(options, models, token, progress)
        for place in where:
            stack.callback(place.close)
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


def _models(options: Mapping[str, Any]) -> Mapping[str, RegisteredModel]:
    """Those that are named. A URL and an app need none: they have their own."""
    from handlerkit.cases.places import has_models
    from handlerkit.cli.setups import setups

    endpoint = options["endpoint"]
    own = endpoint is not None and has_models(endpoint)
    return {} if own and not options["models"] else setups(options["models"])


def _places(
    options: Mapping[str, Any],
    models: Mapping[str, RegisteredModel],
    token: str | None,
    progress: Callable[[str], None],
) -> list[Place]:
    """Raises WrongOption for a combination that means nothing."""
    from handlerkit.cases import places

    endpoint, targets = options["endpoint"], options["targets"]
    if targets and endpoint not in (None, "server"):
        raise _wrong("--target is an environment of TorchServe: leave it or --endpoint out")
    if options["accept"] and len(targets) > 1:
        raise _wrong("--accept keeps the answers of one target, not of several")
    if token is not None and "://" not in (endpoint or ""):
        raise _wrong("--token-from goes with the URL of an --endpoint")
    if targets:
        return [places.servers("server", models, target=target, progress=progress) for target in targets]
    if endpoint is not None:
        return [places.named(endpoint, models, token=token, progress=progress)]
    return [places.workers(models)]


def _token(options: Mapping[str, Any]) -> str | None:
    name = options["token_from"]
    if name is not None and not os.environ.get(name):
        raise _wrong(f"--token-from: no variable {name!r} of the environment holds a text")
    return None if name is None else os.environ[name]


def _wrong(what: str) -> WrongOption:
    return WrongOption(f"handlerkit test: {what}")
