"""What TorchServe takes for the handler in its file."""

from __future__ import annotations

from pathlib import Path

import pytest
from made import BASE, OWN, assert_quiet, found, model

CLASS = OWN.format(load="pass")
FUNCTION = "def handle(data, context):\n    return [0] * len(data or ())\n"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (CLASS + "\n\nclass Helper:\n    pass\n", "defines 2 classes (Handler, Helper)"),
        (CLASS + "\n\nclass Failed(Exception):\n    pass\n", "defines 2 classes (Failed, Handler)"),
        (CLASS + "\n\n_service = Handler\n", "has two names"),
        ("from collections import namedtuple\n" + CLASS + "\n\nBox = namedtuple('Box', 'a b')\n", "(Box, Handler)"),
        ("from ts.torch_handler.image_classifier import ImageClassifier\n", "defines no class"),
        ("import torch\n\n\ndef predict(data, context):\n    return data\n", "defines no class"),
    ],
)
def test_not_one_class(tmp_path: Path, source: str, told: str) -> None:
    one = found(model(tmp_path, {}, source))["class_count"]
    assert told in one.message
    assert one.severity == "error"


@pytest.mark.parametrize(
    ("source", "lacks"),
    [
        ("class Handler:\n    def initialize(self, context):\n        pass\n", "handle"),
        ("class Handler:\n    def handle(self, data, context):\n        return data\n", "initialize"),
        ("class Handler(object):\n    def predict(self, data, context):\n        return data\n", "handle"),
    ],
)
def test_a_method_is_missing(tmp_path: Path, source: str, lacks: str) -> None:
    assert f"no method {lacks}" in found(model(tmp_path, {}, source))["no_method"].message


def test_a_function_comes_before_a_class(tmp_path: Path) -> None:
    assert found(model(tmp_path, {}, CLASS + "\n\n" + FUNCTION))["function_wins"].severity == "warning"


@pytest.mark.parametrize(
    "source",
    [
        CLASS,
        FUNCTION,
        FUNCTION + "\n\nclass Helper:\n    pass\n\n\nclass Other:\n    pass\n",
        "from ts.torch_handler.image_classifier import ImageClassifier\n\n\nclass My(ImageClassifier):\n    topk = 3\n",
        CLASS + "    class Inner:\n        pass\n",
        CLASS.replace("class Handler", "class Helper:\n    pass\n\n\ndel Helper\n\n\nclass Handler"),
        "def make():\n    class Inner:\n        pass\n    return Inner\n\n\n" + CLASS,
        "handle = lambda data, context: [0] * len(data or ())\n",
        CLASS + "\n\n_service = Handler()\n",
    ],
)
def test_honest_handlers_get_no_word(tmp_path: Path, source: str) -> None:
    weights = {"it.py": "class Net:\n    pass\n"}
    assert_quiet(
        model(tmp_path, weights, source, model_file="it.py") if "Image" in source else model(tmp_path, {}, source)
    )


def test_base_handler_has_both_methods(tmp_path: Path) -> None:
    assert "no_method" not in found(model(tmp_path, {}, BASE))
