"""New code for functions that are there already."""

from __future__ import annotations
import __future__

import abc
import ast
import gc
import inspect
import os
import sys
import types
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

from handlerkit.worker_process.hot_reload.source_diff import (
    Edit,
    Function,
    Node,
    Tree,
    class_notes,
    tree,
)
from handlerkit.worker_process.reload_required import ReloadRequired

#: The functions that have a code object, by its id.
Holders = Mapping[int, Sequence[FunctionType]]
_PLAIN = tree(compile("lambda: 0", "", "exec"))  # a module with a function in it, whose code nothing else holds
_FUTURE = sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names})


@dataclass
class LoadedSource:
    """A loaded module, its code, and which of it ran while the handler was loaded."""

    module: ModuleType
    tree: Tree
    ran: set[Node]

    def check(self, edit: Edit, users: Holders) -> None:
        """Raises ReloadRequired if something other than `users` has code that an edit replaces."""
        for path in edit.changed:
            if not users.get(id(self.tree[path])) and not self._only_inside(path):
                raise ReloadRequired(f"{path[-1]} changed, and is no plain function any more")
        for path in (*edit.added, *edit.removed):
            if len(path) > 1:
                _check_class(vars(self.module).get(path[0]), path[-1])
        for path in edit.added:
            if path[-1] in vars(self.scope(path)):
                raise ReloadRequired(f"{path[-1]} is new, and its name is taken")
        for path in edit.removed:
            found = vars(self.scope(path)).get(path[-1])
            if not isinstance(found, FunctionType) or found.__code__ is not self.tree[path]:
                raise ReloadRequired(f"{path[-1]} is gone, and its name stands for something else")
        with _no_collection():
            held = _holds(self.tree, users)
            alive = _alive(self.tree, held, users) if held else None
        if alive is not None:
            raise ReloadRequired(f"{alive[-1]} is still running, or something else holds its code")

    def _only_inside(self, path: Node) -> bool:
        """Whether code is made again by each call of a function, which then takes the new one for it."""
        return len(path) > 1 and bool(self.tree[path[:-1]].co_flags & inspect.CO_OPTIMIZED)

    def scope(self, path: Node) -> object:
        """The module or class that the function at `path` is in."""
        return self.module if len(path) == 1 else vars(self.module)[path[0]]


def holders(functions: Iterable[FunctionType]) -> Holders:
    """Functions by the id of their code."""
    found: dict[int, list[FunctionType]] = {}
    for function in functions:
        found.setdefault(id(function.__code__), []).append(function)
    return found


def replace(source: LoadedSource, edit: Edit, users: Holders) -> None:
    """Put an edit that was checked into the loaded module."""
    for path, code in source.tree.items():
        if (new := edit.tree.get(path)) is None:
            continue
        for function in users.get(id(code), ()):
            if edit.described and function.__doc__ == _docstring(code):
                function.__doc__ = _docstring(new)
            function.__code__ = new
    for path in source.ran:
        kind = vars(source.module).get(path[0]) if len(path) == 1 else None
        for name, (_, value) in class_notes(edit.tree[path]).items() if isinstance(kind, type) else ():
            type.__setattr__(kind, name, value)
    if edit.syntax is not None:
        _describe(source.module, edit.syntax)
    for path in edit.removed:
        delattr(source.scope(path), path[-1])
    for path, node in edit.added.items():
        setattr(source.scope(path), path[-1], _function(source, edit, path, node))
    for name, value in edit.constants.items():
        delattr(source.module, name) if value is None else setattr(source.module, name, ast.literal_eval(value))
    source.tree, source.ran = edit.tree, {path for path in source.ran if path in edit.tree}
    spec = source.module.__spec__
    if spec is not None and spec.cached and os.path.exists(spec.cached):  # after the first edit alone
        os.unlink(spec.cached)


def _check_class(kind: object, method: str) -> None:
    """Raises ReloadRequired for a class that may have looked for such a method when it was made."""
    if isinstance(kind, type) and type(kind) in (type, abc.ABCMeta):
        abstract = any(getattr(vars(base).get(method), "__isabstractmethod__", False) for base in kind.__mro__)
        if not abstract and isinstance(kind.__init_subclass__, types.BuiltinMethodType):
            return
    raise ReloadRequired(f"{method} came or went, and its class may look for methods")


def _function(source: LoadedSource, edit: Edit, path: Node, node: Function) -> FunctionType:
    """A function as its `def` makes it in the module, or in the class."""
    body: list[ast.stmt] = [node]
    if len(path) > 1:
        holder = ast.parse(f"class {path[0]}: pass").body[0]
        assert isinstance(holder, ast.ClassDef)
        holder.body = body
        body = [holder]
    flags = edit.tree[()].co_flags & _FUTURE
    code = compile(ast.Module(body, []), edit.tree[()].co_filename, "exec", flags, dont_inherit=True)
    made: dict[str, object] = {}
    exec(code, vars(source.module), made)
    function = made[path[-1]] if len(path) == 1 else vars(made[path[0]])[path[-1]]
    assert isinstance(function, FunctionType)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if name == "__class__":
            cell.cell_contents = source.scope(path)
    function.__code__ = edit.tree[path]
    return function


def _docstring(code: CodeType) -> str | None:
    """What a function of this code is given as its docstring."""
    closure = tuple(types.CellType() for _ in code.co_freevars)
    return FunctionType(code, {}, closure=closure).__doc__


def _describe(module: ModuleType, syntax: ast.Module) -> None:
    """The docstrings of a module and its classes."""
    if module.__doc__ != (text := ast.get_docstring(syntax, clean=False)):
        module.__doc__ = text
    for node in syntax.body:
        kind = vars(module).get(node.name) if isinstance(node, ast.ClassDef) else None
        if isinstance(node, ast.ClassDef) and isinstance(kind, type) and kind.__module__ == module.__name__:
            text = ast.get_docstring(node, clean=False)
            if vars(kind).get("__doc__") != text:
                kind.__doc__ = text


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without the garbage collector, which could free frames between their being counted and being looked for."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _holds(nodes: Tree, users: Holders) -> dict[Node, int]:
    """How often code is held by something else than its tree, the code around it, and the functions known."""
    outer, inner = (sys.getrefcount(_PLAIN[path]) for path in _PLAIN)
    held = {}
    for path in nodes:
        count = sys.getrefcount(nodes[path]) - (inner if path else outer)
        if (more := count - len(users.get(id(nodes[path]), ()))) > 0:
            held[path] = more
    return held


def _alive(nodes: Tree, held: Mapping[Node, int], users: Holders) -> Node | None:
    """Code that something holds which may run it once more. Frames that an exception keeps cannot; those of the last
    exception are looked at first, for then the heap need not be searched."""
    frames = _frames_of(getattr(sys, "last_value", None))
    if _beyond(frames, nodes, held, _only_in_frames(frames)) is None:
        return None
    frames = _frames_on_heap(nodes, held)
    known = {id(function) for functions in users.values() for function in functions}
    functions = [one for one in _functions_of(frames) if id(one) not in known]
    ended = {*map(id, frames), id(functions), id(sys._getframe())}
    dead = all(id(one) in ended for one in gc.get_referrers(*functions)) if functions else True
    return _beyond(frames, nodes, held, functions if dead else [])


def _beyond(
    frames: Sequence[FrameType], nodes: Tree, held: Mapping[Node, int], functions: Sequence[FunctionType]
) -> Node | None:
    """Code that is held by more than these frames, and these functions."""
    kept = Counter([id(frame.f_code) for frame in frames] + [id(function.__code__) for function in functions])
    return next((path for path, count in held.items() if count > kept[id(nodes[path])]), None)


def _functions_of(frames: Iterable[FrameType]) -> list[FunctionType]:
    """The functions that frames ran: those inside another one are made again at each of its calls."""
    found = (one for frame in frames for one in gc.get_referents(frame) if isinstance(one, FunctionType))
    codes = {id(frame.f_code) for frame in frames}
    return [*{id(one): one for one in found if id(one.__code__) in codes}.values()]


def _only_in_frames(frames: Sequence[FrameType]) -> list[FunctionType]:
    """The functions that nothing holds but these frames, as far as counting tells."""
    times = Counter(id(one) for frame in frames for one in gc.get_referents(frame))
    functions: list[Any] = [*_functions_of(frames), lambda: None]
    counts = [sys.getrefcount(functions[number]) for number in range(len(functions))]
    return [
        functions[number]
        for number in range(len(functions) - 1)
        if counts[number] - counts[-1] == times[id(functions[number])]
    ]


def _frames_of(error: BaseException | None) -> list[FrameType]:
    """The frames of an exception and of those that it came from."""
    frames: dict[int, FrameType] = {}
    errors, seen = [error], set()
    while errors:
        if (one := errors.pop()) is None or id(one) in seen:
            continue
        seen.add(id(one))
        errors += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
        trace = one.__traceback__
        while trace is not None:
            frames[id(trace.tb_frame)] = trace.tb_frame
            trace = trace.tb_next
    return list(frames.values())


def _frames_on_heap(nodes: Tree, held: Iterable[Node]) -> list[FrameType]:
    """Frames of this code that have ended. A frame that waits in a generator is not found, the generator is."""
    running = _running()
    found = gc.get_referrers(*[nodes[path] for path in held])
    return [one for one in found if isinstance(one, FrameType) and id(one) not in running]


def _running() -> set[int]:
    """Ids of the frames of every thread."""
    running = set()
    frames: list[FrameType | None] = [*sys._current_frames().values()]
    while frames:
        if (frame := frames.pop()) is not None:
            running.add(id(frame))
            frames.append(frame.f_back)
    return running
