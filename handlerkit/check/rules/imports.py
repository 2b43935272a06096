"""Every import that can run: in the archive, in the standard library, in the target, or missing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from packaging.utils import canonicalize_name

from handlerkit.check.code import standard_library
from handlerkit.check.code.program import Import, Program
from handlerkit.check.code.source import SourceFile, dotted, text_of
from handlerkit.check.packages import Packages, Verdict
from handlerkit.check.rules.effects import when
from handlerkit.check.rules.shadows import comes_first, lacks
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding, Severity
from handlerkit.targets import Target

_Attempt = ast.Try | ast.TryStar | ast.With
_ERRORS = ("ImportError", "ModuleNotFoundError")
_WITH_TK = ("tkinter", "turtle", "turtledemo", "idlelib")
#: What TorchServe's own handlers import, beside the target base.
_NEEDED_BY = {
    "dali_image_classifier": ("nvidia.dali", "nvidia-dali-cuda120"),
    "vllm_handler": ("vllm", "vllm"),
    "trt_llm_handler": ("tensorrt_llm", "tensorrt-llm"),
}


def missing_modules(subject: Subject, target: Target) -> Iterator[Finding]:
    """Modules that are neither in the archive nor in the target."""
    program, packages = subject.program(target.python), subject.packages(target)
    reported: set[str] = set()
    for one in program.imports:
        if one.module.startswith(".") or (verdict := _verdict(one, program, packages)) == "there":
            continue
        top = one.module.partition(".")[0]
        if top in program.tops and comes_first(top, packages):
            continue  # meant is another module, as is said of it
        if top in reported or (severity := _severity(one, program, packages, verdict)) is None:
            continue
        reported.add(top)
        found = _flattened(one, program, packages) or _missing(one, subject, target, packages, verdict)
        yield Finding("missing_module", *found, severity=severity)


def relative_imports(subject: Subject, target: Target) -> Iterator[Finding]:
    """Relative imports in files that TorchServe, or the handler, imports as top-level modules."""
    program = subject.program(target.python)
    for one in program.imports:
        if not one.level or not one.module.startswith(".") or _is_optional(one, program):
            continue
        written = one.module if one.module.strip(".") else f"{one.module} import {one.name}"
        message = f"`from {written}` is relative, and {one.source.file} is imported as a module that is in no package."
        wanted = (one.module.lstrip(".") or one.name).partition(".")[0]
        line = f"from {one.module.lstrip('.')} import ..." if one.module.strip(".") else f"import {one.name}"
        fix = f"Write `{line}`: {wanted}.py is beside it in the archive's root."
        if wanted not in program.tops:
            fix = f"Write `{line}`, and put {wanted}.py into the archive (extra_files)."
        yield Finding("relative_import", message, one.place, _effect(one, program), fix, _or_warning(one))


def names_of_modules(subject: Subject, target: Target) -> Iterator[Finding]:
    """Names and modules that the archive's own modules do not have."""
    program, packages = subject.program(target.python), subject.packages(target)
    for one in program.imports:
        if one.module.startswith(".") or _is_optional(one, program) or not lacks(subject, target, one.module, one.name):
            continue
        if comes_first(one.module.partition(".")[0], packages):
            continue  # meant is another module, as is said of it
        held = (program.resolve(one.module) or ())[-1][1]
        message = f"{held} has no {one.name!r}, which `from {one.module} import {one.name}` takes from it."
        fix = f"Import what {held} has, or archive the version of {held} that has it."
        yield Finding("missing_name", message, one.place, _effect(one, program), fix, _or_warning(one))


def fallbacks(subject: Subject, target: Target) -> Iterator[Finding]:
    """Imports that may fail, whose names are used all the same."""
    program, packages = subject.program(target.python), subject.packages(target)
    for one in program.imports:
        attempt = one.source.tried(one.node, _ERRORS)
        if attempt is None or one.level or _verdict(one, program, packages) != "missing":
            continue
        name = _bound_name(one)
        if packages.installed(one.module) is None or _has_other(attempt, program, packages) or name is None:
            continue  # as here, or there is another module for it
        use = _unguarded_use(program, one.source, attempt, name)
        if use is None:
            continue
        message = (
            f"{one.module} is not there, which the import at {one.place} allows; {name} is used without asking for it."
        )
        fix = (
            f"Ask before it is used (if {name} is not None), or {_declare(packages.requirement(one.module), subject)}."
        )
        yield Finding(
            "missing_fallback", message, one.source.place(use), when(program, one.source, use), fix, "warning"
        )


def windows(subject: Subject, target: Target) -> Iterator[Finding]:
    """Modules of the standard library that open windows: the images of TorchServe are without Tk."""
    program = subject.program(target.python)
    for one in program.imports:
        top = one.module.partition(".")[0]
        if top in _WITH_TK and top not in program.tops and not _is_optional(one, program):
            message = f"{top} needs Tk, which servers and TorchServe's images do not have."
            fix = f"Take the import of {top} out: nothing in a server opens a window."
            yield Finding("missing_module", message, one.place, _effect(one, program), fix, "warning")


def language_models(subject: Subject, target: Target) -> Iterator[Finding]:
    """Models of spaCy, each of which is a distribution."""
    program, packages = subject.program(target.python), subject.packages(target)
    for source, node in program.nodes(ast.Call):
        name = text_of(node.args[0]) if node.args and source.name(node.func) == "spacy.load" else None
        if name is None or not name.isidentifier() or program.resolve(name) is not None:
            continue
        held = any(file.startswith(f"{name}/") for file in subject.sizes)
        if held or packages.verdict(name) == "there" or source.tried(node, ("OSError",)):
            continue
        distribution, effect = name.replace("_", "-"), when(program, source, node)
        message = f"spacy.load({name!r}) needs the distribution {distribution}, which the requirements do not name."
        fix = f"{_sentence(_declare(distribution, subject))} Or archive the model's folder, and load that."
        yield Finding("missing_module", message, source.place(node), effect, fix)


def default_handlers(subject: Subject, target: Target) -> Iterator[Finding]:
    """What one of TorchServe's own handlers imports."""
    needed = _NEEDED_BY.get(subject.default_handler or "")
    if needed is None or (verdict := subject.packages(target).verdict(needed[0])) == "there":
        return
    message = f"TorchServe's {subject.default_handler} imports {needed[0]}, which is not in the target {target.name}."
    severity: Severity = "error" if verdict == "missing" else "info"
    fix = _sentence(_declare(needed[1], subject))
    yield Finding("missing_module", message, "", "The worker does not start.", fix, severity)


# --- what an import comes to ------------------------------------------------------------------------------------------


def _verdict(one: Import, program: Program, packages: Packages) -> Verdict:
    """Whether its module can be imported, as far as the archive and the first part of its name tell."""
    if program.resolve(one.module) is not None or one.module == "__main__":
        return "there"
    top = one.module.partition(".")[0]
    if top in program.tops and top not in standard_library.BUILT_IN:
        return "missing"  # what the archive has under that name comes before all others
    if (program.changes_path or program.unpacks) and not packages.knows(one.module):
        return "there"  # in a folder or zip file that is not looked into
    if (found := packages.verdict(one.module)) != "there" and _is_pip_installed(one.module, program, packages):
        return "there"
    return found


def _is_pip_installed(module: str, program: Program, packages: Packages) -> bool:
    """Whether the code itself has pip install what brings the module, or what is not seen."""
    for _, _, words in program.pip_calls:
        named = {canonicalize_name(found[0]) for word in words if (found := re.match(r"\w[\w.-]*", word))}
        if named & set(packages.bringing(module)) or named <= {"pip", "pip3", "install"} or "-r" in words:
            return True
    return False


def _severity(one: Import, program: Program, packages: Packages, verdict: Verdict) -> Severity | None:
    """None for an import that may fail."""
    if _is_optional(one, program):
        return None
    if (attempt := _instead_of(one)) is not None:  # a replacement for a missing module
        firsts = [other for other in program.imports if other.source.tried(other.node, _ERRORS) is attempt]
        if not any(_verdict(other, program, packages) == "missing" for other in firsts):
            return None
    if verdict == "unsure":
        return "info" if packages.knows(one.module) else "warning"
    return "warning" if attempt is None and one.source.conditional(one.node) else "error"


def _is_optional(one: Import, program: Program) -> bool:
    """Whether it may fail, or is done only where something has asked whether the module is there."""
    return one.source.tried(one.node, _ERRORS) is not None or program.asked(one.source, one.node)


def _instead_of(one: Import) -> _Attempt | None:
    """The try statement in whose `except ImportError` it is."""
    for outer in one.source.around(one.node):
        if isinstance(outer, ast.ExceptHandler):
            attempt = one.source.parents[outer]
            if isinstance(attempt, ast.Try | ast.TryStar) and one.source.tried(attempt.body[0], _ERRORS) is attempt:
                return attempt
    return None


def _or_warning(one: Import) -> Severity:
    return "warning" if one.source.conditional(one.node) else "error"


def _effect(one: Import, program: Program) -> str:
    return when(program, one.source, one.node)


def _missing(
    one: Import, subject: Subject, target: Target, packages: Packages, verdict: Verdict
) -> tuple[str, str, str, str]:
    program = subject.program(target.python)
    top = one.module.partition(".")[0]
    effect = _effect(one, program)
    python = ".".join(map(str, target.python))
    if top in program.tops:
        held = program.tops[top]
        message = f"{one.module} is not in the archive: there, {top} is {held}."
        return message, one.place, effect, f"Put the whole of {top} into the archive, or import what {held} has."
    if one.level:
        message = f"{one.module} is not in the archive, and the import is relative."
        return message, one.place, effect, f"Put {one.module.replace('.', '/')}.py into the archive (extra_files)."
    if top in standard_library.GONE and target.python >= standard_library.GONE[top]:
        gone = ".".join(map(str, standard_library.GONE[top]))
        message = f"{top} is not in Python {python}: the standard library has it no longer since {gone}."
        return message, one.place, effect, f"Do without {top}, or choose a target with an older Python."
    if top in standard_library.SINCE:
        message = f"{top} is not in the standard library of Python {python}."
        return message, one.place, effect, f"Do without {top}, or import another module where it is missing."
    here = packages.installed(one.module)
    if verdict == "unsure":
        message = (
            f"{one.module} is named by neither the target nor the requirements: it is there only if "
            f"{_listed(packages.unknown)} {'bring' if len(packages.unknown) > 1 else 'brings'} it."
        )
        return message, one.place, effect, _sentence(_declare(packages.requirement(one.module) or top, subject))
    message = f"{one.module} is not in the archive, its requirements or the target {target.name}"
    if here is not None and here.is_editable:
        message += f"; here it is {here.name}, which is installed from a folder of yours."
        return message, one.place, effect, f"Put the files of {top} into the archive (extra_files)."
    if excluded := next((name for name in packages.bringing(one.module) if name in packages.excluded), None):
        marker = packages.excluded[excluded]
        message = (
            f"The requirements name {excluded} only where {marker}, which does not hold in the target {target.name}."
        )
        return message, one.place, effect, f"Change the marker, or import {top} only where {marker}."
    if here is not None:
        message += f"; here it comes with {here.name} {here.version}"
        message += "." if packages.runs(here) else f", which is for Python {here.requires_python}."
    else:
        message += "."
    if requirement := packages.requirement(one.module):
        if here is not None and not packages.runs(here):
            requirement += f", in a version that runs on Python {python},"
        return message, one.place, effect, _sentence(_declare(requirement, subject))
    fix = f"Put {top}.py into the archive (extra_files), or name the distribution that brings it in requirements.txt."
    return message, one.place, effect, fix


def _flattened(one: Import, program: Program, packages: Packages) -> tuple[str, str, str, str] | None:
    """An import of a package whose files are in the archive's root."""
    package, _, rest = one.module.partition(".")
    if one.level or package in program.tops or packages.knows(package):
        return None
    wanted = rest.partition(".")[0] or ("" if one.name == "*" else one.name)
    if not wanted or wanted not in program.tops:
        return None
    whole = f"{package}.{wanted}"
    message = f"{whole} is not in the archive: its root holds {program.tops[wanted]}, and no folder {package}."
    effect = f"extra_files puts the contents of a folder into the root. {_effect(one, program)}"
    line = f"from {rest} import ..." if rest and one.name else f"import {wanted}"
    fix = f"Write `{line}`, or put {package} into a folder of its own, and give extra_files that one."
    return message, one.place, effect, fix


def _declare(requirement: str, subject: Subject) -> str:
    if not requirement:
        return "name its distribution in requirements.txt"
    name = subject.said.get("requirementsFile") or "requirements.txt"
    if not subject.said.get("requirementsFile") and name in subject.sizes:
        said = f"give {name} as the requirements file (--requirements-file): TorchServe installs no extra file"
        is_named = re.split(r"[=,]", requirement)[0].encode() in subject.read(name)
        return said if is_named else f"{said}, and add {requirement} to it"
    new = "" if subject.said.get("requirementsFile") else " (--requirements-file)"
    return f"add {requirement} to {name}{new}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return f"one of {shown}, ..." if len(names) > 3 else f"one of {shown}" if len(names) > 1 else shown


# --- imports that may fail --------------------------------------------------------------------------------------------


def _bound_name(one: Import) -> str | None:
    """The name that the import binds."""
    if isinstance(one.node, ast.Import):
        alias = next(alias for alias in one.node.names if alias.name == one.module)
        return alias.asname or alias.name.partition(".")[0]
    if isinstance(one.node, ast.ImportFrom):
        alias = next(alias for alias in one.node.names if alias.name == one.name)
        return None if alias.name == "*" else alias.asname or alias.name
    return None


def _has_other(attempt: _Attempt, program: Program, packages: Packages) -> bool:
    """Whether the except clause imports or defines something else for it."""
    if isinstance(attempt, ast.With):
        return False
    for handler in attempt.handlers:
        for node in ast.walk(handler):
            if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.Return | ast.Call):
                return True
    return False


def _unguarded_use(program: Program, source: SourceFile, attempt: _Attempt, name: str) -> ast.AST | None:
    """The first use of a name that may be missing, if nothing in the program asks whether it is there: a condition on
    the name itself, or on a flag that the try statement sets."""
    flags = {name}
    for node in ast.walk(attempt):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            flags.add(node.id)
    inside = set(ast.walk(attempt))
    use: ast.AST | None = None
    for other, node in program.nodes(ast.AST):
        tests = [node.test] if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert) else []
        tests += node.values if isinstance(node, ast.BoolOp) else []
        for test in tests:
            names = {dotted(part).rpartition(".")[2] for part in ast.walk(test)}
            if names & flags:
                return None
        if other is not source or node in inside:
            continue
        used = isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        if used and use is None and source.tried(node, ("NameError", "AttributeError", "TypeError")) is None:
            use = node
    return use


#: In the order in which they are asked.
IMPORT_RULES = (
    missing_modules,
    relative_imports,
    names_of_modules,
    fallbacks,
    windows,
    language_models,
    default_handlers,
)
