"""Which names have secrets."""

from __future__ import annotations

import pytest

from handlerkit.messages.secret_names import is_secret_name


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key", "apikey", "access_token",
        "X-Amz-Signature", "client_secret", "X-CSRF-Token", "password", "sig", "X-Session-Id",
    ],
)  # fmt: skip
def test_secret(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "Content-Type",
        "WWW-Authenticate",
        "X-Request-Id",
        "max_tokens",
        "tokenizer",
        "author",
        "Accept",
        "design",
        "passage",
    ],
)
def test_not_secret(name: str) -> None:
    assert not is_secret_name(name)
