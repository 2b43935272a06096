"""Secrets, planted everywhere that one can be: none reaches a case."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from cases.conftest import Answers, answer, exchange

import handlerkit as hk
from handlerkit.cases import run_cases
from handlerkit.cases.redact import PLACEHOLDER, redact
from handlerkit.messages import Exchange, Part, Request, Run

SECRET = "s3cr3t-V4lue/+=ä"[:-1]  # with characters that URLs and JSON write in another way
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N"
FORM = "application/x-www-form-urlencoded"


def header(name: str, value: str = SECRET) -> Request:
    return Request.json({"x": 1}, headers={name: value})


PLANTED = {
    **{name: header(name) for name in (
        "X-Api-Key", "x-api-key", "apikey", "X-Auth-Token", "X-CSRF-Token", "X-Amz-Security-Token", "X-Goog-Api-Key",
        "Ocp-Apim-Subscription-Key", "X-Functions-Key", "X-Secret", "X-Password", "X-Session-Id", "X-Signature",
        "X-Vault-Token", "Private-Token", "X-Client-Cert", "Token", "X-Access-Key",
    )},
    "Authorization": header("Authorization", f"Bearer {SECRET}"),
    "authorization in lower case": header("authorization", f"bearer {SECRET}"),
    "Authorization alone": header("Authorization", SECRET),
    "Proxy-Authorization": header("Proxy-Authorization", f"Digest {SECRET}"),
    "the password of Basic": header("Authorization", "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()),
    "Cookie": header("Cookie", f"theme=dark; sid={SECRET}"),
    "a cookie without a name": header("Cookie", SECRET),
    "a parameter": Request("GET", query=f"a=1&access_token={quote(SECRET, safe='')}&b=2"),
    **{f"parameter {name}": Request("GET", query=f"{name}={quote(SECRET, safe='')}") for name in (
        "token", "api_key", "apiKey", "key", "sig", "signature", "X-Amz-Signature", "X-Amz-Credential", "password",
        "auth", "client_secret", "sessionid", "jwt",
    )},
    "an escaped name": Request("GET", query=f"access%5Ftoken={quote(SECRET, safe='')}"),
    "a form": Request.form({"text": "hello", "password": SECRET}),
    "a form's token": Request.form({"token": SECRET}),
    "a part": Request.multipart({"data": "hello", "api_key": SECRET}),
    "a part with a file": Request.multipart({"data": b"\xff"}, Part("client_secret", SECRET, "key.txt", "text/plain")),
    "JSON in a part": Request.multipart({"options": json.dumps({"api_key": SECRET})}),
    "JSON": Request.json({"text": "hello", "auth": {"api_key": SECRET}}),
    "JSON's token": Request.json({"token": SECRET}),
    "JSON without a content type": Request(body=json.dumps({"accessToken": SECRET}).encode()),
    "escaped JSON": Request(body=json.dumps({"pass\u0077ord": SECRET}).replace("w", "\\u0077").encode()),
    "a key in a text": Request.text(f"translate this: {JWT}"),
    "a bearer in a text": Request.text("curl -H 'Authorization: Bearer abcdefghijklmnop1234'"),
    "AWS": Request.json({"note": "AKIAIOSFODNN7EXAMPLE"}),
    "GitHub": Request.json({"note": "ghp_" + "a1B2" * 9}),
    "a private key": Request.text("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"),
    "the label": Request.json({"x": 1}, headers={"X-Api-Key": SECRET}, label=f"{SECRET}.json"),
    "the path": Request("GET", f"/predictions/m/1.0/{SECRET}", {"X-Api-Key": SECRET}),
}  # fmt: skip
#: What must not be in any file.
LEAKS = [
    SECRET, quote(SECRET, safe=""), SECRET.rstrip("="), json.dumps(SECRET)[1:-1], JWT, "abcdefghijklmnop1234",
    "AKIAIOSFODNN7EXAMPLE", "a1B2a1B2", "MIIEow", base64.b64encode(f"me:{SECRET}".encode()).decode().rstrip("="),
]  # fmt: skip


@pytest.mark.parametrize("which", PLANTED)
def test_a_secret_never_reaches_a_case(which: str, text) -> None:
    hk.keep(exchange(PLANTED[which]), "one")
    written = text()
    assert PLACEHOLDER in written
    assert [leak for leak in LEAKS if leak in written] == []


@pytest.mark.parametrize("which", PLANTED)
def test_an_answer_that_repeats_the_request_repeats_no_secret(which: str, text) -> None:
    request = PLANTED[which]
    told = {"headers": dict(request.headers), "query": request.query, "body": request.body.decode("latin-1")}
    repeated = [json.dumps(told).encode(), repr(told).encode(), str(request.headers).encode()]
    run = Run(tuple(Exchange(request, answer(body, ("X-Seen", str(request.headers)))) for body in repeated), model="m")
    hk.keep(run, "one")
    assert [leak for leak in LEAKS if leak in text()] == []


@pytest.mark.parametrize("which", PLANTED)
def test_secrets_are_kept_if_that_is_asked_for(which: str) -> None:
    request = PLANTED[which]
    case = hk.keep(exchange(request), "one", secrets=True)
    assert case.secrets
    again = hk.cases()[0].exchanges[0].request
    assert (again.headers, again.query) == (request.headers, request.query) or b"--handlerkit-case" in again.body
    assert hk.cases()[0].secrets


def test_what_an_answer_sets_is_redacted(text) -> None:
    response = answer({"access_token": SECRET, "y": 1}, ("Set-Cookie", f"sid={SECRET}; Path=/; HttpOnly"))
    case = hk.keep(exchange(response=response), "one")
    assert SECRET not in text()
    kept = case.exchanges[0].response
    assert kept.header("set-cookie") == "sid=REDACTED; Path=/; HttpOnly"
    assert kept.json() == {"access_token": "REDACTED", "y": 1}
    assert kept.header("content-length") == str(len(kept.body))


def test_a_secret_of_one_exchange_is_none_in_another(text) -> None:
    run = Run((Exchange(header("X-Api-Key"), answer(b"a")), Exchange(Request(), answer(SECRET.encode()))), model="m")
    hk.keep(run, "one")
    assert SECRET not in text()


def test_a_secret_in_a_binary_body_is_redacted(text) -> None:
    hk.keep(exchange(header("X-Api-Key"), answer(b"\xff\xfe" + SECRET.encode() + b"\xff")), "one")
    assert SECRET not in text()


def test_where_secrets_were_is_said() -> None:
    case = hk.keep(exchange(header("X-Api-Key")), "one")
    assert case.redacted == ("header X-Api-Key",)
    assert "redacted: header X-Api-Key" in hk.view(case).text


@pytest.mark.parametrize("request_", [
    Request.json({"text": "a token is a word", "tokens": ["a", "b"], "key": "middle C", "author": "Poe"}),
    Request.json([{"token": "Paris", "score": 0.9}]),
    Request.text("The secret password is a story."),
    Request("GET", headers={"X-Max-Tokens": "100", "X-Tokenizer": "bert", "Author": "me"}, query="x=1&max_tokens=3"),
    Request.form({"text": "hello", "key": "C major"}),
    Request(body=bytes(range(256))),
])  # fmt: skip
def test_what_is_no_secret_stays(request_: Request) -> None:
    found, places = redact([Exchange(request_, answer())])
    assert (found[0].request, places) == (request_, ())


def test_a_short_cookie_does_not_empty_the_text() -> None:
    request = Request.text("dark is the night, page 1", headers={"Cookie": "theme=dark; page=1; lang=english"})
    found, _ = redact([Exchange(request, answer(b"dark english 1"))])
    assert found[0].request.body == request.body
    assert found[0].response.body == b"dark english 1"
    assert found[0].request.header("cookie") == "theme=REDACTED; page=REDACTED; lang=REDACTED"


def test_redacting_again_changes_nothing() -> None:
    once, _ = redact([Exchange(one, answer()) for one in PLANTED.values()])
    assert redact(once)[0] == once


@pytest.fixture
def kept_with_secrets() -> None:
    headers = {"Authorization": f"Bearer {SECRET}", "X-Api-Key": "an-0ther-one", "X-Own": "1"}
    hk.keep(exchange(Request.json({"x": 1}, headers=headers), answer(b"fine")), "one")


def test_an_endpoint_elsewhere_is_not_sent_the_placeholder(kept_with_secrets, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(answer(b"fine"))
    monkeypatch.setattr(hk.Remote, "predict", lambda self, *requests: answers.predict(*requests))
    assert run_cases(hk.cases(), hk.Remote("http://host.example", model="m", token="its-own"))
    assert answers.asked[0].headers == (("Content-Type", "application/json"), ("X-Own", "1"))


@pytest.mark.parametrize(("token", "authorized"), [(None, ["Bearer REDACTED"]), ("its-own", [])])
def test_an_endpoint_here_is_sent_what_the_worker_is(
    kept_with_secrets, token: str | None, authorized: list[str]
) -> None:
    endpoint = Answers(answer(b"fine"))
    endpoint.token = token
    assert run_cases(hk.cases(), endpoint)
    request = endpoint.asked[0]
    assert request.header("x-api-key") == "REDACTED"
    assert [value for name, value in request.headers if name == "Authorization"] == authorized


def test_the_token_of_an_endpoint_is_in_no_report() -> None:
    hk.keep(exchange(response=answer(b"fine")), "one")
    report = run_cases(hk.cases(), Answers(answer(f"token {SECRET} is wrong".encode())), known=[SECRET])
    assert not report
    shown = hk.view(report)
    assert SECRET not in shown.text + shown.html
    assert "REDACTED" in shown.text


def test_the_token_of_serve_never_reaches_a_case(handlers: Path, text) -> None:
    """%serve's clients bear it; its recordings are Runs."""
    from urllib.request import Request as Sent
    from urllib.request import urlopen

    with (
        hk.Worker(hk.Model("mirror", handler=handlers / "mirror.py")) as worker,
        hk.serve(worker, port=0, token="t0ken-of-serve") as server,
    ):
        headers = {"Authorization": "Bearer t0ken-of-serve", "Content-Type": "text/plain"}
        sent = Sent(f"{server.url}/predictions/mirror", b"t0ken-of-serve", headers)
        urlopen(sent, timeout=30).read()
        (run,) = server.served
    hk.keep(run, "one")
    assert "t0ken-of-serve" not in text()
    assert "Bearer REDACTED" in text()
