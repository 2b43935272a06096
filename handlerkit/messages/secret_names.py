"""Names of headers and parameters whose values are secrets: no display shows these, and no case keeps them."""

from __future__ import annotations

import re

_NAME = re.compile(
    r"authorization|cookie|token(?!s|iz)|secret|passw|passphrase|credential|signature|session|csrf|xsrf|jwt|bearer|"
    r"clientcert|auth(?!or|enticate)|apikey|accesskey|key(?:id)?$|(?<!by)(?<!com)pass$|^(?:sig|pwd|pin|otp)$"
)


def plain_name(name: str) -> str:
    """The name in lower case, without "-", "_", ".", brackets and spaces: that of "user[api-key]" is "userapikey"."""
    return re.sub(r"[-_. \[\]]", "", name).lower()


def is_secret_name(name: str) -> bool:
    """Whether a header or a parameter of this name has a secret as its value. WWW-Authenticate has none."""
    return _NAME.search(plain_name(name)) is not None
