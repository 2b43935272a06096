"""The requirements file, as pip reads it where TorchServe installs it: `pip install -U -t <model's folder> -r <file>`,
run in the server's own folder."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion

from handlerkit.check.subject import Subject
from handlerkit.messages import Finding
from handlerkit.targets import Target
from handlerkit.targets.distributions import installed
from handlerkit.targets.requirements import logical_lines, markers_environment, pinned
from handlerkit.why.findings.distributions import DISTRIBUTIONS

#: Options that a requirements file may hold; a value follows some of them.
_OPTIONS = frozenset(
    """
    -i --index-url --pypi-url --extra-index-url --no-index -c --constraint -r --requirement -e --editable -f
    --find-links --no-binary --only-binary --prefer-binary --require-hashes --pre --trusted-host --use-feature
    """.split()
)
#: What follows a requirement on its line: --hash=..., --config-settings=...
_BEHIND = re.compile(r"\s+--(hash|config-settings?|global-option|install-option)\b.*$")
_FILES = re.compile(r"(-r|--requirement|-c|--constraint)[ =]?\s*(.+)")
#: Modules that people name instead of their distribution, which has another name.
_MODULES = {module.lower(): distribution for module, distribution in DISTRIBUTIONS.items()}
_REFUSED = (
    "With install_py_dep_per_model=true, registering the model answers 400 'Custom pip package installation failed'."
)
_WHEELS = "Put the wheel into the archive (--extra-files), write --find-links . and the distribution's name."


#: What pip runs for a URL that begins so.
_PROGRAMS = {"git": "git", "hg": "Mercurial", "svn": "Subversion", "bzr": "Breezy"}
_INDEXES = re.compile(r"(-i|--index-url|--pypi-url|--extra-index-url|-f|--find-links)\b")


@dataclass(frozen=True)
class _RequiredLine:
    text: str
    place: str

    @property
    def requirement(self) -> Requirement | None:
        """None for an option, a path, and what cannot be parsed."""
        try:
            return Requirement(_BEHIND.sub("", self.text))
        except InvalidRequirement:
            return None


def syntax(subject: Subject, target: Target) -> Iterator[Finding]:
    """Lines that pip cannot read, and files they include that are missing."""
    for line in _lines(subject):
        if line.text.startswith("-"):
            yield from _option(line, subject)
        elif line.requirement is None and not _is_path(line.text):
            message = f"{line.text!r} is no requirement."
            yield Finding("requirement", message, line.place, _REFUSED, _correction(line.text))


def local_paths(subject: Subject, target: Target) -> Iterator[Finding]:
    """Paths on this machine, and paths that pip looks for in the server's folder."""
    for line in _lines(subject):
        url = line.requirement.url if line.requirement is not None else None
        path = url if url is not None else re.sub(r"^(-e|--editable)[ =]?\s*", "", line.text)
        if url is None and not _is_path(path):
            continue
        if remote := re.match(r"https?:|(git|hg|svn|bzr)\+", path):
            if remote[1]:
                message = f"pip needs {_PROGRAMS[remote[1]]} to fetch {path.partition('@')[0]!r}."
                effect = f"TorchServe's images do not have it. {_REFUSED}"
                fix = f"Install {_PROGRAMS[remote[1]]} there, or archive a wheel. {_WHEELS}"
                yield Finding("requirement_git", message, line.place, effect, fix, "warning")
            continue
        if path.startswith(("file:///", "/", "~")) or re.match(r"[A-Za-z]:[\\/]", path):
            message = f"{path.partition(' ')[0]!r} lies on one machine, and is not in the archive."
            yield Finding("local_requirement", message, line.place, _REFUSED, _WHEELS)
        else:
            message = f"pip looks for {path!r} in the folder where the server was started, not in the archive."
            yield Finding("local_requirement", message, line.place, _REFUSED, _WHEELS)


def wheels(subject: Subject, target: Target) -> Iterator[Finding]:
    """Wheels for another Python, or for another system than that of the images."""
    for line in _lines(subject):
        text = line.requirement.url if line.requirement is not None else line.text
        name = unquote(urlsplit(text or "").path.rpartition("/")[2])
        try:
            tags = parse_wheel_filename(name)[3] if name.endswith(".whl") else frozenset()
        except (InvalidWheelFilename, InvalidVersion):
            continue
        if tags and not any(_fits(tag, target.python) for tag in tags):
            python = ".".join(map(str, target.python))
            message = f"{name} was built for another Python or system than the target's (Python {python} on Linux)."
            fix = "Name a wheel for these, or the distribution and its version."
            yield Finding("requirement_wheel", message, line.place, _REFUSED, fix)


def _fits(tag: Tag, python: tuple[int, int]) -> bool:
    """Whether a wheel of this tag installs with that Python on Linux."""
    if tag.platform != "any" and "linux" not in tag.platform:
        return False
    found = re.fullmatch(r"(py|cp)3(\d*)", tag.interpreter)
    if found is None:
        return False
    exact = found[1] == "cp" and tag.abi not in ("abi3", "none")
    minor = int(found[2] or 0)
    return minor == python[1] if exact else minor <= python[1]


def wrong_names(subject: Subject, target: Target) -> Iterator[Finding]:
    """Names of modules instead of distributions."""
    for line, one in _required(subject, target):
        if (right := _MODULES.get(one.name.lower())) is not None:
            message = f"{one.name} is the name of a module; the distribution that brings it is {right}."
            yield Finding("requirement_name", message, line.place, _REFUSED, f"Write {right}.")


def contradictions(subject: Subject, target: Target) -> Iterator[Finding]:
    """Requirements that contradict each other, the target's pins, or its Python."""
    asked: dict[str, tuple[_RequiredLine, Requirement]] = {}
    has_index = any(_INDEXES.match(line.text) for line in _lines(subject))
    for line, one in _required(subject, target):
        name = canonicalize_name(one.name)
        if name in asked and (pin := pinned(one)) and (other := pinned(asked[name][1])) and pin != other:
            message = f"{one.name} is pinned to {pin} here and to {other} in {asked[name][0].place}."
            yield Finding("requirement_conflict", message, line.place, _REFUSED, "Keep one of the lines.")
        asked.setdefault(name, (line, one))
        there = target.pins.get(name, "")
        if "+" in (pin := pinned(one)) and not has_index:
            public = pin.partition("+")[0]
            message = f"{one.name}=={pin} is a build that PyPI does not have: what follows the + names it."
            fix = f"Write {one.name}=={public}, or a line --extra-index-url with the index that has it."
            yield Finding("requirement", message, line.place, _REFUSED, fix)
        elif there and one.url is None and not one.specifier.contains(there, prereleases=True):
            message = f"{one.name}{one.specifier} is asked for, and the target {target.name} has {there}."
            effect = (
                f"pip puts another {one.name} into the model's folder, which its worker takes in the target's place."
            )
            fix = f"Write {one.name}=={there}, or leave the line out; else prove the archive on this target (%verify)."
            yield Finding("requirement_pin", message, line.place, effect, fix, "warning")
        yield from _python(line, one, subject, target)


def _python(line: _RequiredLine, one: Requirement, subject: Subject, target: Target) -> Iterator[Finding]:
    """A pinned version that is installed here says which Pythons it is for."""
    here = installed().get(canonicalize_name(one.name))
    if here is None or pinned(one) != here.version or subject.packages(target).runs(here):
        return
    python = ".".join(map(str, target.python))
    message = f"{one.name} {here.version} is for Python {here.requires_python}, and the target has {python}."
    fix = f"Write a version that still runs on Python {python}, and try the handler with it."
    yield Finding("requirement_python", message, line.place, _REFUSED, fix)


def _option(line: _RequiredLine, subject: Subject) -> Iterator[Finding]:
    if included := _FILES.fullmatch(line.text):
        name = os.path.normpath(os.path.join(os.path.dirname(line.place.partition(",")[0]), included[2]))
        if "://" not in name and name not in subject.sizes:
            message = f"{included[2]} is included, and is not in the archive."
            yield Finding("requirement", message, line.place, _REFUSED, f"Add {included[2]} (--extra-files).")
        return
    word = re.split(r"[ =]", line.text, maxsplit=1)[0]
    if word not in _OPTIONS and not re.match(r"-[icref]\S", word):
        near = difflib.get_close_matches(word, _OPTIONS, 1)
        message = f"{word} is no option of a requirements file."
        fix = f"Did you mean {near[0]}?" if near else "Leave it out."
        yield Finding("requirement", message, line.place, _REFUSED, fix)


def _correction(text: str) -> str:
    if re.match(r"(pip|pip3|conda|uv|python -m pip)\s+\S*\s*install\b|(pip|pip3|conda) install\b", text):
        return "Write the names alone, one a line, without the command."
    if conda := re.fullmatch(r"([\w.-]+)\s*=\s*([\w.*]+)(=\w+)?", text):
        return f"Write {conda[1]}=={conda[2]}: pip wants two equal signs."
    if re.fullmatch(r"[\w.-]+(\s+[\w.-]+)+", text) or ("," in text and not re.search(r"[<>=!~]", text)):
        return "Write one distribution a line, as name==version."
    return "Write name==version, one distribution a line."


def _is_path(text: str) -> bool:
    if text.startswith("-"):
        return re.match(r"(-e|--editable)[ =]", text) is not None
    bare = text.partition(" ")[0]
    return "/" in bare or bare.startswith((".", "file:")) or bare.endswith((".whl", ".tar.gz", ".zip"))


def _required(subject: Subject, target: Target) -> Iterator[tuple[_RequiredLine, Requirement]]:
    """The lines that name distributions, and that count for the target's Python."""
    environment = dict(markers_environment(target.python))
    for line in _lines(subject):
        one = line.requirement
        if one is not None and (one.marker is None or one.marker.evaluate(environment)):
            yield line, one


def _lines(subject: Subject) -> Iterator[_RequiredLine]:
    name = subject.said.get("requirementsFile")
    if isinstance(name, str) and name in subject.sizes:
        yield from _of_file(subject, name, ())


def _of_file(subject: Subject, name: str, within: tuple[str, ...]) -> Iterator[_RequiredLine]:
    """A file's lines, and those of the files that it includes."""
    content = subject.read(name)
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    for number, text in logical_lines(content.decode(encoding, "replace")):
        yield _RequiredLine(text, f"{name}, line {number}")
        included = re.fullmatch(r"(-r|--requirement)[ =]?\s*(.+)", text)
        inner = os.path.normpath(os.path.join(os.path.dirname(name), included[2])) if included else ""
        if inner in subject.sizes and inner not in (*within, name):
            yield from _of_file(subject, inner, (*within, name))


#: In the order in which they are asked.
REQUIREMENT_RULES = (syntax, local_paths, wheels, wrong_names, contradictions)
