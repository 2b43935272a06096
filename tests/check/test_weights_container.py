"""Which container a file of weights is, and what it holds."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from torch import nn

from handlerkit.check.weights import Weights, read, read_beginning


def weights_of(content: bytes | Path) -> Weights:
    content = content.read_bytes() if isinstance(content, Path) else content
    return read(io.BytesIO(content), len(content))


def saved(value: object, **options: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)  # type: ignore[arg-type]
    return file.getvalue()


def scripted(module: nn.Module) -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(module), file)
    return file.getvalue()


def npy(value: object) -> bytes:
    file = io.BytesIO()
    np.save(file, value)  # type: ignore[arg-type]
    return file.getvalue()


def npz(*values: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, *values)  # type: ignore[arg-type]
    return file.getvalue()


def joblib_file(folder: Path, compress: object) -> bytes:
    joblib.dump(nn.Linear(2, 2), folder / "it", compress=compress)
    return (folder / "it").read_bytes()


def safetensors(size: int = 8) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(8)


def keras() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", "")
    return file.getvalue()


STATE = nn.Linear(3, 2).state_dict()
KINDS = [
    ("torch", lambda: saved(STATE)),
    ("torch", lambda: saved(nn.Linear(3, 2), pickle_protocol=4)),
    ("legacy torch", lambda: saved(STATE, _use_new_zipfile_serialization=False)),
    ("torchscript", lambda: scripted(nn.Linear(3, 2))),
    ("pickle", lambda: pickle.dumps({"a": 1})),
    ("pickle", lambda: pickle.dumps({"a": 1}, protocol=0)),
    ("pickle", lambda: gzip.compress(pickle.dumps({"a": 1}))),
    ("pickle", lambda: zlib.compress(pickle.dumps({"a": 1}))),
    ("numpy", lambda: npy(np.zeros(3))),
    ("numpy", lambda: npz(np.zeros(3), np.array([{}], object))),
    ("safetensors", safetensors),
    ("cut short", lambda: safetensors(800)),
    ("keras", keras),
    ("keras", lambda: b"\x89HDF\r\n\x1a\n" + bytes(64)),
    ("aotinductor", lambda: b"\x7fELF\x02\x01\x01" + bytes(64)),
    ("gguf", lambda: b"GGUF\x03\x00\x00\x00"),
    ("git lfs pointer", lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2\nsize 12345\n"),
    ("html", lambda: b"\n<!DOCTYPE html><html><head><title>Sign in</title>"),
    ("empty", lambda: b""),
    ("cut short", lambda: saved(STATE)[:-100]),
    ("cut short", lambda: saved(STATE, _use_new_zipfile_serialization=False)[:60]),
    ("text", lambda: "Übergröße\n1, 2\n".encode()),
    ("unknown", lambda: bytes(range(128, 256)) * 9),
    ("unknown", lambda: gzip.compress(b"no pickle at all")),
]


@pytest.mark.parametrize(("kind", "content"), KINDS)
def test_the_bytes_tell_the_container(kind: str, content: Callable[[], bytes]) -> None:
    assert weights_of(content()).kind == kind


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3)])
def test_joblib_files(tmp_path: Path, compress: object) -> None:
    (found,) = weights_of(joblib_file(tmp_path, compress)).pickles
    assert "torch.nn.modules.linear.Linear" in map(str, found.globals)


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_what_torch_save_wrote_is_read_for_its_imports(options: dict[str, bool]) -> None:
    found = weights_of(saved(nn.Linear(2, 2), **options))
    assert "torch.nn.modules.linear.Linear" in {str(one) for each in found.pickles for one in each.globals}


def test_an_array_of_objects_holds_a_pickle() -> None:
    (found,) = weights_of(npz(np.zeros(3), np.array([nn.ReLU()], object))).pickles
    assert "torch.nn.modules.activation.ReLU" in map(str, found.globals)


def test_an_exported_program_says_its_torch(tmp_path: Path) -> None:
    program = torch.export.export(nn.Linear(3, 2), (torch.zeros(1, 3),))
    torch.export.save(program, tmp_path / "it.pt2")
    found = weights_of(tmp_path / "it.pt2")
    assert (found.kind, found.torch_version) == ("exported program", torch.__version__)


def test_the_operators_that_a_script_names_and_never_runs() -> None:
    class Bilinear(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear")

    script = weights_of(scripted(Bilinear())).script
    assert script is not None
    assert next(iter(script.operators["aten::upsample_trilinear3d"])).startswith("torch/nn/functional")
    assert script.arguments["aten::upsample_bilinear2d"] == 4
    assert "prim::RaiseException" in script.operators


def test_a_bomb_is_not_blown_up() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a/data.pkl", "w") as entry:
        for _ in range(600):
            entry.write(bytes(1 << 20))
    assert "more than" in weights_of(file.getvalue()).problem


@pytest.mark.parametrize(("kind", "content"), KINDS)
def test_bytes_that_are_cut_or_changed_raise_nothing(kind: str, content: Callable[[], bytes]) -> None:
    whole = content()
    for end in range(0, min(len(whole), 400), 7):
        weights_of(whole[:end])
        weights_of(whole[:end] + bytes([whole[end] ^ 0xFF]) + whole[end + 1 :])


def test_the_beginning_is_enough_for_what_torch_save_wrote() -> None:
    whole = saved(STATE)
    found = read_beginning(io.BytesIO(whole[: len(whole) // 2]))
    assert found == weights_of(whole)


@pytest.mark.parametrize(
    "content", [scripted(nn.Linear(3, 2)), saved(STATE)[:60], npz(np.zeros(3)), b"", b"PK\x03\x04"]
)
def test_the_beginning_does_not_tell(content: bytes) -> None:
    assert read_beginning(io.BytesIO(content)) is None
