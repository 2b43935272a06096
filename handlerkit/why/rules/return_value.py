"""Why TorchServe does not take what a handler returned."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from handlerkit.envelope import named
from handlerkit.formatting import with_article
from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.why import source_search
from handlerkit.why.evidence import Evidence, Rule
from handlerkit.why.rules.envelopes import no_instances
from handlerkit.why.rules.model_output import as_list, is_model_output

TYPE = f"Every client of the batch gets 503 '{facts.NOT_JSON}'."


def logged(evidence: Evidence) -> Finding | None:
    """The three that follow, if only the worker's log of the returned value is at hand."""
    if not evidence.logged:
        return None
    if found := re.search(r"Invalid return type: <class '(.+\.)?(\w+)'>", evidence.logged):
        is_output = (found[1] or "").startswith("transformers.") and found[2].endswith("Output")
        return _returned_a(evidence, found[2], as_list(found[2]) if is_output else "")
    if found := re.search(r"expect: (\d+), got: (\d+)", evidence.logged):
        return _returned_elements(evidence, int(found[2]), int(found[1]))
    kind = re.search(r"Object of type (\w+)|keys must be .*, not (\w+)$", evidence.logged)
    fix = _AS_JSON.get((kind[1] or kind[2]) if kind else "", "Turn it into numbers, text, lists or bytes first.")
    message = f"JSON has no form for what the handler returned: {evidence.logged}."
    return Finding("not_serializable", message, source_search.return_line(evidence), TYPE, fix)


def not_a_list(evidence: Evidence) -> Finding | None:
    if evidence.returned is None or isinstance(evidence.returned.value, list):
        return None
    value = evidence.returned.value
    kind = type(value).__name__
    return _returned_a(evidence, kind, as_list(kind, value) if is_model_output(value) else "")


#: For one request, and for several.
_IN_A_LIST = ("Put it in a list: return [answer].", "Return a list with such an answer for each request.")


def _of_an_array(evidence: Evidence) -> dict[str, str]:
    """What to return instead of a tensor or array, whose first dimension may not be the batch's."""
    shape = tuple(getattr(evidence.returned.value, "shape", ())) if evidence.returned is not None else ()
    if evidence.returned is None:
        what = "Return a list with one element for each request, such as {}.tolist() where its rows are the requests'."
        return {"ndarray": what.format("array"), "Tensor": what.format("tensor")}
    if not shape or shape[0] == len(evidence.rows):
        return {"ndarray": "Return [array.tobytes()] or array.tolist().", "Tensor": "Return tensor.tolist()."}
    if len(evidence.rows) == 1:
        return {"ndarray": "Return [array.tobytes()] or [array.tolist()].", "Tensor": "Return [tensor.tolist()]."}
    what = f"Return a list with one element for each of the {len(evidence.rows)} requests; this has the shape {shape}."
    return {"ndarray": what, "Tensor": what}


def _of_a_tuple(evidence: Evidence) -> str:
    """What to return instead of a tuple: `return rows, 200` makes one, and a comma at the end."""
    value = evidence.returned.value if evidence.returned is not None else ()
    if not isinstance(value, tuple):
        return ""
    if len(value) == 2 and isinstance(value[0], list) and isinstance(value[1], int):
        return "Return the list alone, and set a status with context.set_response_status(code, phrase, index)."
    if len(value) == 1 and isinstance(value[0], list):
        return "Leave out the comma at the end, which makes a tuple of the list."
    if len(value) == len(evidence.rows) and value:
        return "Return list(...) of it."
    return "Return a list with an element for each request; list(...) makes one of a tuple that has them."


def _returned_a(evidence: Evidence, kind: str, as_list: str = "") -> Finding:
    """`as_list`: what to write behind an output of a model for a list of its numbers."""
    returned = "None" if kind == "NoneType" else with_article(kind)
    message = f"The handler returned {returned}; TorchServe takes a list with one element per request."
    fix = {
        "tuple": _of_a_tuple(evidence),
        "NoneType": "Return the list: the return statement or its value is missing.",
        "coroutine": "Write handle as a plain function: TorchServe does not await it.",
        "generator": "Return list(...) of it: a function with yield gives its values one by one.",
        **_of_an_array(evidence),
    }.get(kind, _IN_A_LIST[len(evidence.rows) > 1])
    if as_list:
        message = f"The handler returned {with_article(kind)}, the model's output with its tensors; TorchServe takes a "
        message += "list with one element per request."
        fix = f"Return numbers: return output{as_list}."
    if caught := _caught(evidence):
        message += f" Before that it logged an exception that it caught, {caught}."
    effect = f"Every client of the batch gets 503 '{facts.NO_LIST}'."
    return Finding("not_a_list", message, source_search.return_line(evidence, kind == "NoneType"), effect, fix)


def _caught(evidence: Evidence) -> str:
    """The last line of the last traceback that the handler logged; "" if it logged none."""
    texts = [line.text for line in evidence.attempt.logs]
    begins = [at for at, text in enumerate(texts) if text == "Traceback (most recent call last):"]
    last = next((text for text in texts[begins[-1] + 1 :] if not text.startswith(" ")), "") if begins else ""
    return last.rstrip(".")


def wrong_length(evidence: Evidence) -> Finding | None:
    if evidence.returned is None or len(evidence.returned.value) == len(evidence.rows):
        return None
    return _returned_elements(evidence, len(evidence.returned.value), len(evidence.rows))


def _returned_elements(evidence: Evidence, count: int, rows: int) -> Finding:
    effect = f"Every client of the batch gets 503 '{facts.WRONG_LENGTH}'."
    envelope, jobs = evidence.attempt.envelope, len(evidence.attempt.jobs)
    if envelope and named(envelope).first_only and count == 1 < rows:
        message = (
            f"The envelope {envelope} (for KServe's form of requests) takes only the first request of a batch, "
            f"and this batch holds {rows}."
        )
        return Finding("kserve_batch", message, effect=effect, fix="Register the model with batch_size=1.")
    message = f"The handler returned {count} element(s) for {rows} request(s); there must be one each."
    if jobs and rows != jobs:
        message += f" The handler changed data itself: it had {jobs} row(s), and has {rows} now."
    fix = "Answer every row of data; to answer a request with a list, put that list in another: return [[...]]."
    if count == 1 and (first := source_search.find(evidence, _FIRST_ROW)):
        fix = f"Go through all rows of data: the handler reads the first alone ({first})."
    return Finding("wrong_length", message, source_search.return_line(evidence), effect, fix)


#: A line that reads one row by its index.
_FIRST_ROW = r"\b(data|requests?|batch|input_data|inputs)\[0\]"


def not_serializable(evidence: Evidence) -> Finding | None:
    for index, row in enumerate(evidence.returned.value if evidence.returned is not None else ()):
        if type(row).__name__ == "Tensor" or isinstance(row, bytes | bytearray | str):
            continue
        for path, value in _misfits(row, f"row {index}"):
            kind = type(value).__name__
            message = f"JSON has no form for {with_article(kind)}, at {path} of what the handler returned."
            if is_model_output(row):
                name = type(row).__name__
                message = (
                    f"JSON has no form for {with_article(kind)}: row {index} is {with_article(name)}, the model's "
                )
                message += "output."
                fix = f"Return numbers, a list for each request: return output{as_list(name, row)}."
                return Finding("not_serializable", message, source_search.return_line(evidence), TYPE, fix)
            fix = _AS_JSON.get(kind, f"Turn the {kind} into numbers, text, lists or bytes first.")
            return Finding("not_serializable", message, source_search.return_line(evidence), TYPE, fix)
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
    "date": "Use value.isoformat(); YAML reads a text such as 2020-01-02 as a date.",
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
    """(path, value) of what JSON has no form for, inside lists and dicts, in order."""
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


#: Asked if nothing was raised and the worker refused what came back; the first that fits explains it.
RULES: tuple[Rule, ...] = (no_instances, logged, not_a_list, wrong_length, not_serializable)
