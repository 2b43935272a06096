"""No false alarm: the notebooks' handlers, the ready-made ones and TorchServe's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from notebook_models import NOTEBOOKS, models_of

import handlerkit as hk
from handlerkit.model import READY_MADE
from handlerkit.unpack import open_archive

TARGETS = ("declared", "torchserve-0.12.0-cpu")
MODELS = NOTEBOOKS / "models"
#: What is true of a notebook's archives: (the model's file or handler, the rule).
TRUE = {
    ("by_class_and_helper", "class_count"),  # the handler of two classes, which the notebook shows to fail
    ("digits_onnx", "onnxruntime"),  # which the notebook has and does not declare
    ("gallery_handler", "missing_module"),  # scikit-image and scipy
}


@pytest.mark.parametrize("notebook", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
@pytest.mark.parametrize("target", TARGETS)
def test_notebooks(notebook: Path, target: str, tmp_path: Path) -> None:
    for model in models_of(notebook, tmp_path):
        written = [entry for entry in model.entries() if entry.source.is_relative_to(tmp_path)]
        stood_in = {entry.name for entry in written if not entry.name.endswith(".py")}
        for found in hk.check(model, target=target).findings:
            file = found.where.partition(",")[0]
            of_stand_in = file in stood_in or any(name in found.message for name in stood_in)
            is_true = {(file, found.name), (model.name, found.name)} & TRUE
            assert is_true or of_stand_in, f"{model}: {found.message} ({found.where})"


@pytest.mark.parametrize("name", READY_MADE)
@pytest.mark.parametrize("target", TARGETS)
def test_ready_made_handlers(name: str, target: str) -> None:
    model = hk.Model(name, handler=f"handlerkit:{name}", serialized_file=MODELS / "coins_segmenter.pt")
    found = {(one.name, one.message.partition(" ")[0]) for one in hk.check(model, target=target).findings}
    assert found == ({("missing_module", "transformers")} if "text" in name else set())  # which is to be declared


@pytest.mark.parametrize(
    ("handler", "options"),
    [
        ("base_handler", {"serialized_file": "coins_segmenter.pt"}),
        ("image_segmenter", {"serialized_file": "coins_segmenter.pt", "extra_files": "index_to_name.json"}),
        ("object_detector", {"serialized_file": "coins_segmenter.pt", "extra_files": "index_to_name.json"}),
        ("image_classifier", {"serialized_file": "digits.pt", "model_file": "digits_rgb.py",
                              "extra_files": "digits_network.py"}),
        ("text_classifier", {"serialized_file": "headlines_bag.pt", "model_file": "headlines_bag.py",
                             "extra_files": "headlines_bag"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("target", TARGETS)
def test_torchserves_own_handlers(handler: str, options: dict[str, str], target: str) -> None:
    paths = {option: MODELS / name for option, name in options.items()}
    assert hk.check(hk.Model("m", handler=handler, **paths), target=target).findings == ()


@pytest.mark.parametrize(
    "name",
    ["base_handler", "vision_handler", "image_classifier", "image_segmenter", "object_detector", "text_classifier"],
)
@pytest.mark.parametrize("target", TARGETS)
def test_the_code_of_torchserves_own_handlers(name: str, target: str, tmp_path: Path) -> None:
    """Copied into an archive, where the files beside them are not: only that is wrong."""
    import importlib.util

    folder = Path(importlib.util.find_spec("ts").origin).parent / "torch_handler"  # type: ignore[union-attr, arg-type]
    handler = tmp_path / "handler.py"
    handler.write_bytes((folder / f"{name}.py").read_bytes())
    model = hk.Model("m", handler=handler, serialized_file=MODELS / "coins_segmenter.pt")
    told = {found.name for found in hk.check(model, target=target).findings}
    assert told <= {"relative_import"}


def test_an_exported_archive_is_as_its_model(tmp_path: Path) -> None:
    model = hk.Model(
        "coins", handler="image_segmenter", serialized_file=MODELS / "coins_segmenter.pt",
        extra_files=MODELS / "index_to_name.json",
    )  # fmt: skip
    path = hk.Archive(model).save(tmp_path)
    with open_archive(path) as archive:
        assert "index_to_name.json" in archive.sizes
    assert hk.check(path).findings == ()
