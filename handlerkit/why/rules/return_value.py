"""Why TorchServe does not take what a handler returned."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from handlerkit.envelope import named
from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.why import source_search
from handlerkit.why.evidence import Evidence, Rule
from handlerkit.why.rules.envelopes import no_instances

TYPE = f"Every client of the batch gets 503 '{facts.NOT_JSON}'."


def logged(seen: Evidence) -> Finding | None:
    """The three that follow, where only the worker's words for the returned value are at hand."""
    if not seen.logged:
        return None
    if found := re.search(r"Invalid return type: <class '(?:.+\.)?(\w+)'>", seen.logged):
        return _returned_a(seen, found[1])
    if found := re.search(r"expect: (\d+), got: (\d+)", seen.logged):
        return _returned_elements(seen, int(found[2]), int(found[1]))
    kind = re.search(r"Object of type (\w+)", seen.logged)
    change = _AS_JSON.get(kind[1] if kind else "", "Turn it into numbers, text, lists or bytes first.")
    what = f"JSON cannot carry what the handler returned: {seen.logged}."
    return Finding("not_serialisable", what, source_search.answering(seen), TYPE, change)


def not_a_list(seen: Evidence) -> Finding | None:
    if isinstance(seen.returned, list):
        return None
    return _returned_a(seen, type(seen.returned).__name__)


def _returned_a(seen: Evidence, kind: str) -> Finding:
    returned = "None" if kind == "NoneType" else f"a {kind}"
    what = f"The handler returned {returned}; TorchServe takes a list with one element per request."
    change = {
        "tuple": "Return list(...) of it.",
        "NoneType": "Return the list: a return is missing, or what stands behind it.",
        "coroutine": "Write handle as a plain function: TorchServe does not await it.",
        "generator": "Return list(...) of it: a function with yield gives its values one by one.",
        "ndarray": "Return [array.tobytes()] or array.tolist().",
        "Tensor": "Return tensor.tolist().",
    }.get(kind, "Put it in a list: return [answer].")
    served = f"Every client of the batch gets 503 '{facts.NO_LIST}'."
    return Finding("not_a_list", what, source_search.answering(seen), served, change)


def wrong_length(seen: Evidence) -> Finding | None:
    if len(seen.returned) == len(seen.rows):
        return None
    return _returned_elements(seen, len(seen.returned), len(seen.rows))


def _returned_elements(seen: Evidence, count: int, rows: int) -> Finding:
    served = f"Every client of the batch gets 503 '{facts.WRONG_LENGTH}'."
    if seen.envelope and named(seen.envelope).first_only and count == 1 < rows:
        what = (
            f"The envelope {seen.envelope} (how TorchServe reads KServe's requests) takes only the first request of a "
            f"batch, and this batch holds {rows}."
        )
        return Finding("kserve_batch", what, effect=served, fix="Register the model with batch_size=1.")
    what = f"The handler returned {count} element(s) for {rows} request(s); there must be one each."
    if seen.jobs and rows != len(seen.jobs):
        what += f" The handler changed data itself: {len(seen.jobs)} request(s) came, and {rows} row(s) are left in it."
    change = "Answer every row of data; to answer one request with a list, put it in a list: return [[...]]."
    return Finding("wrong_length", what, source_search.answering(seen), served, change)


def not_serialisable(seen: Evidence) -> Finding | None:
    for index, row in enumerate(seen.returned):
        if type(row).__name__ == "Tensor" or isinstance(row, bytes | bytearray | str):
            continue
        for path, value in _misfits(row, f"row {index}"):
            kind = type(value).__name__
            what = f"JSON cannot carry a {kind}, at {path} of what the handler returned."
            change = _AS_JSON.get(kind, f"Turn the {kind} into numbers, text, lists or bytes first.")
            return Finding("not_serialisable", what, source_search.answering(seen), TYPE, change)
    return None


_AS_JSON = {
    "ndarray": "Use array.tolist(), or answer with array.tobytes().",
    "Tensor": "Use tensor.tolist() or tensor.item().",
    "float32": "Use float(value).",
    "int64": "Use int(value).",
    "bool_": "Use bool(value).",
    "bool": "Use bool(value).",
    "bytes": "Return the bytes as the row itself, or base64 text inside JSON.",
    "bytearray": "Return the bytes as the row itself, or base64 text inside JSON.",
    "Image": "Save the image into a BytesIO and return its bytes.",
    "set": "Use sorted(value).",
    "Decimal": "Use float(value) or str(value).",
    "date": "Use value.isoformat(); YAML makes a date of a text such as 2020-01-02.",
    "datetime": "Use value.isoformat().",
}


def _fits_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except TypeError:
        return False
    except (ValueError, RecursionError):
        return True
    return True


def _misfits(value: Any, path: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """(path, value) of what JSON cannot carry inside lists and dicts, in order."""
    if isinstance(value, dict) and depth < 20:
        for key, inner in value.items():
            if not isinstance(key, str | int | float | bool | None):
                yield f"{path}, as a key", key
            yield from _misfits(inner, f"{path}[{key!r}]", depth + 1)
    elif isinstance(value, list | tuple) and depth < 20:
        for index, inner in enumerate(value):
            yield from _misfits(inner, f"{path}[{index}]", depth + 1)
    elif not _fits_json(value):
        yield path, value


#: Asked where nothing was raised and the worker refused what came back.
RETURN_RULES: tuple[Rule, ...] = (no_instances, logged, not_a_list, wrong_length, not_serialisable)
#: Those that need not see what came back.
REMOTE_RETURN_RULES: tuple[Rule, ...] = (no_instances, logged)
