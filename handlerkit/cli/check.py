"""`handlerkit check [MODEL ...] --target NAME`"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from handlerkit.cli import on_model
from handlerkit.notebook.commands import COMMANDS
from handlerkit.notebook.options import Parser

if TYPE_CHECKING:
    from handlerkit.check import Check
    from handlerkit.model import Model

#: What counts for the status, by --fail-on.
_COUNTED = {"warning": ("error", "warning"), "error": ("error",)}
_EXAMPLES = """The status is 1 if an error or a warning is found. Notes ("info") do not count.

examples:
  handlerkit check                                   # the models of handlerkit.toml
  handlerkit check model_store/*.mar --target torchserve-0.12.0-cpu
  handlerkit check segmenter.py --format github      # annotations of a pull request
  handlerkit check --fail-on error                   # a warning is shown, and passes
  handlerkit check model_store/coins.mar --target image.txt --json   # image.txt: pip freeze of your own image"""


def parser() -> Parser:
    """The options of %check, the form of what is written, and what the status is 1 for."""
    parser = COMMANDS["check"].parser("handlerkit check")
    parser.epilog = _EXAMPLES
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--format", choices=["text", "json", "github"], default="text",
        help="json: a list, also for one model; github: a line for each finding, which GitHub shows beside the "
        "code (text)")  # fmt: skip
    form.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    parser.add_argument("--fail-on", choices=[*_COUNTED], default="warning", help="the least that the status is 1 for "
        "(warning)")  # fmt: skip
    return parser


def run(options: Mapping[str, Any]) -> int:
    """Write what was found in each model; returns 1 if something among it counts.

    Raises ArchiveError and ModelError for those that cannot be read, when the others are written.
    """
    from handlerkit.check import check
    from handlerkit.cli.github import workflow_commands
    from handlerkit.errors import ArchiveError, ModelError

    found: dict[str, tuple[Check, Model | None]] = {}
    refused: list[str] = []
    for word, described in _models(options["models"]):
        target = options["target"] or described.get("target") or "declared"
        try:
            archive: str | None = described.get("archive")
            model = None if archive is not None else on_model.build(described)
            found[word] = check(model or str(archive), target=target), model
        except (ArchiveError, ModelError) as problem:
            refused.append(str(problem))
    checks = {word: one for word, (one, _) in found.items()}
    if options["format"] == "json":
        print(_as_json(checks))
    elif options["format"] == "github":
        for one, model in found.values():
            print("\n".join(workflow_commands(one, model)))
    elif found:
        print(_as_text(checks))
    if refused:
        raise ArchiveError("; ".join(refused))
    counted = _COUNTED[options["fail_on"]]
    return int(any(finding.severity in counted for one in checks.values() for finding in one.findings))


def _models(words: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """Each model as it was called, and its arguments of Session.model; a word that names none is taken for an
    archive, whose reader says what it is."""
    if not words:
        return [(model["name"], model) for model in on_model.every()]
    return [(word, on_model.named(word) or {"archive": word}) for word in words]


def _as_json(found: Mapping[str, Check]) -> str:
    facts = [{"archive": word, "ok": one.ok, **asdict(one)} for word, one in found.items()]
    return json.dumps(facts, indent=2)


def _as_text(found: Mapping[str, Check]) -> str:
    """Under their names if there are several, since archives may hold models of the same name."""
    from handlerkit.view.displays import view

    if len(found) == 1:
        return "".join(str(view(one)) for one in found.values())
    return "\n\n".join(f"{word}:\n{view(one)}" for word, one in found.items())
