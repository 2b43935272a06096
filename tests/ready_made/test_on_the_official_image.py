"""The modules that the handlers share, on the official image's Python and packages: their tests, run there by pytest.
So are those of the handlers with an ONNX file as the model, for which the image has no package.

The handlers' own tests ask a TorchServe there: those that are marked with `everywhere`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ready_made_pictures import OFFICIAL

from handlerkit import targets
from handlerkit.model import READY_MADE_FOLDER

HERE = Path(__file__).parent
TESTS = (
    "test_detection_forms.py", "test_detections.py", "test_handler_settings.py", "test_image_answers.py",
    "test_image_requests.py", "test_image_sizes.py", "test_model_outputs.py", "test_onnx.py",
    "test_segmentation_forms.py",
)  # fmt: skip
BESIDE = ("onnx_files.py", "ready_made_pictures.py")
NEEDED = ("pytest", "hypothesis", "pycocotools", "onnx", "onnxruntime")  # what those import beside what the image has

pytestmark = pytest.mark.target


def environment(folder: Path) -> targets.Environment:
    """The official image's packages, and what tests need."""
    pins = targets.find(OFFICIAL).pins
    lines = ["# python 3.9", *(f"{name}=={version}" if version else name for name, version in pins.items()), *NEEDED]
    (folder / "requirements.txt").write_text("\n".join(lines))
    return targets.find(folder / "requirements.txt").build()


@pytest.mark.timeout(400)
def test_what_the_handlers_share_passes_its_tests(tmp_path: Path) -> None:
    made = environment(tmp_path)
    assert made.packages["pillow"] == targets.find(OFFICIAL).pins["pillow"]
    for file in (*TESTS, *BESIDE):
        (tmp_path / file).write_bytes((HERE / file).read_bytes())
    for module in READY_MADE_FOLDER.glob("[!_]*.py"):  # beside its tests, as in an archive
        (tmp_path / module.name).write_bytes(module.read_bytes())
    command = [str(made.interpreter), "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
