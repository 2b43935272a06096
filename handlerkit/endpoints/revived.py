"""Exceptions made anew from what another process logged of them, for the rules of `handlerkit.why`."""

from __future__ import annotations

import ast
import builtins
import re
from typing import Any

from handlerkit.messages import ErrorInfo

_SUGGESTION = re.compile(r"\.? (Did you mean:|(Or did|Did) you forget to import) '.*'\?")
_CLASS = re.compile(r"<class '(?:[^']*\.)?(\w+)'>")
_LOADER = "ts/model_loader.py"


def revived(info: ErrorInfo, base: type[BaseException] = Exception) -> BaseException:
    """An exception of that type and message, without a traceback: a built-in class of that name, else a class made up
    from `base`. What Python tells of it beside the message is read out of the message."""
    kind = getattr(builtins, info.type, None)
    if isinstance(kind, type) and issubclass(kind, BaseException):
        try:
            return _builtin(kind, info)
        except (TypeError, ValueError, SyntaxError):
            pass  # one that takes more than a message
    made: type[BaseException] = type(info.type, (base,), {})
    return made(info.message)


def _builtin(kind: type[BaseException], info: ErrorInfo) -> BaseException:
    message = info.message
    if issubclass(kind, KeyError):
        return kind(ast.literal_eval(message))  # its text is the key's repr
    if issubclass(kind, SyntaxError):
        place = re.findall(r'^  File "(.+)", line (\d+)$', info.traceback, re.MULTILINE)
        file, line = place[-1] if place else (None, "0")
        return kind(message, (file, int(line), None, None))
    keywords: dict[str, Any] = {}
    if issubclass(kind, NameError | AttributeError | ImportError):
        message = _SUGGESTION.sub("", message)
        if found := re.search(r"^No module named '(.+?)'|^cannot import name .* from '(.+?)'|^name '(.+?)'", message):
            keywords["name"] = found[1] or found[2] or found[3]
        elif found := re.search(r"^'(\w+)' object has no attribute '(\w+)'$", message):
            keywords = {"name": found[2], "obj": type(found[1], (), {})()}
    return kind(message, **keywords)


def handler_classes(info: ErrorInfo, error: BaseException) -> tuple[type, ...]:
    """The classes of the handler file, as far as the loader's words and the traceback tell: empty for a function."""
    if "Expected only one class" in info.message:
        return tuple(type(name, (), {}) for name in _CLASS.findall(info.message))
    inside = [frame for frame in info.frames if frame.file == _LOADER]
    if info.frames and info.frames[-1] in inside and isinstance(error, AttributeError):
        return (type(error.obj),)  # the loader looked for initialize
    called_with_none = any(frame.function == "<lambda>" for frame in inside)
    return () if called_with_none else (object,)
