"""Causes in plain words: what happened, where, what TorchServe logs and answers, and what to change.

One catalogue. Each rule looks at the live evidence of one load or one call, not at a message, and gives a Finding or
None; the first that fits explains the failure. Rules for quiet mistakes, those that still answer 200, stand apart:
all that fit are told.
"""

from __future__ import annotations

import builtins
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from handlerkit.messages import ErrorInfo, Finding, Frame


@dataclass(frozen=True)
class Evidence:
    """What is known of a load or a call while its objects are still alive; never kept.

    `files` are the names of the model's own Python files; `classes` those the loader found in the handler module.
    `died` is set where the worker process would be gone.
    """

    error: BaseException | None = None
    info: ErrorInfo | None = None
    loading: bool = False
    files: tuple[str, ...] = ()
    classes: tuple[type, ...] = ()
    returned: Any = None
    rows: Sequence[Any] = field(default=())
    died: str = ""
    limit: int = 0

    @property
    def frame(self) -> Frame | None:
        """The innermost line of the model's own files."""
        frames = self.info.frames if self.info else ()
        return next((frame for frame in reversed(frames) if frame.file in self.files), None)

    @property
    def where(self) -> str:
        """That line, as a reader finds it."""
        frame = self.frame
        return f"{frame.file}, line {frame.line}, in {frame.function}: {frame.source}" if frame else ""

    @property
    def name(self) -> str:
        """The exception's class and text on one line."""
        text = " ".join(str(self.error).split())
        return f"{type(self.error).__name__}: {text}" if text else type(self.error).__name__


Rule = Callable[[Evidence], Finding | None]

_LOAD = "Registering the model answers 500 'Failed to start workers'; the cause stands only in the server's log."
_FAILED = "Every client of the batch gets 503 'Prediction failed'; the exception stands only in the server's log."
_DIED = "Every client of the batch gets 500 'Worker died.', and the worker is started again."
_TYPE = "Every client of the batch gets 503 'Unsupported model output data type.'."


def explain(evidence: Evidence) -> tuple[Finding, ...]:
    """The finding of the first rule that fits; nothing where nothing went wrong."""
    rules = _LOAD_RULES if evidence.loading else _CALL_RULES
    return next(((found,) for rule in rules if (found := rule(evidence)) is not None), ())


def _two_classes(seen: Evidence) -> Finding | None:
    if not (isinstance(seen.error, ValueError) and "Expected only one class" in str(seen.error)):
        return None
    names = ", ".join(sorted(kind.__name__ for kind in seen.classes))
    if not seen.classes:
        what = "The handler file defines no class and no function named handle; an imported class does not count."
        change = "Define the handler class in this file, or a function handle(data, context)."
    else:
        what = f"The handler file defines {len(seen.classes)} classes ({names}); TorchServe takes exactly one, or a function."
        change = "Move the others to a helper module (%%module, --extra-files) and import them from there."
    return Finding("class_count", what, served=_LOAD, change=change)


def _right_import(name: str) -> str | None:
    """Where the handler classes are for those who write an import that never existed."""
    if name.split(".")[0] == "torchserve" or name == "ts.model_handler":
        return "Import TorchServe as ts: from ts.torch_handler.base_handler import BaseHandler."
    return None


def _missing_import(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, ImportError):
        return None
    name = seen.error.name or ""
    root = name.partition(".")[0]
    served = (_LOAD if seen.loading else _FAILED) + (
        " The log ends in \"No module named 'ts.torch_handler...'\"; the line above it is the real one."
        if seen.loading
        else ""
    )
    if not isinstance(seen.error, ModuleNotFoundError):
        return Finding(
            "import",
            f"An import fails: {seen.error}.",
            seen.where,
            served,
            "Correct the name, or the version installed.",
        )
    if hint := _right_import(name):
        return Finding("import", f"There is no module {name!r}.", seen.where, served, hint)
    if root in sys.modules:
        what = f"The notebook has a module {root!r}, but the archive does not hold it."
        change = f"Let it travel: %%module {root}.py, or --extra-files {root}.py."
        return Finding("notebook_only", what, seen.where, served, change)
    what = f"There is no module {name!r}, neither installed nor in the archive."
    change = f"Install it and name it in the requirements file, or let it travel as an extra file ({root}.py)."
    return Finding("import", what, seen.where, served, change)


def _syntax(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, SyntaxError):
        return None
    place = f"{(seen.error.filename or '').rsplit('/', 1)[-1]}, line {seen.error.lineno}"
    return Finding("syntax", f"Python cannot read the file: {seen.error.msg}.", place, _LOAD, "Correct that line.")


def _no_method(seen: Evidence) -> Finding | None:
    error = seen.error
    if isinstance(error, ValueError) and "Expect handle method" in str(error):
        lacks = "handle"
    elif isinstance(error, AttributeError) and error.name == "initialize" and isinstance(error.obj, seen.classes):
        lacks = "initialize"
    else:
        return None
    sign = "handle(self, data, context)" if lacks == "handle" else "initialize(self, context)"
    what = f"The handler class has no method {lacks}; TorchServe needs both initialize and handle."
    return Finding("no_method", what, served=_LOAD, change=f"Add {sign}, or derive from BaseHandler, which has it.")


def _weights(seen: Evidence) -> Finding | None:
    error, text = seen.error, str(seen.error)
    if isinstance(error, AttributeError) and "endswith" in text:
        what = "BaseHandler finds no weights: the model names no serialized_file."
        return Finding(
            "weights", what, seen.where, _LOAD, "Name the weights (--serialized-file model.pt), or write initialize."
        )
    if isinstance(error, RuntimeError) and text == "No model weights could be loaded":
        what = "BaseHandler loads .pt (TorchScript), .onnx and .so files; for a state_dict it needs the model's class."
        return Finding(
            "weights",
            what,
            seen.where,
            _LOAD,
            "Name the class's file (--model-file model.py), or save TorchScript as .pt.",
        )
    if type(error).__name__ == "UnpicklingError" and "weights_only" in text:
        what = "The weights hold a pickled module; torch.load reads only tensors (weights_only=True) since torch 2.6."
        return Finding("weights", what, seen.where, _LOAD, "Save model.state_dict() instead of the model.")
    return None


def _none_at_load(seen: Evidence) -> Finding | None:
    """A function handler is called once with data=None when the worker starts."""
    if seen.frame is None or seen.classes or seen.frame.function == "<module>":
        return None
    if not isinstance(seen.error, TypeError | AttributeError) or "None" not in str(seen.error):
        return None
    what = "A function handler is called once with data=None when it is loaded, and this one fails then."
    return Finding("none_at_load", what, seen.where, _LOAD, "Begin it with: if data is None: return None.")


def _notebook_name(seen: Evidence) -> Finding | None:
    main = sys.modules.get("__main__")
    if not isinstance(seen.error, NameError) or not seen.error.name:
        return None
    served = _LOAD if seen.loading else _FAILED
    if hasattr(main, seen.error.name) and not hasattr(builtins, seen.error.name):
        what = f"{seen.error.name!r} is defined in the notebook, not in the handler's file."
        return Finding(
            "notebook_name", what, seen.where, served, "Define or import it in the %%handler cell or in a %%module."
        )
    what = f"The name {seen.error.name!r} is not defined in the handler's file."
    return Finding("name", what, seen.where, served, "Import or define it there.")


def _load_memory(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, MemoryError) and not (
        isinstance(seen.error, RuntimeError) and "CUDA" in str(seen.error)
    ):
        return None
    served = "Registering the model answers 507 'Failed to start workers'."
    return Finding(
        "memory",
        f"There is not enough memory to load the model ({seen.name}).",
        seen.where,
        served,
        "Use a smaller model or batch, or another device.",
    )


def _load_exception(seen: Evidence) -> Finding | None:
    if seen.error is None:
        return None
    return Finding("load", f"Loading the handler raised {seen.name}.", seen.where, _LOAD, "Correct that line.")


def _died(seen: Evidence) -> Finding | None:
    if not seen.died:
        return None
    if seen.error is not None and not isinstance(seen.error, Exception):
        what = f"The handler raised {seen.name}, which ends the worker process."
        return Finding(
            "worker_exit", what, seen.where, _DIED, "Raise an Exception, or answer with a status of its own."
        )
    changes = {
        "timeout": "Raise response_timeout, or make the handler faster.",
        "size": "Answer with bytes (PNG, JPEG) instead of lists of numbers, or raise max_response_size.",
        "header": "Give headers, reason phrases and content types as plain ASCII text, statuses as positive whole numbers.",
        "encode": "Return rows of bytes, str, or what json.dumps takes, without a cycle in it.",
    }
    kind, _, what = seen.died.partition(": ")
    return Finding(f"worker_{kind}", what, seen.where, _DIED, changes.get(kind, ""))


def _not_a_list(seen: Evidence) -> Finding | None:
    if seen.error is not None or isinstance(seen.returned, list):
        return None
    kind, count = type(seen.returned).__name__, len(seen.rows)
    what = f"The handler returned a {kind}; TorchServe takes a list with one element per request."
    change = {
        "tuple": "Return list(...) of it.",
        "NoneType": "Return the list: a return is missing.",
        "coroutine": "Write handle as a plain function: TorchServe does not await it.",
        "ndarray": "Return [array.tobytes()] or array.tolist().",
        "Tensor": "Return tensor.tolist().",
    }.get(kind, "Put it in a list: return [answer].")
    return Finding(
        "not_a_list",
        what,
        f"{count} request(s) in the batch",
        "Every client of the batch gets 503 'Invalid model predict output'.",
        change,
    )


def _wrong_length(seen: Evidence) -> Finding | None:
    if seen.error is not None or len(seen.returned) == len(seen.rows):
        return None
    what = (
        f"The handler returned {len(seen.returned)} element(s) for {len(seen.rows)} request(s); there must be one each."
    )
    change = "Answer every row of data; to answer one request with a list, put it in a list: return [[...]]."
    served = "Every client of the batch gets 503 'number of batch response mismatched'."
    return Finding("wrong_length", what, served=served, change=change)


def _not_serialisable(seen: Evidence) -> Finding | None:
    if seen.error is not None:
        return None
    for index, row in enumerate(seen.returned):
        if type(row).__name__ != "Tensor" and not isinstance(row, bytes | bytearray | str):
            for path, value in _leaves(row, f"row {index}"):
                if not _fits_json(value):
                    kind = type(value).__name__
                    what = f"JSON cannot carry a {kind}, at {path} of what the handler returned."
                    return Finding(
                        "not_serialisable",
                        what,
                        served=_TYPE,
                        change=_AS_JSON.get(kind, f"Turn the {kind} into numbers, text, lists or bytes first."),
                    )
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


def _leaves(value: Any, path: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """(path, value) of everything inside lists and dicts, outer to inner."""
    if isinstance(value, dict) and depth < 20:
        for key, inner in value.items():
            if not isinstance(key, str | int | float | bool | None):
                yield f"{path}, as a key", key
            yield from _leaves(inner, f"{path}[{key!r}]", depth + 1)
    elif isinstance(value, list | tuple) and depth < 20:
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]", depth + 1)
    else:
        yield path, value


def _out_of_memory(seen: Evidence) -> Finding | None:
    served = "Every client of the batch gets 507 'Out of resources'; the worker lives on."
    if isinstance(seen.error, MemoryError):
        return Finding("memory", "The handler ran out of memory.", seen.where, served, "Use a smaller batch or input.")
    if isinstance(seen.error, Exception) and "CUDA" in str(seen.error) and not _is_prediction(seen.error):
        what = f"The handler raised {seen.name}; TorchServe takes any error that says CUDA for a lack of GPU memory."
        return Finding("memory", what, seen.where, served, "Use a smaller batch, or correct the CUDA error.")
    return None


def _is_prediction(error: BaseException | None) -> bool:
    return type(error).__name__ == "PredictionException" and hasattr(error, "error_code")


def _prediction_exception(seen: Evidence) -> Finding | None:
    if not _is_prediction(seen.error):
        return None
    code = getattr(seen.error, "error_code", 500)
    sent = 507 if code == 413 else code
    what = f"The handler raised PredictionException with code {code}."
    served = f"Every client of the batch gets {sent} with this message" + (": 413 becomes 507." if code == 413 else ".")
    change = "To fail one request of a batch alone, use context.set_response_status(code, phrase, index) and return a row for it."
    return Finding("prediction_exception", what, seen.where, served, change)


def _context_missing(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, TypeError) or "positional argument" not in str(seen.error):
        return None
    trace = seen.info.frames if seen.info else ()
    if seen.frame is not None and trace and trace[-1].file in seen.files:
        return None  # raised inside the handler, so its own call is wrong
    what = f"The handler's method has the wrong parameters: {seen.error}."
    return Finding(
        "signature",
        what,
        "",
        _LOAD if seen.loading else _FAILED,
        "Write handle(self, data, context) and initialize(self, context).",
    )


def _data_as_dict(seen: Evidence) -> Finding | None:
    if isinstance(seen.error, TypeError) and "list indices must be integers or slices, not str" in str(seen.error):
        what = "data is a list with a dict per request; the handler reads it as a dict."
        return Finding("data_is_a_list", what, seen.where, _FAILED, "Loop over it: for row in data: row.get('body').")
    if isinstance(seen.error, KeyError) and seen.error.args and seen.rows and isinstance(seen.rows[0], dict):
        key, row = seen.error.args[0], seen.rows[0]
        if key in ("data", "body", "instances") and key not in row:
            there = ", ".join(map(repr, row)) or "nothing"
            what = f"The row has no {key!r}, it has {there}: the key is 'body' for a plain body, else the name of the form's field."
            return Finding(
                "row_key", what, seen.where, _FAILED, "Read row.get('data') or row.get('body'), or send that field."
            )
    return None


def _none_value(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, AttributeError | TypeError) or "NoneType" not in str(seen.error):
        return None
    empty = [row for row in seen.rows if isinstance(row, dict) and not row]
    if empty:
        what = "The row is empty: the form had no field (as with curl -d without a Content-Type)."
        return Finding("empty_form", what, seen.where, _FAILED, "Send JSON with -H 'Content-Type: application/json'.")
    what = f"A value is None where one was expected ({seen.error})."
    if seen.frame and "putalpha" in seen.frame.source:
        what = "Image.putalpha changes the image in place and returns None."
        return Finding("none_value", what, seen.where, _FAILED, "Call it on a line of its own, then return the image.")
    return Finding(
        "none_value",
        what,
        seen.where,
        _FAILED,
        "Look at what the line before returns; methods that work in place return None.",
    )


def _exception(seen: Evidence) -> Finding | None:
    if seen.error is None:
        return None
    return Finding(
        "exception",
        f"The handler raised {seen.name}.",
        seen.where,
        _FAILED,
        "Correct that line, or answer bad input with context.set_response_status.",
    )


_LOAD_RULES: tuple[Rule, ...] = (
    _two_classes, _missing_import, _syntax, _no_method, _weights, _context_missing, _none_at_load, _notebook_name,
    _load_memory, _load_exception,
)  # fmt: skip
_CALL_RULES: tuple[Rule, ...] = (
    _died, _out_of_memory, _prediction_exception, _missing_import, _notebook_name, _context_missing, _data_as_dict,
    _none_value, _exception, _not_a_list, _wrong_length, _not_serialisable,
)  # fmt: skip
