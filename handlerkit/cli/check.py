"""`handlerkit check ARCHIVE --target NAME`"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from handlerkit.notebook.parsers import Parser, check_parser

_EXAMPLES = """examples:
  handlerkit check model_store/coins.mar
  handlerkit check model_store/coins.mar --target torchserve-0.12.0-cpu
  handlerkit check model_store/coins.mar --target image.txt --json   # image.txt: pip freeze of your own image"""


def parser() -> Parser:
    """The options of %check, and --json."""
    parser = check_parser("handlerkit check", _EXAMPLES)
    parser.add_argument("--json", action="store_true", help="write what was found as JSON")
    return parser


def run(options: Mapping[str, Any]) -> int:
    """Write what was found; returns 1 if there is an error among it."""
    from handlerkit.check import check

    found = check(options["archive"], target=options["target"] or "declared")
    if options["json"]:
        facts = asdict(found)
        print(json.dumps({"ok": found.ok, **facts, "findings": facts.pop("findings")}, indent=2))
    else:
        from handlerkit.view.render import view

        print(view(found))
    return 0 if found.ok else 1
