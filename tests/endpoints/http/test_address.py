"""What a URL says of a server."""

from __future__ import annotations

import pytest

from handlerkit.endpoints.http.address import Address
from handlerkit.errors import RequestError


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://h", Address("http", "h", 80, "h")),
        ("https://h/", Address("https", "h", 443, "h")),
        ("HTTPS://Host.Example:8443/a/b/", Address("https", "host.example", 8443, "host.example:8443", "/a/b")),
        ("http://[::1]:8080", Address("http", "::1", 8080, "[::1]:8080")),
        ("https://bücher.example", Address("https", "xn--bcher-kva.example", 443, "xn--bcher-kva.example")),
    ],
)
def test_parts_of_a_url(url: str, address: Address) -> None:
    assert Address.read(url) == address


def test_url_is_given_back_without_its_last_slash() -> None:
    assert Address.read("https://h:8443/a/").url == "https://h:8443/a"


@pytest.mark.parametrize(("url", "place"), [("https://h", "h:443"), ("http://[::1]:80", "[::1]:80")])
def test_place_has_the_port(url: str, place: str) -> None:
    assert Address.read(url).place == place


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:8080", "http://HOST:PORT or https"),
        ("ftp://h", "http://HOST:PORT or https"),
        ("http://", "http://HOST:PORT or https"),
        ("http://a..b", "http://HOST:PORT or https"),
        ("http://h:99999", "http://HOST:PORT or https"),
        ("http://user:s3cret@h", "no user and no password"),
        ("http://user:s3/cret@h", "http://HOST:PORT or https"),
        ("http://h?token=s3cret", "has no query"),
        ("http://h/a/predictions/coins", "leave /predictions/coins out, and give model='coins'"),
    ],
)
def test_what_names_no_server_is_told_without_its_secrets(url: str, says: str) -> None:
    with pytest.raises(RequestError, match=says) as raised:
        Address.read(url)
    assert "s3" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:1", True),
        ("http://127.9.9.9", True),
        ("https://[::1]", True),
        ("http://localhost.example", False),
        ("http://10.0.0.1", False),
    ],
)
def test_loopback_is_told_by_the_name(url: str, loopback: bool) -> None:
    assert Address.read(url).is_loopback is loopback
