"""A value of the request that the handler gives to a reader of something else: text to a reader of pictures, a picture
to one of JSON."""

from __future__ import annotations

import ast
import binascii
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from handlerkit.messages import Finding
from handlerkit.why import live_values, source_search
from handlerkit.why.contents import IMAGES, kind_of
from handlerkit.why.effects import FAILED
from handlerkit.why.evidence import Evidence, Rule
from handlerkit.why.live_values import Value, handed

#: Who refused to read, by the exception's class and what its text has: the reader, and what to do.
_READERS = (
    ("JSONDecodeError", "", "json.loads", "Send JSON there, or use the value as the text that it is."),
    ("SyntaxError", "<unknown>", "ast.literal_eval", "Send a Python literal, or read JSON with json.loads."),
    ("ValueError", "malformed node or string on line", "ast.literal_eval", "Read JSON with json.loads."),
    ("UnicodeDecodeError", "", "decode", "Decode only text; read a file by its own format."),
    ("UnpicklingError", "", "torch.load", "Send what torch.save wrote."),
    ("IndexError", "pop from empty list", "torch.load", "Send what torch.save wrote."),
    ("RuntimeError", "PytorchStreamReader", "torch.load", "Send what torch.save wrote."),
    ("ValueError", r"allow_pickle=False|pickled \(object\) data", "numpy.load", "Send what numpy.save wrote."),
    ("Error", "RIFF|WAVE", "wave.open", "Send a WAV file."),
    ("LibsndfileError", "", "soundfile", "Send a sound file that it knows, such as WAV or FLAC."),
    ("BadZipFile", "", "zipfile", "Send a zip file."),
    ("BadGzipFile", "", "gzip", "Send it compressed with gzip, or read it as it is."),
    ("ParserError", "", "pandas", "Send a table in CSV."),
    ("ParseError", "", "The XML reader", "Send XML."),
)  # fmt: skip
#: The class that torch.load does not take, which it names.
_REFUSED = re.compile(r"(?:GLOBAL|Unsupported class|unsupported class) ([\w.]+)")


def unreadable(evidence: Evidence) -> Finding | None:
    """Text that is no JSON, bytes that are no text, and the like."""
    kind = type(evidence.error).__name__
    fits = (found for name, words, *found in _READERS if name == kind and re.search(words, evidence.text))
    reader, fix = next(fits, ("", ""))
    value = (next(_read(evidence), None) or _unfit(evidence, reader)) if reader else None
    if value is None:
        return None
    if (refused := _REFUSED.search(evidence.text)) is not None:
        message = f"{value.name} holds an object of the class {refused[1].rstrip('.')}, and torch.load takes only "
        message += "tensors and plain values (weights_only=True, the default since torch 2.6)."
        fix = "Send tensors, numbers, text, lists and dicts; weights_only=False would run code that a client sends."
        return Finding("unreadable", message, evidence.where, FAILED, fix)
    message = f"{value.name} {_described(value.value)}, and {reader} cannot read that ({_short(evidence)})."
    if kind_of(value.value) == "gzip-compressed":
        fix = f"Send it uncompressed, or call gzip.decompress({value.name}) first."
        return Finding("content_encoding", message, evidence.where, FAILED, fix)
    return Finding("unreadable", message, evidence.where, FAILED, fix)


def _described(value: Any) -> str:
    holds = kind_of(value)
    if holds != "a text":
        return f"is {holds}" if holds else f"holds {len(value)} bytes of another kind"
    text = value if isinstance(value, str) else value.decode()
    return f"is the text {text[:40]!r}{' …' * (len(text) > 40)}"


def _short(evidence: Evidence) -> str:
    line = evidence.error_line
    return line if len(line) <= 90 else f"{line[:90].rpartition(' ')[0]} …"


def _read(evidence: Evidence) -> Iterator[Value]:
    """What was read, if it came in the request: it is in the failing expression, or the reader has a copy of it."""
    for value in handed(evidence):
        if isinstance(value.value, str | bytes | bytearray) and value.value:
            yield value
    copies = list(_copies(evidence))
    for value in live_values.texts_in_rows(evidence):
        plain = value.value.encode() if isinstance(value.value, str) else bytes(value.value)
        if plain and plain in copies:
            yield value


def _unfit(evidence: Evidence, reader: str) -> Value | None:
    """The only value of a batch of one, where an exception is known from a log alone: if the line calls this reader,
    and the reader says the same to the value here."""
    values = list(live_values.in_rows(evidence))
    source = evidence.frame.source if evidence.frame is not None else ""
    if live_values.is_live(evidence) or len(values) != 1 or reader.rpartition(".")[2] not in source:
        return None
    value = values[0].value
    if not isinstance(value, str | bytes | bytearray) or not value:
        return None
    if reader not in _PLAIN:
        told = "BytesIO(" in source  # which is made of nothing else
    else:
        try:
            _PLAIN[reader](value)
            told = False
        except (ValueError, SyntaxError, MemoryError, RecursionError) as problem:
            told = str(problem) == evidence.text
    return values[0] if told else None


def _text(value: str | bytes | bytearray) -> str:
    return value if isinstance(value, str) else value.decode()


#: The readers that can be asked.
_PLAIN: dict[str, Callable[[str | bytes | bytearray], Any]] = {
    "json.loads": lambda value: json.loads(_text(value)),
    "ast.literal_eval": lambda value: ast.literal_eval(_text(value)),
    "decode": _text,
}


def _copies(evidence: Evidence) -> Iterator[bytes]:
    """The texts and bytes that the functions of the traceback work with, the innermost first."""
    held = getattr(evidence.error, "object", None)  # of a UnicodeDecodeError
    if isinstance(held, bytes | bytearray):
        yield bytes(held)
    traces, trace = [], evidence.error.__traceback__ if evidence.error is not None else None
    while trace is not None:
        traces.append(trace)
        trace = trace.tb_next
    for trace in reversed(traces[-20:]):
        for value in trace.tb_frame.f_locals.values():
            if isinstance(value, io.BytesIO | io.StringIO) and not value.closed:
                value = value.getvalue()
            if isinstance(value, str | bytes | bytearray):
                yield value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)


def no_picture(evidence: Evidence) -> Finding | None:
    """cv2.imdecode and its like give None for what is no image, and only the next line fails."""
    if "NoneType" not in evidence.text and "empty()" not in evidence.text:
        return None
    line = source_search.find(evidence, r"\w\.(imdecode|imfrombytes)\(")
    decoder = re.search(r"[\w.]*\b(?:imdecode|imfrombytes)(?=\()", line)
    asked = {key for keys, _ in source_search.row_choices(evidence) for key in keys} or {"data", "body"}
    for value in live_values.in_rows(evidence) if decoder else ():
        holds = kind_of(value.value)
        if value.path[0] in asked and holds and holds not in IMAGES and not holds.startswith("base64"):
            message = f"{decoder[0] if decoder else ''} gives None for what is no image, and {value.name} is "
            message += f"{_A_TEXT.get(holds, holds)}."
            fix = "Send the image file itself: curl -T image.png; and look for None before the image is used."
            return Finding("not_an_image", message, evidence.where, FAILED, fix)
    return None


def empty_value(evidence: Evidence) -> Finding | None:
    """A body or a field without a byte in it."""
    if not isinstance(evidence.error, AttributeError | TypeError | ValueError | EOFError | SyntaxError):
        return None
    of_bytes = "'bytearray'" in evidence.text and not live_values.is_live(evidence)
    for value in live_values.in_rows(evidence) if of_bytes else handed(evidence):
        if isinstance(value.value, bytearray) and not value.value:
            what = "the request has no body" if value.path == ("body",) else f"the field {value.path[0]!r} has no value"
            message = f"{value.name} is empty: {what} ({_short(evidence)})."
            fix = 'Send one, or refuse the request: context.set_response_status(400, "Nothing to read", index).'
            return Finding("empty_value", message, evidence.where, FAILED, fix)
    return None


def data_url(evidence: Evidence) -> Finding | None:
    """A browser's FileReader gives "data:image/png;base64,...", which begins with words about the data."""
    if not _is_unreadable(evidence):
        return None
    for value in [*handed(evidence), *live_values.in_rows(evidence)]:
        if kind_of(value.value) == "a data: URL":
            message = f"{value.name} is a data: URL: its base64 begins after the comma, and the handler decodes it all."
            fix = "Send what follows the comma; or decode value.partition(',')[2]."
            return Finding("data_url", message, evidence.where, FAILED, fix)
    return None


def _is_unreadable(evidence: Evidence) -> bool:
    """Whether base64, or a reader of files, refused what it was given."""
    if isinstance(evidence.error, binascii.Error | OSError):
        return True
    return "UnidentifiedImageError" in type(evidence.error).__name__ or "base64" in evidence.text


def not_base64(evidence: Evidence) -> Finding | None:
    """base64.b64decode of what is something else."""
    if (
        not isinstance(evidence.error, binascii.Error | ValueError)
        or "ase64" not in f"{evidence.text}{_line(evidence)}"
    ):
        return None
    if not isinstance(evidence.error, binascii.Error) and "ASCII" not in evidence.text:
        return None
    for value in handed(evidence):
        holds = kind_of(value.value)
        if holds.startswith("base64") or not isinstance(value.value, str | bytes | bytearray):
            continue
        what = holds if holds not in ("", "a text") else "no base64, or not all of it"
        fix = "Use the bytes as they are." if holds in IMAGES else "Send all of the base64, without line breaks."
        if evidence.frame is None:  # TorchServe's own handlers take a text for the base64 of an image
            fix = "Send the image file itself: curl -T image.png."
        text = value.value if isinstance(value.value, str) else value.value.decode("ascii", "replace")
        if re.fullmatch("(?:[0-9a-fA-F]{2}){8,}", text):
            what, fix = "hexadecimal", "Read bytes.fromhex(text), or send base64."
        elif re.fullmatch(r"[\w-]{8,}=*", text) and re.search("[-_]", text):
            what, fix = "base64 with the letters for URLs, - and _", "Read base64.urlsafe_b64decode(text)."
        message = f"The handler decodes {value.name} as base64, and it is {what} ({evidence.error_line})."
        return Finding("not_base64", message, evidence.where, FAILED, fix)
    return None


def _line(evidence: Evidence) -> str:
    return "base64" if evidence.frame is None else evidence.frame.source


def file_as_numbers(evidence: Evidence) -> Finding | None:
    """np.frombuffer of an image file, whose bytes are not the pixels."""
    if not re.search(
        r"multiple of element size|cannot reshape array|shape '\[.*\]' is invalid for input", evidence.text
    ):
        return None
    if evidence.frame is None or not (where := source_search.find(evidence, r"frombuffer\(")):
        return None
    function = source_search.enclosing(source_search.tree(evidence, evidence.frame.file), evidence.frame.line)
    lines = range(function.lineno, (function.end_lineno or function.lineno) + 1) if function else ()
    if not any(f"line {number}:" in where for number in lines):
        return None
    for value in live_values.in_rows(evidence):
        if (holds := kind_of(value.value)) in IMAGES:
            message = (
                f"{value.name} is {holds} of {len(value.value)} bytes; frombuffer takes the file's bytes for numbers, "
                "and those are not the pixels."
            )
            fix = f"Decode the file: np.asarray(Image.open(io.BytesIO({value.name})))."
            return Finding("file_as_numbers", message, evidence.where, FAILED, fix)
    return None


_A_TEXT = {"a text": "text"}


def not_an_image(evidence: Evidence) -> Finding | None:
    if type(evidence.error).__name__ != "UnidentifiedImageError":
        return None
    given = [one for one in handed(evidence) if isinstance(one.value, str | bytes | bytearray)]
    if not given:  # the variable on the line was made of it
        asked = [key for keys, _ in source_search.row_choices(evidence) for key in keys] or ["data", "body"]
        given = [one for one in live_values.in_rows(evidence) if one.path[0] in asked]
    message, fix = "PIL cannot read the bytes as an image.", ""
    for one in given:
        if (value := one.value) is None or not isinstance(value, str | bytes | bytearray):
            continue
        holds = kind_of(value)
        if holds in IMAGES:
            continue
        if not value:
            message, fix = (
                f"{one.name} is empty, so PIL has no image to read.",
                "Send the image file: curl -T image.png.",
            )
        elif value[:2] in (b"--", "--"):
            message += " They begin like a multipart form that was sent as a plain body."
        elif holds.startswith("base64"):
            message = f"PIL cannot read the bytes as an image: {one.name} is {holds}, and reached PIL undecoded."
            fix = "Decode it first: base64.b64decode(value), of a str and of bytes alike (a form's field is bytes)."
            if evidence.frame is None:
                fix = "Send the image file itself (-F data=@image.png), or its base64 with Content-Type: text/plain."
        elif holds:
            message = f"PIL cannot read the bytes as an image: {one.name} is {_A_TEXT.get(holds, holds)}."
        break
    fix = fix or "Send the image file itself: curl -T image.png, or -F data=@image.png; base64 only as text/plain."
    return Finding("not_an_image", message, evidence.where, FAILED, fix)


RULES: tuple[Rule, ...] = (data_url, not_base64, file_as_numbers, unreadable, no_picture, empty_value)
