"""What the tests of the catalogue share: a case, a worker for it, and which rules spoke."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handlerkit import why
from handlerkit.endpoints.worker import Worker
from handlerkit.messages import Finding, Request
from handlerkit.model import Model
from handlerkit.why.rules import loading, raised, warnings

CLASS = "class H:\n    def initialize(self, context): pass\n    def handle(self, data, context):\n        "
BASE = "from ts.torch_handler.base_handler import BaseHandler\nclass H(BaseHandler): pass\n"
NET = Path(__file__).parents[1] / "golden" / "nets"

#: Where each list of rules is looked up, and the rules that stand alone.
LISTS = [
    (loading, "LOAD_RULES"),
    (raised, "RAISE_RULES"),
    (why, "ANSWER_RULES"),
    (why, "RETURN_RULES"),
    (why, "REMOTE_RETURN_RULES"),
    (warnings, "ASKED_RULES"),
    (warnings, "NOTED_RULES"),
    (warnings, "ROW_RULES"),
    (warnings, "METRIC_RULES"),
    (warnings, "QUIET_ENVELOPE_RULES"),
]
ALONE = ["batch_waits", "late_head", "timeout_not_in_force"]


@dataclass(frozen=True)
class Case:
    """A handler's source, what is sent to it, and what the finding says."""

    rule: str
    name: str
    source: str
    what: str
    where: str = ""
    change: str = ""
    request: Request | tuple[Request, ...] = field(default_factory=lambda: Request.json({"a": 1}))
    model: dict[str, Any] = field(default_factory=dict)
    worker: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.rule}-{self.what[:30]}"


def body(statement: str) -> str:
    """A handler whose handle, in line 4, is that statement."""
    return CLASS + statement + "\n"


def start(case: Case, folder: Path) -> Worker:
    """In this process, where `watched` sees the rules, unless the case says otherwise. Raises LoadError where it does
    not load."""
    (folder / "h.py").write_text(case.source)
    (folder / "net.py").write_text("import torch\nclass Cls(torch.nn.Module): pass\n")
    given = dict(case.model)
    for name, text in case.extra.items():
        (folder / name).write_text(text)
    extra = [folder / name for name in case.extra if name not in given.values() and name != given.get("handler")]
    handler = f"{folder}/{given.pop('handler', 'h.py')}"
    files = {option: folder / file if isinstance(file, str) else file for option, file in given.items()}
    return Worker(Model("m", handler=handler, extra_files=extra, **files), **{"in_process": True, **case.worker})


def watched(names: list[str]) -> Iterator[tuple[Any, str, Any]]:
    """(module, attribute, value): the catalogue with rules that tell their name when they give a finding."""

    def telling(rule: Any) -> Any:
        @functools.wraps(rule)
        def rule_that_tells(seen: why.Evidence) -> Finding | None:
            found: Finding | None = rule(seen)
            names.extend([rule.__name__] if found else [])
            return found

        return rule_that_tells

    for module, attribute in LISTS:
        yield module, attribute, tuple(map(telling, getattr(module, attribute)))
    for attribute in ALONE:
        yield warnings, attribute, telling(getattr(warnings, attribute))


def check(case: Case, finding: Finding) -> None:
    """The finding is the case's, names a place where there is one, and is made of whole sentences."""
    assert finding.name == case.name
    assert case.what in finding.message
    assert finding.where.startswith(case.where)
    assert bool(finding.where) == bool(case.where)
    assert case.change in finding.fix
    assert all(text.endswith((".", "?")) for text in (finding.message, finding.fix or ".", finding.effect)), finding
    assert "0x7" not in finding.message
