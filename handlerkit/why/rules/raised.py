"""Why a call of a handler raises."""

from __future__ import annotations

import re
from dataclasses import replace

from handlerkit.messages import Finding, Severity
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving.worker_death import DeathKind
from handlerkit.why import live_values, source_search
from handlerkit.why.effects import DIED, FAILED
from handlerkit.why.evidence import Evidence, Rule
from handlerkit.why.rules import (
    context_calls,
    context_reads,
    envelopes,
    input_mismatch,
    none_values,
    shapes,
    torchserve_code,
    unreadable_values,
    weights,
)
from handlerkit.why.rules.common import (
    attribute_not_set,
    command_failed,
    missing_import,
    missing_name,
    missing_variable,
    module_attribute,
    reads_command_line,
    signature,
    variable_not_set,
)
from handlerkit.why.rules.request import empty_form, undecoded
from handlerkit.why.rules.timing import response_timeout, timeout_set_aside


def died(evidence: Evidence) -> Finding | None:
    death, error = evidence.attempt.death, evidence.error
    if death is None:
        return None
    kind, message, where = death.kind, death.message, evidence.where
    if error is not None and not isinstance(error, Exception):
        message = f"The handler raised {evidence.error_line}, which ends the worker process."
        fix = "Raise an Exception, or answer with an error status."
        return Finding("worker_exit", message, where, DIED, fix)
    if kind == "exit" and not where:
        ends = list(source_search.find_all(evidence, r"\b(sys\.exit|os\._exit|(?<![\w.])exit|quit)\("))
        where = ends[0] if len(ends) == 1 else ""
    if kind in ("size", "encode"):
        where = where or source_search.return_line(evidence)
    if kind == "header":
        where = where or source_search.find(evidence, r"set_(all_)?response_|send_intermediate_predict_response")
    if kind == "timeout" and any("micro_batching.py" in line.text for line in evidence.attempt.logs):
        message = (
            "A stage of micro-batching raised in its thread. TorchServe does not notice, so the call never ends. "
            + message
        )
        fix = "Catch exceptions inside preprocess, inference and postprocess; the log has the traceback."
        return Finding("micro_batching", message, where, DIED, fix)
    is_type = "content_type" in _encoding(evidence)
    if is_type or any(function == "encode_response_headers" for _, function in evidence.functions):
        what = "The content type of a response" if is_type else "The name or value of a response header"
        message = f"{what} is not a string ({evidence.error_line})."
        where = source_search.find(evidence, r"set_response_(header|content_type)")
        fix = "Write context.set_response_header(0, name, str(value))."
        if is_type:
            fix = 'Write context.set_response_content_type(0, "application/json"): the index, then the type.'
        return Finding("worker_header", message, where, DIED, fix)
    raised = error if error is None or is_prediction(error) else error.__context__
    if is_prediction(raised):
        message = f"PredictionException carries {_carried(raised)}, which cannot be sent. {message}"
        where = where if is_prediction(error) else source_search.find(evidence, r"raise PredictionException\(")
        fix = 'Write PredictionException("what was wrong", 400).'
        return Finding(f"worker_{kind}", message, where, DIED, fix)
    fix = f"Make the handler faster, or {response_timeout(evidence)}" if kind == "timeout" else _FIXES[kind]
    return Finding(f"worker_{kind}", message, where, DIED, fix)


_FIXES: dict[DeathKind, str] = {
    "size": "Answer with bytes (PNG, JPEG) instead of lists of numbers, or raise max_response_size.",
    "header": "Give headers, phrases and content types as plain ASCII text, statuses as positive whole numbers.",
    "exit": "Find what ends the process: sys.exit, os._exit, a crash in native code, or too little memory.",
    "stale": "Send intermediate answers with code 200 only; report a failure by raising.",
    "describe": "Answer a describe request with a dict.",
    "encode": "Return rows of bytes, str, or what json.dumps accepts, without circular references.",
}


def _carried(error: BaseException | None) -> str:
    message = repr(getattr(error, "message", None))
    return f"the code {getattr(error, 'error_code', None)!r} and the message {message[:60]}{'…' * (len(message) > 60)}"


def status_arguments(evidence: Evidence) -> Finding | None:
    """A status or phrase that cannot be sent ends the worker."""
    death = evidence.attempt.death
    if death is None or death.kind not in ("header", "encode"):
        return None
    for call in evidence.calls:
        if call.kind != "set_response_status":
            continue
        code, phrase, _ = call.arguments
        if isinstance(code, int) and code >= 0 and isinstance(phrase, str) and phrase.isascii():
            continue
        message = f"set_response_status got the code {code!r} and the phrase {phrase!r}, which cannot be sent."
        fix = 'Write context.set_response_status(404, "Not found", 0): a number, ASCII text, the request\'s index.'
        return Finding("status_arguments", message, source_search.call_line(evidence, call), DIED, fix)
    if re.search("http_(code|phrase)", _encoding(evidence)):  # as a server's log tells
        message = f"set_response_status got a code or a phrase which cannot be sent ({evidence.error_line})."
        fix = 'Write context.set_response_status(404, "Not found", 0): a number, ASCII text, the request\'s index.'
        where = source_search.find(evidence, r"set_(all_)?response_status\(")
        return Finding("status_arguments", message, where, DIED, fix)
    return None


def _encoding(evidence: Evidence) -> str:
    """The line of TorchServe's codec that failed; "" if it was another's."""
    frames = evidence.info.frames if evidence.info else ()
    return frames[-1].source if frames and frames[-1].function == "create_predict_response" else ""


def out_of_memory(evidence: Evidence) -> Finding | None:
    effect = f"Every client of the batch gets 507 '{facts.OUT_OF_RESOURCES}'; the worker goes on."
    if isinstance(evidence.error, MemoryError):
        message = "The handler ran out of memory."
        return Finding("memory", message, evidence.where, effect, "Use a smaller batch or input.")
    if isinstance(evidence.error, Exception) and "CUDA" in evidence.text and not is_prediction(evidence.error):
        message = (
            f"The handler raised {evidence.error_line}; TorchServe takes any error that says CUDA for a lack of GPU "
        )
        message += "memory."
        return Finding("memory", message, evidence.where, effect, "Use a smaller batch, or correct the CUDA error.")
    return None


def is_prediction(error: BaseException | None) -> bool:
    """Whether it is ts.utils.util.PredictionException, whose code and message reach the client."""
    kinds = {(kind.__module__, kind.__name__) for kind in type(error).__mro__}
    return facts.PREDICTION_EXCEPTION in kinds and hasattr(error, "error_code")


def prediction_exception(evidence: Evidence) -> Finding | None:
    if not is_prediction(evidence.error):
        return None
    code = getattr(evidence.error, "error_code", 500)
    message = f"The handler raised PredictionException with code {code}."
    if evidence.earlier:
        error, info = evidence.earlier[0]
        earlier = replace(evidence, error=error, info=info)
        place = f" ({earlier.where})" if earlier.where else ""
        message += f" It stands for {earlier.error_line}{place}."
    if code == 200:
        effect = "Every client of the batch gets 200 with the word 'error' as the body; the message is lost."
        fix = "Return a row for each request, or give the exception a code of 400 or more."
        return Finding("prediction_exception", message, evidence.where, effect, fix, severity="warning")
    sent = 507 if code == 413 else code
    body = "no body" if code == 204 else "this message"
    effect = f"Every client of the batch gets {sent} with {body}" + (": 413 becomes 507." if code == 413 else ".")
    fix = (
        "To fail one request of a batch alone, use context.set_response_status(code, phrase, index) and return a row "
        "for it."
    )
    severity: Severity = "warning" if 0 <= code < 400 else "error"
    return Finding("prediction_exception", message, evidence.where, effect, fix, severity)


def status_index(evidence: Evidence) -> Finding | None:
    """set_response_status(code, phrase, idx): the index comes last."""
    if not isinstance(evidence.error, IndexError | TypeError) or evidence.frame is None:
        return None
    inner = evidence.functions[-1]
    if inner[0].rpartition("/")[2] != "context.py" or "set_response_status" not in evidence.frame.source:
        return None
    message = (
        "set_response_status takes (code, phrase, index of the request), and the batch has no request of that index: "
        f"it holds {len(evidence.rows)}."
    )
    fix = 'Write context.set_response_status(404, "Not found", 0); requests are counted from 0.'
    return Finding("status_arguments", message, evidence.where, FAILED, fix)


_NO_INDEX = re.compile(
    r"Context\.(get_request_header|get_all_request_header|set_response_header|set_response_content_type)\(\) missing"
)


def response_index(evidence: Evidence) -> Finding | None:
    """Another of the context's methods that takes the index of a request."""
    if not isinstance(evidence.error, IndexError | TypeError) or not evidence.functions:
        return None
    if (missing := _NO_INDEX.search(evidence.text)) is not None:
        message = f"context.{missing[1]} takes first the index of the request in the batch, and got too few arguments."
        fix = f"Write context.{missing[1]}(index, ...), of for index, row in enumerate(data); 0 is the first."
        return Finding("context_index", message, evidence.where, FAILED, fix)
    file, function = evidence.functions[-1]
    if file.rpartition("/")[2] != "context.py" or not function.endswith(("header", "headers", "content_type")):
        return None
    if "indices must be integers" in evidence.text:
        called = next(name for file, name in evidence.functions if file.rpartition("/")[2] == "context.py")
        message = f"context.{called} takes a request's index in the batch, 0 for the first, and got something else."
        fix = "Count with the rows: for index, row in enumerate(data)."
        return Finding("context_index", message, evidence.where, FAILED, fix)
    if isinstance(evidence.error, TypeError):
        return None
    message = f"context.{function} was called with an index that no request has: the batch holds {len(evidence.rows)}."
    fix = "Count with the rows: for index, row in enumerate(data)."
    return Finding("context_index", message, evidence.where, FAILED, fix)


_LOADS = re.compile(r"loads\((data|requests?)(\[\d\])?(?=\s*[,)])")


def data_as_dict(evidence: Evidence) -> Finding | None:
    if isinstance(evidence.error, TypeError) and "list indices must be integers or slices, not str" in evidence.text:
        if evidence.frame is None or not re.search(r"\bdata\s*\[\s*['\"]", evidence.frame.source):
            return None
        message = "data is a list with one dict per request; the handler reads it as a dict."
        fix = "Loop over it: for row in data: value = row.get('data') or row.get('body')."
        return Finding("data_is_a_list", message, evidence.where, FAILED, fix)
    source = evidence.frame.source if evidence.frame is not None else ""
    if "os.PathLike object, not list" in evidence.text and re.search(r"\bopen\(\s*(data|requests?)\s*[,)]", source):
        message = "data is a list with one dict per request; the handler opens it as a file."
        fix = "Open nothing: value = data[0].get('data') or data[0].get('body') is what the client sent."
        return Finding("data_is_a_list", message, evidence.where, FAILED, fix)
    if "the JSON object must be str" in evidence.text and (given := _LOADS.search(source)):
        what = "a list with one dict per request" if given[2] is None else "a dict with the request's fields"
        message = f"{given[0][6:]} is {what}; the handler reads it as JSON text."
        fix = "Take its value: row.get('data') or row.get('body'), read already if it came as application/json."
        return Finding("data_is_a_list", message, evidence.where, FAILED, fix)
    if isinstance(evidence.error, AttributeError) and evidence.text.startswith("'list' object has no attribute"):
        if evidence.frame is None or not any(f"data.{name}" in evidence.frame.source for name in _DICT_METHODS):
            return None
        message = "data is a list with one dict per request; the handler uses it as if it were one request."
        fix = "Loop over it: for row in data: value = row.get('data') or row.get('body')."
        return Finding("data_is_a_list", message, evidence.where, FAILED, fix)
    return None


_DICT_METHODS = ("get(", "keys(", "items(", "decode(", "values(")


def no_such_row(evidence: Evidence) -> Finding | None:
    """data[1] of a batch of one, as code has it that goes through range(batch_size), or takes a row for a field."""
    if not isinstance(evidence.error, IndexError) or not evidence.rows:
        return None
    held = live_values.indexed(evidence)
    if held is None or type(held.value) is not list or list(map(id, held.value)) != list(map(id, evidence.rows)):
        return None
    count = f"{len(held.value)} request" + "s" * (len(held.value) > 1)
    message = f"{held.source} has a row for each request of the batch, which holds {count}; there are no more rows."
    fix = f"Go through what there is: for row in {held.source}; the fields of a request are in its row."
    return Finding("no_such_row", message, evidence.where, FAILED, fix)


def key_type(evidence: Evidence) -> Finding | None:
    """A number looked up in what JSON has made, such as self.mapping, whose keys are texts."""
    if not isinstance(evidence.error, KeyError) or len(evidence.error.args) != 1:
        return None
    key, (is_known, held) = evidence.error.args[0], live_values.holder(evidence)
    number = re.fullmatch(r"tensor\((\d+).*\)|(\d+)", str(key))
    if number is None or not (is_known and isinstance(held, dict)):
        return None
    wanted = number[1] or number[2]
    if wanted == key or wanted not in held:
        return None
    what = f"the number {key}" if isinstance(key, int) else f"a {type(key).__name__}, {str(key)!r}"
    message = f"The keys are texts, as all of JSON's are ({wanted!r} is one), and the handler looks up {what}."
    fix = "Look up str(value.item()), of a tensor." if number[1] else "Look up str(value)."
    return Finding("key_type", message, evidence.where, FAILED, fix)


def header_key(evidence: Evidence) -> Finding | None:
    """A header in square brackets, in another casing than it was sent."""
    if not (isinstance(evidence.error, KeyError) and evidence.error.args and isinstance(evidence.error.args[0], str)):
        return None
    key = evidence.error.args[0]
    names = dict.fromkeys(name for job in evidence.attempt.jobs for name, _ in job.headers)
    sent = next((name for name in names if name.lower() == key.lower()), None)
    is_known, held = live_values.holder(evidence)
    is_of_headers = type(held) is dict and set(names) <= set(held) if is_known else _reads_headers(evidence)
    if sent == key or not is_of_headers:
        return None
    if sent is None:
        message = f"The request has no header {key!r}; it has {', '.join(list(names)[:6])}."
        fix = f"Send it, or read headers.get({key!r}) and expect None."
        return Finding("header_missing", message, evidence.where, FAILED, fix)
    message = f"The handler looks up the header {key!r}, the client sent {sent!r}: case matters."
    fix = f"headers = {{name.lower(): value for name, value in headers.items()}}, and then headers[{key.lower()!r}]."
    return Finding("header_casing", message, evidence.where, FAILED, fix)


def _reads_headers(evidence: Evidence) -> bool:
    return evidence.frame is not None and "header" in evidence.frame.source.lower()


def any_exception(evidence: Evidence) -> Finding | None:
    if evidence.error is None:
        return None
    message = f"The handler raised {evidence.error_line}."
    fix = source_search.fix_of_line(evidence) or "Bad input can be answered with context.set_response_status."
    return Finding("exception", message, evidence.where, FAILED, fix)


def unread_form(evidence: Evidence) -> Finding | None:
    """The row is empty, and the handler failed for that."""
    is_known, held = live_values.holder(evidence)
    asked = [(name,) for name, _ in source_search.row_lookups(evidence)]
    is_of_row = held == {} or any(held is row for row in evidence.rows)
    if not is_known:  # and no variable is, where the exception is known from a log
        is_of_row = live_values.is_live(evidence) or (evidence.error is not None and evidence.error.args in asked)
    is_of_it = (isinstance(evidence.error, KeyError) and is_of_row) or "NoneType" in evidence.text
    return empty_form(evidence, FAILED) if evidence.error is not None and is_of_it else None


#: What Python says of bytes that were taken for something else; not of what takes bytes, and got something else.
_OF_BYTES = re.compile(r"'bytearray'|'bytes'|\b(byte|bytearray) indices|not (bytes|bytearray)\b")


def unread_json(evidence: Evidence) -> Finding | None:
    """The value is a bytearray, and the handler took it for what JSON holds."""
    is_of_it = isinstance(evidence.error, AttributeError | TypeError) and _OF_BYTES.search(evidence.text)
    return undecoded(evidence, FAILED) if is_of_it else None


def stage_signature(evidence: Evidence) -> Finding | None:
    """BaseHandler.handle calls each stage with one argument."""
    if not isinstance(evidence.error, TypeError) or not evidence.functions:
        return None
    found = re.search(r"(?:^|\.)(preprocess|inference|postprocess)\(\) (missing|takes)\b.* argument", evidence.text)
    file, function = evidence.functions[-1]
    if found is None or function != "handle" or not file.endswith("torch_handler/base_handler.py"):
        return None
    stage = found[1]
    message = f"BaseHandler.handle calls {stage} with the data alone, and the handler's takes other arguments: "
    message += f"{evidence.text}."
    where = source_search.find(evidence, rf"def {stage}\(")
    fix = f"Write def {stage}(self, data), and read the context in it as self.context."
    return Finding("signature", message, where, FAILED, fix)


def piece_per_row(evidence: Evidence) -> Finding | None:
    """A piece of a stream holds one element for each request of the batch."""
    count = len(evidence.attempt.jobs)
    sends = any(function == "send_intermediate_predict_response" for _, function in evidence.functions)
    if not isinstance(evidence.error, IndexError | KeyError) or not sends or count < 2:
        return None
    message = (
        f"A piece of a stream has one element for each request, as a batch's answer has: this batch holds {count}, and "
        "the piece fewer."
    )
    fix = "Send a list with an element for every row of data, or register the model with batch_size=1."
    return Finding("stream_batch", message, evidence.where, FAILED, fix)


def first_error(evidence: Evidence) -> Finding | None:
    """What was raised while another exception was handled: the first is the cause, if it is about the input, or if the
    one that hides it is only a mistake in the code that handles it."""
    outer = evidence.error
    for index, (error, info) in enumerate(evidence.earlier):
        earlier = replace(evidence, error=error, info=info, earlier=evidence.earlier[index + 1 :])
        is_slip = isinstance(outer, ImportError | NameError) and not isinstance(error, ImportError | NameError)
        rules = _BY_ITSELF if is_slip else _OF_INPUT
        if earlier.frame is None or (found := next(filter(None, (rule(earlier) for rule in rules)), None)) is None:
            continue
        then = "raises" if evidence.frame and evidence.frame.source.startswith("raise ") else "fails too, with"
        also = f" The code that handles this error {then} {evidence.error_line}."
        return replace(found, message=found.message + also)
    return None


#: What explains an exception by what the client sent.
_OF_INPUT: tuple[Rule, ...] = (
    unread_form, unread_json, *input_mismatch.INPUT, torchserve_code.image_row, unreadable_values.not_an_image,
)  # fmt: skip
#: What explains one that stands for itself.
_BY_ITSELF: tuple[Rule, ...] = (
    *_OF_INPUT, *context_calls.RULES, data_as_dict, header_key, *input_mismatch.RULES, *torchserve_code.RULES,
    *none_values.RULES, any_exception,
)  # fmt: skip

#: Asked if the handler raised, or the worker died; the first that fits explains it.
RULES: tuple[Rule, ...] = (
    timeout_set_aside, reads_command_line, status_arguments, died, out_of_memory, prediction_exception,
    *envelopes.RULES, first_error, unreadable_values.unreadable, *weights.RULES, missing_import,
    *context_reads.RULES, missing_variable, missing_name, stage_signature, signature, piece_per_row, status_index,
    response_index, unread_form, unread_json, *context_calls.RULES, *input_mismatch.RULES, data_as_dict, no_such_row,
    header_key, key_type, variable_not_set, *torchserve_code.RULES, *shapes.RULES, *none_values.RULES,
    attribute_not_set, module_attribute, command_failed, any_exception,
)  # fmt: skip
