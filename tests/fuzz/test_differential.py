"""Worker and a real TorchServe on invented exchanges; and that the inventions reach what they should."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from differential import ENVIRONMENTS, Tally, fuzz, minimised, told
from programs import EXPECTED_ROWS, programs, rows_of
from strategies import ONE, Draw, drawn, invent, program_of

from handlerkit import Request

#: Every run sends the same exchanges: CI stays as it is until the code, or this number, changes.
SEED = 20261121


@pytest.mark.server
@pytest.mark.parametrize(("environment", "exchanges"), [("plain", 200), ("json", 50), ("limits", 50)])
def test_worker_answers_as_torchserve_does(environment: str, exchanges: int, tmp_path: Path) -> None:
    tally = fuzz(environment, exchanges, SEED, tmp_path, most=3)
    assert tally.exchanges >= exchanges
    assert [difference.line(0) for difference in tally.differences] == [], told(tally)


def test_every_row_of_the_behavior_is_reached() -> None:
    reached = frozenset().union(*map(rows_of, drawn(programs, 6000, SEED)))
    assert reached == EXPECTED_ROWS


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_same_seed_same_draws(environment: str) -> None:
    envelope = ENVIRONMENTS[environment][1].get("service_envelope")
    assert invent(envelope, 5, 7) == invent(envelope, 5, 7)
    assert invent(envelope, 5, 7) != invent(envelope, 5, 8)


def test_difference_is_made_small() -> None:
    class Broken:
        """Differs wherever the body holds a Z."""

        def compare(self, draw: Draw) -> object | None:
            found = b"Z" in draw.requests[0].body
            return type("Found", (), {"draw": draw, "where": ("body",)})() if found else None

    program = '{"headers": [["x-a", "v"]], "status": [404]}'
    request = Request("PUT", "/one/predict", {"x-program": program, "Accept": "x"}, "a=1", b"aaaZbbb")
    broken = Broken()
    small = minimised(broken, broken.compare(Draw(ONE, (request,))))  # type: ignore[arg-type]
    (left,) = small.draw.requests
    assert (left.method, left.path, left.query, left.body) == ("POST", "/predictions/one", "", b"Z")
    assert program_of(left) == {}
    assert [name for name, _ in left.headers] == ["x-program"]


def test_told_in_a_line() -> None:
    tally = Tally(exchanges=300, left_out=4, deaths={"a"}, differing=2, seconds=3.0)
    assert told(tally) == "300 exchanges in 3 s (100/s), 1 workers died, 4 left out, 2 differ in 0 ways"
