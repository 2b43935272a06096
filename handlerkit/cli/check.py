"""`handlerkit check ARCHIVE ... --target NAME`"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from handlerkit.notebook.commands import COMMANDS
from handlerkit.notebook.options import Parser

if TYPE_CHECKING:
    from handlerkit.check import Check

_EXAMPLES = """examples:
  handlerkit check model_store/coins.mar
  handlerkit check model_store/*.mar --target torchserve-0.12.0-cpu
  handlerkit check model_store/coins.mar --target image.txt --json   # image.txt: pip freeze of your own image"""


def parser() -> Parser:
    """The options of %check, and --json."""
    parser = COMMANDS["check"].parser("handlerkit check")
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "--json", action="store_true", help="write what was found as JSON: a list, also for one archive"
    )
    return parser


def run(options: Mapping[str, Any]) -> int:
    """Write what was found in each archive; returns 1 if there is an error among it.

    Raises ArchiveError for those that cannot be read, when the others are written.
    """
    from handlerkit.check import check
    from handlerkit.errors import ArchiveError

    found: dict[str, Check] = {}
    refused: list[str] = []
    for archive in options["archives"]:
        try:
            found[archive] = check(archive, target=options["target"] or "declared")
        except ArchiveError as problem:
            refused.append(str(problem))
    if found:
        print(_as_json(found) if options["json"] else _as_text(found))
    if refused:
        raise ArchiveError("; ".join(refused))
    return 0 if all(found.values()) else 1


def _as_json(found: Mapping[str, Check]) -> str:
    facts = [{"archive": archive, "ok": one.ok, **asdict(one)} for archive, one in found.items()]
    return json.dumps(facts, indent=2)


def _as_text(found: Mapping[str, Check]) -> str:
    """Under the archives' names if there are several, since they may hold models of the same name."""
    from handlerkit.view.displays import view

    if len(found) == 1:
        return "".join(str(view(one)) for one in found.values())
    return "\n\n".join(f"{archive}:\n{view(one)}" for archive, one in found.items())
