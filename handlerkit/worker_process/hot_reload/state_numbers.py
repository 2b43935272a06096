"""How tensors and arrays are read, and put back to what was read."""

from __future__ import annotations

from typing import Any

import xxhash

from handlerkit.worker_process.hot_reload.memory_watch import Span
from handlerkit.worker_process.hot_reload.state_values import Irreversible, Parts, attributes, put_attributes_back

# tensors


def tensor_memory(value: Any) -> tuple[Span, object]:
    storage = value.untyped_storage()
    start = storage.data_ptr()
    return (start, start + storage.nbytes()), storage


def read_tensor(value: Any) -> Parts:
    """All but the numbers in it, which a count of versions stands for: not every change is counted."""
    version = -1 if value.is_inference() else value._version
    storage = value.untyped_storage()
    address = 0 if value.device.type == "meta" else storage.data_ptr()
    return (
        address, version, storage.nbytes(), value.storage_offset(), value.dtype,
        value.dim(), *value.shape, *value.stride(), *_aside(value),
    )  # fmt: skip


def _aside(value: Any) -> Parts:
    """What hangs on a tensor: its gradient, whether it has one, its hooks, its attributes."""
    return value.requires_grad, value.grad if value.is_leaf else None, value._backward_hooks, *attributes(value)


def write_gradient(value: Any, parts: Parts) -> None:
    plain = 6 + 2 * parts[5]
    if (read := read_tensor(value))[:plain] != parts[:plain] or read[plain + 2] is not parts[plain + 2]:
        raise Irreversible
    _write_aside(value, parts[plain:])


def _write_aside(value: Any, parts: Parts) -> None:
    requires_grad, gradient, _, *rest = parts
    if value.requires_grad != requires_grad:
        value.requires_grad_(requires_grad)
    if value.is_leaf and value.grad is not gradient:
        value.grad = gradient
    put_attributes_back(value, tuple(rest))


def read_device_tensor(value: Any) -> Parts:
    """With a hash of the numbers: memory of a device is read in a millisecond for each gigabyte."""
    return (*read_tensor(value), _hash_on_device(value.untyped_storage(), value.device))


def write_device_gradient(value: Any, parts: Parts) -> None:
    if _hash_on_device(value.untyped_storage(), value.device) != parts[-1]:
        raise Irreversible
    write_gradient(value, parts[:-1])


_ROW, _ROWS = 1024, 2048  # of eight bytes that become one, and how many at a time: of 16 MiB


def _hash_on_device(storage: Any, device: Any) -> bytes:
    """Each row of words becomes its sum, multiplied word by word by odd random numbers; those sums are hashed here."""
    import torch

    flat = torch.empty(0, dtype=torch.uint8, device=device).set_(storage)
    rows = flat.numel() // (8 * _ROW)
    random = torch.randint(-(1 << 62), 1 << 62, (_ROW,), generator=torch.Generator().manual_seed(0)) * 2 + 1
    factors = random.to(device)
    words = flat[: rows * 8 * _ROW].view(torch.int64).view(rows, _ROW)
    sums = [(words[first : first + _ROWS] * factors).sum(1) for first in range(0, rows, _ROWS)]
    found = xxhash.xxh3_128()
    for part in (*sums, flat[rows * 8 * _ROW :]):
        found.update(part.cpu().numpy().data)
    return found.digest()


def read_sparse_tensor(value: Any) -> Parts:
    import torch

    if value.layout is torch.sparse_coo:
        inside = value._indices(), value._values(), value.is_coalesced()
    elif value.layout in (torch.sparse_csr, torch.sparse_bsr):
        inside = value.crow_indices(), value.col_indices(), value.values()
    else:
        inside = value.ccol_indices(), value.row_indices(), value.values()
    hashes = [
        _hash_on_device(one.untyped_storage(), one.device) if isinstance(one, torch.Tensor) else one for one in inside
    ]
    return (*hashes, value.dtype, *value.shape, *_aside(value))


def read_flattened_tensor(value: Any) -> Parts:
    names, _ = value.__tensor_flatten__()
    return (*names, *(getattr(value, name) for name in names), value.dtype, *value.shape, *_aside(value))


def read_small_tensor(value: Any) -> Parts:
    plain = value.detach().resolve_conj().resolve_neg()
    try:
        content = plain.numpy().tobytes()
    except TypeError:  # of a type that numpy does not have, such as bfloat16
        import torch

        content = plain.reshape(-1).view(torch.uint8).numpy().tobytes()
    return content, value.dtype, len(value.shape), *value.shape, *_aside(value)


def write_small_tensor(value: Any, parts: Parts) -> None:
    import torch

    content, dtype, dimensions, *rest = parts
    shape, aside = rest[:dimensions], rest[dimensions:]
    if value.dtype is not dtype or value._backward_hooks is not aside[2]:
        raise Irreversible
    with torch.inference_mode():
        if list(value.shape) != shape:
            value.resize_(shape)
        if content:
            value.copy_(torch.frombuffer(bytearray(content), dtype=value.dtype).reshape(shape))
    _write_aside(value, tuple(aside))


# arrays


def array_memory(value: Any) -> tuple[Span, object]:
    """From the first byte that a view reaches to its last: what lies between two of its rows is in it too."""
    steps = [(count - 1) * step for count, step in zip(value.shape, value.strides, strict=True)]
    first = value.ctypes.data + sum(step for step in steps if step < 0)
    return (first, first + sum(map(abs, steps)) + value.itemsize), value


def of_array(value: Any) -> Parts:
    aside = () if type(value).__name__ == "memmap" else attributes(value)
    return value.dtype, value.flags.writeable, len(value.shape), *value.shape, *value.strides, *aside


def read_array(value: Any) -> Parts:
    return value.tobytes(), *of_array(value)


def read_large_array(value: Any) -> Parts:
    return value.ctypes.data, *of_array(value)


def write_array(value: Any, parts: Parts) -> None:
    import numpy

    content, *rest = parts
    plain = 3 + 2 * rest[2]
    now = of_array(value)
    if now[0] is not rest[0] or list(now[1:plain]) != rest[1:plain]:
        raise Irreversible
    if value.tobytes() != content:
        value[...] = numpy.frombuffer(content, value.dtype).reshape(value.shape)
    if type(value).__name__ != "memmap":
        put_attributes_back(value, tuple(rest[plain:]))
