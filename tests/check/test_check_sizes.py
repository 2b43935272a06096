"""Requests and answers that were seen, against a server's limits."""

from __future__ import annotations

from pathlib import Path

import pytest
from made import OWN, model

import handlerkit as hk
from handlerkit.messages import Exchange, Request, Response, Run

HANDLER = OWN.format(load="self.model = None")


def run(sent: int = 10, answered: int = 10, chunks: tuple[bytes, ...] | None = None, status: int = 200) -> Run:
    response = Response(status, body=b"x" * answered, chunks=chunks)
    return Run((Exchange(Request(body=b"x" * sent), response),), max_response_size=100_000_000)


@pytest.mark.parametrize(
    ("seen", "name", "severity"),
    [
        (run(answered=7_000_000), "max_response_size", "warning"),
        (run(answered=6_000_000), "max_response_size", "info"),
        (run(sent=7_000_000), "max_request_size", "warning"),
        (run(sent=6_000_000), "max_request_size", "info"),
    ],
)
def test_near_a_limit_and_above(tmp_path: Path, seen: Run, name: str, severity: str) -> None:
    (one,) = hk.check(model(tmp_path, {}, HANDLER), runs=[run(), seen, run()]).findings
    assert (one.name, one.severity) == (name, severity)


@pytest.mark.parametrize(
    "seen",
    [
        run(),
        run(sent=5_000_000, answered=5_000_000),
        run(sent=9_000_000, status=413),
        run(9, 9, (b"x" * 4_000_000,) * 9),
    ],
)
def test_below_the_limits(tmp_path: Path, seen: Run) -> None:
    assert hk.check(model(tmp_path, {}, HANDLER), runs=[seen]).findings == ()
