"""Why a call of a handler raises."""

from __future__ import annotations

from dataclasses import replace

from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.why import source_search
from handlerkit.why.evidence import DIED, FAILED, NOTHING, Evidence, Rule
from handlerkit.why.rules.common import attribute_not_set, missing_import, missing_name, signature
from handlerkit.why.rules.envelopes import ENVELOPE_RULES
from handlerkit.why.rules.input_mismatch import MISREAD_RULES
from handlerkit.why.rules.request import empty_form, undecoded
from handlerkit.why.rules.torchserve_code import DEFAULT_RULES


def died(seen: Evidence) -> Finding | None:
    if not seen.died:
        return None
    if seen.error is not None and not isinstance(seen.error, Exception):
        what = f"The handler raised {seen.name}, which ends the worker process."
        return Finding("worker_exit", what, seen.where, DIED, "Raise an Exception, or answer with a status of its own.")
    kind, _, what = seen.died.partition(": ")
    where = seen.where or (source_search.answering(seen) if kind in ("size", "encode") else "")
    if kind == "header":
        where = where or source_search.find(seen, r"set_(all_)?response_|send_intermediate_predict_response")
    if kind == "timeout" and any("micro_batching.py" in line.text for line in seen.logs):
        what = "A stage of micro-batching raised in its thread; nothing hands that on, so the call never ends. " + what
        change = "Catch exceptions inside preprocess, inference and postprocess; the log has the traceback."
        return Finding("micro_batching", what, where, DIED, change)
    if any(function == "encode_response_headers" for _, function in seen.functions):
        what = f"A response header's name or value is no text ({seen.name})."
        where = source_search.find(seen, r"set_response_(header|content_type)")
        return Finding("worker_header", what, where, DIED, "Write context.set_response_header(0, name, str(value)).")
    raised = seen.error if seen.error is None or is_prediction(seen.error) else seen.error.__context__
    if is_prediction(raised):
        what = f"PredictionException carries {_given(raised)}, which cannot be sent. {what}"
        where = where if is_prediction(seen.error) else source_search.find(seen, r"raise PredictionException\(")
        return Finding(f"worker_{kind}", what, where, DIED, 'Write PredictionException("what was wrong", 400).')
    return Finding(f"worker_{kind}", what, where, DIED, _DEATHS.get(kind, ""))


def status_arguments(seen: Evidence) -> Finding | None:
    """A status or phrase that cannot be sent ends the worker."""
    if not seen.died.startswith(("header", "encode")):
        return None
    for note in seen.noted:
        if note.method != "set_response_status":
            continue
        code, phrase, _ = note.arguments
        if isinstance(code, int) and code >= 0 and isinstance(phrase, str) and phrase.isascii():
            continue
        what = f"set_response_status got the code {code!r} and the phrase {phrase!r}, which cannot be sent."
        change = 'Write context.set_response_status(404, "Not found", 0): a number, ASCII text, the request\'s index.'
        return Finding("status_arguments", what, source_search.noted(seen, note), DIED, change)
    return None


_DEATHS = {
    "timeout": "Raise response_timeout, or make the handler faster.",
    "size": "Answer with bytes (PNG, JPEG) instead of lists of numbers, or raise max_response_size.",
    "header": "Give headers, phrases and content types as plain ASCII text, statuses as positive whole numbers.",
    "exit": "Find what ends the process: sys.exit, os._exit, a crash in native code, or too little memory.",
    "stale": "Send intermediate answers with code 200 only; tell of a failure by raising.",
    "describe": "Answer a describe request with a dict.",
    "encode": "Return rows of bytes, str, or what json.dumps takes, without a cycle in it.",
}


def _given(error: BaseException | None) -> str:
    message = repr(getattr(error, "message", None))
    return f"the code {getattr(error, 'error_code', None)!r} and the message {message[:60]}{'…' * (len(message) > 60)}"


def timeout_set_aside(seen: Evidence) -> Finding | None:
    """The worker was killed earlier than the response_timeout that was asked for."""
    asked, now = seen.setup.asked_timeout, seen.setup.response_timeout
    if asked is None or asked <= now or not seen.died.startswith("timeout"):
        return None
    return _set_aside(seen, asked, now, DIED)


def timeout_not_in_force(seen: Evidence) -> Finding | None:
    """The call took longer than the response_timeout that was asked for, and nobody minded."""
    asked, now = seen.setup.asked_timeout, seen.setup.response_timeout
    if asked is None or not asked < seen.seconds <= now:
        return None
    return replace(_set_aside(seen, asked, now, NOTHING), severity="warning")


def _set_aside(seen: Evidence, asked: int, now: int, served: str) -> Finding:
    what = (
        f"The call took {seen.seconds:.1f} s. A response_timeout of {asked} s was asked for, but {now} s is in force: "
        "the model has a config file, and then only its responseTimeout counts "
        f"({facts.RESPONSE_TIMEOUT} s without one)."
    )
    change = f"Write responseTimeout: {asked} into model-config.yaml."
    return Finding("timeout_set_aside", what, "", served, change)


def out_of_memory(seen: Evidence) -> Finding | None:
    served = f"Every client of the batch gets 507 '{facts.OUT_OF_RESOURCES}'; the worker lives on."
    if isinstance(seen.error, MemoryError):
        return Finding("memory", "The handler ran out of memory.", seen.where, served, "Use a smaller batch or input.")
    if isinstance(seen.error, Exception) and "CUDA" in seen.text and not is_prediction(seen.error):
        what = f"The handler raised {seen.name}; TorchServe takes any error that says CUDA for a lack of GPU memory."
        return Finding("memory", what, seen.where, served, "Use a smaller batch, or correct the CUDA error.")
    return None


def is_prediction(error: BaseException | None) -> bool:
    """Whether it is ts.utils.util.PredictionException, whose code and message reach the client."""
    kinds = {(kind.__module__, kind.__name__) for kind in type(error).__mro__}
    theirs = {
        ("ts.utils.util", "PredictionException"),
        ("handlerkit.endpoints.logs.logged_error", "PredictionException"),
    }
    return bool(kinds & theirs) and hasattr(error, "error_code")


def prediction_exception(seen: Evidence) -> Finding | None:
    if not is_prediction(seen.error):
        return None
    code = getattr(seen.error, "error_code", 500)
    what = f"The handler raised PredictionException with code {code}."
    if code == 200:
        served = "Every client of the batch gets 200 with the word 'error' as the body; the message is lost."
        change = "Return a row for each request, or give the exception a code of 400 or more."
        return Finding("prediction_exception", what, seen.where, served, change, severity="warning")
    sent = 507 if code == 413 else code
    body = "no body" if code == 204 else "this message"
    served = f"Every client of the batch gets {sent} with {body}" + (": 413 becomes 507." if code == 413 else ".")
    change = (
        "To fail one request of a batch alone, use context.set_response_status(code, phrase, index) and return a row "
        "for it."
    )
    return Finding(
        "prediction_exception", what, seen.where, served, change, severity="warning" if 0 <= code < 400 else "error"
    )


def status_index(seen: Evidence) -> Finding | None:
    """set_response_status(code, phrase, idx): the index comes last."""
    if not isinstance(seen.error, IndexError | TypeError) or seen.frame is None:
        return None
    inner = seen.functions[-1]
    if inner[0].rpartition("/")[2] != "context.py" or "set_response_status" not in seen.frame.source:
        return None
    what = (
        f"set_response_status takes (code, phrase, index of the request), and there is no request of that index among "
        f"{len(seen.rows)}."
    )
    change = 'Write context.set_response_status(404, "Not found", 0); requests are counted from 0.'
    return Finding("status_arguments", what, seen.where, FAILED, change)


def response_index(seen: Evidence) -> Finding | None:
    """Another of the context's methods that takes the index of a request."""
    if not isinstance(seen.error, IndexError) or not seen.functions:
        return None
    file, function = seen.functions[-1]
    if file.rpartition("/")[2] != "context.py" or not function.endswith(("header", "headers", "content_type")):
        return None
    what = f"context.{function} was asked for a request that is not there: the batch holds {len(seen.rows)}."
    change = "Count with the rows: for index, row in enumerate(data)."
    return Finding("context_index", what, seen.where, FAILED, change)


def data_as_dict(seen: Evidence) -> Finding | None:
    if isinstance(seen.error, TypeError) and "list indices must be integers or slices, not str" in seen.text:
        if seen.frame is None or "data" not in seen.frame.source:
            return None
        what = "data is a list with one dict per request; the handler reads it as a dict."
        change = "Loop over it: for row in data: value = row.get('data') or row.get('body')."
        return Finding("data_is_a_list", what, seen.where, FAILED, change)
    if isinstance(seen.error, AttributeError) and seen.text.startswith("'list' object has no attribute"):
        if seen.frame is None or not any(f"data.{name}" in seen.frame.source for name in _ASKED_OF_A_DICT):
            return None
        what = "data is a list with one dict per request; the handler asks it as if it were one request."
        change = "Loop over it: for row in data: value = row.get('data') or row.get('body')."
        return Finding("data_is_a_list", what, seen.where, FAILED, change)
    return None


_ASKED_OF_A_DICT = ("get(", "keys(", "items(", "decode(", "values(")


def header_key(seen: Evidence) -> Finding | None:
    """A header in square brackets, in another casing than it was sent."""
    if not (isinstance(seen.error, KeyError) and seen.error.args and isinstance(seen.error.args[0], str)):
        return None
    key = seen.error.args[0]
    sent = next((name for job in seen.jobs for name, _ in job.headers if name.lower() == key.lower()), None)
    if sent is None or sent == key:
        return None
    what = f"The handler looks for the header {key!r}, the client sent it as {sent!r}: upper and lower case count."
    change = f"headers = {{name.lower(): value for name, value in headers.items()}}, and then headers[{key.lower()!r}]."
    return Finding("header_casing", what, seen.where, FAILED, change)


def no_mapping(seen: Evidence) -> Finding | None:
    """BaseHandler's self.mapping comes from index_to_name.json."""
    if not isinstance(seen.error, AttributeError | TypeError) or "NoneType" not in seen.text or seen.frame is None:
        return None
    if "self.mapping" not in seen.frame.source or seen.folder is None:
        return None
    if (seen.folder / facts.LABELS).exists():
        return None
    what = "self.mapping is None: the archive has no index_to_name.json, where BaseHandler finds the classes' names."
    change = '--extra-files index_to_name.json, an object such as {"0": "cat", "1": "dog"}.'
    return Finding("no_mapping", what, seen.where, FAILED, change)


def none_value(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, AttributeError | TypeError) or "NoneType" not in seen.text:
        return None
    if (found := source_search.returned_in_place(seen)) is not None and seen.frame is not None:
        method, number = found
        what = f"{method} changes its object in place and returns None, and the handler goes on with that None."
        enclosing = source_search.enclosing(source_search.tree(seen, seen.frame.file), number)
        where = source_search.line(seen, seen.frame.file, number, enclosing.name if enclosing else "<module>")
        change = f"Call {method} on a line of its own, and go on with the object: image.putalpha(mask); return image."
        if method not in ("putalpha", "paste", "thumbnail", "putdata"):
            change = f"Call {method} on a line of its own, and go on with the object it was called on."
        return Finding("none_value", what, where, FAILED, change)
    what = f"A value is None where one was expected ({seen.text})."
    change = "Look at what the line before returns; row.get gives None for a field that was not sent."
    return Finding("none_value", what, seen.where, FAILED, change)


def any_exception(seen: Evidence) -> Finding | None:
    if seen.error is None:
        return None
    what = f"The handler raised {seen.name}."
    change = f"{source_search.correct(seen)} Bad input can be answered with context.set_response_status.".strip()
    return Finding("exception", what, seen.where, FAILED, change)


def unread_form(seen: Evidence) -> Finding | None:
    """The row is empty, and the handler stumbled over that."""
    stumbled = isinstance(seen.error, KeyError) or "NoneType" in seen.text
    return empty_form(seen, FAILED) if seen.error is not None and stumbled else None


def unread_json(seen: Evidence) -> Finding | None:
    """The value is a bytearray, and the handler took it for what JSON holds."""
    took = isinstance(seen.error, AttributeError | TypeError) and ("byte" in seen.text)
    return undecoded(seen, FAILED) if took else None


#: Asked where the handler raised, or the worker died.
RAISE_RULES: tuple[Rule, ...] = (
    timeout_set_aside, status_arguments, died, out_of_memory, prediction_exception, *ENVELOPE_RULES, missing_import,
    missing_name, signature, status_index, response_index, unread_form, unread_json, data_as_dict, header_key,
    *MISREAD_RULES, *DEFAULT_RULES, no_mapping, none_value, attribute_not_set, any_exception,
)  # fmt: skip
