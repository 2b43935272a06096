"""The modules that a model's code imports when it is served, with what TorchServe's own code imports for it.

Read as text. What is imported in a `try` that catches its absence, or for type checkers alone, can be missing.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from importlib import util
from pathlib import Path

from handlerkit.model import Model

#: What a worker begins with.
_WORKER = "ts.model_service_worker"
_CATCHES = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


def imported(model: Model, envelope: str | None = None) -> dict[str, str]:
    """The absolute names of modules that are neither the model's own nor the standard library's, each with the place
    where it is imported first: "handler.py, line 3". `envelope`: the service_envelope."""
    own = {entry.name: entry.source for entry in model.named_entries() if entry.name.endswith(".py")}
    files = {**_modules_of_torchserve(), **{_module(name): source for name, source in own.items()}}
    names = {_module(name): name for name in own}
    waiting = [_WORKER, *(_module(path.name) for path in (model.handler_file, model.model_file) if path)]
    if model.handler_file is None:
        waiting.append(f"ts.torch_handler.{model.handler.partition(':')[0]}")
    if envelope:
        waiting.append(f"ts.torch_handler.request_envelope.{envelope}")
    found: dict[str, str] = {}
    seen: set[str] = set()
    while waiting:
        module = waiting.pop(0)
        if module in seen or module not in files:
            continue
        seen.add(module)
        place = names.get(module, module)
        is_package = files[module].name == "__init__.py"
        for node, name in _imports(files[module], deep=module in names):
            absolute = _absolute(name, module, is_package)
            inside = [part for part in _prefixes(absolute) if part in files]
            waiting += inside
            if not inside and absolute.partition(".")[0] not in sys.stdlib_module_names:
                found.setdefault(absolute, f"{place}, line {node.lineno}")
    return {module: place for module, place in found.items() if module.partition(".")[0] != "ts"}


def _modules_of_torchserve() -> Mapping[str, Path]:
    spec = util.find_spec("ts")
    if spec is None or spec.origin is None:
        return {}
    root = Path(spec.origin).parent
    return {_module(f"ts/{file.relative_to(root).as_posix()}"): file for file in root.rglob("*.py")}


def _module(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _prefixes(module: str) -> list[str]:
    """a, a.b and a.b.c of a.b.c."""
    parts = module.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def _absolute(name: str, module: str, is_package: bool) -> str:
    """What a relative name means in a module."""
    bare = name.lstrip(".")
    if (level := len(name) - len(bare)) == 0:
        return name
    parts = module.split(".") if is_package else module.split(".")[:-1]
    return ".".join(filter(None, [*parts[: len(parts) - level + 1], bare]))


def _imports(file: Path, deep: bool) -> Iterator[tuple[ast.stmt, str]]:
    """The imports of a file, as "module" or "module.name", as the name may be one too; with `deep` also those in its
    functions and classes."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # whoever loads it says so
    waiting: list[ast.AST] = [*tree.body]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            dot = "." if node.module else ""
            yield from ((node, base if alias.name == "*" else f"{base}{dot}{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Try) and any(map(_catches, node.handlers)):
            waiting += [*node.orelse, *node.finalbody]
        elif deep and not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            waiting += ast.iter_child_nodes(node)


def _catches(handler: ast.ExceptHandler) -> bool:
    """Whether a module that is not there ends up here."""
    caught = handler.type
    if caught is None:
        return True
    each = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(isinstance(one, ast.Name) and one.id in _CATCHES for one in each)
