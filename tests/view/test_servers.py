"""What is shown of a server of clients, and of what they asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from handlerkit import view
from handlerkit.endpoints.lent.served_runs import ServedRuns
from handlerkit.messages import Call, Exchange, Request, Response, Run
from handlerkit.timing import Timings
from handlerkit.view.servers import server_view


def run(*bodies: bytes, status: int = 200, **request: Any) -> Run:
    asked = Request(path="/predictions/m", **request)
    exchanges = tuple(Exchange(asked, Response(status, "Odd", body=body)) for body in bodies)
    return Run(exchanges, (Call((), Timings(0.0012)),), model="m")


def server(served: ServedRuns, running: bool = True, has_token: bool = False) -> Any:
    return SimpleNamespace(model="m", url="http://127.0.0.1:8080", running=running, has_token=has_token, served=served)


def kept(*runs: Run) -> ServedRuns:
    served = ServedRuns()
    for one in runs:
        served.append(one)
    return served


def test_a_server_says_where_it_is_and_how_it_is_asked() -> None:
    assert server_view(server(kept())).text == (
        "m is served at http://127.0.0.1:8080, with the handler as it is when a request comes\n"
        "  curl -T FILE http://127.0.0.1:8080/predictions/m\n"
        "no request has come in yet"
    )


def test_one_with_a_token_says_how_it_is_sent_and_not_which_it_is() -> None:
    text = server_view(server(kept(), has_token=True)).text
    assert '  curl -H "Authorization: Bearer $TOKEN" -T FILE http://127.0.0.1:8080/predictions/m' in text


def test_one_that_was_stopped() -> None:
    assert server_view(server(kept(run(b"x")), running=False)).text == "m is not served any more"


def test_each_request_stands_with_its_place_in_the_sequence() -> None:
    shown = view(kept(run(b"one"), run(b"", b"x" * 12_400, status=503)))
    assert shown.text.splitlines() == [
        "3 requests came in",
        "  [-2]  POST /predictions/m  ->  200 Odd, no content type, 3 B  1.2 ms",
        "  [-1]  POST /predictions/m  ->  503 Odd, no content type, 0 B  1.2 ms",
        "  [-1]  POST /predictions/m  ->  503 Odd, no content type, 12.4 KB  1.2 ms",
    ]
    assert shown.html.count("<tr>") == 3


def test_many_are_counted_and_the_last_shown() -> None:
    shown = view(kept(*[run(b"x")] * 30))
    assert shown.text.splitlines()[0] == "30 requests came in, of which the last 25 are shown"
    assert shown.html.count("<tr>") == 25


def test_secrets_of_clients_stay_out() -> None:
    asked = run(b"x", headers={"Authorization": "Bearer sesame", "Cookie": "id=sesame"})
    secretive = Run((Exchange(asked.request, Response(200, headers=(("Set-Cookie", "id=sesame"),))),), model="m")
    shown = [view(kept(asked)), view(asked), view(secretive)]
    assert all("sesame" not in one.text + one.html for one in shown)


def test_what_clients_sent_is_escaped() -> None:
    shown = view(kept(run(b"x", query="<script>")))
    assert "<script>" not in shown.html
