"""How values are read, and put back to what was read."""

from __future__ import annotations

import logging
import pickle
import types
from collections import OrderedDict
from collections.abc import Mapping, MutableMapping
from typing import Any

#: What a value is made of.
Parts = tuple[Any, ...]
_UNSET = object()


def read_tensor(value: Any) -> Parts:
    version = -1 if value.is_inference() else value._version
    try:
        place = value.data_ptr()
    except RuntimeError:  # sparse ones, and those without memory
        place = id(value)
    return place, version, value.requires_grad, *value.shape


def read_small_tensor(value: Any) -> Parts:
    plain = value.detach().resolve_conj().resolve_neg()
    try:
        content = plain.numpy().tobytes()
    except TypeError:  # of a type that numpy does not have, such as bfloat16
        import torch

        content = plain.reshape(-1).view(torch.uint8).numpy().tobytes()
    return content, value.requires_grad, *value.shape


def write_small_tensor(value: Any, parts: Parts) -> None:
    import torch

    content, requires_grad, *shape = parts
    with torch.inference_mode():
        if list(value.shape) != shape:
            value.resize_(shape)
        if content:
            value.copy_(torch.frombuffer(bytearray(content), dtype=value.dtype).reshape(shape))
    if value.requires_grad != requires_grad:
        value.requires_grad_(requires_grad)


def write_array(value: Any, parts: Parts) -> None:
    import numpy

    value[...] = numpy.frombuffer(parts[0], value.dtype).reshape(value.shape)


def read_logger(value: logging.Logger) -> Parts:
    return value.level, value.propagate, value.disabled, *value.handlers


def write_logger(value: logging.Logger, parts: Parts) -> None:
    value.setLevel(parts[0])
    value.propagate, value.disabled, *handlers = parts[1:]
    value.handlers[:] = handlers


def read_micro_batching(value: Any) -> Parts:
    threads = [worker.thread for group in value.thread_groups.values() for worker in group]
    alive = all(thread.is_alive() for thread in threads)
    return value.handler, value.micro_batch_size, value._parallelism, value.queues, alive, *threads


def read_random_state(value: Any) -> Parts:
    name, keys, *rest = value.get_state()
    return name, keys.tobytes(), *rest


def write_random_state(value: Any, parts: Parts) -> None:
    import numpy

    name, keys, *rest = parts
    value.set_state((name, numpy.frombuffer(keys, numpy.uint32), *rest))


def write_bit_generator(value: Any, parts: Parts) -> None:
    value.bit_generator.state = pickle.loads(parts[0])


def read_torch_generator(value: Any) -> Parts:
    return (bytes(value.get_state().numpy()),)


def write_torch_generator(value: Any, parts: Parts) -> None:
    import torch

    value.set_state(torch.frombuffer(bytearray(parts[0]), dtype=torch.uint8))


def write_class(kind: type, parts: Parts) -> None:
    before, now = halves(parts), dict(vars(kind))
    for name in now.keys() - before.keys():
        type.__delattr__(kind, name)
    for name, value in before.items():
        if now.get(name, _UNSET) is not value:
            type.__setattr__(kind, name, value)


def halves(parts: Parts) -> dict[Any, Any]:
    middle = len(parts) // 2
    return dict(zip(parts[:middle], parts[middle:], strict=True))


def refill(now: MutableMapping[Any, Any], before: Mapping[Any, Any]) -> None:
    """What is there stays there: threads may be looking at it."""
    for name in now.keys() - before.keys():
        del now[name]
    now.update(before)
    if list(now) != list(before):
        now.clear()
        now.update(before)


def read_ordered(value: OrderedDict[Any, Any]) -> Parts:
    return (*OrderedDict.keys(value), *OrderedDict.values(value)) if value else ()


def write_ordered(value: OrderedDict[Any, Any], parts: Parts) -> None:
    OrderedDict.clear(value)
    for key, one in halves(parts).items():
        OrderedDict.__setitem__(value, key, one)


def write_dict(value: dict[Any, Any], parts: Parts) -> None:
    dict.clear(value)
    dict.update(value, halves(parts))


def read_function(value: types.FunctionType) -> Parts:
    return (value.__defaults__, value.__kwdefaults__, value.__dict__, *(value.__closure__ or ()))


def read_cell(value: types.CellType) -> Parts:
    try:
        return (value.cell_contents,)
    except ValueError:
        return (_UNSET,)


def write_cell(value: types.CellType, parts: Parts) -> None:
    if parts[0] is _UNSET:
        del value.cell_contents
    else:
        value.cell_contents = parts[0]
