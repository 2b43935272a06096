"""`handlerkit targets`: the environments that are kept, made and removed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from handlerkit.notebook.options import Parser, named

if TYPE_CHECKING:
    from handlerkit.targets.cache import Cached

_EXAMPLES = """examples:
  handlerkit targets
  handlerkit targets --build torchserve-0.12.0-cpu
  handlerkit targets --remove all"""


def parser() -> Parser:
    """One of --build, --remove and --json; without the first two, the environments are listed."""
    parser = Parser("handlerkit targets", "List, make and remove the environments that archives run in.", _EXAMPLES)
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--build", type=named, metavar="NAME", help="make the environment of a target: "
        "torchserve-0.12.0-cpu, torchserve-0.12.0-gpu, declared, or a requirements or lock file")  # fmt: skip
    either.add_argument("--remove", type=named, metavar="NAME", help="remove the environments of a target, or all")
    either.add_argument("--json", action="store_true", help="list them as JSON")
    return parser


def run(options: Mapping[str, Any]) -> int:
    """Do it, and say what is there."""
    if options["build"] is not None:
        return _build(options["build"])
    from handlerkit.targets import cache

    if options["remove"] is not None:
        for name in dict.fromkeys(cache.remove(options["remove"])):
            print(f"removed {name}")
        return 0
    kept = cache.cached()
    if options["json"]:
        print(json.dumps([_facts(one) for one in kept], indent=2))
        return 0
    print("\n".join(_table(kept)) if kept else "no environments are kept; --build NAME makes one")
    return 0


def _build(name: str) -> int:
    from handlerkit.cli.progress import steps
    from handlerkit.targets import find

    with steps() as progress:
        environment = find(name).build(progress=progress)
    print(environment)
    if environment.stands_in:
        print(environment.stands_in)
    return 0


def _facts(one: Cached) -> dict[str, Any]:
    """Sizes in bytes, and the time in UTC."""
    environment = one.environment
    return {
        "target": one.name,
        "python": environment.python_version,
        "torch": environment.packages.get("torch"),
        "size": one.size,
        "frees": one.frees,
        "last_used": datetime.fromtimestamp(one.last_used, UTC).isoformat(timespec="seconds"),
        "in_use": one.in_use,
        "stands_in": environment.stands_in,
        "interpreter": str(environment.interpreter),
    }


def _table(kept: Sequence[Cached]) -> list[str]:
    """Columns as wide as what is in them. An environment shares most of its files with uv's cache, so removing it frees
    less than it holds."""
    rows = [("target", "Python", "torch", "size", "frees", "last used", ""), *map(_row, kept)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(one: Cached) -> tuple[str, ...]:
    from handlerkit.formatting import byte_size

    environment = one.environment
    used = datetime.fromtimestamp(one.last_used).strftime("%Y-%m-%d %H:%M")
    torch = environment.packages.get("torch", "")
    notes = [*(["in use"] if one.in_use else []), *filter(None, [environment.stands_in])]
    sizes = byte_size(one.size), byte_size(one.frees)
    return one.name, environment.python_version, torch, *sizes, used, "; ".join(notes)
