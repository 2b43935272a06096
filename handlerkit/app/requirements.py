"""The requirements.txt of an app: what the code imports at the target's versions, and what the models require."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from handlerkit.app.imports import imported
from handlerkit.errors import ModelError
from handlerkit.model import Model
from handlerkit.targets import Target, official
from handlerkit.targets.distributions import Distribution, closure, installed
from handlerkit.targets.requirements import RequirementLine, lines_of_archive, parse_lines, pinned

#: What the runtime needs, whatever the handler imports.
_RUNTIME = {
    "torchserve": "torchserve==0.12.*  # the Python code of its workers; no Java is started",
    "httptools": "httptools>=0.6.1  # reads requests",
}
_KIT = "handlerkit"
#: A file instead of a distribution's name.
_PATH = re.compile(r"^[^@;]*(/|\.(whl|zip|tar\.gz)$)")


@dataclass(frozen=True)
class Requirements:
    """The lines of a requirements file, and what could not be told, a sentence each."""

    lines: tuple[str, ...]
    notes: tuple[str, ...]


def requirements(
    models: Sequence[Model], target: Target, more: Iterable[str] = (), envelope: str | None = None
) -> Requirements:
    """What an app of these models needs.

    Args:
        target: whose Python and versions are meant; a distribution that it does not pin is at the version installed
            here.
        more: lines that are added, and that count before all others.
        envelope: the service_envelope.

    Raises ModelError for code that imports this kit, and for models that pin the same distribution to two versions;
    TargetError for a requirements file that cannot be read.
    """
    here = _PackagesHere(target)
    lines: dict[str, str] = {**_RUNTIME, **dict([here.line("numpy")])}  # torch warns where it is missing
    notes: list[str] = []
    asked = _asked([(line, f"model/{model.name}/") for model in models for line in lines_of_archive(model)])
    asked |= _asked([(line, "") for line in parse_lines(tuple(more))])
    for model in models:
        for module, place in imported(model, envelope).items():
            name, line = here.line(module)
            if name == _KIT:
                raise ModelError(f"{place} of {model.name} imports {_KIT}, which an app does not hold: take it out")
            if name and name not in asked:
                lines.setdefault(name, line)
            elif not name and canonicalize_name(module.partition(".")[0]) not in asked:
                top = module.partition(".")[0]
                notes.append(f"{place} of {model.name} imports {top}, which no package installed here brings")
    for name in closure([Requirement(name) for name in lines], here.distributions):
        if (target.installs or name in official.PINS) and target.pins.get(name):  # what would else be the newest
            lines.setdefault(name, f"{name}=={target.pins[name].partition('+')[0]}")
    own = [line for name, line in sorted(lines.items()) if name not in asked]
    return Requirements((*own, *asked.values()), tuple(dict.fromkeys(notes)))


def _asked(lines: Iterable[tuple[RequirementLine, str]]) -> dict[str, str]:
    """Canonical name, or the text of what names no distribution -> its line. Paths become relative to the app's
    folder."""
    found: dict[str, str] = {}
    for line, folder in lines:
        one = line.requirement
        key = canonicalize_name(one.name) if one is not None else line.text
        text = _placed(line.text, folder) if one is None or _PATH.search(line.text) else line.text
        if one is not None and key in found and (pin := pinned(one)) and pin not in found[key] and "==" in found[key]:
            raise ModelError(f"the models require {found[key]} and {text}: save them as two apps")
        if key not in found or (one is not None and pinned(one)):
            found[key] = text
    return found


def _placed(text: str, folder: str) -> str:
    """A line with a path as it is named from the app's folder: `pip install -r requirements.txt` runs there."""
    if found := re.fullmatch(r"(-c|-e|-f|--find-links|--constraint)[ =]?\s*(.+)", text):
        return text if "://" in found[2] else f"{found[1]} {folder}{found[2]}"
    return text if text.startswith("-") or "://" in text else f"./{folder}{text}"


class _PackagesHere:
    """What is installed here, read once."""

    def __init__(self, target: Target) -> None:
        self.distributions = installed()
        self._target = target
        self._brings: dict[str, list[Distribution]] = {}
        for one in self.distributions.values():
            for module in one.modules:
                self._brings.setdefault(module, []).append(one)

    def line(self, module: str) -> tuple[str, str]:
        """The distribution that brings a module here, and its line; "" for none."""
        one = self._bringing(module)
        if one is None:
            return "", ""
        if one.is_editable and one.name != _KIT:
            return one.name, f"# {one.name}: installed from a folder here; put its files, or its wheel, here"
        version = self._target.pins.get(one.name) or (one.version if one.runs_on(self._target.python) else "")
        return one.name, f"{one.name}=={version.partition('+')[0]}" if version else one.name

    def _bringing(self, module: str) -> Distribution | None:
        found, path = self._brings.get(module.partition(".")[0], []), module.replace(".", "/")
        if len(found) > 1:  # a folder that several share, such as google
            for part in (path.rsplit("/", count)[0] for count in range(path.count("/"))):
                begins = (f"{part}/", f"{part}.")
                if closer := [one for one in found if any(file.startswith(begins) for file in one.files)]:
                    return closer[0]
        return found[0] if found else None
