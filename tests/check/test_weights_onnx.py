"""The versions and files that an ONNX model asks for."""

from __future__ import annotations

import io
from pathlib import Path

import onnx
import pytest
from made import onnx_model

from handlerkit.check.weights.onnx import Onnx, read


def read_bytes(content: bytes) -> Onnx | None:
    return read(io.BytesIO(content), len(content))


def test_versions() -> None:
    found = read_bytes(onnx_model(15, domain="com.microsoft").SerializeToString())
    assert found == Onnx(8, {"": 15, "com.microsoft": 1}, "me")


def test_the_weights_are_not_read() -> None:
    content = onnx_model(size=1 << 20).SerializeToString()
    file = io.BytesIO(content)
    taken = []
    reads, file.read = file.read, lambda size=-1: taken.append(size) or reads(size)  # type: ignore[method-assign]
    assert read(file, len(content)) is not None
    assert sum(taken) < 1000


def test_weights_in_other_files(tmp_path: Path) -> None:
    onnx.save(
        onnx_model(size=4096), tmp_path / "it.onnx", save_as_external_data=True, location="it.data", size_threshold=0
    )
    found = read_bytes((tmp_path / "it.onnx").read_bytes())
    assert found is not None
    assert found.external == {"it.data"}


@pytest.mark.parametrize("content", [b"", b"\x08", b"plain text, no protobuf", bytes(100), b"\x08\x08" * 50])
def test_no_onnx(content: bytes) -> None:
    assert read_bytes(content) is None


def test_onnx_cut_short() -> None:
    content = onnx_model().SerializeToString()
    assert [read_bytes(content[:end]) for end in range(len(content) - 12)] == [None] * (len(content) - 12)
