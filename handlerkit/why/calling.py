"""Why a call of a handler fails."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from handlerkit.messages import Finding
from handlerkit.why.common import missing_import, missing_name, signature
from handlerkit.why.evidence import DIED, FAILED, Evidence, Rule

TYPE = "Every client of the batch gets 503 'Unsupported model output data type.'."


def died(seen: Evidence) -> Finding | None:
    if not seen.died:
        return None
    if seen.error is not None and not isinstance(seen.error, Exception):
        what = f"The handler raised {seen.name}, which ends the worker process."
        return Finding("worker_exit", what, seen.where, DIED, "Raise an Exception, or answer with a status of its own.")
    changes = {
        "timeout": "Raise response_timeout, or make the handler faster.",
        "size": "Answer with bytes (PNG, JPEG) instead of lists of numbers, or raise max_response_size.",
        "header": "Give headers, phrases and content types as plain ASCII text, statuses as positive whole numbers.",
        "exit": "Find what ends the process: sys.exit, os._exit, a crash in native code, or too little memory.",
        "stale": "Send intermediate answers with code 200 only; tell of a failure by raising.",
        "encode": "Return rows of bytes, str, or what json.dumps takes, without a cycle in it.",
    }
    kind, _, what = seen.died.partition(": ")
    return Finding(f"worker_{kind}", what, seen.where, DIED, changes.get(kind, ""))


def logged(seen: Evidence) -> Finding | None:
    """The three that follow, where only the worker's words for the returned value are at hand."""
    if not seen.logged:
        return None
    if found := re.search(r"Invalid return type: <class '(?:.+\.)?(\w+)'>", seen.logged):
        return _returned_a(found[1])
    if found := re.search(r"expect: (\d+), got: (\d+)", seen.logged):
        return _returned_elements(int(found[2]), int(found[1]))
    kind = re.search(r"Object of type (\w+)", seen.logged)
    change = _AS_JSON.get(kind[1] if kind else "", "Turn it into numbers, text, lists or bytes first.")
    what = f"JSON cannot carry what the handler returned: {seen.logged}."
    return Finding("not_serialisable", what, served=TYPE, change=change)


def not_a_list(seen: Evidence) -> Finding | None:
    if seen.error is not None or isinstance(seen.returned, list):
        return None
    return _returned_a(type(seen.returned).__name__)


def _returned_a(kind: str) -> Finding:
    what = f"The handler returned a {kind}; TorchServe takes a list with one element per request."
    change = {
        "tuple": "Return list(...) of it.",
        "NoneType": "Return the list: a return is missing.",
        "coroutine": "Write handle as a plain function: TorchServe does not await it.",
        "ndarray": "Return [array.tobytes()] or array.tolist().",
        "Tensor": "Return tensor.tolist().",
    }.get(kind, "Put it in a list: return [answer].")
    served = "Every client of the batch gets 503 'Invalid model predict output'."
    return Finding("not_a_list", what, served=served, change=change)


def wrong_length(seen: Evidence) -> Finding | None:
    if seen.error is not None or len(seen.returned) == len(seen.rows):
        return None
    return _returned_elements(len(seen.returned), len(seen.rows))


def _returned_elements(count: int, rows: int) -> Finding:
    what = f"The handler returned {count} element(s) for {rows} request(s); there must be one each."
    change = "Answer every row of data; to answer one request with a list, put it in a list: return [[...]]."
    served = "Every client of the batch gets 503 'number of batch response mismatched'."
    return Finding("wrong_length", what, served=served, change=change)


def not_serialisable(seen: Evidence) -> Finding | None:
    if seen.error is not None:
        return None
    for index, row in enumerate(seen.returned):
        if type(row).__name__ == "Tensor" or isinstance(row, bytes | bytearray | str):
            continue
        for path, value in _misfits(row, f"row {index}"):
            kind = type(value).__name__
            what = f"JSON cannot carry a {kind}, at {path} of what the handler returned."
            change = _AS_JSON.get(kind, f"Turn the {kind} into numbers, text, lists or bytes first.")
            return Finding("not_serialisable", what, served=TYPE, change=change)
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


def out_of_memory(seen: Evidence) -> Finding | None:
    served = "Every client of the batch gets 507 'Out of resources'; the worker lives on."
    if isinstance(seen.error, MemoryError):
        return Finding("memory", "The handler ran out of memory.", seen.where, served, "Use a smaller batch or input.")
    if isinstance(seen.error, Exception) and "CUDA" in str(seen.error) and not _is_prediction(seen.error):
        what = f"The handler raised {seen.name}; TorchServe takes any error that says CUDA for a lack of GPU memory."
        return Finding("memory", what, seen.where, served, "Use a smaller batch, or correct the CUDA error.")
    return None


def _is_prediction(error: BaseException | None) -> bool:
    return type(error).__name__ == "PredictionException" and hasattr(error, "error_code")


def prediction_exception(seen: Evidence) -> Finding | None:
    if not _is_prediction(seen.error):
        return None
    code = getattr(seen.error, "error_code", 500)
    sent = 507 if code == 413 else code
    what = f"The handler raised PredictionException with code {code}."
    served = f"Every client of the batch gets {sent} with this message" + (": 413 becomes 507." if code == 413 else ".")
    change = (
        "To fail one request of a batch alone, use context.set_response_status(code, phrase, index) and return a row "
        "for it."
    )
    return Finding("prediction_exception", what, seen.where, served, change)


def data_as_dict(seen: Evidence) -> Finding | None:
    if isinstance(seen.error, TypeError) and "list indices must be integers or slices, not str" in str(seen.error):
        what = "data is a list with a dict per request; the handler reads it as a dict."
        return Finding("data_is_a_list", what, seen.where, FAILED, "Loop over it: for row in data: row.get('body').")
    if isinstance(seen.error, KeyError) and seen.error.args and seen.rows and isinstance(seen.rows[0], dict):
        key, row = seen.error.args[0], seen.rows[0]
        if key in ("data", "body", "instances") and key not in row:
            there = ", ".join(map(repr, row)) or "nothing"
            what = f"The row has no {key!r}, it has {there}: a plain body comes as 'body', a form's field by its name."
            return Finding(
                "row_key", what, seen.where, FAILED, "Read row.get('data') or row.get('body'), or send that field."
            )
    return None


def none_value(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, AttributeError | TypeError) or "NoneType" not in str(seen.error):
        return None
    empty = [row for row in seen.rows if isinstance(row, dict) and not row]
    if empty:
        what = "The row is empty: the form had no field (as with curl -d without a Content-Type)."
        return Finding("empty_form", what, seen.where, FAILED, "Send JSON with -H 'Content-Type: application/json'.")
    what = f"A value is None where one was expected ({seen.error})."
    if seen.frame and "putalpha" in seen.frame.source:
        what = "Image.putalpha changes the image in place and returns None."
        return Finding("none_value", what, seen.where, FAILED, "Call it on a line of its own, then return the image.")
    return Finding(
        "none_value",
        what,
        seen.where,
        FAILED,
        "Look at what the line before returns; methods that work in place return None.",
    )


def any_exception(seen: Evidence) -> Finding | None:
    if seen.error is None:
        return None
    return Finding(
        "exception",
        f"The handler raised {seen.name}.",
        seen.where,
        FAILED,
        "Correct that line, or answer bad input with context.set_response_status.",
    )


CALL_RULES: tuple[Rule, ...] = (
    died, out_of_memory, prediction_exception, missing_import, missing_name, signature, data_as_dict,
    none_value, any_exception, logged, not_a_list, wrong_length, not_serialisable,
)  # fmt: skip
