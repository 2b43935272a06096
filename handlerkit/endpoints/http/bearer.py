"""A token in the Authorization header of a request."""

from __future__ import annotations

import re


def header(token: str) -> tuple[str, str]:
    """The header that bears it."""
    return "Authorization", f"Bearer {token}"


def wrong(token: str) -> str:
    """Why no header can bear this token; "" if one can."""
    if re.fullmatch(r"[\x21-\x7e]+", token):
        return ""
    return "the token is empty or holds a space, a line break or another character that none may have"
