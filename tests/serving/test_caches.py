"""What is kept of headers."""

from __future__ import annotations

import sys

import pytest

from handlerkit.serving import caches


@pytest.mark.parametrize(("size", "made"), [(512, 1), (513, 2)])
def test_a_short_header_is_made_once_and_of_a_long_one_nothing_is_kept(size: int, made: int) -> None:
    calls = []

    def join(name: str, value: str) -> str:
        calls.append(name)
        return name + value

    kept = caches.of_headers(join)
    assert [kept("name", "v" * (size - 4)), kept("name", "v" * (size - 4))] == ["name" + "v" * (size - 4)] * 2
    assert len(calls) == made


def test_no_more_than_some_are_kept() -> None:
    kept = caches.of_headers(lambda name, value: [name, value])
    values = [kept("name", str(number)) for number in range(1000)]
    # the list, the loop's variable and getrefcount have it; what is kept has one more
    assert [sys.getrefcount(value) for value in values].count(sys.getrefcount(values[-1])) == 256
