"""The committed coins models: their form, their size, and their judgement on the held-out part of the photograph."""

import importlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[1] / "notebooks" / "models"
FILES = ("coins_segmenter.pt", "coins_detector.pt")


@pytest.fixture(scope="module")
def modules() -> Iterator[tuple[ModuleType, ModuleType]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module("coins_data"), importlib.import_module("train_coins")


def load(name: str) -> Any:
    return torch.jit.load(str(FOLDER / name), map_location="cpu").eval()


@pytest.fixture(scope="module")
def judgement(modules: tuple[ModuleType, ModuleType]) -> dict[str, dict[str, float]]:
    figures: dict[str, dict[str, float]] = modules[1].judge(*map(load, FILES))
    return figures


@pytest.mark.parametrize("name", FILES)
def test_weights_are_under_a_megabyte(name: str) -> None:
    assert 0 < (FOLDER / name).stat().st_size < 1_000_000


@pytest.mark.parametrize("name", FILES)
def test_weights_name_no_folder_of_the_machine_that_trained_them(name: str) -> None:
    with zipfile.ZipFile(FOLDER / name) as archive:
        assert not [entry for entry in archive.namelist() if b"/site-packages/" in archive.read(entry)]


@pytest.mark.parametrize("name", FILES)
def test_weights_name_the_one_way_of_enlarging_that_they_use(name: str) -> None:
    # scripted, F.interpolate brings all its modes, and an older torch does not load the newest of them
    operators = [name for name in torch.jit.export_opnames(load(name)) if "upsample" in name]
    assert operators == ["aten::upsample_bilinear2d.vec"]


def test_doubled_is_what_interpolate_answers(modules: tuple[ModuleType, ModuleType]) -> None:
    picture = torch.rand(2, 3, 5, 7)
    expected = torch.nn.functional.interpolate(picture, scale_factor=2.0, mode="bilinear", align_corners=False)
    assert torch.equal(modules[1].doubled(picture), expected)


def test_rewriting_keeps_the_weights(modules: tuple[ModuleType, ModuleType]) -> None:
    again = modules[1].rewritten(modules[1].Segmenter, FOLDER / "coins_segmenter.pt").state_dict()
    before = load("coins_segmenter.pt").state_dict()
    assert again.keys() == before.keys()
    assert all(torch.equal(again[name], before[name]) for name in before)


@pytest.mark.parametrize("size", [(150, 384), (33, 47)])
def test_segmenter_answers_logits_of_the_input_size(size: tuple[int, int]) -> None:
    answer = load("coins_segmenter.pt")(torch.rand(2, 3, *size))
    assert set(answer) == {"out"}
    assert answer["out"].shape == (2, 2, *size)
    assert answer["out"].dtype == torch.float32


def test_detector_answers_as_torchvision_for_pictures_of_two_sizes(modules: tuple[ModuleType, ModuleType]) -> None:
    data, training = modules
    picture = training.tensor_of(data.photograph())
    answers = load("coins_detector.pt")([picture, picture[:, :80, :130]])
    assert len(answers) == 2
    for answer, (height, width) in zip(answers, [(303, 384), (80, 130)], strict=True):
        boxes, labels, scores = answer["boxes"], answer["labels"], answer["scores"]
        assert len(boxes) == len(labels) == len(scores) > 0
        assert boxes.shape[1] == 4
        assert (boxes[:, :2] < boxes[:, 2:]).all()
        assert (boxes >= 0).all()
        assert (boxes <= torch.tensor([width, height, width, height])).all()
        assert labels.dtype == torch.int64
        assert (labels == 1).all()
        assert (scores.diff() <= 0).all()
        assert ((scores > 0) & (scores <= 1)).all()


def test_detector_finds_nothing_on_a_blank_picture() -> None:
    (answer,) = load("coins_detector.pt")([torch.full((3, 90, 70), 0.5)])
    assert answer["boxes"].shape == (0, 4)
    assert answer["labels"].shape == answer["scores"].shape == (0,)


def test_held_out_part_holds_twelve_whole_coins(modules: tuple[ModuleType, ModuleType]) -> None:
    data, _ = modules
    grey, labels = data.held_out()
    assert len(data.boxes_of(labels)) == 12
    assert (labels[-1] == 0).all(), "no coin may lie across the split"
    assert grey.shape == labels.shape


def test_average_precision_falls_with_a_missed_coin_and_with_a_false_one(
    modules: tuple[ModuleType, ModuleType],
) -> None:
    data, training = modules
    grey, labels = data.held_out()
    boxes = torch.from_numpy(data.boxes_of(labels))
    nowhere = torch.tensor([[0.0, 0.0, 5.0, 5.0]])

    def precision(found: torch.Tensor) -> float:
        return float(training.average_precision(lambda pictures: [{"boxes": found}], grey, labels))

    assert precision(boxes) == pytest.approx(1.0)
    assert precision(boxes[:6]) == pytest.approx(0.5)
    assert precision(torch.cat([nowhere, boxes])) == pytest.approx(12 / 13)
    assert precision(torch.cat([boxes, boxes])) == pytest.approx(1.0)
    assert precision(boxes[:0]) == 0.0


def test_models_do_well_on_the_held_out_part_in_every_shape_and_light(judgement: dict[str, dict[str, float]]) -> None:
    assert "as it is" in judgement
    for name, figures in judgement.items():
        assert figures["segmenter_iou"] >= 0.85, name
        assert figures["detector_ap50"] >= 0.9, name


def test_written_judgement_is_that_of_the_committed_weights(judgement: dict[str, dict[str, float]]) -> None:
    written = json.loads((FOLDER / "coins.json").read_text())
    assert set(written) == set(judgement)
    for name, figures in judgement.items():
        assert figures == pytest.approx(written[name], abs=0.005), name


def test_photograph_is_saved_as_grey_8_bit(modules: tuple[ModuleType, ModuleType], tmp_path: Path) -> None:
    from PIL import Image

    path = modules[0].save_photograph(tmp_path / "coins.png")
    with Image.open(path) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (384, 303))


def test_class_names_are_background_and_coin() -> None:
    assert json.loads((FOLDER / "index_to_name.json").read_text()) == {"0": "background", "1": "coin"}
