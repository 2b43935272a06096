"""Forms as Netty reads them; tests/golden has the exchanges that show it."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlerkit.serving.requests import multipart
from handlerkit.serving.requests.charsets import JAVA_CHARSETS
from handlerkit.serving.requests.multipart import FormError
from handlerkit.serving.requests.parameters import from_body

#: Codecs of Python that Java does not have, by one of their names: some decode no text, utf-7 half surrogate pairs.
OF_PYTHON = (
    "base64", "bz2", "charmap", "hex", "idna", "latin-1", "punycode", "quopri", "raw_unicode_escape", "rot13", "u8",
    "undefined", "unicode_escape", "utf", "utf-7", "utf-8-sig", "uu", "zlib",
)  # fmt: skip


def form(head: str, charset: str = "utf-8", content: bytes = b"x") -> tuple[bytes, str]:
    """A form of one part, and its content type."""
    return (
        b"--B\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n--B--\r\n",
        f"multipart/form-data; boundary=B; charset={charset}",
    )


@pytest.mark.parametrize("name", OF_PYTHON)
def test_a_charset_that_java_does_not_have_is_refused(name: str) -> None:
    codecs.lookup(name)
    for body, content_type, message in (
        (*form("Content-Disposition: form-data; name=a", name), name),
        (
            *form(f"Content-Disposition: form-data; name=a\r\nContent-Type: text/plain; charset={name}"),
            f"java.nio.charset.UnsupportedCharsetException: {name}",
        ),
    ):
        with pytest.raises(FormError) as raised:
            from_body(body, content_type)
        assert str(raised.value) == message


def test_the_charsets_of_java_decode_any_bytes_to_text_that_can_be_sent() -> None:
    data = bytes(range(256)) * 2
    for name in sorted(JAVA_CHARSETS):
        data.decode(multipart.charset(name.upper()), "replace").encode()


@pytest.mark.parametrize("length", ["9" * 5000, "+" + "9" * 19, "-5", "nine", "0" * 5000])
def test_a_length_of_a_part_that_is_no_limit_is_none(length: str) -> None:
    head = f"Content-Disposition: form-data; name=a; filename=f\r\nContent-Length: {length}"
    assert [bytes(part.value) for part in from_body(*form(head))] == [b"x"]


@pytest.mark.parametrize("length", ["1", "+1", "0" * 5000 + "1"])
def test_a_part_that_is_longer_than_its_length_is_refused(length: str) -> None:
    head = f"Content-Disposition: form-data; name=a; filename=f\r\nContent-Length: {length}"
    with pytest.raises(FormError, match="Out of size: 2 > 1"):
        from_body(*form(head, content=b"xx"))


@given(st.sampled_from(sorted(JAVA_CHARSETS)), st.binary(max_size=40), st.binary(max_size=40))
def test_a_form_is_read_or_refused(charset: str, head: bytes, content: bytes) -> None:
    body = b"--B\r\nContent-Disposition: form-data; name=" + head + b"\r\n\r\n" + content + b"\r\n--B--\r\n"
    try:
        parts = from_body(body, f"multipart/form-data; boundary=B; charset={charset}")
    except FormError:
        return
    for part in parts:
        (part.name + part.content_type).encode()
