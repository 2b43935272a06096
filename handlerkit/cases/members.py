"""The values in a text that is JSON, a Python object, or has one of them in it; each with where it stands.

The text may be broken or end too early: what can be read is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

#: A text in quotes, numbers one after the other, or a sign of structure. "(" is a tuple of Python's.
_NUMBER = r"-?\d[\d.eE+-]*+"
_TOKEN = re.compile(
    rf"""("(?:[^"\\]|\\.)*"|'(?:[^'\\\n]|\\.)*')|({_NUMBER}(?:\s*,\s*{_NUMBER})*+)|([\[({{])|([\])}}])|([:,])""",
    re.DOTALL,
)


@dataclass
class Value:
    """A text at `start` to `end`, or a number, or several with commas between; or a list or object, with what is in it.

    Attributes:
        key: its name in an object, or None.
        text: what it says, without quotes and escapes.
        quote: that of a text; "" for a number, and for a list or object.
        inside: the values of a list or an object.
    """

    key: str | None
    start: int
    end: int
    text: str = ""
    quote: str = ""
    inside: list[Value] = field(default_factory=list)

    def leaves(self) -> Iterator[Value]:
        """Itself, or the texts and numbers in it."""
        todo = [self]
        while todo:
            one = todo.pop()
            if one.end:
                yield one
            todo += one.inside


def values_in(text: str) -> list[Value]:
    """The lists and objects of a text, the outermost first: the first stands for what is in none."""
    outermost = Value(None, 0, 0)
    found, stack, key = [outermost], [outermost], None
    named: Value | None = None  # the last text, which is a name if ":" follows
    for token in _TOKEN.finditer(text):
        quoted, number, opens, closes, between = token.groups()
        if between:
            key = stack[-1].inside.pop().text if between == ":" and named is not None else None
            named = None
        elif opens:
            one = Value(key, token.start(), 0)
            stack[-1].inside.append(one)
            stack.append(one)
            found.append(one)
            key = named = None
        elif closes:
            if len(stack) > 1:
                stack.pop()
            key = named = None
        else:
            said, quote = (unquoted(quoted), quoted[0]) if quoted else (number, "")
            one = Value(key, token.start(), token.end(), said, quote)
            stack[-1].inside.append(one)
            named = one if quoted and key is None else None
            key = None
    return found


def unquoted(text: str) -> str:
    """What a quoted text says, by the rules of JSON, which are Python's in most; else as it is written."""
    inner = text[1:-1]
    if text[0] == "'":
        inner = re.sub(r'(?<!\\)"', r'\\"', inner.replace("\\'", "'"))
    try:
        return str(json.loads(f'"{inner}"', strict=False))
    except ValueError:
        return text[1:-1]


def quoted_as(value: Value, text: str, was: str) -> str:
    """Another text in the quotes of a value; `was` is how that is written."""
    return repr(text) if value.quote == "'" else json.dumps(text, ensure_ascii=was.isascii())
