"""How values are read, and put back to what was read."""

from __future__ import annotations

import json
import logging
import pickle
import types
from collections import OrderedDict
from collections.abc import Mapping, MutableMapping
from itertools import chain
from typing import Any

import xxhash

#: What a value is made of.
Parts = tuple[Any, ...]
_UNSET = object()


class Irreversible(Exception):
    """A value cannot be put back to what it was."""


def attributes(value: Any) -> Parts:
    """The names of those that are set on a value beside what it is made of, and then what they are set to."""
    found = getattr(value, "__dict__", {})
    return (*found, *found.values())


def put_attributes_back(value: Any, parts: Parts) -> None:
    if (now := getattr(value, "__dict__", None)) is not None:
        refill(now, halves(parts))


def flat(value: Any) -> Parts:
    """What a TorchScript module has in an attribute; its lists and dicts are new ones each time they are asked for."""
    if isinstance(value, list | tuple):
        return type(value).__name__, len(value), *chain.from_iterable(map(flat, value))
    if isinstance(value, dict):
        return "dict", len(value), *chain.from_iterable(flat(one) for pair in value.items() for one in pair)
    return (value,)


# what libraries of tokenizers, pictures and data bases keep in C or Rust


def read_tokenizer(value: Any) -> Parts:
    """A tokenizer's settings, its added tokens and the size of its vocabulary, which changes by training alone."""
    model = value.model
    options = [name for name, one in vars(type(model)).items() if isinstance(one, types.GetSetDescriptorType)]
    components = (value.normalizer, value.pre_tokenizer, value.post_processor, value.decoder)
    return (
        json.dumps(value.truncation), json.dumps(value.padding), getattr(value, "encode_special_tokens", False),
        type(model), repr([(name, getattr(model, name)) for name in options]), value.get_vocab_size(False),
        *(one and one.__getstate__() for one in components), repr(sorted(value.get_added_tokens_decoder().items())),
    )  # fmt: skip


def write_tokenizer(value: Any, parts: Parts) -> None:
    """Transformers set in each call how to cut and fill."""
    _put_tokenizer_back(value, parts, read_tokenizer(value))


def _put_tokenizer_back(value: Any, before: Parts, now: Parts) -> None:
    if now[3:] != before[3:]:
        raise Irreversible
    truncation, padding = json.loads(before[0]), json.loads(before[1])
    value.enable_truncation(**truncation) if truncation else value.no_truncation()
    value.enable_padding(**padding) if padding else value.no_padding()
    if now[2] != before[2]:
        value.encode_special_tokens = before[2]


def read_trained_tokenizer(value: Any) -> Parts:
    """With a hash of the vocabulary."""
    return *read_tokenizer(value), xxhash.xxh3_128_digest(value.model.__getstate__())


def write_trained_tokenizer(value: Any, parts: Parts) -> None:
    _put_tokenizer_back(value, parts, read_trained_tokenizer(value))


def read_sentencepiece(value: Any) -> Parts:
    """The model, and what it makes of a text: options that are set afterwards are not in the model."""
    tried = value.encode("a b c", out_type=str), value.decode(["\u2581a", "\u2581b"])
    options = [item for item in vars(value).items() if item[0] not in ("this", "_processor")]
    return type(value), xxhash.xxh3_128_digest(value.serialized_model_proto()), repr(tried), *chain(*options)


_LARGEST = 1 << 26  # bytes of pixels, or of a data base


def read_image(value: Any) -> Parts:
    """A Pillow image's pixels, its attributes and their values; one that was not read from its file yet stays so."""
    found = {name: one for name, one in vars(value).items() if name not in ("im", "_im")}
    core = vars(value).get("_im", vars(value).get("im"))
    pixels = b""
    if core is not None and not getattr(value, "tile", None):
        if value.width * value.height * 4 > _LARGEST:
            raise ValueError("it is too large")
        pixels = xxhash.xxh3_128_digest(value.tobytes())
        if value.mode in ("P", "PA"):
            pixels += bytes(core.getpalette("RGB", "RGB"))
    return type(value), core is None, pixels, *found, *found.values()


#: Those that tell of a connection, and change nothing when they are asked for.
_PRAGMAS = (
    "function_list collation_list analysis_limit automatic_index busy_timeout cache_size cache_spill "
    "cell_size_check checkpoint_fullfsync count_changes defer_foreign_keys empty_result_callbacks "
    "encoding foreign_keys full_column_names fullfsync ignore_check_constraints journal_mode "
    "journal_size_limit legacy_alter_table locking_mode max_page_count mmap_size query_only "
    "read_uncommitted recursive_triggers reverse_unordered_selects secure_delete short_column_names "
    "synchronous temp_store threads trusted_schema wal_autocheckpoint writable_schema "
).split()


def read_connection(value: Any) -> Parts:
    """An SQLite connection's settings, its counts of changes, and the content of data bases that are in memory."""

    def ask(question: str) -> list[Any]:
        cursor = value.cursor()
        cursor.row_factory = None
        return [*cursor.execute(question)]

    schemas = ask("PRAGMA database_list")
    content: list[str | bytes] = []
    for _, name, file in schemas:
        versions = [ask(f'PRAGMA "{name}".{one}') for one in ("schema_version", "data_version", "user_version")]
        content.append(repr(versions))
        if not file and name != "temp":
            size = ask(f'PRAGMA "{name}".page_count')[0][0] * ask(f'PRAGMA "{name}".page_size')[0][0]
            if size > _LARGEST:
                raise ValueError("it is too large")
            content.append(xxhash.xxh3_128_digest(value.serialize(name=name)) if size else b"")
    known = [ask(f"PRAGMA {one}") for one in _PRAGMAS]
    return (
        value.total_changes, value.in_transaction, value.isolation_level, value.row_factory, value.text_factory,
        repr(schemas), *content, repr(known), *attributes(value),
    )  # fmt: skip


def read_file_in_memory(value: Any) -> Parts:
    *state, _ = value.__getstate__()
    return len(state), *state, *attributes(value)


def write_file_in_memory(value: Any, parts: Parts) -> None:
    count = 1 + parts[0]
    put_attributes_back(value, parts[count:])
    value.__setstate__((*parts[1:count], None))


def write_lock(value: Any, parts: Parts) -> None:
    value.acquire(blocking=False) if parts[0] else value.release()


# logs, threads, randomness


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
    bases, *rest = parts
    if kind.__bases__ is not bases:
        kind.__bases__ = bases
    before, now = halves(tuple(rest)), dict(vars(kind))
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
