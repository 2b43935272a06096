"""The texts that a request carries, and what it is called by them."""

from __future__ import annotations

import pytest

from handlerkit import Part, Request
from handlerkit.messages.texts import name_of, texts_of

CASES = {
    "text": (Request.text("a film"), ["a film"]),
    "no type": (Request(body=b"a film"), ["a film"]),
    "a JSON text": (Request.json("a film"), ["a film"]),
    "a list": (Request.json(["a", "b"]), ["a", "b"]),
    "an object": (Request.json({"text": "a", "top_k": 1}), ["a"]),
    "instances": (Request.json({"instances": [{"text": "a"}, {"data": "b"}]}), ["a", "b"]),
    "JSON without its type": (Request(body=b'{"inputs": ["a"]}'), ["a"]),
    "a form": (Request.form({"text": "a film", "n": "1"}), ["a film"]),
    "text that begins as JSON": (Request.text("[sic] a film"), ["[sic] a film"]),
    "other JSON": (Request.json({"x": "a"}), []),
    "numbers": (Request.json([1, 2]), []),
    "base64": (Request.json({"data": "iVBORw0KGgo" * 30}), []),
    "a picture": (Request(body=b"\x89PNG\r\n\x1a\n", headers=(("Content-Type", "image/png"),)), []),
    "bytes": (Request(body=b"\xff\xfe\0"), []),
    "a multipart form": (Request.multipart(Part("data", "a film")), []),
    "nothing": (Request("GET"), []),
}


@pytest.mark.parametrize("name", CASES)
def test_texts_of_a_request(name: str) -> None:
    request, texts = CASES[name]
    assert list(texts_of(request)) == texts


def test_name_is_the_label_or_the_text_or_the_number() -> None:
    assert name_of(Request.text("a film", label="film.txt"), 3) == "film.txt"
    assert name_of(Request.text(" a\n film "), 3) == "“a film”"
    assert len(name_of(Request.text("long " * 50), 3)) == 60
    assert name_of(Request.json(["a", "b"]), 3) == "request 3"
