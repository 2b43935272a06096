"""What the session's functions return beside Runs and Reports: short facts that print well."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handlerkit.check import Check
from handlerkit.formatting import byte_size, duration, visible
from handlerkit.messages import Finding
from handlerkit.model import Model
from handlerkit.view.checks import drawn
from handlerkit.view.displays import view
from handlerkit.view.html.elements import escape, headline, page, table
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
        below = [*_without_warnings(self.logs), *(f"note: {finding}" for finding in self.findings)]
        return visible("\n".join([head, *(f"  {line}" for line in below)]))


#: Files of a folder that are listed one by one.
_LISTED = 8
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
class SavedModel:
    """A file that describes a model from now on."""

    path: Path
    model: str

    def __repr__(self) -> str:
        again = f"%model {self.model} --file {self.path}"
        return f"{self.path} describes {self.model}: {again} reads it, and handlerkit on the command line"


@dataclass(frozen=True)
class _Exported:
    """What was written, with what was found before.

    Attributes:
        check: None if the check failed.
        failure: the sentence that the handler does not load; "" if it does.
        notes: what else happened, a line each.
    """

    check: Check | None = field(default=None, kw_only=True)
    failure: str = field(default="", kw_only=True)
    notes: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def ok(self) -> bool:
        """The check was made and found no error, and the handler loads."""
        return bool(self.check) and not self.failure

    def _lines(self) -> list[str]:
        """The text, without what the check found."""
        raise NotImplementedError

    def _page(self) -> list[str]:
        """The parts of the page, without what the check found."""
        return [f"<div>{escape(line)}</div>" for line in self._lines()]

    def __repr__(self) -> str:
        return "\n".join([*self._lines(), *([str(view(self.check))] if self._found() else [])])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return View(repr(self), page(*self._page(), *self._drawn()))._repr_mimebundle_(include, exclude)

    def _found(self) -> bool:
        """A check that found nothing gets no word."""
        return self.check is not None and bool(self.check.findings)

    def _drawn(self) -> list[str]:
        return drawn(self.check) if self.check is not None else []


@dataclass(frozen=True, repr=False)
class Exported(_Exported):
    """An archive that was written.

    Attributes:
        path: where it is.
        size: bytes.
        files: their names in it.
    """

    path: Path
    size: int
    files: tuple[str, ...]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Text; what the check found is drawn below it."""
        bundle = super()._repr_mimebundle_(include, exclude)
        return bundle if self._found() else {kind: said for kind, said in bundle.items() if kind == "text/plain"}

    def _lines(self) -> list[str]:
        return [f"{self.path} ({byte_size(self.size)}): {', '.join(self.files)}", *self.notes]


@dataclass(frozen=True, repr=False)
class ExportedApp(_Exported):
    """An app that was written.

    Attributes:
        path: its folder.
        files: their names in it, each with its bytes.
    """

    path: Path
    files: tuple[tuple[str, int], ...]

    @property
    def commands(self) -> tuple[tuple[str, str], ...]:
        """What starts it, and where."""
        name = re.sub(r"[^a-z0-9]+", "-", self.path.name.lower()).strip("-")
        return (
            ("here", f"cd {shlex.quote(str(self.path))} && pip install -r requirements.txt && python app.py"),
            ("in a container", f"docker build -t {name} . && docker run -p 8080:8080 -e SERVING_TOKEN=... {name}"),
            ("on Ray", "serve run deploy/serve.yaml"),
        )

    def _rows(self) -> list[tuple[str, str]]:
        """Each file and its size; the runtime, and a folder of many files, in one row."""
        folders: dict[str, list[int]] = {}
        for name, size in self.files:
            folders.setdefault(name.rpartition("/")[0], []).append(size)
        rows: dict[str, str] = {}
        for name, size in self.files:
            folder, sizes = name.rpartition("/")[0], folders[name.rpartition("/")[0]]
            if folder and (folder.split("/")[0] == "serving" or len(sizes) > _LISTED):
                rows[f"{folder}/"] = f"{byte_size(sum(sizes))}, {len(sizes)} files"
            else:
                rows[name] = byte_size(size)
        return list(rows.items())

    def _head(self) -> str:
        return f"{self.path} ({byte_size(sum(size for _, size in self.files))})"

    def _lines(self) -> list[str]:
        wide = max((len(name) for name, _ in self._rows()), default=0)
        files = [f"  {name:{wide}}  {size}" for name, size in self._rows()]
        return [self._head(), *files, *(f"{where}: {command}" for where, command in self.commands), *self.notes]

    def _page(self) -> list[str]:
        starts = table("start it", self.commands)
        notes = "".join(f"<div>{escape(note)}</div>" for note in self.notes)
        return [headline(self._head()), table("", self._rows()), starts, notes]
