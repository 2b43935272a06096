"""Several clients at the same time."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from handlerkit import Model, Server
from handlerkit.bench import measure_clients
from handlerkit.errors import RequestError, ResponseError
from handlerkit.messages import Exchange, Request, Response, Run

COINS = Request(label="coins.png")


class Slow:
    """Takes 5 ms, and notes how many are inside at once; fails with Ctrl-C from the n-th request on."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.inside = self.most = self.asked = 0
        self.lock = threading.Lock()

    def predict(self, *requests: Request) -> Run:
        with self.lock:
            self.asked += 1
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.005)
        with self.lock:
            self.inside -= 1
        return Run((Exchange(requests[0], Response(self.status, body=b"answer")),), endpoint="there", model="coins")


def test_clients_send_at_the_same_time_and_no_more() -> None:
    endpoint = Slow()
    bench = measure_clients(lambda batch: nullcontext(endpoint), COINS, repeats=20, concurrency=3)
    assert endpoint.most == 3
    assert bench.rows[0].clients == 3
    assert len(bench.rows[0].seconds) == bench.rows[0].requests == 20


def test_throughput_counts_the_requests_of_all_clients() -> None:
    bench = measure_clients(lambda batch: nullcontext(Slow()), COINS, repeats=40, concurrency=4)
    (row,) = bench.rows
    assert row.median >= 0.005
    assert row.throughput == pytest.approx(40 / row.elapsed)


def test_each_batch_size_is_registered_in_turn_and_filled_by_as_many_clients() -> None:
    registered: list[int] = []

    def serve(batch: int) -> nullcontext[Slow]:
        registered.append(batch)
        return nullcontext(Slow())

    bench = measure_clients(serve, COINS, batch_sizes=(1, 4), repeats=5)
    assert registered == [1, 4]
    assert [(row.batch, row.clients, row.requests) for row in bench.rows] == [(1, 4, 5), (4, 4, 20)]


def test_fewer_clients_than_a_batch_holds_are_refused() -> None:
    with pytest.raises(RequestError, match="concurrency is 8 or more, not 2"):
        measure_clients(lambda batch: nullcontext(Slow()), COINS, batch_sizes=(8,), concurrency=2)


def test_a_failing_model_is_not_measured() -> None:
    with pytest.raises(ResponseError, match="coins answered 503"):
        measure_clients(lambda batch: nullcontext(Slow(503)), COINS)


def test_ctrl_c_keeps_what_was_measured() -> None:
    def stop(words: str) -> None:
        if words == "50 %":
            raise KeyboardInterrupt

    bench = measure_clients(lambda batch: nullcontext(Slow()), COINS, repeats=100, concurrency=2, progress=stop)
    assert bench.interrupted
    assert 50 <= bench.rows[0].requests <= 53


@pytest.mark.server
def test_a_real_torchserve(tmp_path: Path) -> None:
    source = "def handle(data, context):\n    return [str(len(data))] * len(data) if data else None\n"
    (tmp_path / "rows.py").write_text(source)
    model = Model("rows", handler=tmp_path / "rows.py")
    bench = measure_clients(lambda batch: Server(model, batch_size=batch), Request(), batch_sizes=(1, 2), repeats=10)
    assert bench.endpoint.startswith("TorchServe")
    assert [(row.batch, row.requests, row.failed) for row in bench.rows] == [(1, 10, 0), (2, 20, 0)]
