"""The script that becomes a TorchServe worker: the same worker, started sooner, which reads through a buffer."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_apps import written

from handlerkit.serving import wire
from handlerkit.serving.config import Config
from handlerkit.serving.workers import start, worker_command
from handlerkit.serving.workers.start import BufferedReader
from handlerkit.serving.workers.worker import LoadSpec

#: A handler that answers with what it sees of its process.
SEES = """\
import gc, json, sys

def handle(data, context):
    main = sys.modules["__main__"]
    return [json.dumps({
        "argv": sys.argv, "path": sys.path, "main": [main.__name__, main.__file__], "collects": gc.isenabled(),
        "frozen": gc.get_freeze_count(), "headers": context.get_all_request_header(0),
        "type": type(data[0]["body"]).__name__, "body": str(data[0]["body"]),
        "found": context.get_request_header(0, "content-TYPE"),
    }) for row in data or ()]
"""


class Socket:
    """A connection's end on which bytes come in these pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    def recv(self, size: int) -> bytes:
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        if piece[size:]:
            self._pieces.insert(0, piece[size:])
        return piece[:size]

    def recv_into(self, buffer: Any) -> int:
        received = self.recv(len(buffer))
        buffer[: len(received)] = received
        return len(received)


def never(conn: socket.socket, length: int) -> bytearray:
    raise AssertionError("the connection has not ended")


class TestBufferedReader:
    @given(st.lists(st.binary(max_size=60) | st.integers(10_000, 50_000).map(bytes), max_size=8), st.data())
    def test_what_is_asked_for_comes_whatever_the_pieces(self, pieces: list[bytes], data: st.DataObject) -> None:
        sent = b"".join(pieces)
        read, conn, got = BufferedReader(never), Socket(pieces), bytearray()
        while len(got) < len(sent):
            length = data.draw(st.integers(0, 9) | st.integers(0, len(sent)), "length")
            got += read(conn, min(length, len(sent) - len(got)))  # type: ignore[arg-type]
        assert got == sent

    @pytest.mark.parametrize("length", [0, 4, 40_000])
    def test_each_has_bytes_of_its_own_that_a_handler_may_change(self, length: int) -> None:
        read, conn = BufferedReader(never), Socket([bytes(40_004)])
        first = read(conn, length)  # type: ignore[arg-type]
        first += b"more"
        assert (type(first), len(first)) == (bytearray, length + 4)
        assert read(conn, 4) == bytes(4)  # type: ignore[arg-type]

    def test_another_connection_is_read_as_torchserve_reads_it(self) -> None:
        from ts.protocol.otf_message_handler import _retrieve_buffer

        read, frontend, other = BufferedReader(_retrieve_buffer), Socket([b"abcdef"]), Socket([b"uvwxyz"])
        got = [read(conn, 2) for conn in (frontend, other, frontend, other)]  # type: ignore[arg-type]
        assert (got, other.recv(9)) == ([b"ab", b"uv", b"cd", b"wx"], b"yz")

    @pytest.mark.parametrize("length", [8, 40_000])
    def test_the_end_of_the_connection_ends_the_process(self, length: int) -> None:
        from ts.protocol.otf_message_handler import _retrieve_buffer

        with pytest.raises(SystemExit) as ended:
            BufferedReader(_retrieve_buffer)(Socket([b"some"]), length)  # type: ignore[arg-type]
        assert ended.value.code == 0


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> LoadSpec:
    folder = tmp_path_factory.mktemp("start") / "model"
    written(folder, SEES)
    return LoadSpec("m", str(folder), "handler.py", Config(), 1, 120, 120, 300)


@pytest.fixture(scope="module")
def of_torchserve(spec: LoadSpec) -> dict[str, Any]:
    """What the handler sees when TorchServe's script is run itself."""
    return seen(spec, [sys.executable, *worker_command.command_line("SOCKET", spec.config)])


@pytest.fixture(scope="module")
def here(spec: LoadSpec) -> dict[str, Any]:
    return seen(spec, [*spec.command("SOCKET")])


class TestStart:
    @pytest.mark.parametrize("what", ["argv", "path", "main", "collects", "headers", "type", "body", "found"])
    def test_the_handler_sees_the_same(self, of_torchserve: dict[str, Any], here: dict[str, Any], what: str) -> None:
        assert here[what] == of_torchserve[what]

    def test_what_was_imported_is_left_out_of_collections(
        self, of_torchserve: dict[str, Any], here: dict[str, Any]
    ) -> None:
        assert of_torchserve["frozen"] < 1000 < here["frozen"]

    def test_any_casing_alone_changes_what_is_found(self, spec: LoadSpec, here: dict[str, Any]) -> None:
        found = seen(spec, [*replace(spec, any_casing=True).command("SOCKET")])
        differs = {what for what in here if what != "frozen" and found[what] != here[what]}
        assert (differs, here["found"], found["found"]) == ({"found"}, None, "image/x")

    def test_a_link_to_torchserve_is_followed_as_python_does(self, spec: LoadSpec, tmp_path: Path) -> None:
        """TorchServe takes the folder behind it out of the path again, so that a handler finds its own modules."""
        (script, *options) = worker_command.command_line("SOCKET", spec.config)
        (tmp_path / "link").symlink_to(Path(script).parent)
        alone = [sys.executable, str(tmp_path / "link" / Path(script).name), *options]
        through = [sys.executable, start.__file__, *alone[1:]]
        assert seen(spec, through)["path"] == seen(spec, alone)["path"]

    def test_a_collector_that_is_off_stays_off(self, spec: LoadSpec, tmp_path: Path) -> None:
        (tmp_path / "sitecustomize.py").write_text("import gc\ngc.disable()\n")
        environment = spec.environment(spec.model_dir)
        environment["PYTHONPATH"] = f"{tmp_path}:{environment['PYTHONPATH']}"
        assert seen(spec, [*spec.command("SOCKET")], environment)["collects"] is False

    def test_a_safe_path_stays_safe(self, spec: LoadSpec) -> None:
        """Python 3.11 and newer put no folder of a script first then."""
        safe = {**spec.environment(spec.model_dir), "PYTHONSAFEPATH": "1"}
        alone = seen(spec, [sys.executable, *worker_command.command_line("SOCKET", spec.config)], safe)
        assert seen(spec, [*spec.command("SOCKET")], safe)["path"] == alone["path"]


def seen(spec: LoadSpec, command: list[str], environment: dict[str, str] | None = None) -> dict[str, Any]:
    """What a handler with the source SEES answers in the worker that a command starts; SOCKET stands for its socket."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "socket.9000")  # ts divides it at its dots
        process = subprocess.Popen(
            [str(path) if word == "SOCKET" else word for word in command], cwd=spec.model_dir,
            env=environment or spec.environment(name), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        with process, closing(socket.socket(socket.AF_UNIX)) as connection:
            assert process.stdout is not None
            try:
                lines = [*takewhile(lambda line: line != "Torch worker started.\n", iter(process.stdout.readline, ""))]
                connection.settimeout(60)
                assert process.poll() is None, "".join(lines)
                connection.connect(str(path))
                load = wire.encode_load("m", spec.model_dir, 1, spec.handler, None, "", True)
                assert exchange(connection, load).message == "loaded model m"
                parameter = wire.Parameter("body", "image/x", b"hello")
                job = wire.Job("id", [("Content-Type", "image/x")], [parameter])
                answer = exchange(connection, b"".join(wire.encode_predict([job])))
                assert answer.code == 200, answer.message
                (row,) = answer.predictions
            finally:
                process.kill()
    said: dict[str, Any] = json.loads(row.body.replace(str(path).encode(), b"SOCKET"))
    return said


def exchange(connection: socket.socket, message: bytes) -> wire.WorkerResponse:
    connection.sendall(message)
    received = b""
    while (taken := wire.take_answer(received, 1 << 20)) is None:
        received += (piece := connection.recv(1 << 16))
        assert piece, "the worker is gone"
    return taken[0]
