"""What would break elsewhere: reads a model or an archive, and runs, imports and unpickles nothing of it.

    check = hk.check(model, target="torchserve-0.12.0-cpu")     # or an archive: hk.check("coins.mar")
    check.ok, check.findings

subject.py      what rules read: the manifest, the files by their names in the archive, the code that can run
code/           the code of an archive, read as text: what is reached from the handler, what an expression evaluates to
packages.py     what can be imported in a target once the archive's requirements are installed there
weights/        what a file of weights holds, read from its bytes
loading.py      how the handler loads its weights, as far as its source says
requirements.py what the imports of a handler ask for, as lines of a requirements file
there.py        the versions and files of what the target has, where they can be known without building it
rules/          one file for each subject, each with rules: functions (Subject, Target) -> Iterator[Finding]
                (rules/__init__.py lists them, and says how to add one)

It may import endpoints, targets, why, unpack and below, but no torch, ts or numpy: neither importing this nor checking
loads them. A new rule goes into rules/, the facts that it needs of the code or the weights into those folders.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import get_args

from handlerkit.check.rules import RULES, Rule
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding, Run, Severity
from handlerkit.model import Model, PathLike
from handlerkit.targets import Target, find

__all__ = ["Check", "check"]

#: What rules look at, in words, where their file has another name.
_WORDS = {
    "names": "undefined names", "labels": "JSON files", "surroundings": "environment variables",
    "package_names": "names of packages", "shadows": "shadowed modules", "operators": "TorchScript operators",
    "onnx": "ONNX versions", "hubs": "folders of hubs", "ran": "warnings of runs",
    "settings": "manifest", "sizes": "sizes of answers",
}  # fmt: skip
_SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True)
class Check:
    """What was found in a model, the errors first; true if there is no error.

    Attributes:
        name: the model's.
        target: the name of the environment that it was checked for.
        findings: what would break, change or be lost there.
        environment: what the target holds, such as "Python 3.9, torch 2.4.0".
        subjects: what was looked at, such as "imports" and "environment variables".
    """

    name: str
    target: str
    findings: tuple[Finding, ...] = ()
    environment: str = ""
    subjects: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """No finding is an error."""
        return all(finding.severity != "error" for finding in self.findings)

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        counts = Counter(finding.severity for finding in self.findings)
        found = ", ".join(_counted(counts[kind], kind) for kind in _SEVERITIES if counts[kind])
        return f"<Check {self.name} for {self.target}: {found or 'no findings'}>"


def check(model_or_archive: Model | PathLike, *, target: PathLike = "declared", runs: Sequence[Run] = ()) -> Check:
    """Read a model's files, and say what would break in an environment.

    Args:
        model_or_archive: a Model, or an archive in any of the four formats (`.mar`, `.tar.gz` or a folder).
        target: the environment: declared, torchserve-0.12.0-cpu, torchserve-0.12.0-gpu, here, or a requirements or lock
            file. Nothing is built for this; what only a built environment tells is left out where it is not there.
        runs: answers of a Worker to this model, for what was seen while the handler ran.

    Raises ArchiveError for a path that holds no archive, TargetError for a target that is not known, TypeError for what
    is neither a Model nor a path.
    """
    if not isinstance(model_or_archive, Model | str | os.PathLike):
        raise TypeError(f"check takes a Model or the path of an archive, not {type(model_or_archive).__name__}")
    if not isinstance(target, str | os.PathLike):
        raise TypeError(f"a target is a name or the path of a requirements file, not {type(target).__name__}")
    environment = find(target)
    with closing(Subject.of(model_or_archive, runs)) as subject:
        findings = [finding for rule in RULES for finding in _apply(rule, subject, environment)]
        findings.sort(key=lambda finding: _SEVERITIES.index(finding.severity))
        files = dict.fromkeys(rule.__module__.rpartition(".")[2] for rule in RULES)
        subjects = [_WORDS.get(file, file.replace("_", " ")) for file in files]
        return Check(
            subject.name, environment.name, tuple(dict.fromkeys(findings)), _holds(environment), tuple(subjects)
        )


def _apply(rule: Rule, subject: Subject, target: Target) -> Iterator[Finding]:
    """A rule's findings. What a rule itself raises, on files that nobody thought of, is a finding too: it hides neither
    the others' findings nor that this one did not look at everything."""
    try:
        yield from rule(subject, target)
    except Exception as problem:
        message = f"The rule {rule.__name__!r} failed, so what it looks for is not checked: {_told(problem)}."
        fix = "Look at that yourself, and report this: it is a fault of the kit."
        yield Finding("unchecked", message, fix=fix, severity="warning")


def _holds(target: Target) -> str:
    torch = target.pins.get("torch")
    return f"Python {'.'.join(map(str, target.python))}" + (f", torch {torch}" if torch else "")


def _told(problem: Exception) -> str:
    text = " ".join(str(problem).split())
    return f"{type(problem).__name__}: {text}" if text else type(problem).__name__


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 or word == "info" else f"{count} {word}s"
