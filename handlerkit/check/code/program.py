"""What of an archive's code can run in a worker: the files that are reached from the handler, and the nodes in them.

Read as text, so it errs on one side: what is not seen to be used is left out, and no rule speaks of it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from handlerkit.check.code.conditions import verdict
from handlerkit.check.code.source import Function, SourceFile, argument, dotted, text_of

#: Bytes of code that are looked into, which takes some seconds; an archive from elsewhere may hold any number.
_MOST = 1 << 20
#: What TorchServe and its own handlers call by name.
ENTRY_POINTS = frozenset(
    "initialize handle preprocess inference postprocess explain_handle describe_handle get_insights forward".split()
)
#: Where a worker's load begins: what runs there fails the registration, not a request.
_LOADING = (
    "initialize",
    "__init__",
    "__new__",
    "setup",
    "load_model",
    "_load_pickled_model",
    "_load_torchscript_model",
)
_PLAIN_DECORATORS = {"staticmethod", "classmethod", "property", "cached_property", "timed", "no_grad", "inference_mode"}
_ASKING = re.compile(r"find_spec|hasattr|version|available|installed|sys\.modules|\bhas_|_have\b|\bPY3", re.IGNORECASE)
_IMPORTERS = ("importlib.import_module", "import_module", "__import__")
#: Values that are followed from one name.
_FOLLOWED = 50
_UNPACKERS = {"extractall", "unpack_archive"}
#: Functions that run other programs.
_RUNNERS = {
    "os.system", "os.popen", "subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output",
    "subprocess.Popen", "subprocess.getoutput", "pip.main", "pip._internal.main", "pip._internal.cli.main.main",
}  # fmt: skip
_Node = TypeVar("_Node", bound=ast.AST)


@dataclass(frozen=True)
class Import:
    """One import that can run.

    Attributes:
        source, node: where it is.
        module: the module, as an absolute name; for a relative import that leads out of the archive, as written.
        name: what is taken from it; "" for `import module` and "*" for all of it.
        level: the dots before it.
    """

    source: SourceFile
    node: ast.AST
    module: str
    name: str = ""
    level: int = 0

    @property
    def place(self) -> str:
        """Such as "handler.py, line 3"."""
        return self.source.place(self.node)

    @property
    def line(self) -> int:
        """The line it is on."""
        return getattr(self.node, "lineno", 1)


class Program:
    """An archive's code from its handler on, for one version of Python.

    Args:
        files: bytes of the archive's files, by their names.
        read: gives a Python file by its name.
        roots: the files that TorchServe imports: the handler's, and the model file.
        entry: a function of the handler that the manifest names, "" for none.
        python: the target's.
    """

    def __init__(
        self,
        files: Mapping[str, int],
        read: Callable[[str], SourceFile],
        roots: Collection[str],
        entry: str,
        python: tuple[int, int],
    ) -> None:
        self.python = python
        #: The files that are reached, by name.
        self.sources: dict[str, SourceFile] = {}
        #: The files that are reached and not looked into, as there is too much code.
        self.unread: list[str] = []
        #: Every import that can run.
        self.imports: list[Import] = []
        #: Whether the code changes sys.path, so that modules may be found elsewhere.
        self.changes_path = False
        #: Whether the code unpacks an archive, in which modules may be.
        self.unpacks = False
        #: The calls that run pip install, each with its words.
        self.pip_calls: list[tuple[SourceFile, ast.Call, list[str]]] = []
        self._files = files
        self._read = read
        self._left = _MOST
        self._used = set(ENTRY_POINTS | {entry})
        self._modules: dict[str, str] = {}  # file -> the module as which it is imported
        self._live: dict[str, dict[ast.AST, None]] = {}
        self._waiting: list[tuple[SourceFile, Function]] = []
        for root in roots:
            self._reach(root.removesuffix(".py").replace("/", "."), root)
        self._run()
        if self.changes_path:  # what was imported before that was seen
            for one in tuple(self.imports):
                self._import(one)
            self._run()

    def _run(self) -> None:
        """Take the bodies of functions that are used for running, until there are no more."""
        used = True
        while used:
            used, waiting = False, self._waiting
            self._waiting = []
            for source, function in waiting:
                if not self._is_used(source, function):
                    self._waiting.append((source, function))
                    continue
                used = True
                for statement in function.body:
                    self._visit(source, statement)

    def nodes(self, *kinds: type[_Node]) -> Iterator[tuple[SourceFile, _Node]]:
        """The nodes of these kinds that can run, each with its file."""
        for source in self.sources.values():
            yield from ((source, node) for node in self.nodes_of(source, *kinds))

    def nodes_of(self, source: SourceFile, *kinds: type[_Node]) -> Iterator[_Node]:
        """Those of one file."""
        return (node for node in self._live[source.file] if isinstance(node, kinds))

    def runs(self, source: SourceFile, node: ast.AST) -> bool:
        """Whether a node can run."""
        return node in self._live.get(source.file, ())

    def loading(self, source: SourceFile, node: ast.AST) -> bool:
        """Whether a node runs while the handler is loaded, as far as the name of its function says."""
        function = source.function(node)
        return function is None or function.name in _LOADING

    def asked(self, source: SourceFile, node: ast.AST) -> bool:
        """Whether it runs only where a condition has asked for what is there: find_spec, hasattr, HAS_CV2."""
        tests = [outer.test for outer in source.around(node) if isinstance(outer, ast.If | ast.IfExp)]
        return any(_ASKING.search(ast.unparse(test)) for test in tests if verdict(test, self.python) is None)

    def meant(self, node: ast.AST) -> Iterator[ast.expr]:
        """What the names and attributes in an expression are assigned, and what functions in it return, wherever that
        is in the code; copies are followed, as far as that is not everything."""
        waiting, seen, left = [node], set[str](), _FOLLOWED
        while waiting and left > 0:
            for inner in ast.walk(waiting.pop(0)):
                name = dotted(inner).rpartition(".")[2]
                if name and name not in seen:
                    seen.add(name)
                    values = self._values.get(name, [])[:left]
                    left -= len(values)
                    waiting += values
                    yield from values

    @cached_property
    def _values(self) -> dict[str, list[ast.expr]]:
        """Name of a variable, an attribute, an argument or a function -> what it is given or gives, in any file."""
        found: dict[str, list[ast.expr]] = {}
        for source in self.sources.values():
            for node in ast.walk(source.tree):
                for name, value in _given(node):
                    found.setdefault(name, []).append(value)
        return found

    def resolve(self, module: str) -> tuple[tuple[str, str], ...] | None:
        """The (module, file) pairs that importing a module by its absolute name loads from the archive, without those
        of folders that have no `__init__.py`; None if the module is not in the archive."""
        for folder in self._folders():
            if (found := self._resolve(folder, module)) is not None:
                return found
        return None

    @cached_property
    def tops(self) -> dict[str, str]:
        """The top-level modules of the archive -> the file, or the package's folder with a "/", that holds each."""
        found: dict[str, str] = {}
        for file in self._files:
            top, slash, rest = file.partition("/")
            if slash and rest == "__init__.py":
                found[top] = f"{top}/"
            elif not slash and top.endswith((".py", ".so")):
                found.setdefault(top.partition(".")[0], top)
        return found

    # --- the archive's modules ---------------------------------------------------------------------------------------

    def _folders(self) -> Iterator[str]:
        """Where modules are looked for: the root, and any folder where the code changes sys.path."""
        yield ""
        if self.changes_path:
            yield from sorted({f"{folder}/" for file in self._files if (folder := file.rpartition("/")[0])})

    def _resolve(self, folder: str, module: str) -> tuple[tuple[str, str], ...] | None:
        loaded: list[tuple[str, str]] = []
        parts = module.split(".")
        for position in range(len(parts)):
            here, name = folder + "/".join(parts[: position + 1]), ".".join(parts[: position + 1])
            if f"{here}/__init__.py" in self._files:
                loaded.append((name, f"{here}/__init__.py"))
            elif f"{here}.py" in self._files or self._holds(f"{here}.", (".so",)):
                found = [(name, f"{here}.py")] if f"{here}.py" in self._files else []
                return (*loaded, *found) if position == len(parts) - 1 else None
            elif not self._holds(f"{here}/", (".py", ".so")):
                return None
        return tuple(loaded)

    def _holds(self, begin: str, ends: tuple[str, ...]) -> bool:
        return any(file.startswith(begin) and file.endswith(ends) for file in self._files)

    def _reach(self, module: str, file: str) -> None:
        if self._files[file] > self._left and file not in self.sources:
            self.unread = list(dict.fromkeys([*self.unread, file]))
        elif file not in self.sources:
            self._left -= self._files[file]
            source = self.sources[file] = self._read(file)
            self._modules[file] = module
            self._live[file] = {}
            for statement in source.tree.body:
                self._visit(source, statement)

    def _import(self, found: Import) -> None:
        whole = f"{found.module}.{found.name}" if found.name not in ("", "*") else found.module
        # what is taken from a module is a module in it, or a name that it binds
        for module, file in self.resolve(whole) or self.resolve(found.module) or ():
            self._reach(module, file)

    # --- what runs ---------------------------------------------------------------------------------------------------

    def _visit(self, source: SourceFile, node: ast.AST) -> None:
        """Take a node, and those in it, for running; the bodies of functions wait until they are used."""
        live = self._live[source.file]
        waiting = [node]
        while waiting:
            node = waiting.pop()
            live[node] = None
            self._note(source, node)
            waiting += reversed(list(self._parts(source, node)))

    def _parts(self, source: SourceFile, node: ast.AST) -> Iterator[ast.AST]:
        if isinstance(node, Function):
            self._waiting.append((source, node))
            yield from node.decorator_list
            yield node.args
            if node.returns is not None:
                yield node.returns
        elif isinstance(node, ast.If | ast.IfExp) and (holds := verdict(node.test, self.python)) is not None:
            taken = node.body if holds else node.orelse
            yield node.test
            yield from taken if isinstance(taken, list) else [taken]
        else:
            yield from ast.iter_child_nodes(node)

    def _note(self, source: SourceFile, node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            self._used.add(node.id)
        elif isinstance(node, ast.Attribute):
            self._used.add(node.attr)
            self.changes_path |= dotted(node) == "sys.path"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            self._used.add(node.value)  # getattr(self, "crop"), or a table of names
        elif isinstance(node, ast.Import):
            for alias in node.names:
                self._imported(Import(source, node, alias.name))
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                self._used.add(alias.name)
                self.changes_path |= node.module == "sys" and alias.name == "path"
                self._imported(self._from(source, node, alias.name))
        elif isinstance(node, ast.Call):
            self._note_call(source, node)

    def _note_call(self, source: SourceFile, node: ast.Call) -> None:
        self.unpacks |= isinstance(node.func, ast.Attribute | ast.Name) and _last(node.func) in _UNPACKERS
        name = text_of(argument(node, 0, "name")) if dotted(node.func) in _IMPORTERS else None
        if name and not name.startswith("."):
            self._imported(Import(source, node, name))
        if (runner := source.name(node.func)) in _RUNNERS:
            words = [word for part in ast.walk(node) for word in (text_of(part) or "").split()]
            is_pip = runner.startswith("pip.") or any(re.fullmatch(r"(.*/)?pip3?", word) for word in words)
            if is_pip and "install" in words:
                self.pip_calls.append((source, node, words))

    def _imported(self, found: Import) -> None:
        self.imports.append(found)
        self._import(found)

    def _from(self, source: SourceFile, node: ast.ImportFrom, name: str) -> Import:
        module, level = node.module or "", node.level
        if not level:
            return Import(source, node, module, name)
        package = self._modules[source.file].split(".")
        if not source.file.endswith("__init__.py"):
            package = package[:-1]
        outer = package[: len(package) - (level - 1)] if level - 1 < len(package) else []
        absolute = ".".join([*outer, *filter(None, [module])])
        if not outer:
            return Import(source, node, f"{'.' * level}{module}", name, level)
        return Import(source, node, absolute, name, level)

    def _is_used(self, source: SourceFile, function: Function) -> bool:
        name = function.name
        if name in self._used or (name.startswith("__") and name.endswith("__")):
            return True
        decorators = {dotted(getattr(one, "func", one)).rpartition(".")[2] for one in function.decorator_list}
        if decorators - _PLAIN_DECORATORS:  # whatever it does with the function, such as keeping it in a table
            return True
        owner = source.parents.get(function)  # a class with bases may be called by these
        return isinstance(owner, ast.ClassDef) and any(dotted(base) != "object" for base in owner.bases)


def _last(node: ast.Attribute | ast.Name) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id


def _given(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The names that a statement or an argument gives a value, and a function with what it returns."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
            yield from ((dotted(part).rpartition(".")[2], node.value) for part in parts)
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
        yield dotted(node.target).rpartition(".")[2], node.value
    elif isinstance(node, ast.keyword) and node.arg is not None:
        yield node.arg, node.value
    elif isinstance(node, Function):
        returned = (inner.value for inner in ast.walk(node) if isinstance(inner, ast.Return))
        yield from ((node.name, value) for value in returned if value is not None)
