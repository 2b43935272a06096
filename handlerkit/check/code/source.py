"""One Python file of an archive, read as text."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from functools import cached_property

Function = ast.FunctionDef | ast.AsyncFunctionDef


class SourceFile:
    """A Python file.

    Attributes:
        file: its name in the archive.
        text: its bytes.
        tree: its syntax tree; an empty one where this Python does not parse it: `problem` is then what it raised.
    """

    def __init__(self, file: str, text: bytes) -> None:
        self.file = file
        self.text = text
        self.problem: Exception | None = None
        self.tree = ast.Module([], [])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of invalid escapes; whoever runs the handler hears of them
                tree = ast.parse(text, file)
                compile(tree, file, "exec", dont_inherit=True)  # a return outside a function is only seen here
                self.tree = tree
        except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:  # the last two: nested too deeply
            self.problem = problem

    def place(self, node: ast.AST) -> str:
        """Where a node is: "handler.py, line 3"."""
        return f"{self.file}, line {getattr(node, 'lineno', 1)}"

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The node around each node."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, the innermost first."""
        while (outer := self.parents.get(node)) is not None:
            yield outer
            node = outer

    def name(self, node: ast.AST) -> str:
        """The dotted name of an expression, with what an import gives it: "numpy.load" for np.load."""
        first, dot, rest = dotted(node).partition(".")
        return self.aliases.get(first, first) + dot + rest

    def function(self, node: ast.AST) -> Function | None:
        """The function in whose body a node is; None for code that runs when the file is imported. What is in
        a function's decorators and defaults is not part of its body."""
        inner = node
        for outer in self.around(node):
            if isinstance(outer, Function) and any(inner is one for one in outer.body):
                return outer
            inner = outer
        return None

    def tried(self, node: ast.AST, errors: Iterable[str]) -> ast.Try | ast.TryStar | ast.With | None:
        """What goes on where the node raises one of these errors: a try statement that catches it without raising
        again, or `with suppress(...)`; looked for inside the function only."""
        wanted, inner = set(errors), node
        for outer in self.around(node):
            if isinstance(outer, Function):
                return None
            if isinstance(outer, ast.Try | ast.TryStar) and any(inner is one for one in outer.body):
                catching = [one for one in outer.handlers if _catches(one.type, wanted)]
                if catching and not _raises(catching[0]):
                    return outer
            if isinstance(outer, ast.With) and any(_suppresses(item.context_expr, wanted) for item in outer.items):
                return outer
            inner = outer
        return None

    def conditional(self, node: ast.AST) -> bool:
        """Whether it runs only where some condition holds: an if, a conditional expression, `and`, `or`."""
        inner = node
        for outer in self.around(node):
            if isinstance(outer, Function):
                return False
            if isinstance(outer, ast.If | ast.IfExp | ast.While) and inner is not outer.test:
                return True
            if isinstance(outer, ast.BoolOp) and inner is not outer.values[0]:
                return True
            if isinstance(outer, ast.Try | ast.TryStar) and not any(
                inner is one for one in (*outer.body, *outer.finalbody)
            ):
                return True
            if isinstance(outer, ast.match_case):
                return True
            inner = outer
        return False

    def looped(self, name: ast.Name) -> ast.expr | None:
        """What a name goes through, one by one: for p in (a, b), or a comprehension around it; None if it does
        not."""
        for outer in self.around(name):
            loops: list[ast.For | ast.comprehension] = []
            if isinstance(outer, ast.For):
                loops = [outer]
            elif isinstance(outer, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
                loops = list(outer.generators)
            for loop in loops:
                if any(isinstance(one, ast.Name) and one.id == name.id for one in ast.walk(loop.target)):
                    return loop.iter
        return None

    @cached_property
    def names(self) -> frozenset[str]:
        """The names that the file binds when it is imported, wherever that is in it."""
        return frozenset(_bound(self.tree))

    @cached_property
    def aliases(self) -> dict[str, str]:
        """The names that imports bind -> what each stands for: {"np": "numpy", "load": "torch.hub.load"}."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found[alias.asname or alias.name.partition(".")[0]] = (
                        alias.name if alias.asname else alias.name.partition(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        for node in self.tree.body:  # xp = numpy
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in found:
                names = [one.id for one in node.targets if isinstance(one, ast.Name) and one.id not in found]
                found |= {name: found[node.value.id] for name in names if self._stores(name) == 1}
        return found

    def _stores(self, name: str) -> int:
        """How often a name is bound, in any scope."""
        return sum(
            isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load)
            for node in ast.walk(self.tree)
        )

    @cached_property
    def attributes(self) -> dict[str, list[ast.expr | None]]:
        """Attribute of self -> what it is assigned, each time; None for what is no plain assignment."""
        found: dict[str, list[ast.expr | None]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and dotted(node.value) == "self":
                statement = self.parents[node]
                assigned = statement.value if isinstance(statement, ast.Assign) and node in statement.targets else None
                found.setdefault(node.attr, []).append(assigned)
        return found

    @cached_property
    def postponed(self) -> bool:
        """Whether it begins with `from __future__ import annotations`, so that annotations are not evaluated."""
        return any(
            isinstance(node, ast.ImportFrom)
            and node.module == "__future__"
            and any(alias.name == "annotations" for alias in node.names)
            for node in self.tree.body
        )

    @cached_property
    def is_open(self) -> bool:
        """Whether it may have names that are not seen: of star imports, __getattr__, globals(), exec."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
                return True
            if isinstance(node, ast.FunctionDef) and node.name == "__getattr__" and self.function(node) is None:
                return True
            if isinstance(node, ast.Name) and node.id in ("globals", "exec", "eval", "vars"):
                return True
            if isinstance(node, ast.Attribute) and dotted(node) == "sys.modules":
                return True
        return False


def dotted(node: ast.AST) -> str:
    """`torch.hub.load` for such an expression; "" for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def text_of(node: ast.AST | None) -> str | None:
    """A text that is written there itself; None for any other expression."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value of a keyword argument."""
    return next((one.value for one in call.keywords if one.arg == name), None)


def argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    """The value of an argument that is given by its position or its name."""
    if position < len(call.args):
        return call.args[position]
    return keyword(call, name)


_EVERY = {"Exception", "BaseException"}
_KINDS = {
    "ImportError": {"ImportError"},
    "ModuleNotFoundError": {"ImportError", "ModuleNotFoundError"},
    "FileNotFoundError": {"OSError", "IOError", "EnvironmentError", "FileNotFoundError"},
    "OSError": {"OSError", "IOError", "EnvironmentError"},
    "NameError": {"NameError"},
    "AttributeError": {"AttributeError"},
    "KeyError": {"KeyError", "LookupError"},
    "TypeError": {"TypeError"},
    "RuntimeError": {"RuntimeError"},
    "AssertionError": {"AssertionError"},
}


def _catches(kind: ast.expr | None, errors: set[str]) -> bool:
    """Whether `except kind` catches one of these errors; a bare one catches all."""
    if kind is None:
        return True
    named = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    catching = {dotted(one).rpartition(".")[2] for one in named}
    return bool(catching & _EVERY) or any(catching & _KINDS.get(error, {error}) for error in errors)


def _raises(handler: ast.ExceptHandler) -> bool:
    """Whether an except clause ends in an exception, or the process."""
    last = handler.body[-1]
    if isinstance(last, ast.Raise):
        return True
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) and dotted(last.value.func) in _EXITS


_EXITS = ("sys.exit", "exit", "quit", "os._exit", "os.abort")


def _suppresses(node: ast.expr, errors: set[str]) -> bool:
    if not isinstance(node, ast.Call) or dotted(node.func).rpartition(".")[2] != "suppress":
        return False
    return any(_catches(one, errors) for one in node.args)


def _bound(node: ast.AST) -> Iterator[str]:
    """The names that a statement binds outside of functions, and those that functions bind as `global`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            yield child.name
            yield from (name for inner in ast.walk(child) if isinstance(inner, ast.Global) for name in inner.names)
            continue
        if isinstance(child, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            yield from (
                inner.target.id
                for inner in ast.walk(child)
                if isinstance(inner, ast.NamedExpr) and isinstance(inner.target, ast.Name)
            )
            continue
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id
        elif isinstance(child, ast.Import | ast.ImportFrom):
            for alias in child.names:
                yield alias.asname or (alias.name.partition(".")[0] if isinstance(child, ast.Import) else alias.name)
        elif isinstance(child, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and child.name:
            yield child.name
        elif isinstance(child, ast.MatchMapping) and child.rest:
            yield child.rest
        yield from _bound(child)
