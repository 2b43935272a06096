"""A handler that takes a value of its request for something else: bytes for text, text for bytes, JSON for a picture.

TorchServe decodes a value by its content type: application/json comes parsed, text/* as a str, all else as a bytearray.
"""

from __future__ import annotations

import json
import re
from typing import Any

from handlerkit.formatting import with_article
from handlerkit.messages import Finding
from handlerkit.why import live_values, source_search
from handlerkit.why.contents import IMAGES, JSON, json_advice, kind_of, not_json
from handlerkit.why.effects import FAILED
from handlerkit.why.evidence import Evidence, Rule
from handlerkit.why.live_values import Value, handed

_GOT = r"not '?(dict|list|str|int|float|bool)'?$|'(str|dict|list|int|float)' object has no attribute '(?:decode|read)'"
_WANTS_TEXT = r"(?:must be|expected|input must be)(?: of type| a)? ?[`'\"]?(?:str\b|string)|specify either `text` or"
_NO_NUMBER = "could not convert string to|invalid literal for"


def _typed(evidence: Evidence, value: Value) -> str:
    """The content type by which TorchServe decoded it; "" for what it did not decode."""
    field = value.parameter(evidence)
    kind = field.content_type if field is not None else ""
    return kind if kind == JSON or kind.startswith("text") else ""


def other_services_form(evidence: Evidence) -> Finding | None:
    """The forms of KServe and TensorFlow Serving, which only an envelope takes apart."""
    error, where = evidence.error, handed(evidence)
    if error is None or evidence.attempt.envelope is not None or not isinstance(
        error, KeyError | TypeError | AttributeError | ValueError | RuntimeError
    ):  # fmt: skip
        return None
    for value in where:
        body = value.value
        if type(body) is not dict or len(value.path) != 1:
            continue
        if isinstance(error, KeyError) and error.args and _lacks(body, error.args[0]):
            return None  # `json_value` names the key
        if isinstance(body.get("instances"), list):
            key, names = "instances", "json (or kserve)"
        elif isinstance(tensors := body.get("inputs"), list) and all(
            isinstance(one, dict) and "datatype" in one for one in tensors
        ):
            key, names = "inputs", "kservev2"
        else:
            continue
        if source_search.find(evidence, rf"""["']{key}["']"""):
            continue
        message = (
            f'{value.name} is {{"{key}": [...]}}, a form that only the envelope {names} takes apart; this model is '
            "served without one, and the handler gets it whole."
        )
        first = names.partition(" ")[0]
        fix = f"Set service_envelope={first} in config.properties, or send the value itself."
        return Finding("no_envelope", message, evidence.where, FAILED, fix)
    return None


def decoded_already(evidence: Evidence) -> Finding | None:
    """A str, or what JSON holds, given to something that takes bytes or the text of JSON."""
    found = re.search(_GOT, evidence.text.strip())
    kind = (found[1] or found[2]) if found else ""
    parses = "malformed node or string" in evidence.text
    buffer = "buffer protocol" in evidence.text
    for value in handed(evidence):
        its = type(value.value).__name__
        is_of_it = its not in ("bytes", "bytearray") if parses or buffer else its == kind and _wants_bytes(evidence)
        if is_of_it and (typed := _typed(evidence, value)):
            return _already(evidence, value.name, value.value, typed)
    if found is not None and found[2] and not live_values.is_live(evidence):  # a log does not tell which row failed
        for one in live_values.in_rows(evidence):
            if type(one.value).__name__ == kind and (typed := _typed(evidence, one)):
                return _already(evidence, one.name, one.value, typed)
    return None


def _wants_bytes(evidence: Evidence) -> bool:
    words = r"bytes-like|bytes or bytearray|has no attribute '(decode|read)'"
    return bool(re.search(words, evidence.text))


#: What was sent instead of a file.
_SENT_AS = ("This one came as text.", "This one came as JSON.")


def _base64_in(value: dict[Any, Any]) -> str | None:
    """The first key of JSON whose text is base64 of a file."""
    return next((key for key, one in value.items() if kind_of(one).startswith(("base64 of", "a data: URL"))), None)


def _reads_a_file(evidence: Evidence) -> bool:
    """Whether the failing line opens what it makes a file of."""
    source = evidence.frame.source if evidence.frame else ""
    return bool(re.search(r"(?:\w*open|load|imread|read_image|decode_\w+)\(\s*(?:io\.)?BytesIO", source))


def _already(evidence: Evidence, name: str, value: Any, typed: str) -> Finding:
    kind, call = type(value).__name__, live_values.called(evidence).rpartition(".")[2]
    comes = (
        f"of type {typed} comes as a str"
        if typed != JSON
        else f"of type {JSON} comes parsed, here as {with_article(kind)}"
    )
    message = f"TorchServe has already decoded {name}: a value {comes}."
    holds = kind_of(value)
    if isinstance(value, dict) and value and call not in ("BytesIO", "write"):
        keys = ", ".join(map(repr, list(value)[:5]))
        fix = f"Read what it holds ({keys}): {name}[{next(iter(value))!r}]."
    elif isinstance(value, str) and holds.startswith(("base64", "a data")):
        part = f"{name}.partition(',')[2]" if holds.startswith("a data") else name
        fix = f"It is base64: base64.b64decode({part})."
    elif isinstance(value, dict) and (inner := _base64_in(value)) is not None:
        fix = f"Its {inner!r} is base64: base64.b64decode({name}[{inner!r}].rpartition(',')[2])."
    elif call in ("BytesIO", "write") and (not isinstance(value, str) or _reads_a_file(evidence)):
        fix = f"Send the file itself, with its own Content-Type or none: curl -T file. {_SENT_AS[typed == JSON]}"
    elif isinstance(value, str) and call == "BytesIO":
        fix = f"Use io.StringIO({name}), or io.BytesIO({name}.encode()) for a reader of bytes."
    elif isinstance(value, str) and call in ("b64encode", "frombuffer", "memoryview", "fromstring", "write"):
        fix = f"Give it bytes: {name}.encode(); or send it without that Content-Type, and it comes as bytes."
    else:
        act = {"loads": "json.loads(value)", "decode": "value.decode()", "literal_eval": "ast.literal_eval(value)"}
        done = act.get(call, "json.loads(value)" if "JSON" in evidence.text else "value.decode()")
        fix = f"Use it as it is; if it may be bytes too: if isinstance(value, (bytes, bytearray)): value = {done}."
    return Finding("decoded_already", message, evidence.where, FAILED, fix)


def bytes_for_text(evidence: Evidence) -> Finding | None:
    """A bytearray, given to something that takes text or what JSON holds."""
    if not isinstance(evidence.error, TypeError | AttributeError | ValueError):
        return None
    if not re.search(r"byte|\bstr\b|string|malformed node", evidence.text):
        return None
    if re.search(r"has no attribute '(read|seek|tell)'|multiple of element size|base64|" + _NO_NUMBER, evidence.text):
        return None
    given = handed(evidence)
    if "bytearray" in evidence.text and not any(isinstance(one.value, bytes | bytearray) for one in given):
        asked = {key for keys, _ in source_search.row_choices(evidence) for key in keys}  # something was made of it
        given = [one for one in live_values.in_rows(evidence) if one.path[0] in asked]
    for value in given:
        if not isinstance(value.value, bytes | bytearray) or (holds := kind_of(value.value)) == "":
            continue
        field = value.parameter(evidence)
        typed = field.content_type if field is not None else ""
        came = f"it came as {typed}" if typed else "it came without a Content-Type"
        if typed == JSON and (problem := not_json(value.value)):
            message = f"{value.name} is bytes: {came}, and is not JSON ({problem}), so TorchServe leaves it as it is."
            return Finding("bytes_for_text", message, evidence.where, FAILED, json_advice(problem))
        message = f"{value.name} is bytes (a {type(value.value).__name__}): {came}, and TorchServe decodes only "
        message += f"{JSON} and text/*."
        if holds not in ("a text", "JSON"):
            message += f" They are {holds}."
            fix = "Decode them by their own format, or send what the handler reads here."
            if holds in IMAGES:
                fix = f"Open them: Image.open(io.BytesIO({value.name})); or send what the handler reads here."
            return Finding("bytes_for_text", message, evidence.where, FAILED, fix)
        part = field is not None and field.name not in ("body",)
        kind = JSON if holds == "JSON" else "text/plain"
        send = f"-F '{field.name}=@file;type={kind}'" if part and field is not None else f"Content-Type: {kind}"
        act = f"json.loads({value.name})" if holds == "JSON" else f"{value.name}.decode()"
        return Finding("bytes_for_text", message, evidence.where, FAILED, f"Read {act}, or send it with {send}.")
    return None


def text_as_path(evidence: Evidence) -> Finding | None:
    """A str of the request given to something that opens a file of that name."""
    error = evidence.error
    if not isinstance(error, OSError):
        return None
    named = error.filename
    for value in [*handed(evidence), *live_values.texts_in_rows(evidence)]:
        text = value.value
        if not isinstance(text, str) or len(text) < 2 or named != text:
            continue
        call = live_values.called(evidence) or "The reader"
        holds = kind_of(text)
        if not holds.startswith("base64") and len(text) < 256:
            message = f"The request names the file {text!r}, and there is none where the handler runs."
            fix = "Send the file itself: curl -T file; a server reads no files of its clients."
            return Finding("text_as_path", message, evidence.where, FAILED, fix)
        what = holds if holds.startswith("base64") else f"a text of {len(text)} characters"
        message = f"{value.name} is {what}, and {call} takes a text for the name of a file."
        read = f"base64.b64decode({value.name})" if holds.startswith("base64") else f"{value.name}.encode()"
        fix = f"Give it the contents: {call}(io.BytesIO({read}))."
        return Finding("text_as_path", message, evidence.where, FAILED, fix)
    return None


def json_value(evidence: Evidence) -> Finding | None:
    """JSON of another form than the handler goes through: another key, null, lists of different lengths, text."""
    if (unpacked := re.search(r"values to unpack \(expected (?:at least )?(\d+)", evidence.text)) is not None:
        given = live_values.unpacked(evidence)
        if given is None or type(given.value) is not list or len(given.value) == int(unpacked[1]):
            return None
        message = (
            f"{given.name} is a list of {len(given.value)}, and the handler unpacks it into {unpacked[1]} variables."
        )
        return Finding(
            "json_value", message, evidence.where, FAILED, f"Send a list of {unpacked[1]}, or look at its length."
        )
    if isinstance(evidence.error, IndexError):
        empty = next((one for one in live_values.sent(evidence) if one.value == []), None)
        if empty is not None:
            message = f"{empty.name} is an empty list, and the handler reads an element of it."
            return Finding("json_value", message, evidence.where, FAILED, "Send values in it, or look at its length.")
        return None
    if not isinstance(evidence.error, KeyError | TypeError | AttributeError | ValueError | RuntimeError):
        return None
    values = [one for one in live_values.sent(evidence) if _typed(evidence, one)]
    if isinstance(evidence.error, KeyError):
        key = evidence.error.args[0] if evidence.error.args else None
        values += live_values.parsed(evidence)
        is_known, held = live_values.holder(evidence)
        if (is_known and held is not None) or not (is_known or live_values.is_live(evidence)):
            values = [one for one in values if one.value is held]
        elif not is_known and (into := live_values.looked_into(evidence)) is not None:
            values = [one for one in values if one.source in into]
        if any(file.startswith("pandas/") for file, _ in evidence.functions):  # a column of a table made of the rows
            values += [one for one in live_values.in_rows(evidence) if _typed(evidence, one)]
            named = re.findall(r"'(\w+)'", str(key)) if str(key).endswith("not in index") else [key]
            key = next((one for one in named if any(_lacks(value.value, one) for value in values)), key)
        return next((_no_key(evidence, one, key) for one in values if _lacks(one.value, key)), None)
    if re.search(_NO_NUMBER, evidence.text):
        return _no_number(evidence)
    is_of_text = evidence.text in ("too many dimensions 'str'", "new(): invalid data type 'str'")
    if is_of_text and (of_list := _text_in_list(evidence)) is not None:
        return of_list
    if evidence.text == "Could not infer dtype of NoneType":  # which torch.tensor says of a list
        values = values or [one for one in live_values.in_rows(evidence) if _typed(evidence, one) == JSON]
    for value in values:
        if unfit := _unfit(evidence, value):
            message, fix = unfit
            return Finding("json_value", message, evidence.where, FAILED, fix)
    return None


def _lacks(value: Any, key: object) -> bool:
    return type(value) is dict and isinstance(key, str) and key not in value


def _no_number(evidence: Evidence) -> Finding | None:
    for one in live_values.sent(evidence):
        if isinstance(one.value, str | bytes | bytearray):
            text = one.value if isinstance(one.value, str) else one.value.decode("utf-8", "replace")
            message = f"{one.name} is {text[:40]!r}{'…' * (len(text) > 40)}, which is not a number."
            fix = "Send a number; several of them as a JSON list." if "," in text else "Send a number."
            return Finding("json_value", message, evidence.where, FAILED, fix)
    return None


def _text_in_list(evidence: Evidence) -> Finding | None:
    """torch.tensor of a list with text in it, where a JSON list of the request holds some."""
    for one in live_values.texts_in_rows(evidence):
        if isinstance(one.value, str) and any(isinstance(step, int) for step in one.path):
            message = f"{one.name} is the text {one.value[:40]!r}, and a tensor is made of the list that holds it."
            return Finding("json_value", message, evidence.where, FAILED, "Send numbers in that list.")
    return None


def _no_key(evidence: Evidence, value: Value, key: object) -> Finding:
    has = ", ".join(map(repr, list(value.value)[:5])) or "nothing"
    message = f"The JSON in {value.name} has no {key!r}, it has {has}."
    inner = next((name for name, one in value.value.items() if isinstance(one, dict) and key in one), None)
    fix = f"Send {key!r} in it, or read what is there."
    if inner is not None:
        fix = f"It is inside {inner!r}: read {value.name}[{inner!r}][{key!r}]."
    return Finding("json_key", message, evidence.where, FAILED, fix)


def _unfit(evidence: Evidence, value: Value) -> tuple[str, str] | None:
    """(message, fix) if the error is about this value."""
    text, kind = evidence.text, type(value.value).__name__
    if "NoneType" in text and (at := _null(value.value)) is not None:
        place = value.name + "".join(f"[{step!r}]" for step in at)
        return f"The request has null at {place}, which is None in Python.", "Send a value there, or look for None."
    if re.search(r"expected sequence of length|inhomogeneous", text) and isinstance(value.value, list):
        lengths = [len(one) if isinstance(one, list) else None for one in value.value]
        if len(set(lengths)) > 1:
            said = ", ".join("no list" if one is None else str(one) for one in lengths[:5])
            message = f"The lists in {value.name} have different lengths ({said}), so they make no tensor or array."
            return message, "Send lists of one length, or pad them."
        return None
    if "verflow" in text and (large := _large(value.value)) is not None:
        return f"{value.name} holds the number {large}, which no 64-bit integer can hold.", "Send a smaller number."
    got = re.search(
        r"dtype of (\w+)|not '?(\w+)'?$|'(\w+)' object|got '?(\w+)'?\)?$|(list|string) indices|type '(\w+)'"
        r"|operand type\(s\) for \S+ '(\w+)' and '(\w+)'|concatenate (\w+) \(not \"(\w+)\"\) to",
        text,
    )
    named = {"str" if one == "string" else one for one in got.groups() if one} if got else set()
    if kind in ("dict", "list") and re.search(_WANTS_TEXT, text):
        named = {kind}
    if kind not in named or kind not in ("dict", "list", "str", "int", "float", "bool"):
        return None
    if kind == "dict":
        is_what = f"a JSON object with {', '.join(map(repr, list(value.value)[:5])) or 'nothing in it'}"
        fix = f"Read the part that it means: {value.name}[{next(iter(value.value), 'key')!r}]."
    elif kind in ("int", "float", "bool"):
        is_what, fix = f"{json.dumps(value.value)} (in JSON)", "Send what the handler expects, or convert it."
    elif kind == "list":
        is_what, fix = f"a list of {len(value.value)} (in JSON)", f"Go through it: for value in {value.name}."
    else:
        field = value.parameter(evidence)
        typed = field.content_type if field is not None else ""
        is_what, fix = f"text ({typed})", "Send what the handler expects, or convert it."
        if re.search(r"attribute '(get|items|keys|values)'|indices must be", text):
            fix = f"Send a JSON object (Content-Type: {JSON}), or read the text as it is."
            if typed == JSON:
                fix = "Send an object there, or read the text as it is."
        if kind_of(value.value) == "JSON":
            is_what = f"JSON that came as text ({typed})"
            fix = f"Send Content-Type: {JSON}, or read json.loads({value.name})."
            if typed == JSON:
                is_what = "a text with JSON in it, which was made into JSON once more"
                fix = f"Encode it once, as requests.post(url, json=value) does; or read json.loads({value.name})."
    return f"{value.name} is {is_what}, and the handler uses it as something else ({evidence.error_line}).", fix


def _null(value: Any, deep: int = 0) -> tuple[str | int, ...] | None:
    """Where the first None is in lists and dicts."""
    if value is None:
        return ()
    if deep < 5 and isinstance(value, list | dict):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if (found := _null(inner, deep + 1)) is not None:
                return (key, *found)
    return None


def _large(value: Any) -> int | None:
    if isinstance(value, list):
        return next((found for one in value if (found := _large(one)) is not None), None)
    return value if type(value) is int and not -(2**63) <= value < 2**63 else None


_NO_FILE = r"'(bytearray|bytes|memoryview)' object has no attribute '(read|seek|tell)'"


def bytes_for_a_file(evidence: Evidence) -> Finding | None:
    """Image.open, torch.load and their like take a file."""
    is_path = "embedded null" in evidence.text or isinstance(getattr(evidence.error, "filename", None), bytes)
    if not is_path and not re.search(_NO_FILE, evidence.text):
        return None
    opener = re.search(r"[\w.]*(?:open|load|read)\w*(?=\()", evidence.frame.source) if evidence.frame else None
    name = opener[0] if opener else "That function"
    if is_path and opener is None:
        return None
    message = f"{name} takes a file, and got the bytes themselves."
    if is_path:
        message = f"{name} takes a file or its name, and got the bytes themselves, which it takes for a name."
    call = f"{opener[0]}(io.BytesIO(value))" if opener else "io.BytesIO(value)"
    return Finding("bytes_for_a_file", message, evidence.where, FAILED, f"Wrap them in a file: {call}, with import io.")


def null_for_key(evidence: Evidence) -> Finding | None:
    """value = row["body"].get(key), of JSON that has no such key."""
    missing = live_values.none_on_line(evidence) if "NoneType" in evidence.text else None
    found = live_values.looked_up(evidence, missing.source) if missing is not None else None
    return None if found is None else _no_key(evidence, *found)


RULES: tuple[Rule, ...] = (
    other_services_form, text_as_path, decoded_already, bytes_for_text, bytes_for_a_file, json_value,
    null_for_key,
)  # fmt: skip
