"""The committed models of the gallery: their size, and that they are as good as their script said."""

import importlib
import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

FOLDER = Path(__file__).resolve().parents[1] / "notebooks" / "models"
FIGURES: dict[str, dict[str, float]] = json.loads((FOLDER / "gallery.json").read_text())


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module("train_gallery")


def trained(name: str) -> nn.Module:
    """The network of a model file, with its committed weights."""
    kinds = [kind for kind in runpy.run_path(str(FOLDER / f"{name}_network.py")).values() if isinstance(kind, type)]
    (model,) = [kind() for kind in kinds if issubclass(kind, nn.Module) and kind is not nn.Module]
    model.load_state_dict(torch.load(FOLDER / f"{name}.pt", weights_only=True))
    return model.eval()


def test_all_weights_together_are_under_5_mb() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir() if file.suffix in (".pt", ".onnx", ".so")) < 5_000_000


def test_digits_are_as_good_as_said(script: ModuleType) -> None:
    assert script.digits_accuracy(trained("digits")) == pytest.approx(FIGURES["digits"]["accuracy"], abs=0.005)


def test_languages_are_as_good_as_said(script: ModuleType) -> None:
    assert script.languages_accuracy(trained("languages")) == pytest.approx(FIGURES["languages"]["accuracy"], abs=0.04)


def test_headlines_are_as_good_as_said(script: ModuleType) -> None:
    found = script.headlines_accuracy(trained("headlines"))
    assert found == pytest.approx(FIGURES["headlines"]["accuracy"], abs=0.03)


@pytest.mark.parametrize("name", ["languages", "headlines"])
def test_names_are_those_of_the_texts(script: ModuleType, name: str) -> None:
    names = json.loads((FOLDER / name / "index_to_name.json").read_text())
    file = {"languages": "sentences.txt", "headlines": "headlines.txt"}[name]
    assert [names[str(index)] for index in range(len(names))] == script.classes(script.texts(file, 1)[0])


def test_no_headline_is_both_learned_and_judged(script: ModuleType) -> None:
    seen, unseen = script.texts("headlines.txt", script.HEADLINES_HELD_OUT)
    assert len(seen) == 192
    assert len(unseen) == 48
    assert not {text for _, text in seen} & {text for _, text in unseen}


def test_every_character_is_a_piece(script: ModuleType) -> None:
    pieces: list[Any] = script.frequent_pieces([("a", "Two words")], 8)
    assert pieces[:7] == ["_", "d", "o", "r", "s", "t", "w"]
