"""TorchScript and exported programs that the target's torch does not read."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
import torch
from made import BASE, OFFICIAL, assert_quiet, found, model
from torch import nn


class Interpolates(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear")


class Upsamples(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.aten.upsample_bilinear2d(x, None, False, [2.0, 2.0])


def scripted(module: nn.Module) -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(module), file)
    return file.getvalue()


def traced(module: nn.Module) -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(module, torch.zeros(1, 1, 4, 4)), file)
    return file.getvalue()


def rewritten(content: bytes, before: str, after: str) -> bytes:
    """A TorchScript file whose code says something else."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            code = old.read(name)
            new.writestr(name, code.replace(before.encode(), after.encode()) if name.endswith(".py") else code)
    return file.getvalue()


def test_an_operator_that_is_saved_and_never_runs(tmp_path: Path) -> None:
    made = model(tmp_path, {"it.pt": scripted(Interpolates())}, serialized_file="it.pt")
    one = found(made, OFFICIAL)["unknown_operator"]
    assert "aten::_upsample_lanczos2d_aa" in one.message
    assert "torch 2.4.0" in one.message
    assert "upsample_bilinear2d" in one.fix
    assert_quiet(made, "declared")


@pytest.mark.parametrize("content", [scripted(Upsamples()), traced(Interpolates())])
def test_the_same_model_without_all_that_interpolate_can_do(tmp_path: Path, content: bytes) -> None:
    assert_quiet(model(tmp_path, {"it.pt": content}, serialized_file="it.pt"))


def test_an_operator_that_is_none(tmp_path: Path) -> None:
    content = rewritten(traced(nn.ReLU()), "torch.relu(", "torch.relu_of_tomorrow(")
    made = model(tmp_path, {"it.pt": content}, serialized_file="it.pt")
    assert "aten::relu_of_tomorrow" in found(made)["unknown_operator"].message


def test_more_arguments_than_it_takes(tmp_path: Path) -> None:
    content = rewritten(traced(nn.Linear(4, 4)), "torch.linear(", "torch.linear(1, 2, 3, 4, 5, 6, 7, 8, 9, ")
    made = model(tmp_path, {"it.pt": content}, serialized_file="it.pt")
    assert "more arguments" in found(made)["unknown_operator"].message


def test_operators_of_torchvision_want_it_imported(tmp_path: Path) -> None:
    content = rewritten(traced(nn.ReLU()), "torch.relu(", "ops.torchvision.nms(")
    made = model(tmp_path / "without", {"it.pt": content}, serialized_file="it.pt")
    assert "import torchvision" in found(made)["unknown_operator"].fix
    for number, line in enumerate(
        ("import torchvision", "from ts.torch_handler.object_detector import ObjectDetector")
    ):
        handler = f"{line}\n{BASE}"
        assert_quiet(model(tmp_path / str(number), {"it.pt": content}, handler, serialized_file="it.pt"))


def test_operators_of_nobody(tmp_path: Path) -> None:
    content = rewritten(traced(nn.ReLU()), "torch.relu(", "ops.my_library.relu(")
    made = model(tmp_path / "without", {"it.pt": content}, serialized_file="it.pt")
    assert found(made)["unknown_operator"].severity == "warning"
    handler = "import torch\ntorch.ops.load_library('my.so')\n" + BASE
    assert_quiet(model(tmp_path / "with", {"it.pt": content}, handler, serialized_file="it.pt"))


def test_a_program_that_a_newer_torch_exported(tmp_path: Path) -> None:
    program = torch.export.export(nn.Linear(3, 2), (torch.zeros(1, 3),))
    torch.export.save(program, tmp_path / "it.pt2")
    handler = (
        "import torch\n\n\nclass Handler:\n    def initialize(self, context):\n"
        "        self.model = torch.export.load('it.pt2')\n\n"
        "    def handle(self, data, context):\n        return [0] * len(data)\n"
    )
    files = {"it.pt2": (tmp_path / "it.pt2").read_bytes()}
    made = model(tmp_path / "it", files, handler, serialized_file="it.pt2")
    assert found(made, OFFICIAL)["newer_torch"].severity == "warning"
    assert_quiet(made, "declared")
