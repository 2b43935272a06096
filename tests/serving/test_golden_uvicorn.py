"""Recorded exchanges, sent again to an application behind uvicorn: the same but for what uvicorn writes itself."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from serving_apps import Answer, Connection, request, uvicorn
from test_golden import Case, check_response, named, requests_of, responses_of
from test_golden_app import message, served_of
from test_golden_exported import SENT as OF_ONE_MODEL

from handlerkit.messages import Response

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]

#: What it writes over, whatever the application says.
OF_UVICORN = ("connection", "date", "server", "transfer-encoding")


def is_sent(case: Case) -> bool:
    """Whether there is an answer, with a status that uvicorn knows, and from a worker that outlives it."""
    (recorded,) = responses_of(case)
    return (recorded["status"] or 600) < 600 and "Worker died." not in recorded.get("body_text", "")


SENT = [case for case in OF_ONE_MODEL if is_sent(case)]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("golden")
    with uvicorn(folder, [served_of(SENT[0], folder)], SENT[0]["config"]["server_properties"]) as port:
        yield port


def ask(port: int, sent: bytes) -> Answer:
    with Connection(port) as connection:
        connection.send(sent)
        return connection.receive()


def kept(headers: Any) -> list[tuple[str, str]]:
    """Those that are the application's, as they come through."""
    return [(name.lower(), value) for name, value in headers if name.lower() not in OF_UVICORN]


@named(SENT)
def test_exchange(case: Case, port: int) -> None:
    (recorded,) = responses_of(case)
    answer = ask(port, message(requests_of(case)[0]))
    assert answer.reason == next((one.phrase for one in HTTPStatus if one == answer.status), "")
    assert [name for name, _ in answer.headers] == [name.lower() for name, _ in answer.headers]
    check_response(
        Response(
            answer.status, recorded["reason"], tuple(kept(answer.headers)), answer.body, answer.chunks, answer.complete
        ),
        {**recorded, "headers": kept(recorded["headers"])},
    )


def test_many_are_sent() -> None:
    assert len(SENT) > 60


def test_a_status_that_uvicorn_does_not_know_cuts_the_connection(port: int) -> None:
    case = next(case for case in OF_ONE_MODEL if responses_of(case)[0]["status"] == 700)
    answer = ask(port, message(requests_of(case)[0]))
    assert answer.status is None
    assert ask(port, request("GET", "/ping")).status == 200
