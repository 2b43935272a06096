"""Where an app on Ray Serve meets its first limit as it grows past one machine: a simulation of its queues.

    python benchmarks/scale.py [--quick]

Nothing is served here: requests come at random (a Poisson process), go through a proxy, which passes on one at a time,
and queue at the shorter one of two replicas that are drawn, as Ray Serve's router draws them. A replica answers one
after the other, each in 20 ms. Proxies are as Ray's documentation has them: 3,500 requests/s through the one of a
machine of 8 cores ("about 3-4k queries per second", no-op replicas), 1.5 ms for the way. The other figure of a row is
that of an ideal queue, which gives each request to a replica that is free. What is left out makes reality slower: the
time that a queue's length takes to the router, replicas that are slower than others, the autoscaler, the network.
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
from collections import deque
from itertools import pairwise

from table import Row, render

SERVICE = 0.020  # seconds of a request in a replica
PROXY = 1 / 3500  # seconds of a request in a proxy
WAY = 0.0015  # seconds from the proxy to the replica and back
CORES = 8  # of a machine, one for each replica
LOADS = (0.7, 0.9)
REPLICAS = (10, 100, 1000)


def measure(quick: bool) -> list[Row]:
    """The rows of this benchmark; `quick` simulates fewer requests."""
    count = 20_000 if quick else 200_000
    rows = []
    for replicas in REPLICAS:
        machines = -(-replicas // CORES)
        capacity, one = replicas / SERVICE, 1 / PROXY
        note = f"one proxy is the first limit: from {int(one * SERVICE)} replicas of {SERVICE * 1e3:.0f} ms on"
        rows.append(
            Row(
                f"{replicas:,} replicas: what one proxy passes on, beside what they answer", one, capacity, "/s",
                one / capacity, "", True, note if one < capacity else "",
            )
        )  # fmt: skip
        for load in LOADS:
            ours = simulate(replicas, machines, load, count)
            ideal = ideal_queue(replicas, load, count)
            rows.append(
                Row(
                    f"{replicas:,} replicas, a proxy on each machine, {load:.0%} load: p99", ours * 1e3, ideal * 1e3,
                    "ms", ours / ideal, "", True,
                )
            )  # fmt: skip
    return rows


def simulate(replicas: int, proxies: int, load: float, count: int, seed: int = 1) -> float:
    """The p99 of so many requests, in seconds, with two replicas drawn for each."""
    draw = random.Random(seed)
    free = [0.0] * proxies
    passed = []
    for came in _arrivals(replicas, load, count, draw):
        proxy = draw.randrange(proxies)
        free[proxy] = max(free[proxy], came) + PROXY
        passed.append((free[proxy] + WAY / 2, came))
    passed.sort()
    queues: list[deque[float]] = [deque() for _ in range(replicas)]
    taken = []
    for now, came in passed:
        first, second = draw.randrange(replicas), draw.randrange(replicas)
        for queue in (queues[first], queues[second]):
            while queue and queue[0] <= now:
                queue.popleft()
        shorter = min(queues[first], queues[second], key=len)
        done = max(now, shorter[-1] if shorter else now) + SERVICE
        shorter.append(done)
        taken.append(done + WAY / 2 - came)
    return _p99(taken)


def ideal_queue(replicas: int, load: float, count: int, seed: int = 1) -> float:
    """The p99 with one queue for all replicas, without a proxy."""
    free = [0.0] * replicas
    taken = []
    for came in _arrivals(replicas, load, count, random.Random(seed)):
        done = max(came, free[0]) + SERVICE
        heapq.heapreplace(free, done)
        taken.append(done - came)
    return _p99(taken)


def _arrivals(replicas: int, load: float, count: int, draw: random.Random) -> list[float]:
    """When each request comes."""
    rate, now, times = replicas * load / SERVICE, 0.0, []
    for _ in range(count):
        now += draw.expovariate(rate)
        times.append(now)
    assert all(before <= after for before, after in pairwise(times))
    return times


def _p99(seconds: list[float]) -> float:
    """The first tenth is left out: the queues are still empty."""
    counted = sorted(seconds[len(seconds) // 10 :])
    return counted[len(counted) * 99 // 100]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer requests")
    rows = measure(parser.parse_args().quick)
    print(render(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
