"""ONNX models that the target's runtime does not load."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from made import BASE, OFFICIAL, OWN, assert_quiet, found, model, onnx_model

RUNTIME = OWN.format(load="import onnxruntime; self.model = onnxruntime.InferenceSession('it.onnx')")


def content(**options: int) -> bytes:
    made = onnx_model(**{key: value for key, value in options.items() if key != "ir_version"})
    made.ir_version = options.get("ir_version", 8)
    return made.SerializeToString()


def test_base_handler_needs_the_runtime(tmp_path: Path) -> None:
    made = model(tmp_path, {"it.onnx": content()}, serialized_file="it.onnx")
    for target in ("declared", OFFICIAL):
        assert found(made, target)["onnxruntime"].severity == "error"


@pytest.mark.parametrize("handler", [BASE, RUNTIME])
def test_declared_it_is_there(tmp_path: Path, handler: str) -> None:
    files = {"it.onnx": content(), "r.txt": "onnxruntime==1.18.1\n"}
    made = model(tmp_path, files, handler, serialized_file="it.onnx", requirements_file="r.txt")
    assert_quiet(made, OFFICIAL)


@pytest.mark.parametrize(
    ("options", "told"),
    [({"opset": 23}, "opset 23"), ({"opset": 17, "ir_version": 12}, "IR version 12")],
)
def test_a_model_that_is_newer_than_the_runtime(tmp_path: Path, options: dict[str, int], told: str) -> None:
    files = {"it.onnx": content(**options), "r.txt": "onnxruntime==1.18.1\n"}
    made = model(tmp_path, files, RUNTIME, serialized_file="it.onnx", requirements_file="r.txt")
    one = found(made, OFFICIAL)["onnx_version"]
    assert told in one.message
    assert "1.18.1" in one.message


def test_todays_runtime_loads_todays_models(tmp_path: Path) -> None:
    files = {"it.onnx": content(opset=onnx.defs.onnx_opset_version(), ir_version=int(onnx.IR_VERSION)),
             "r.txt": "onnxruntime\n"}  # fmt: skip
    assert_quiet(model(tmp_path, files, RUNTIME, serialized_file="it.onnx", requirements_file="r.txt"), "declared")


def test_weights_that_stay_behind(tmp_path: Path) -> None:
    onnx.save(onnx_model(size=4096), tmp_path / "it.onnx", save_as_external_data=True, location="it.data",
              size_threshold=0)  # fmt: skip
    files = {"it.onnx": (tmp_path / "it.onnx").read_bytes(), "r.txt": "onnxruntime==1.18.1\n"}
    made = model(tmp_path / "without", files, RUNTIME, serialized_file="it.onnx", requirements_file="r.txt")
    assert "it.data" in found(made, OFFICIAL)["onnx_external"].message
    files["it.data"] = (tmp_path / "it.data").read_bytes()
    assert_quiet(
        model(tmp_path / "with", files, RUNTIME, serialized_file="it.onnx", requirements_file="r.txt"), OFFICIAL
    )
