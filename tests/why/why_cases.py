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
from handlerkit.why import warnings
from handlerkit.why.evidence import Rule
from handlerkit.why.rules import answers, loading, raised, return_value

CLASS = "class H:\n    def initialize(self, context): pass\n    def handle(self, data, context):\n        "
BASE = "from ts.torch_handler.base_handler import BaseHandler\nclass H(BaseHandler): pass\n"
NET = Path(__file__).parents[1] / "golden" / "nets"

#: The files whose rules explain a failure.
CAUSES = (loading, raised, answers, return_value)


@dataclass(frozen=True)
class Case:
    """A handler's source, what is sent to it, and what the finding says."""

    rule: str
    name: str
    source: str
    message: str
    where: str = ""
    fix: str = ""
    request: Request | tuple[Request, ...] = field(default_factory=lambda: Request.json({"a": 1}))
    model: dict[str, Any] = field(default_factory=dict)
    worker: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.rule}-{self.message[:30]}"


def body(statement: str) -> str:
    """A handler whose handle, in line 4, is that statement."""
    return CLASS + statement + "\n"


def initialize(statement: str) -> str:
    """A handler that derives from BaseHandler, whose initialize is that statement, in line 4."""
    return BASE.replace(" pass\n", f"\n    def initialize(self, context):\n        {statement}\n")


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
    """(module, attribute, value): the catalogue with rules that add their name to `names` when they give a finding."""

    def telling(rule: Rule) -> Rule:
        @functools.wraps(rule)
        def rule_that_tells(evidence: why.Evidence) -> Finding | None:
            found = rule(evidence)
            names.extend([rule.__name__] if found else [])
            return found

        return rule_that_tells

    for module in CAUSES:
        yield module, "RULES", tuple(map(telling, module.RULES))
    subjects = [subject._replace(rules=tuple(map(telling, subject.rules))) for subject in warnings.SUBJECTS]
    yield warnings, "SUBJECTS", subjects


def check(case: Case, finding: Finding) -> None:
    """The finding is the case's, names a place where there is one, and is made of whole sentences."""
    assert finding.name == case.name
    assert case.message in finding.message
    assert finding.where.startswith(case.where)
    assert bool(finding.where) == bool(case.where)
    assert case.fix in finding.fix
    assert all(text.endswith((".", "?")) for text in (finding.message, finding.fix or ".", finding.effect)), finding
    assert "0x7" not in finding.message
