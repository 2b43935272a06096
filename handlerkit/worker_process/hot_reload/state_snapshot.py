"""What a handler's objects were just after it was loaded, so that they can be put back to it.

Followed are the module globals, classes, instances, closures and containers that loading made. What belongs to others
(an object of an installed package's class) is not altered, only looked at; what can change without a trace is
remembered as doubtful. The memory of weights is watched, see memory_watch.
"""

from __future__ import annotations

import random
import sys
import types
import weakref
from collections import OrderedDict, deque
from collections.abc import Mapping, Set
from operator import is_
from typing import Any, NamedTuple

from handlerkit.worker_process.hot_reload.memory_watch import MemoryWatch, Span
from handlerkit.worker_process.hot_reload.state_types import ATOMS, CLASS, GLOBALS, HEAP_TYPE, StateType, StateTypes
from handlerkit.worker_process.hot_reload.state_values import Irreversible, Parts

_MOST = 200_000  # values followed; a state of more is not looked through
#: Packages whose objects belong to whoever makes them, so that a handler's are put back.
_MAKERS_OWN = {
    "ts", "types", "collections", "functools", "random", "logging", "re", "io", "_io", "enum", "threading", "_thread",
    "tokenizers", "transformers", "sentencepiece", "PIL", "numpy",
}  # fmt: skip
_COMPARED = {int, float, bool, str, bytes}  # a new one that is equal is the same
_CONTAINERS = {dict, OrderedDict, list, set, deque}


class _SavedValue(NamedTuple):
    """A value as it was; `where` is its name in messages, `own` whether it may be put back."""

    value: Any
    kind: StateType
    before: Parts
    where: str
    own: bool


class Snapshot:
    """The state of a handler.

    Args:
        modules: the handler's own modules, by name.
        mentioned: every name in their code.
        handler: the handler itself, an instance or a function.
        others: more values that loading made, by name.
        files: the file names that the modules' code carries.
        before: the snapshot that this one replaces; its watch over the weights is kept.
        vocabularies: whether requests may change the vocabulary of a tokenizer.

    Attributes:
        functions: those compiled from the modules.
        doubtful: the names of the values that may have changed without a trace.
        micro_batching: whether threads of ts.handler_utils.micro_batching hold the handler's methods.
    """

    def __init__(
        self,
        modules: Mapping[str, types.ModuleType],
        mentioned: Set[str],
        handler: object,
        others: Mapping[str, object],
        files: Set[str],
        before: Snapshot | None = None,
        *,
        vocabularies: bool = True,
    ) -> None:
        self.functions: list[types.FunctionType] = []
        self.doubtful: dict[str, None] = {}
        self.micro_batching = False
        self._records: list[_SavedValue] = []
        self._empty: list[_SavedValue] = []
        self._modules = modules
        self._files = files
        self._handler = handler
        self._types = StateTypes(vocabularies=vocabularies)
        self._seen = _imported(mentioned, modules.keys())
        self._spans: dict[Span, str] = {}
        self._allocated: list[object] = []
        self._own: deque[tuple[Any, str]] = deque()
        self._foreign: deque[tuple[Any, str]] = deque()
        for module in modules.values():
            self._seen |= {id(vars(module).get(name)) for name in ("__builtins__", "__spec__", "__loader__")}
            self._record(module, GLOBALS, "", own=True)
        self._own += [(handler, "the handler"), *((value, where) for where, value in others.items())]
        while self._own or self._foreign:  # what is reached in the handler's own way counts as its own
            own = bool(self._own)
            self._look(*(self._own if own else self._foreign).popleft(), own)
        self.recompiled()
        known = before is not None and before._spans.keys() == self._spans.keys()
        self._watch: MemoryWatch = before._watch if before is not None and known else MemoryWatch(self._spans)

    def recompiled(self) -> None:
        """The functions have the code that they are to have."""
        self._codes = [weakref.ref(function.__code__) for function in self.functions]  # held by others alone

    def put_back(self) -> str:
        """Put everything that is the handler's own back to what it was. Returns the name of something that cannot be
        put back, in which case the rest may not be either; "" if all is well."""
        for function, known in zip(self.functions, self._codes, strict=True):
            if (code := known()) is not None and function.__code__ is not code:
                function.__code__ = code
        changed = [record for record in self._empty if record.value]
        for record in self._records:
            before = record.before
            try:
                now = record.kind.read(record.value)
            except Exception:  # of an object of anyone's making
                return record.where
            if (len(now) == len(before) and all(map(is_, now, before))) or _equal(now, before):
                continue
            if not record.own or record.kind.write is None:
                return record.where
            changed.append(record)
        if where := self._watch.written():
            return where
        for value, kind, before, where, _ in changed:
            if kind.write is not None:
                try:
                    kind.write(value, before)
                except Irreversible:
                    return where
        return ""

    def mentions(self, text: str, but: object) -> str:
        """The name of a value, other than `but`, with this text in one of its names or texts; "" if there is none."""
        records = (record for record in self._records if record.value is not but)
        named = (record.where for record in records if any(type(one) is str and text in one for one in record.before))
        return next(named, "")

    def _look(self, value: Any, where: str, own: bool) -> None:
        if id(value) in self._seen or (kind := self._types.of(value)) is None:
            return
        if kind is CLASS and value.__module__ not in self._modules:
            return
        self._seen.add(id(value))
        if len(self._seen) > _MOST:
            self.doubtful = {"the handler's state, which is too large to look through,": None}
            self._own.clear()
            self._foreign.clear()
            return
        if kind.doubtful:
            self.doubtful[f"{where} ({type(value).__name__})"] = None
        if isinstance(value, types.FunctionType) and value.__code__.co_filename in self._files:
            self.functions.append(value)
        self.micro_batching |= type(value).__name__ == "MicroBatching"
        self._record(value, kind, where, own and (kind is CLASS or self._ours(type(value))))

    def _record(self, value: Any, kind: StateType, where: str, own: bool) -> None:
        try:
            before = kind.read(value)
        except Exception as problem:  # of an object of anyone's making
            self.doubtful[f"{where} ({type(value).__name__}, which cannot be read: {problem})"] = None
            return
        record = _SavedValue(value, kind, before, where, own)
        if not before and own and type(value) in _CONTAINERS:
            self._empty.append(record)  # a network has a dozen in each of its modules
            return
        self._records.append(record)
        if kind.memory is not None:
            span, allocated = kind.memory(value)
            if span[0] < span[1]:
                self._spans[span] = where
                self._allocated.append(allocated)
        if not kind.deep:
            return
        to = self._own if own else self._foreign
        if kind.attributed:
            to.append((object.__getattribute__(value, "__dict__"), where))
        prefix = {GLOBALS: "", CLASS: f"{getattr(value, '__name__', '')}."}.get(kind)
        if value is self._handler and kind.lead is not None:
            prefix = "self."
        if kind.lead is not None and prefix is not None:
            middle = kind.lead + (len(before) - kind.lead) // 2
            named = zip(before[middle:], before[kind.lead : middle], strict=True)
            to += [(part, f"{prefix}{name}") for part, name in named if type(part) not in ATOMS]
        else:
            to += [(part, where) for part in before if type(part) not in ATOMS]

    def _ours(self, kind: type) -> bool:
        """Whether an object of this class was made for this load: of a built-in class, the handler's own, TorchServe's,
        or a part of the network."""
        module = kind.__module__
        if not kind.__flags__ & HEAP_TYPE or module in self._modules or module.partition(".")[0] in _MAKERS_OWN:
            return True
        torch = sys.modules.get("torch")
        return torch is not None and issubclass(kind, (torch.nn.Module, torch.Tensor))


def _equal(now: Parts, before: Parts) -> bool:
    return len(now) == len(before) and all(
        one is other or (type(one) is type(other) and type(one) in _COMPARED and one == other)
        for one, other in zip(now, before, strict=True)
    )


def _imported(mentioned: Set[str], own: Set[str]) -> set[int]:
    """Ids of what may have been taken from other modules by name: it belongs to those, like sys.path or os.environ."""
    namespaces = [vars(sys.modules[name]) for name in (mentioned & sys.modules.keys()) - own]
    return {id(namespace[name]) for namespace in namespaces for name in mentioned & namespace.keys()}


class RngStates:
    """The process's random number generators, before a load: which of them loading seeds or draws from.

    Those begin again with each load; the others go on.
    """

    def __init__(self) -> None:
        self._before = [(one, kind.read(one)) for one, kind in self._all()]

    def used(self) -> dict[str, object]:
        """Those that are not as they were, by name."""
        before = {id(one): parts for one, parts in self._before}
        changed = (one for one, kind in self._all() if before.get(id(one)) != kind.read(one))
        return {f"{type(one).__module__}'s random numbers": one for one in changed}

    def _all(self) -> list[tuple[Any, StateType]]:
        generators: list[Any] = [random.getstate.__self__]  # type: ignore[attr-defined]
        if (numpy := sys.modules.get("numpy.random")) is not None:
            generators.append(numpy.get_state.__self__)
        if (torch := sys.modules.get("torch")) is not None:
            generators.append(torch.default_generator)
            generators += torch.cuda.default_generators if torch.cuda.is_initialized() else ()
        state_types = StateTypes()
        return [(one, kind) for one in generators if (kind := state_types.of(one)) is not None]
