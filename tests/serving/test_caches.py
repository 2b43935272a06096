"""What is kept of headers."""

from __future__ import annotations

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


def test_no_more_than_the_last_256_are_kept() -> None:
    made = []
    kept = caches.of_headers(lambda name, value: made.append(value))
    for number in (*range(1000), *range(744, 1000)):
        kept("name", str(number))
    assert len(made) == 1000
    kept("name", "743")
    assert made[1000:] == ["743"]
