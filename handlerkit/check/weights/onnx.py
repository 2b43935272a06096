"""What an ONNX file asks of a runtime: its versions and the files beside it, from the protobuf fields that tell them.

The onnx package reads all of a model's weights to say as much, and is no light one; this seeks past them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

#: Fields of ModelProto, GraphProto and TensorProto (onnx/onnx.proto).
_IR_VERSION, _PRODUCER, _PRODUCER_VERSION, _GRAPH, _OPSET_IMPORT = 1, 2, 3, 7, 8
_INITIALIZER, _EXTERNAL_DATA = 5, 13
_MODEL_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26}
_MOST_FIELDS = 1_000_000  # a graph has a node a field
_LONGEST = 1 << 16  # bytes of a name, a version or the place of a file


@dataclass
class Onnx:
    """An ONNX model: its `ir_version`, the `opsets` it imports ("" is ai.onnx), who wrote it, and the names of the
    files that hold its weights where it does not."""

    ir_version: int = 0
    opsets: dict[str, int] = field(default_factory=dict)
    producer: str = ""
    external: set[str] = field(default_factory=set)


def read(file: IO[bytes], size: int) -> Onnx | None:
    """The model in a file of `size` bytes; None if it holds none, or a broken one."""
    found, graphs = Onnx(), 0
    file.seek(0)
    try:
        for number, value, length in _fields(file, size):
            if number not in _MODEL_FIELDS:
                return None
            if number == _IR_VERSION:
                found.ir_version = value
            elif number in (_PRODUCER, _PRODUCER_VERSION):
                found.producer = f"{found.producer} {_text(file, length)}".strip()
            elif number == _OPSET_IMPORT:
                domain, version = _opset(file, length)
                found.opsets[domain] = version
            elif number == _GRAPH:
                graphs += 1
                found.external |= _external(file, file.tell() + length)
    except (ValueError, EOFError, OverflowError):
        return None
    return found if graphs == 1 and found.ir_version and found.opsets else None


def _opset(file: IO[bytes], length: int) -> tuple[str, int]:
    domain, version = "", 0
    for number, value, size in _fields(file, file.tell() + length):
        if number == 1:
            domain = _text(file, size)
        elif number == 2:
            version = value
    return ("" if domain == "ai.onnx" else domain), version


def _external(file: IO[bytes], end: int) -> set[str]:
    """The places of the graph's weights that lie in other files."""
    places: set[str] = set()
    for number, _, length in _fields(file, end):
        if number == _INITIALIZER:
            for inner, _, size in _fields(file, file.tell() + length):
                if inner == _EXTERNAL_DATA:
                    entry = {key: _text(file, at) for key, _, at in _fields(file, file.tell() + size) if at}
                    if entry.get(1) == "location":
                        places.add(entry.get(2, ""))
    return places


def _fields(file: IO[bytes], end: int) -> Iterator[tuple[int, int, int]]:
    """The number, the value if it is a whole number, and else the length, of each field up to `end`.

    The file is where the field's content begins; it is behind it when the next one is asked for.
    """
    for _ in range(_MOST_FIELDS):
        if file.tell() >= end:
            return
        key = _varint(file)
        number, kind = key >> 3, key & 7
        if kind == 0:
            yield number, _varint(file), 0
            continue
        length = {1: 8, 2: -1, 5: 4}.get(kind, -2)
        length = _varint(file) if length == -1 else length
        behind = file.tell() + length
        if not number or length < 0 or behind > end:
            raise ValueError("no protobuf message")
        yield number, 0, length
        file.seek(behind)


def _varint(file: IO[bytes]) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("no whole number")


def _text(file: IO[bytes], length: int) -> str:
    text = file.read(min(length, _LONGEST)).decode("utf-8", "replace")
    file.seek(length - min(length, _LONGEST), io.SEEK_CUR)
    return text
