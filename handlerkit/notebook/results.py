"""What the session's functions return beside Runs and Reports: short facts that print well."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handlerkit.check import Check
from handlerkit.formatting import byte_size, duration, visible
from handlerkit.messages import Finding
from handlerkit.model import Model
from handlerkit.view.checks import drawn
from handlerkit.view.displays import view
from handlerkit.view.html.elements import escape, page
from handlerkit.view.output import View


@dataclass(frozen=True)
class Described:
    """What the archive of a model will hold, and the name of the target that it is to run in."""

    name: str
    version: str
    handler: str
    files: tuple[tuple[str, str, int], ...]
    target: str = "declared"

    @classmethod
    def of(cls, model: Model, target: str) -> Described:
        """The facts of a model; files as (option, name in the archive, bytes)."""
        files = tuple((entry.option, entry.name, entry.source.stat().st_size) for entry in model.entries())
        return cls(model.name, model.version, model.handler, files, target)

    def __repr__(self) -> str:
        lines = [f"{self.name} {self.version}, handler {self.handler}{_for(self.target)}"]
        for option, name, size in self.files:
            lines.append(f"  {_OPTIONS.get(option, option):12} {name} ({byte_size(size)})")
        return visible("\n".join(lines))


_OPTIONS = {
    "handler_file": "handler",
    "serialized_file": "weights",
    "model_file": "model file",
    "extra_files": "extra file",
    "requirements_file": "requirements",
    "config_file": "config",
}


@dataclass(frozen=True)
class Awaiting:
    """A model whose handler is still to be written, the name of the target that it will run in, and a line to add."""

    name: str
    files: tuple[str, ...]
    target: str = "declared"
    note: str = ""

    def __repr__(self) -> str:
        files = f" with {', '.join(self.files)}" if self.files else ""
        head = f"{self.name}{files}{_for(self.target)}; its handler is still to come: write it in a %%handler cell"
        return "\n".join(filter(None, [head, self.note]))


def _for(target: str) -> str:
    """A target that is not the default one, at the end of a model's first words."""
    return "" if target == "declared" else f", target {target}"


@dataclass(frozen=True)
class Ready:
    """A handler that loaded: what TorchServe's loader found, what it did, how long it took, and what it set aside."""

    model: str
    found: str
    reason: str
    seconds: float
    logs: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    def __repr__(self) -> str:
        comma = "," if ":" in self.reason else ""
        head = f"{self.model}: {self.found}, {self.reason}{comma} in {duration(self.seconds)}"
        told = [*_without_warnings(self.logs), *(f"note: {finding}" for finding in self.findings)]
        return visible("\n".join([head, *(f"  {line}" for line in told)]))


#: A Python warning about a line of an installed package: nothing the handler's author wrote.
_PACKAGES_WARNING = re.compile(r"[\w.-]+/\S+\.py:\d+: \w+: ")


def _without_warnings(lines: tuple[str, ...]) -> Iterator[str]:
    """The lines except for warnings of installed packages, and the line of source below each."""
    warned = False
    for line in lines:
        source, warned = warned and line.startswith("  "), bool(_PACKAGES_WARNING.match(line))
        if not (warned or source):
            yield line


@dataclass(frozen=True)
class Written:
    """A helper module that travels with the model."""

    file: str
    model: str
    reloaded: Ready | None = None

    def __repr__(self) -> str:
        head = f"{self.file} travels with {self.model}"
        return head if self.reloaded is None else f"{head}\n{self.reloaded!r}"


@dataclass(frozen=True)
class Exported:
    """An archive that was written.

    Attributes:
        path: where it is.
        size: bytes.
        files: their names in it.
        check: what was found before it was written; None if the check failed.
        notes: what else happened, a line each.
    """

    path: Path
    size: int
    files: tuple[str, ...]
    check: Check | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "\n".join([*self._lines(), *([str(view(self.check))] if self._found() else [])])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Text; what the check found is drawn below it."""
        shown = View(repr(self), page(*(f"<div>{escape(line)}</div>" for line in self._lines()), *self._drawn()))
        bundle = shown._repr_mimebundle_(include, exclude)
        return bundle if self._found() else {kind: said for kind, said in bundle.items() if kind == "text/plain"}

    def _lines(self) -> list[str]:
        return [f"{self.path} ({byte_size(self.size)}): {', '.join(self.files)}", *self.notes]

    def _found(self) -> bool:
        """A check that found nothing gets no word."""
        return self.check is not None and bool(self.check.findings)

    def _drawn(self) -> list[str]:
        return drawn(self.check) if self.check is not None else []
