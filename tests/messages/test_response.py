"""Response, and an answer in a word or two."""

from __future__ import annotations

import pytest

from handlerkit.messages import Response, describe_response


@pytest.mark.parametrize(
    ("response", "ok"),
    [
        (Response(200), True),
        (Response(302), True),
        (Response(400), False),
        (Response(None), False),
        (Response(200, complete=False), False),
    ],
)
def test_ok(response: Response, ok: bool) -> None:
    assert response.ok is ok


def test_header_whatever_its_casing() -> None:
    response = Response(200, headers=(("Content-Type", "text/x"),))
    assert (response.content_type, response.header("CONTENT-type"), response.header("x")) == ("text/x", "text/x", None)


def test_json_and_text_of_the_body() -> None:
    assert Response(200, body=b'{"a": 1}').json() == {"a": 1}
    assert Response(200, body=b"a\xff").text == "a\ufffd"


def test_json_of_a_body_that_is_none() -> None:
    with pytest.raises(ValueError, match="Expecting value"):
        Response(200, body=b"x").json()


JSON = (("content-type", "application/json"),)


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (Response(None), "no answer"),
        (Response(200), "200"),
        (Response(404, "Not Here"), "404 Not Here"),
        (Response(503, "Service Unavailable", JSON, b'{"code": 503, "message": "Prediction failed"}'),
         "503 Prediction failed"),
        (Response(500, "Oops", JSON, b"[1]"), "500 Oops"),
        (Response(500, "Oops", JSON, b"{"), "500 Oops"),
        (Response(200, complete=False), "200, broken off"),
    ],
)  # fmt: skip
def test_describe(response: Response, words: str) -> None:
    assert describe_response(response) == words


def test_bodies_stay_out_of_the_repr() -> None:
    assert "secret" not in repr(Response(200, body=b"secret", chunks=(b"secret",)))
