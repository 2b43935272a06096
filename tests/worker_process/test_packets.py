"""Packets out of what a connection receives, however it is cut."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from handlerkit.worker_process import packets
from handlerkit.worker_process.packets import BadPacketError, Connection, Inbox, SharedMemory


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_packets_come_as_they_were_sent(ends: tuple[socket.socket, socket.socket]) -> None:
    sizes = [0, 5, 300_000, 1_048_567, 1_048_576, 2_500_000, 1, 700_000, 700_000, 0]
    sent = [os.urandom(size) for size in sizes]
    sender = threading.Thread(target=lambda: Connection(ends[0]).send(*((packets.PIECE, (body,)) for body in sent)))
    sender.start()
    receiver = Connection(ends[1])
    received = []
    for _ in sent:
        packet = receiver.receive()
        assert packet is not None
        received.append(bytes(packet.payload))
    sender.join()
    assert received == sent


def test_packet_in_pieces_is_whole_when_the_last_one_came(ends: tuple[socket.socket, socket.socket]) -> None:
    inbox, wire = (
        Inbox(ends[1]),
        packets.header(packets.ANSWER, 20) + bytes(range(20)) + packets.header(packets.DONE, 0),
    )
    for place in range(len(wire)):
        ends[0].sendall(wire[place : place + 1])
        inbox.read(socket.MSG_DONTWAIT)
        packet = inbox.take()
        assert (packet is not None) == (place in (28, len(wire) - 1))
        if place == 28:
            assert packet is not None
            assert bytes(packet.payload) == bytes(range(20))


def test_small_packets_use_their_memory_again(ends: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = Connection(ends[0]), Connection(ends[1])
    owners = []
    for size in (10, 5_000_000, 200_000):
        thread = threading.Thread(target=sender.send, args=((packets.PIECE, (bytes(size),)),))
        thread.start()
        packet = receiver.receive()
        assert packet is not None
        owners.append(packet.payload.obj)
        thread.join()
    assert owners[0] is owners[2]
    assert owners[1] is not owners[0]


@pytest.fixture
def memories() -> tuple[SharedMemory, SharedMemory]:
    """The two ends' views of the same memory."""
    with packets.shared_file() as file:
        return SharedMemory(file.fileno()), SharedMemory(file.fileno())


@pytest.mark.parametrize("told", [b"", b"\0\0\0\xff\0", b"\0\0\0\0\1", b"\0\0\0\0\1\0\0"])
def test_answer_that_tells_more_than_it_holds_is_a_bad_packet(
    memories: tuple[SharedMemory, SharedMemory], told: bytes
) -> None:
    with pytest.raises(BadPacketError):
        memories[0].read_answer(memoryview(told))


SIZES = [0, 6, (1 << 15) - 1, 1 << 15, 1 << 20, (1 << 20) + 1]


@pytest.mark.parametrize("size", SIZES)
def test_answer_and_what_is_told_come_apart(memories: tuple[SharedMemory, SharedMemory], size: int) -> None:
    sent = os.urandom(size)
    told, answer = memories[1].read_answer(memoryview(b"".join(memories[0].pack_answer((1, "a"), sent))))
    assert (told, bytes(answer)) == ((1, "a"), sent)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("envelope", [None, "kserve"])
def test_call_comes_as_it_was_sent(
    memories: tuple[SharedMemory, SharedMemory], size: int, envelope: str | None
) -> None:
    parts = (b"head", os.urandom(size), memoryview(b"end"))
    payload = memoryview(b"".join(memories[0].pack_call(True, envelope, parts)))
    measures_memory, named, message = memories[1].read_call(payload)
    assert (measures_memory, named, bytes(message)) == (True, envelope, b"".join(parts))


def test_answer_leaves_the_message_as_it_is(memories: tuple[SharedMemory, SharedMemory]) -> None:
    sent = os.urandom(100_000)
    payload = memoryview(b"".join(memories[0].pack_call(False, None, (sent,))))
    _, _, message = memories[1].read_call(payload)
    memories[1].pack_answer(None, bytes(100_000))
    assert bytes(message) == sent


def test_large_payloads_stay_off_the_socket(memories: tuple[SharedMemory, SharedMemory]) -> None:
    assert sum(map(len, memories[0].pack_call(False, None, (bytes(200_000),)))) < 32
