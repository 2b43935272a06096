"""Names that the target's own packages do not have: read in their files, where the target is built."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from handlerkit.check.code.source import SourceFile
from handlerkit.check.rules.effects import when
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding, Severity
from handlerkit.targets import Environment, Target
from handlerkit.targets.distributions import Distribution

#: What makes modules that are no files, and names that no statement binds.
_MAKING_MODULES = (b"sys.modules", b"meta_path", b"__path__")
_MAKING = (*_MAKING_MODULES, b"__getattr__", b"globals()", b"setattr(", b"exec(", b"import_module")


def names_of_packages(subject: Subject, target: Target) -> Iterator[Finding]:
    """Modules and names that another version of an installed package has."""
    if not target.installs or (environment := target.built()) is None:
        return
    sites = _sites(environment)
    program = subject.program(target.python)
    reported: set[tuple[str, str]] = set()
    for one in program.imports:
        if one.level or program.resolve(one.module) is not None or (one.module, one.name) in reported:
            continue
        if one.source.tried(one.node, ("ImportError",)) is not None or program.asked(one.source, one.node):
            continue
        top = one.module.partition(".")[0]
        distribution = environment.modules().get(top)
        if distribution is None or distribution in subject.packages(target).declared:
            continue  # the archive asks for a version of its own
        missing = _missing(sites, one.module, one.name)
        if missing is None:
            continue
        reported.add((one.module, one.name))
        version = environment.packages.get(distribution, "")
        here = subject.packages(target).installed(one.module)
        message = _message(missing, distribution, version, target, here)
        severity: Severity = "warning" if one.source.conditional(one.node) else "error"
        fix = f"Use what {distribution} {version} has, or choose a target with another one."
        effect = when(program, one.source, one.node)
        yield Finding("missing_name", message, one.place, effect, fix, severity)


def attributes_of_packages(subject: Subject, target: Target) -> Iterator[Finding]:
    """Attributes of modules that another version of NumPy has: its stubs list all that it has."""
    if not target.installs or (environment := target.built()) is None:
        return
    sites, packages = _sites(environment), subject.packages(target)
    program = subject.program(target.python)
    if program.resolve("numpy") is not None or "numpy" in packages.declared or "numpy" not in environment.packages:
        return
    stored = {source.name(node) for source, node in program.nodes(ast.Attribute) if isinstance(node.ctx, ast.Store)}
    version, reported = environment.packages["numpy"], set[str]()
    for source, node in program.nodes(ast.Attribute):
        name = source.name(node)
        module, _, last = name.rpartition(".")
        if module not in _WITH_STUBS or name in stored | reported or not _is_stub_without(sites, module, last):
            continue
        if source.tried(node, ("AttributeError",)) or program.asked(source, node):
            continue
        reported.add(name)
        severity: Severity = "warning" if source.conditional(node) else "error"
        message = _message(name, "numpy", version, target, packages.installed("numpy"))
        fix = f"Use what numpy {version} has, or choose a target with another one."
        yield Finding("missing_name", message, source.place(node), when(program, source, node), fix, severity)


_WITH_STUBS = ("numpy", "numpy.fft", "numpy.linalg", "numpy.random")


def _is_stub_without(sites: tuple[Path, ...], module: str, name: str) -> bool:
    """Whether a module's stub has no such name, nor any file around it a text of that name: what is going away is in
    __all__ alone."""
    for site in sites:
        folder = site.joinpath(*module.split("."))
        stub = folder / "__init__.pyi"
        if not stub.is_file() or name.startswith("_") or _has_module(folder, name):
            continue
        source = _source(stub, stub.stat().st_mtime_ns)
        if source.problem is not None or name in source.names:
            return False
        if name in dir(builtins):
            return True
        word = re.compile(rf"""\b{name}\b(?!['"]?:)""")
        files = (folder / "__init__.py", folder / "lib" / "__init__.py")
        quoted = re.compile(rf"""['"]{name}['"]""")
        texts = [file.read_text("utf-8", "replace") for file in files if file.is_file()]
        around = [file for one in ("", "lib", "core") for file in (folder / one).glob("*.py")]
        around = [file for file in around if file.name != "_add_newdocs.py"]  # names of methods too
        return not any(word.search(text) for text in texts) and not any(
            quoted.search(file.read_text("utf-8", "replace")) for file in around
        )
    return False


def _sites(environment: Environment) -> tuple[Path, ...]:
    return tuple((environment.interpreter.parents[1] / "lib").glob("python*/site-packages"))


def _message(name: str, distribution: str, version: str, target: Target, here: Distribution | None) -> str:
    message = f"{name} is not in {distribution} {version}, which is what {target.name} has"
    return f"{message}; here it is {here.version}." if here is not None and here.version != version else f"{message}."


def _missing(sites: tuple[Path, ...], module: str, name: str) -> str | None:
    """What of an import is not there; None if all is, or if the text does not say."""
    for site in sites:
        parts = module.split(".")
        folder = site
        for position, part in enumerate(parts):
            last = position == len(parts) - 1
            if (folder / part).is_dir():
                folder = folder / part
                if last and name not in ("", "*") and not _has_module(folder, name):
                    return f"{module}.{name}" if _lacks(folder / "__init__.py", name) else None
            elif (folder / f"{part}.py").is_file():
                if not last or name in ("", "*"):
                    return None
                return f"{module}.{name}" if _lacks(folder / f"{part}.py", name) else None
            elif position == 0 or _has_module(folder, part):
                break  # in another folder, or compiled
            else:
                is_lacking = _lacks(folder / "__init__.py", part, _MAKING_MODULES)
                return ".".join(parts[: position + 1]) if is_lacking else None
    return None


def _has_module(folder: Path, name: str) -> bool:
    return (folder / name).is_dir() or any(folder.glob(f"{name}.*"))


@cache
def _source(file: Path, changed: int) -> SourceFile:
    return SourceFile(file.name, file.read_bytes())


def _lacks(file: Path, name: str, making: tuple[bytes, ...] = _MAKING) -> bool:
    """Whether a module is known to have no such name: nothing in it makes names that are not seen."""
    try:
        source = _source(file, file.stat().st_mtime_ns)
    except OSError:
        return False
    if source.problem is not None or name in source.names or f'"{name}"'.encode() in source.text:
        return False
    if name.startswith("__") or name.endswith("Tensor"):  # every module has those; torch.sparse gets these from C
        return False
    stars = any(
        isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
        for node in ast.walk(source.tree)
    )
    return not (stars and making is _MAKING) and not any(word in source.text for word in making)


PACKAGE_NAME_RULES = (names_of_packages, attributes_of_packages)
