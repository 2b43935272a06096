"""Where a file of an archive may lie, whatever the archive says."""

from __future__ import annotations

import re

#: Control characters and line ends, halves of UTF-16 pairs, and the separator of another system.
_NOT_IN_A_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\\]")
_LONGEST_PART, _LONGEST, _DEEPEST = 255, 1024, 64  # bytes, bytes, folders; the first is the file systems' own


class UnsafeArchive(ValueError):
    """An archive holds something that is not unpacked. The message follows "does not unpack:"."""


def checked(name: str) -> str:
    """The name without "." and doubled slashes. Raises UnsafeArchive."""
    if _NOT_IN_A_NAME.search(name):
        raise UnsafeArchive(f"{quoted(name)} is not a name for a file")
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        raise UnsafeArchive(f"{quoted(name)} lies outside it")
    parts = [part for part in parts if part not in ("", ".")]
    if not parts:
        raise UnsafeArchive(f"{quoted(name)} is not a name for a file")
    longest = max(len(part.encode()) for part in parts)
    if len(parts) > _DEEPEST or len(name.encode()) > _LONGEST or longest > _LONGEST_PART:
        raise UnsafeArchive(f"{quoted(name)} is too long, or too deep in folders")
    return "/".join(parts)


def quoted(text: str) -> str:
    """The text as one short line, whatever it holds."""
    return ascii(text if len(text) <= 80 else f"{text[:50]}...{text[-20:]}")
