"""What the values of each type consist of, and how they are put back to it.

To add a type, add its StateType to _BY_CLASS, or to _BY_NAME if its package may be missing. A read or write of more
than a line goes into state_values, or into state_numbers for tensors and arrays. If the type belongs to a package, see
_MAKERS_OWN of state_snapshot.
"""

from __future__ import annotations

import abc
import datetime
import decimal
import enum
import functools
import gc
import logging
import operator
import pathlib
import pickle
import queue
import random
import re
import struct
import sys
import threading
import types
import uuid
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple

from handlerkit.worker_process.hot_reload import state_numbers as numbers_of
from handlerkit.worker_process.hot_reload import state_values as parts_of
from handlerkit.worker_process.hot_reload.memory_watch import Span
from handlerkit.worker_process.hot_reload.serialized import read_serialized, serializes
from handlerkit.worker_process.hot_reload.state_values import Parts


class StateType(NamedTuple):
    """How values of one type are read and put back.

    Attributes:
        read: gives the parts of a value; equal parts are an equal value.
        write: puts a value back to those parts; None if that cannot be done.
        deep: whether the parts are values to be looked into themselves.
        lead: how many parts come before the names of attributes, which come before their values; None without names.
        doubtful: whether it may change in a way that `read` does not show.
        attributed: whether it has attributes that `read` does not give.
        memory: for large values, which `read` does not look at: where they lie, and what keeps that memory allocated.
    """

    read: Callable[[Any], Parts]
    write: Callable[[Any, Parts], object] | None = None
    deep: bool = True
    lead: int | None = None
    doubtful: bool = False
    attributed: bool = False
    memory: Callable[[Any], tuple[Span, object]] | None = None


class StateTypes:
    """Finds the StateType of a value; remembers how for each class, as long as this object lives.

    Args:
        vocabularies: whether a tokenizer's vocabulary is looked at, which takes some 100 ns a word.
    """

    def __init__(self, *, vocabularies: bool = True) -> None:
        self._vocabularies = vocabularies
        self._known = functools.cache(_known)
        self._finders: dict[type, Callable[[Any], StateType | None]] = {}

    def of(self, value: Any) -> StateType | None:
        """The type of a value; None if it does not change, or holds nothing of a handler's."""
        if (find := self._finders.get(type(value))) is None:
            find = self._finders[type(value)] = _finder(type(value), self._known)
        kind = find(value)
        return _TRAINED_TOKENIZER if kind is _TOKENIZER and self._vocabularies else kind


#: What never changes. By exact type, which decides for most values at once.
ATOMS = frozenset({
    int, float, complex, bool, str, bytes, type(None), type(...), type(NotImplemented), range, slice,
    types.CodeType, types.MethodWrapperType, types.WrapperDescriptorType, types.MethodDescriptorType,
    types.GetSetDescriptorType, types.MemberDescriptorType, types.ClassMethodDescriptorType,
    threading.Thread,
})  # fmt: skip
#: Classes whose objects count as unchanging; so does the network, except for its weights and attributes.
_STEADY = (
    types.ModuleType, types.GenericAlias, types.UnionType, re.Pattern, re.Match, datetime.date, datetime.time,
    datetime.timedelta, datetime.tzinfo, decimal.Decimal, uuid.UUID, weakref.ref, pathlib.PurePath,
    operator.itemgetter, operator.attrgetter, operator.methodcaller, struct.Struct,
    logging.RootLogger, type(vars(abc.ABC)["_abc_impl"]),
)  # fmt: skip
_STEADY_NAMES = (
    "numpy.generic", "numpy.dtype", "numpy.ufunc", "torch.dtype", "torch.device", "torch.layout",
    "torch.memory_format", "torch.Size", "torch.jit.ScriptFunction", "torch._C.ScriptMethod", "torch._C.ScriptModule",
    "torch._C.ConcreteModuleType", "torch._C.ParameterDict", "torch._C.BufferDict", "torch._C.ModuleDict",
    "onnxruntime.capi.onnxruntime_pybind11_state.InferenceSession",
)  # fmt: skip
#: Classes whose objects keep their state in C, where only their pickles show it.
_SERIALIZED_NAMES = (
    "pandas.core.generic.NDFrame", "pandas.core.indexes.base.Index", "xgboost.core.Booster", "lightgbm.basic.Booster",
)  # fmt: skip
#: Extension classes whose objects change only through what they hold.
_HOLDERS = ("json.scanner.c_make_scanner", "json.encoder.c_make_encoder")
_SMALL_TENSOR, _SMALL_ARRAY = 4096, 1 << 20  # elements, bytes: so many are copied
#: Py_TPFLAGS_HEAPTYPE: a class made by a class statement, or by a newer extension.
HEAP_TYPE = 1 << 9


def _finder(kind: type, known: Callable[[tuple[str, ...]], tuple[type, ...]]) -> Callable[[Any], StateType | None]:
    if kind in ATOMS or issubclass(kind, (*_STEADY, *known(_STEADY_NAMES))) or kind.__module__ == "typing":
        return lambda value: None
    if kind.__module__.startswith("torch._dynamo.") and not issubclass(kind, known(("torch.nn.Module",))):
        return lambda value: None  # what torch.compile keeps, which an edit makes it forget
    if kind.__module__ == "pybind11_builtins" or (
        type(kind).__name__ == "pybind11_type" and "__members__" in vars(kind)
    ):
        return lambda value: None  # what a function in C++ has for its `self`, and an enum in C++
    if issubclass(kind, (int, float, complex, str, bytes, enum.Enum)):
        instance = _instance(kind) if kind.__dictoffset__ else None
        return lambda value: instance
    if issubclass(kind, type):
        return lambda value: CLASS
    if issubclass(kind, _CACHE):
        return _cache
    if issubclass(kind, known(("torch.Tensor",))):
        return _tensor
    if issubclass(kind, known(("torch.jit.ScriptModule",))):
        return _scripted
    if issubclass(kind, known(("torch.ScriptObject",))):
        return _script_object
    if issubclass(kind, queue.SimpleQueue):
        return lambda value: _EMPTY_QUEUE if value.empty() else _DOUBTFUL
    if issubclass(kind, known(("numpy.ndarray",))):
        return _array
    if issubclass(kind, types.FunctionType):
        return lambda value: None if _importable(value) else _FUNCTION
    if issubclass(kind, known(_SERIALIZED_NAMES)):
        return lambda value: _SERIALIZED
    if issubclass(kind, known(_HOLDERS)):
        return lambda value: _HOLDER
    named = (found for name, found in _BY_NAME.items() if issubclass(kind, known((name,))))
    based = (
        found._replace(attributed=kind is not base and bool(kind.__dictoffset__))
        for base, found in _BY_CLASS.items()
        if issubclass(kind, base) and (base in (tuple, frozenset) or _plain(kind, base))
    )
    if (listed := next(chain(named, based), None)) is not None:
        return lambda value: listed
    if _plain(kind, object) or issubclass(kind, types.SimpleNamespace):
        instance = _instance(kind)
        return lambda value: instance
    other = _SERIALIZED if serializes(kind) else _DOUBTFUL
    return lambda value: other


def _known(names: Iterable[str]) -> tuple[type, ...]:
    """Classes by their names, as far as their packages are loaded."""
    found: list[type] = []
    for name in names:
        package, *rest = name.split(".")
        value: Any = sys.modules.get(package)
        for part in rest:  # not by getattr, for which packages import what was not asked for yet
            value = getattr(value, "__dict__", {}).get(part)
        if isinstance(value, type):
            found.append(value)
    return tuple(found)


def _plain(kind: type, base: type) -> bool:
    """Whether a class adds nothing to `base` but what Python classes add: an extension's has memory of its own."""
    while kind is not base:
        below = kind.__base__
        if below is None or not kind.__flags__ & HEAP_TYPE:
            return False
        pointers = sum(isinstance(value, types.MemberDescriptorType) for value in vars(kind).values())
        pointers += bool(kind.__dictoffset__) > bool(below.__dictoffset__)
        pointers += bool(kind.__weakrefoffset__) > bool(below.__weakrefoffset__)
        if kind.__basicsize__ - below.__basicsize__ > pointers * struct.calcsize("P"):
            return False
        kind = below
    return True


def _importable(function: Any) -> bool:
    """Whether a function is what its module has under its name, so that it is the module's and not made for us."""
    value: Any = sys.modules.get(function.__module__ or "")
    for name in function.__qualname__.split("."):
        value = getattr(value, name, None)
    return value is function


# attributes, of instances and slots; of classes; of modules


def _instance(kind: type) -> StateType:
    """The kind of a plain class's instances."""
    slots = {
        name: slot
        for base in kind.__mro__
        if base.__flags__ & HEAP_TYPE and "__slots__" in vars(base)
        for name, slot in vars(base).items()
        if isinstance(slot, types.MemberDescriptorType)
    }
    has_dict = bool(kind.__dictoffset__)

    def attributes(value: Any) -> dict[str, Any]:
        found = {}
        for name, slot in slots.items():
            with suppress(AttributeError):
                found[name] = slot.__get__(value)
        return {**found, **object.__getattribute__(value, "__dict__")} if has_dict else found

    def read(value: Any) -> Parts:
        now = attributes(value) if slots or not has_dict else object.__getattribute__(value, "__dict__")
        return (type(value), *now, *now.values())

    def write(value: Any, parts: Parts) -> None:
        if type(value) is not parts[0]:
            object.__setattr__(value, "__class__", parts[0])
        before = parts_of.halves(parts[1:])
        for name, slot in slots.items():
            if name in before:
                slot.__set__(value, before.pop(name))
            elif name in attributes(value):
                slot.__delete__(value)
        if has_dict:
            parts_of.refill(object.__getattribute__(value, "__dict__"), before)

    return StateType(read, write, lead=1)


# functions and what they hold


def _cache(value: Any) -> StateType | None:
    """functools.lru_cache: an empty one can be emptied again; what was in any other is unknown."""
    if _importable(value):
        return None
    return _EMPTY_CACHE if not any(_count(value)) else _EMPTY_CACHE._replace(write=None)


def _count(cache: Any) -> tuple[int, int, int]:
    info = cache.cache_info()
    return info.hits, info.misses, info.currsize


_CACHE = type(functools.lru_cache(lambda: None))
_EMPTY_CACHE = StateType(lambda value: (value.__wrapped__, *_count(value)), lambda value, parts: value.cache_clear())


# weights, arrays, randomness, logs, threads


def _tensor(value: Any) -> StateType:
    import torch

    if hasattr(value, "__tensor_flatten__"):  # one that stands for others
        return _FLATTENED_TENSOR
    if value.layout in (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc):
        return _SPARSE_TENSOR
    if value.layout is not torch.strided:
        return _DOUBTFUL
    if value.device.type == "meta":
        return _TENSOR
    try:
        address = value.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):
        address = 0
    if not address and value.numel():
        return _DOUBTFUL
    if value.device.type != "cpu":
        return _DEVICE_TENSOR
    small = value.numel() <= _SMALL_TENSOR and not isinstance(value, torch.nn.Parameter)
    return _COPIED_TENSOR if small and not value.is_quantized else _WATCHED_TENSOR


def _scripted(module: Any) -> StateType:
    """A TorchScript module: its attributes in C++, and those in Python except for methods, kept there once called."""
    names = tuple(module._concrete_type.get_attributes())
    methods = _known(("torch._C.ScriptMethod",))

    def read(value: Any) -> Parts:
        inside = chain.from_iterable(parts_of.flat(getattr(value, name, None)) for name in names)
        return (type(value), *(one for one in vars(value).values() if not isinstance(one, methods)), *inside)

    return StateType(read)


def _script_object(value: Any) -> StateType | None:
    """An object of a class in C++ or TorchScript; those that hold a quantized layer's weights never change."""
    return None if value._type().qualified_name().startswith("__torch__.torch.classes.quantized.") else _DOUBTFUL


def _array(value: Any) -> StateType:
    if value.dtype.hasobject:
        return _OBJECT_ARRAY
    return _ARRAY if value.nbytes <= _SMALL_ARRAY else _WATCHED_ARRAY


_DOUBTFUL = StateType(lambda value: (), doubtful=True)
_SERIALIZED = StateType(read_serialized, deep=False)
_EMPTY_QUEUE = StateType(lambda value: (value.qsize(),))
_HOLDER = StateType(lambda value: (*gc.get_referents(value),))
_FUNCTION = StateType(parts_of.read_function)
_TENSOR = StateType(numbers_of.read_tensor, numbers_of.write_gradient)
_WATCHED_TENSOR = _TENSOR._replace(memory=numbers_of.tensor_memory)
_DEVICE_TENSOR = StateType(numbers_of.read_device_tensor, numbers_of.write_device_gradient)
_SPARSE_TENSOR = StateType(numbers_of.read_sparse_tensor)
_FLATTENED_TENSOR = StateType(numbers_of.read_flattened_tensor)
_COPIED_TENSOR = StateType(numbers_of.read_small_tensor, numbers_of.write_small_tensor)
_ARRAY = StateType(numbers_of.read_array, numbers_of.write_array)
_WATCHED_ARRAY = StateType(numbers_of.read_large_array, memory=numbers_of.array_memory)
_OBJECT_ARRAY = StateType(lambda value: (*numbers_of.of_array(value), *value.flat))
_TOKENIZER = StateType(parts_of.read_tokenizer, parts_of.write_tokenizer, deep=False)
_TRAINED_TOKENIZER = StateType(parts_of.read_trained_tokenizer, parts_of.write_trained_tokenizer, deep=False)
#: A module's globals.
GLOBALS = StateType(
    lambda value: (*vars(value), *vars(value).values()),
    lambda value, parts: parts_of.refill(vars(value), parts_of.halves(parts)),
    lead=0,
)
CLASS = StateType(lambda value: (value.__bases__, *vars(value), *vars(value).values()), parts_of.write_class, lead=1)
#: By the name of a class whose package may be missing.
_BY_NAME = {
    "torch.Generator": StateType(parts_of.read_torch_generator, parts_of.write_torch_generator, deep=False),
    "numpy.random.RandomState": StateType(parts_of.read_random_state, parts_of.write_random_state, deep=False),
    "numpy.random.Generator": StateType(
        lambda value: (pickle.dumps(value.bit_generator.state),), parts_of.write_bit_generator, deep=False
    ),
    "ts.handler_utils.micro_batching.MicroBatching": StateType(parts_of.read_micro_batching),
    "tokenizers.Tokenizer": _TOKENIZER,
    "sentencepiece.SentencePieceProcessor": StateType(parts_of.read_sentencepiece),
    "PIL.Image.Image": StateType(parts_of.read_image),
    "sqlite3.Connection": StateType(parts_of.read_connection),
    "_io.BytesIO": StateType(parts_of.read_file_in_memory, parts_of.write_file_in_memory, deep=False),
    "_io.StringIO": StateType(parts_of.read_file_in_memory, parts_of.write_file_in_memory, deep=False),
}
_DICT = StateType(lambda value: (*dict.keys(value), *dict.values(value)) if value else (), parts_of.write_dict)
#: By class, of those that are always there; a derived class before its base.
_BY_CLASS: dict[type, StateType] = {
    OrderedDict: StateType(parts_of.read_ordered, parts_of.write_ordered),
    defaultdict: _DICT,
    dict: _DICT,
    list: StateType(
        lambda value: (*list.__iter__(value),), lambda value, parts: list.__setitem__(value, slice(None), parts)
    ),
    set: StateType(
        lambda value: (*set.__iter__(value),), lambda value, parts: (set.clear(value), set.update(value, parts))
    ),
    deque: StateType(
        lambda value: (*deque.__iter__(value),), lambda value, parts: (deque.clear(value), deque.extend(value, parts))
    ),
    bytearray: StateType(
        lambda value: (bytes(value),), lambda value, parts: bytearray.__setitem__(value, slice(None), parts[0])
    ),
    tuple: StateType(lambda value: (*tuple.__iter__(value),)),
    frozenset: StateType(lambda value: (*frozenset.__iter__(value),)),
    types.CellType: StateType(parts_of.read_cell, parts_of.write_cell),
    types.MethodType: StateType(lambda value: (value.__func__, value.__self__)),
    types.BuiltinFunctionType: StateType(lambda value: (value.__self__,)),
    types.MappingProxyType: StateType(lambda value: (*gc.get_referents(value),)),
    staticmethod: StateType(lambda value: (value.__func__,)),
    classmethod: StateType(lambda value: (value.__func__,)),
    property: StateType(lambda value: (value.fget, value.fset, value.fdel)),
    functools.partial: StateType(lambda value: (value.func, value.args, value.keywords)),
    random.Random: StateType(
        lambda value: (pickle.dumps(value.getstate()),),
        lambda value, parts: value.setstate(pickle.loads(parts[0])),
        deep=False,
    ),
    logging.Logger: StateType(parts_of.read_logger, parts_of.write_logger, deep=False),
    queue.Queue: StateType(lambda value: (*value.queue,)),
    type(threading.Lock()): StateType(lambda value: (value.locked(),), parts_of.write_lock, deep=False),
    type(threading.RLock()): StateType(lambda value: (repr(value),), deep=False),
}
