"""What another process logged of a call that failed, and its exception rebuilt, for the rules of `handlerkit.why`."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from handlerkit.endpoints.logs.torchserve_log import DIED, RETURNED, error_in, errors_before
from handlerkit.messages import ErrorInfo, LogLine
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving.wire import WorkerResponse
from handlerkit.serving.worker_death import WorkerDeath, not_encoded

_SUGGESTION = re.compile(r"\.? (Did you mean:|(Or did|Did) you forget to import) '.*'\?")
_OS_ERROR = re.compile(r"^\[Errno (\d+)\] (.+?): (b?'.*'|b?\".*\")$")
#: What a worker answers where the returned value is at fault, and nothing was raised.
_RETURNED = (facts.NO_LIST, facts.WRONG_LENGTH)
#: The functions of TorchServe's codec whose exceptions end the worker.
_ENCODERS = {"create_predict_response", "encode_response_headers"}


class ParseFailure(NamedTuple):
    """What is known of a call from its worker's log: the exception as plain data and rebuilt, or the worker's words
    for what was returned; `death` where an answer that cannot be encoded ended it; `earlier` as in Evidence."""

    info: ErrorInfo | None = None
    error: BaseException | None = None
    logged: str = ""
    death: WorkerDeath | None = None
    earlier: Sequence[tuple[BaseException, ErrorInfo]] = ()


def parse_failure(reply: WorkerResponse | None, logs: Sequence[LogLine], uncaught: bool = True) -> ParseFailure:
    """Why a call failed. `reply` is None if the worker died; `uncaught`: perhaps of an exception that it did not
    catch, whose traceback is in stderr."""
    stdout = texts(logs, "INFO")
    if reply is None:
        if (info := last_words(logs, uncaught)) is None:
            return ParseFailure()
        error = exception_from_log(info, Exception if DIED in stdout else BaseException)
        encoding = _ENCODERS & {frame.function for frame in info.frames}
        return ParseFailure(info, error, death=not_encoded(error) if encoding else None)
    if reply.message in _RETURNED:
        return ParseFailure(logged=next((line for line in reversed(stdout) if line.startswith(RETURNED)), ""))
    if (reply.code == 200 and reply.message == facts.SUCCEEDED) or (info := error_in(stdout)) is None:
        return ParseFailure()
    if reply.message == facts.NOT_JSON:
        return ParseFailure(logged=info.message)
    error = exception_from_log(info)
    module, name = facts.PREDICTION_EXCEPTION
    if info.type == name:
        type(error).__module__ = module
        carried = re.search(r" error_code : (\d+)$", info.message)  # in place of 413 the client gets 507
        vars(error)["error_code"] = int(carried[1]) if carried else reply.code
    earlier = tuple((exception_from_log(one), one) for one in errors_before(info))
    return ParseFailure(info, error, earlier=earlier)


def last_words(logs: Sequence[LogLine], uncaught: bool) -> ErrorInfo | None:
    """The exception that a worker died of, as `parse_failure` takes it."""
    stdout = texts(logs, "INFO")
    return error_in(stdout) if DIED in stdout else error_in(texts(logs, "WARN")) if uncaught else None


def texts(logs: Sequence[LogLine], level: str) -> list[str]:
    """What was written to stdout (INFO) or stderr (WARN)."""
    return [line.text for line in logs if line.level == level]


def exception_from_log(info: ErrorInfo, base: type[BaseException] = Exception) -> BaseException:
    """An exception of that type and message, without a traceback: a built-in class of that name, else a class made up
    from `base`. What Python reports it beside the message is read out of the message."""
    named = re.findall(rf"^(?:([\w.]+)\.)?{re.escape(info.type)}(?=:|$)", info.traceback, re.MULTILINE)
    module = (named[-1] if named else "") or builtins.__name__
    is_pythons = module.partition(".")[0] in sys.stdlib_module_names | {builtins.__name__}
    kind = getattr(sys.modules.get(module), info.type, None) if is_pythons else None
    if isinstance(kind, type) and issubclass(kind, BaseException):
        try:
            error = _builtin(kind, info)
            if module == builtins.__name__ or str(error) == info.message:  # others may make their text themselves
                return error
        except (TypeError, ValueError, SyntaxError):
            pass  # one that takes more than a message
    made: type[BaseException] = type(info.type, (base,), {"__module__": module})
    return made(info.message)


def _builtin(kind: type[BaseException], info: ErrorInfo) -> BaseException:
    message = info.message
    if issubclass(kind, KeyError):
        return kind(ast.literal_eval(message))  # its text is the key's repr
    if issubclass(kind, SyntaxError):
        place = re.findall(r'^  File "(.+)", line (\d+)$', info.traceback, re.MULTILINE)
        file, line = place[-1] if place else (None, "0")
        return kind(message, (file, int(line), None, None))
    if issubclass(kind, OSError) and (parts := _OS_ERROR.match(message)) is not None:
        return kind(int(parts[1]), parts[2], ast.literal_eval(parts[3]))
    keywords: dict[str, Any] = {}
    if issubclass(kind, NameError | AttributeError | ImportError):
        message = _SUGGESTION.sub("", message)
        if found := re.search(r"^No module named '(.+?)'|^cannot import name .* from '(.+?)'|^name '(.+?)'", message):
            keywords["name"] = found[1] or found[2] or found[3]
        elif found := re.search(r"^'(\w+)' object has no attribute '(\w+)'$", message):
            keywords = {"name": found[2], "obj": type(found[1], (), {})()}
    return kind(message, **keywords)
