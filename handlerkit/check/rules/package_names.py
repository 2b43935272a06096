"""Names that the target's own packages do not have: read in their files, where the target is built."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from handlerkit.check.code.source import Source
from handlerkit.check.rules.effects import when
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding, Severity
from handlerkit.targets import Target

#: What makes modules that are no files, and names that no statement binds.
_MAKING_MODULES = (b"sys.modules", b"meta_path", b"__path__")
_MAKING = (*_MAKING_MODULES, b"__getattr__", b"globals()", b"setattr(", b"exec(", b"import_module")


def names_of_packages(subject: Subject, target: Target) -> Iterator[Finding]:
    """Modules and names that another version of an installed package has."""
    if not target.installs or (environment := target.built()) is None:
        return
    sites = tuple((environment.interpreter.parents[1] / "lib").glob("python*/site-packages"))
    program = subject.program(target.python)
    told: set[tuple[str, str]] = set()
    for one in program.imports:
        if one.level or program.resolve(one.module) is not None or (one.module, one.name) in told:
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
        told.add((one.module, one.name))
        version = environment.packages.get(distribution, "")
        message = f"{missing} is not in {distribution} {version}, which is what {target.name} has."
        here = subject.packages(target).installed(one.module)
        if here is not None and here.version != version:
            message = f"{message.removesuffix('.')}; here it is {here.version}."
        severity: Severity = "warning" if one.source.conditional(one.node) else "error"
        fix = f"Use what {distribution} {version} has, or choose a target with another one."
        effect = when(program, one.source, one.node)
        yield Finding("missing_name", message, one.place, effect, fix, severity)


def _missing(sites: tuple[Path, ...], module: str, name: str) -> str | None:
    """What of an import is not there; None where all is, or where the text does not tell."""
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
def _source(file: Path, changed: int) -> Source:
    return Source(file.name, file.read_bytes())


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


PACKAGE_NAME_RULES = (names_of_packages,)
