"""What an edit changed in a Python file, told by the code it compiles to: function bodies, or more than that.

A file's code is a tree: the module, in it classes and functions, in them their own. Code that ran while the handler
was loaded has to be what it was; of the rest only the insides may differ.
"""

from __future__ import annotations

import ast
import dis
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from itertools import pairwise
from types import CodeType

from handlerkit.worker_process.reload_required import ReloadRequired

#: Where a code object is in its file's tree: the names down to it, () for the module.
Node = tuple[str, ...]
Tree = Mapping[Node, CodeType]

_SIGNATURE = (
    "co_name", "co_qualname", "co_flags", "co_argcount", "co_posonlyargcount", "co_kwonlyargcount", "co_freevars",
)  # fmt: skip
_INSIDES = ("co_code", "co_names", "co_varnames", "co_cellvars", "co_exceptiontable")
Function = ast.FunctionDef | ast.AsyncFunctionDef
_Scope = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Edit:
    """One file's new source, beside the code that is loaded.

    Attributes:
        source: the new bytes; tree: what they compile to.
        changed: functions whose insides differ. Those that only moved, or have another docstring, are not among them.
        added, removed: plain functions and methods (no decorator, defaults are constants) with nothing else of that
            name beside them; with the statement that defines each.
        constants: names of the module that stand for another number, text or collection of such now, came, or (None)
            went; with the expression. Whether code that ran reads them is not looked at.
        described: whether docstrings differ.
    """

    source: bytes
    tree: Tree
    changed: list[Node] = field(default_factory=list)
    added: dict[Node, Function] = field(default_factory=dict)
    removed: list[Node] = field(default_factory=list)
    constants: dict[str, ast.expr | None] = field(default_factory=dict)
    described: bool = False
    #: Whether the compiler writes notes into classes, which changed with the lines.
    notes: bool = False
    #: The new module as a syntax tree, and the old code without what was removed; where `tree` alone did not decide.
    syntax: ast.Module | None = None
    rest: Tree = field(default_factory=dict)


def tree(code: CodeType) -> Tree:
    """A module's code and all code in it. Siblings of one name are numbered."""
    found: dict[Node, CodeType] = {}

    def grow(code: CodeType, path: Node) -> None:
        found[path] = code
        names: Counter[str] = Counter()
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                names[inner.co_name] += 1
                number = names[inner.co_name]
                grow(inner, (*path, inner.co_name if number == 1 else f"{inner.co_name}#{number}"))

    grow(code, ())
    return found


def difference(file: str, old: Tree, before: bytes, source: bytes, ran: Set[Node]) -> Edit:
    """What `source` changes in a file whose code is loaded.

    Args:
        file: its path, for the new code.
        old: the loaded code.
        before: the source it was compiled from.
        ran: the code that ran while the handler was loaded.

    Raises ReloadRequired if anything but the insides of functions that did not run then differs.
    """
    try:
        code = compile(source, file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as problem:
        raise ReloadRequired(f"{_name(file)} does not compile") from problem
    edit = Edit(source, tree(code))
    edit.notes = any(map(class_notes, edit.tree.values()))
    try:
        edit.changed = _changed(old, edit.tree, ran)
    except _Differs:
        return _leniently(file, edit, before, ran)
    return edit


class _Differs(Exception):
    """Code that ran differs, or a signature does."""

    def __init__(self, path: Node, code: CodeType, *, ran: bool) -> None:
        super().__init__(path)
        self.path, self.code, self.ran = path, code, ran


def _leniently(file: str, edit: Edit, before: bytes, ran: Set[Node]) -> Edit:
    """Compare without docstrings, without functions that came or went, and without constants that are others now."""
    was, now = ast.parse(before), ast.parse(edit.source)
    edit.syntax = ast.parse(edit.source)
    was_described, now_described = _undescribe(was), _undescribe(now)
    edit.described = was_described != now_described
    gone, came, taken = _functions(was), _functions(now), _taken(was)
    for path in gone.keys() - _taken(now):
        if path in ran:
            raise ReloadRequired(f"{path[-1]} is gone, which ran while loading")
        _body_of(was, path).remove(gone[path])
        edit.removed.append(path)
    given = _functions(edit.syntax)
    for path in came.keys() - taken:
        _body_of(now, path).remove(came[path])
        edit.added[path] = given[path]
    for name, (one, other) in _constants_that_differ(was, now).items():
        edit.constants[name] = None if other is None else other.value
        was.body = [statement for statement in was.body if statement is not one]
        now.body = [statement for statement in now.body if statement is not other]
    explained = _statements_that_differ(was, now)
    rest, new = (tree(compile(part, file, "exec", dont_inherit=True)) for part in (was, now))
    edit.rest = rest
    try:
        edit.changed = _changed(rest, new, ran)
    except _Differs as differs:
        raise ReloadRequired(_reason(file, differs, explained)) from None
    return edit


def _changed(old: Tree, new: Tree, ran: Set[Node]) -> list[Node]:
    """Functions whose insides differ. Raises _Differs."""
    changed: list[Node] = []

    def compare(path: Node) -> None:
        before, after = old[path], new[path]
        if path not in ran:
            if _told(before, _SIGNATURE) != _told(after, _SIGNATURE) or _arguments(before) != _arguments(after):
                raise _Differs(path, before, ran=False)
            if not _same(before, after):
                changed.append(path)
        elif not _alike(before, after):
            raise _Differs(path, before, ran=True)
        else:
            for inner in _children(old, path):
                compare(inner)

    compare(())
    return changed


def _children(nodes: Tree, path: Node) -> list[Node]:
    return [other for other in nodes if len(other) == len(path) + 1 and other[:-1] == path]


def _same(before: CodeType, after: CodeType) -> bool:
    """Whether two code objects do the same, wherever they are."""
    return before == after or (
        _alike(before, after)
        and all(
            _same(one, other)
            for one, other in zip(before.co_consts, after.co_consts, strict=True)
            if isinstance(one, CodeType)
        )
    )


def _alike(before: CodeType, after: CodeType) -> bool:
    """The same except for the code inside, and for line numbers."""
    if _told(before, (*_SIGNATURE, *_INSIDES)) != _told(after, (*_SIGNATURE, *_INSIDES)):
        return False
    notes = {place for place, _ in class_notes(before).values()} & {place for place, _ in class_notes(after).values()}
    return len(before.co_consts) == len(after.co_consts) and all(
        place in notes or _same_constant(one, other)
        for place, (one, other) in enumerate(zip(before.co_consts, after.co_consts, strict=True))
    )


def class_notes(code: CodeType) -> dict[str, tuple[int, object]]:
    """What the compiler writes into a class by itself, from Python 3.13 on: the names with the constants' places and
    values. They tell where the class and its methods' attributes are in the source, and nothing of what it does."""
    if not {"__firstlineno__", "__static_attributes__"} & {*code.co_names}:
        return {}
    steps = list(dis.get_instructions(code))
    return {
        store.argval: (load.arg or 0, load.argval)
        for load, store in pairwise(steps)
        if store.opname == "STORE_NAME" and store.argval in ("__firstlineno__", "__static_attributes__")
        if load.opname == "LOAD_CONST"
    }


def _same_constant(before: object, after: object) -> bool:
    """As the compiler tells constants apart: 0, 0.0, -0.0 and False are four."""
    if isinstance(before, CodeType) or isinstance(after, CodeType):
        return isinstance(before, CodeType) and isinstance(after, CodeType) and before.co_name == after.co_name
    return type(before) is type(after) and repr(before) == repr(after)


def _told(code: CodeType, attributes: Iterable[str]) -> list[object]:
    return [getattr(code, name) for name in attributes]


def _arguments(code: CodeType) -> tuple[str, ...]:
    stars = bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)  # inspect.CO_VARARGS, CO_VARKEYWORDS
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + stars]


def _undescribe(module: ast.Module) -> list[str | None]:
    """Give everything that may have a docstring an empty one; the docstrings that were there."""
    docstrings = []
    for node in ast.walk(module):
        if isinstance(node, _Scope):
            docstrings.append(ast.get_docstring(node, clean=False))
            if docstrings[-1] is not None:
                node.body[0].value = ast.copy_location(ast.Constant(""), node.body[0].value)  # type: ignore[attr-defined]
            else:
                node.body.insert(0, ast.Expr(ast.Constant("")))
                ast.fix_missing_locations(node.body[0])
    return docstrings


def _functions(module: ast.Module) -> dict[Node, Function]:
    """Plain functions of the module and of its classes, whose name nothing else in that body defines."""
    scopes: list[tuple[Node, list[ast.stmt]]] = [((), module.body)]
    scopes += [
        ((node.name,), node.body)
        for node in module.body
        if isinstance(node, ast.ClassDef) and not node.decorator_list and not node.keywords
    ]
    found = {}
    for path, body in scopes:
        names = Counter(_defined(body))
        for node in body:
            if isinstance(node, Function) and names[node.name] == 1 and _plain(node):
                found[(*path, node.name)] = node
    return found


_Constant = ast.Assign | ast.AnnAssign


def _constants_that_differ(was: ast.Module, now: ast.Module) -> dict[str, tuple[_Constant | None, _Constant | None]]:
    """By name, the statement before and the one after; one of them is None if a name came or went."""
    before, after = _constants(was), _constants(now)
    found: dict[str, tuple[_Constant | None, _Constant | None]] = {}
    for name, one in before.items():
        other = after.get(name)
        if other is None and isinstance(one, ast.Assign) and (name,) not in _taken(now):
            found[name] = one, None
        elif other is not None and ast.dump(one) != ast.dump(other) and _annotation(one) == _annotation(other):
            found[name] = one, other
    came = {
        name: other for name, other in after.items() if isinstance(other, ast.Assign) and (name,) not in _taken(was)
    }
    return found | {name: (None, other) for name, other in came.items()}


def _constants(module: ast.Module) -> dict[str, _Constant]:
    """The module's statements that give a name a value which is written out, where no other gives it one."""
    names = Counter(_defined(module.body))
    found: dict[str, _Constant] = {}
    for node in module.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(ast.Name(id=name), value=value):
                if names[name] == 1 and name[:2] != "__" and value is not None and _written_out(value):
                    found[name] = node
    return found


def _written_out(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _annotation(statement: _Constant) -> str:
    return ast.dump(statement.annotation) if isinstance(statement, ast.AnnAssign) else ""


def _taken(module: ast.Module) -> set[Node]:
    """Names that the module, or a class in it, defines in any way."""
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    inner = {(node.name, name) for node in classes for name in _defined(node.body)}
    return {(name,) for name in _defined(module.body)} | inner


def _plain(node: Function) -> bool:
    defaults = [*node.args.defaults, *(one for one in node.args.kw_defaults if one is not None)]
    special = node.name.startswith("__") and node.name.endswith("__")
    return not special and not node.decorator_list and all(isinstance(one, ast.Constant) for one in defaults)


def _defined(body: list[ast.stmt]) -> Iterator[str]:
    """Names that statements define or assign, those of their inner blocks too."""
    for statement in body:
        if isinstance(statement, Function | ast.ClassDef):
            yield statement.name
        else:
            for node in ast.walk(statement):
                if isinstance(node, Function | ast.ClassDef):
                    yield node.name
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id
                elif isinstance(node, ast.alias):
                    yield (node.asname or node.name).partition(".")[0]


def _body_of(module: ast.Module, path: Node) -> list[ast.stmt]:
    """The statements among which the function at `path` is."""
    if len(path) == 1:
        return module.body
    return next(node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == path[0])


def _statements_that_differ(was: ast.Module, now: ast.Module) -> str:
    """The first statement of the module, or of a class in it, that differs by more than a function's insides."""
    pairs: list[tuple[list[ast.stmt], list[ast.stmt]]] = [(was.body, now.body)]
    while pairs:
        before, after = pairs.pop(0)
        for one, other in zip(before, after, strict=False):
            if type(one) is type(other) and isinstance(one, ast.ClassDef) and isinstance(other, ast.ClassDef):
                if [ast.dump(part) for part in (*one.bases, *one.keywords)] != [
                    ast.dump(part) for part in (*other.bases, *other.keywords)
                ]:
                    return f"the base classes of {other.name}"
                if _outside(one) != _outside(other):
                    return f"class {other.name}"
                pairs.append((one.body, other.body))
            elif _outside(one) != _outside(other):
                return _subject(one, other)
        if len(before) != len(after):
            longer = before if len(before) > len(after) else after
            return _subject(*[longer[min(len(before), len(after))]] * 2)
    return ""


def _outside(node: ast.stmt) -> str:
    """A statement as text, without the body of a function or class."""
    if not isinstance(node, Function | ast.ClassDef):
        return ast.dump(node)
    copy = type(node)(**{**dict(ast.iter_fields(node)), "body": []})
    return ast.dump(copy)


def _subject(one: ast.stmt, other: ast.stmt) -> str:
    """What to call a statement that changed."""
    if isinstance(one, Function) and isinstance(other, Function) and one.name == other.name:
        decorators = [[ast.dump(each) for each in node.decorator_list] for node in (one, other)]
        return f"the {'decorators' if decorators[0] != decorators[1] else 'signature'} of {other.name}"
    if isinstance(other, Function | ast.ClassDef):
        return other.name
    if isinstance(other, ast.Import | ast.ImportFrom):
        return "an import"
    names = dict.fromkeys(_defined([other]))
    return ", ".join(names) or "a statement"


def _reason(file: str, differs: _Differs, statement: str) -> str:
    name = differs.path[-1].partition("#")[0] if differs.path else ""
    if not differs.ran:
        return f"the signature of {name} changed"
    if statement and not differs.code.co_flags & 0x01:  # inspect.CO_OPTIMIZED: a function's, not a class's or module's
        return f"{statement} changed"
    if not name:
        return f"module-level code of {_name(file)} changed"
    return f"{name} changed" if name in ("initialize", "__init__") else f"{name} changed, which runs while loading"


def _name(file: str) -> str:
    return file.rpartition("/")[2]
