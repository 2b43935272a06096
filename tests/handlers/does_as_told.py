"""Does what the JSON program in each request's header x-program asks: a small closed vocabulary, and no code.

A program's keys, all optional: "value" (what to return for the row, see VALUES), "type", "headers", "status" (of the
response), "raise" ([class, text, code]), "shape" (what to return instead of a list of rows), "stream" (programs of
intermediate answers), "silent" (leave out the header x-saw, the digest of what the handler was given).
"""
import base64
import dataclasses
import datetime
import decimal
import enum
import hashlib
import io
import json

import numpy as np
import torch
from PIL import Image
from ts.handler_utils.utils import send_intermediate_predict_response
from ts.utils.util import PredictionException

Fruit = enum.IntEnum("Fruit", "APPLE PEAR")
Point = dataclasses.make_dataclass("Point", ["x", "y"])


class Text(str):
    pass


class Rows(list):
    pass


def bytes_of(text):
    return base64.b64decode(text)


def circle(_):
    ring = []
    ring.append(ring)
    return ring


def deep(_):
    nest = []
    for _ in range(100_000):
        nest = [nest]
    return nest


VALUES = {
    "json": lambda value: value,
    "bytes": bytes_of,
    "bytearray": lambda text: bytearray(bytes_of(text)),
    "np.bytes_": lambda text: np.bytes_(bytes_of(text)),
    "str": lambda text: text,
    "str subclass": Text,
    "np.str_": np.str_,
    "repeat": lambda count: "a" * count,
    "tensor": torch.tensor,
    "parameter": lambda numbers: torch.nn.Parameter(torch.tensor([float(number) for number in numbers])),
    "tuple": tuple,
    "int keys": lambda values: dict(enumerate(values)),
    "odd keys": lambda value: {None: value, True: value, 1.5: value},
    "IntEnum": lambda _: {"fruit": Fruit.PEAR},
    "np.float64": np.float64,
    "np.float32": np.float32,
    "np.int64": np.int64,
    "np.bool_": np.bool_,
    "ndarray": np.array,
    "set": lambda _: {1},
    "tuple keys": lambda value: {(1, 2): value},
    "bytes inside": lambda text: {"a": [bytes_of(text)]},
    "tensor inside": lambda numbers: [torch.tensor(numbers)],
    "memoryview": lambda text: memoryview(bytes_of(text)),
    "complex": lambda _: 1j,
    "Decimal": lambda _: decimal.Decimal("1.5"),
    "date": lambda _: datetime.date(2026, 1, 2),
    "dataclass": lambda _: Point(1, 2),
    "PIL image": lambda _: Image.new("L", (1, 1)),
    "generator": lambda _: (number for number in range(2)),
    "BytesIO": lambda text: io.BytesIO(bytes_of(text)),
    "function": lambda _: len,
    "circular": circle,
    "deep": deep,
    "surrogate": lambda _: "\ud800",
}


async def soon(rows):
    return rows


SHAPES = {
    "list subclass": Rows,
    "tuple": tuple,
    "dict": lambda rows: dict(enumerate(rows)),
    "str": lambda rows: "a" * len(rows),
    "ndarray": lambda rows: np.zeros(len(rows)),
    "tensor": lambda rows: torch.zeros(len(rows)),
    "generator": iter,
    "none": lambda rows: None,
    "coroutine": soon,
    "too short": lambda rows: rows[:-1],
    "too long": lambda rows: [*rows, "more"],
}

EXCEPTIONS = {
    kind.__name__: kind
    for kind in (
        ValueError, KeyError, TypeError, RuntimeError, OSError, ImportError, StopIteration, AssertionError,
        RecursionError, UnicodeError, MemoryError, SystemExit, KeyboardInterrupt, GeneratorExit,
    )
}


def saw(row, headers):
    """What the handler was given for one request, as ASCII; a Java HashMap's order says nothing."""
    told = sorted((repr(item) for item in (headers or {}).items() if item[0] != "x-program"))
    return ascii(row) + "\n" + "\n".join(map(ascii, told))


def value_of(program, row, headers):
    name, argument = program.get("value", ["saw", None])
    return saw(row, headers) if name == "saw" else VALUES[name](argument)


def dress(context, index, program):
    for name, value in program.get("headers", []):
        context.set_response_header(index, name, value)
    if "type" in program:
        context.set_response_content_type(index, program["type"])
    if "status" in program:
        code, phrase = [*program["status"], None][:2]
        context.set_response_status(code, phrase, index)


def fail(kind, text, code=None):
    if kind == "PredictionException":
        raise PredictionException(text, code) if code is not None else PredictionException(text)
    raise EXCEPTIONS[kind](text)


def first(programs, key):
    return next((program[key] for program in programs if key in program), None)


def handle(data, context):
    if data is None:  # the load-time call of a function handler
        return None
    headers = [context.get_all_request_header(index) for index in range(len(context.request_ids))]
    programs = [json.loads((given or {}).get("x-program", "{}")) for given in headers]
    for index, program in enumerate(programs):
        dress(context, index, program)
        if not program.get("silent"):
            told = saw(data[index] if index < len(data) else None, headers[index])
            context.set_response_header(index, "x-saw", hashlib.sha256(told.encode()).hexdigest()[:16])
    for pieces in zip(*(program.get("stream", first(programs, "stream") or []) for program in programs)):
        for index, piece in enumerate(pieces):
            dress(context, index, piece)
        values = [value_of(piece, data[index], headers[index]) for index, piece in enumerate(pieces)]
        send_intermediate_predict_response(values, context.request_ids, "piece", 200, context)
    failure = first(programs, "raise")
    if failure:
        fail(*failure)
    rows = [
        value_of(programs[index % len(programs)], row, headers[index % len(headers)]) for index, row in enumerate(data)
    ]
    if first(programs, "mutate"):
        data.append({})
    return SHAPES.get(first(programs, "shape"), list)(rows)
