"""Files of the archive that shadow installed modules: model_dir comes first in a worker's sys.path."""

from __future__ import annotations

from collections.abc import Iterator

from handlerkit.check.code.standard_library import BUILT_IN, IMPORTED_BY_WORKERS
from handlerkit.check.packages import Packages
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding
from handlerkit.targets import Target

#: What a worker has imported when it comes to the handler, beside the standard library.
_PACKAGES = frozenset("numpy psutil torch torchgen ts typing_extensions yaml".split())
_DIES = "The worker, TorchServe or torch imports the archive's file instead of it, and the worker dies at its start."
_OTHERS = "All that imports it in the worker, torch and TorchServe too, gets the archive's instead."


def shadowed_modules(subject: Subject, target: Target) -> Iterator[Finding]:
    """Files with the name of a module that something else in the worker imports."""
    program, packages = subject.program(target.python), subject.packages(target)
    for top, held in program.tops.items():
        if top in IMPORTED_BY_WORKERS:
            message = f"{held} shadows the module {top} of the standard library."
        elif top in _PACKAGES and not _is_copy(top, subject, packages):
            message = f"{held} shadows the installed {top}."
        else:
            continue
        yield Finding("shadowed_module", message, held, _DIES, f"Rename {held}.")


def shadowed_packages(subject: Subject, target: Target) -> Iterator[Finding]:
    """Files with the name of an installed package from which the archive's code takes what they do not have."""
    program, packages = subject.program(target.python), subject.packages(target)
    reported: set[str] = set()
    for one in program.imports:
        top = one.module.partition(".")[0]
        held = program.tops.get(top)
        if held is None or one.level or top in reported | IMPORTED_BY_WORKERS | BUILT_IN | _PACKAGES:
            continue
        if one.source.file == held:
            message = f"{held} imports itself: it shadows the installed {top}."
        elif program.resolve(one.module) is None or lacks(subject, target, one.module, one.name):
            what = f"{one.module}.{one.name}" if one.name else one.module
            message = f"{held} shadows the installed {top}, and has no {what.removeprefix(f'{top}.')}."
        else:
            continue
        if not comes_first(top, packages) or _is_copy(top, subject, packages):
            continue
        reported.add(top)
        yield Finding("shadowed_module", message, one.place, _OTHERS, f"Rename {held}.")


def built_in_modules(subject: Subject, target: Target) -> Iterator[Finding]:
    """Files with the name of a module that is inside the interpreter, which comes before every file."""
    program = subject.program(target.python)
    for one in program.imports:
        held = program.tops.get(one.module)
        if held is None or one.module not in BUILT_IN or not held.endswith(".py"):
            continue
        if one.name and one.name != "*" and one.name in subject.source(held).names:
            message = f"`{one.module}` is inside the interpreter, so {held} of the archive is not imported."
            effect = f"{one.name} is not found in Python's own {one.module}."
            yield Finding("shadowed_module", message, one.place, effect, f"Rename {held}.")


def comes_first(top: str, packages: Packages) -> bool:
    """Whether something in the worker, or in this environment, has a module of that name too."""
    return packages.verdict(top) == "there" or packages.installed(top) is not None


def lacks(subject: Subject, target: Target, module: str, name: str) -> bool:
    """Whether a module of the archive is known to have no such name or module in it."""
    program = subject.program(target.python)
    if name in ("", "*") or program.resolve(f"{module}.{name}") is not None:
        return False
    files = [file for found, file in program.resolve(module) or () if found == module]
    if not files:
        return False
    source = subject.source(files[-1])
    return source.problem is None and not source.is_open and name not in source.names


def _is_copy(top: str, subject: Subject, packages: Packages) -> bool:
    """Whether the archive brings the whole of the installed module, as a copy or another version of it."""
    if (here := packages.installed(top)) is None:
        return False
    modules = [file for file in here.files if file.endswith(".py") and file.partition("/")[0] in (top, f"{top}.py")]
    having = [file for file in modules if file in subject.sizes]
    if modules == [f"{top}.py"]:
        return bool(having) and subject.sizes[having[0]] > 2000
    return len(having) > len(modules) / 2


SHADOW_RULES = (shadowed_modules, shadowed_packages, built_in_modules)
