"""Ports for servers that are told a number."""

from __future__ import annotations

import random
import socket

import pytest

from handlerkit.endpoints.ports import free_ports


def test_ports_are_different_and_can_be_listened_on() -> None:
    found = free_ports(5)
    assert len({*found}) == 5
    for port in found:
        socket.create_server(("127.0.0.1", port)).close()


def test_no_connection_is_given_one_of_them() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        first = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", first)) as client:
            given = min(first, client.getsockname()[1])
    assert max(free_ports(20)) < given


def test_a_port_on_which_another_address_listens_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    (port, other) = free_ports(2)
    monkeypatch.setattr(random, "sample", lambda *_: [port, other])
    with socket.create_server(("127.0.0.1", port)):
        assert free_ports(1) == [other]


def test_none_that_is_free_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    monkeypatch.setattr(random, "sample", lambda *_: [port])
    with socket.create_server(("127.0.0.1", port)), pytest.raises(OSError, match="Address already in use"):
        free_ports(1)
