"""Listings as they are on pages about TorchServe, mistakes included: one sentence for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlerkit.endpoints.worker import Worker
from handlerkit.errors import LoadError
from handlerkit.messages import Request
from handlerkit.model import Model

SEEDS = Path(__file__).parents[1] / "handlers" / "seeds"
RIGHT_IMPORT = "from ts.torch_handler.base_handler import BaseHandler"

#: The listing, the finding's name, a part of what it says, of where, of what to change.
DO_NOT_LOAD = [
    ("image_classification", "import", "no module 'torchserve'", "line 1, in <module>: from torchserve", RIGHT_IMPORT),
    ("no_import_of_torch", "name", "'torch' is not defined", "line 8, in initialize", "import torch"),
    ("no_import_of_os", "name", "'os' is not defined", "line 6, in initialize", "import os"),
    ("broken_compose", "syntax", "'(' was never closed", "line 9: image_processing = Compose(", "Close the bracket"),
    ("half_a_line", "syntax", "invalid syntax", "line 12: image =", "Complete or correct that line"),
    ("lost_indentation", "syntax", "expected an indented block", "line 4: def _norm_pred", "Indent"),
    ("preprocessing_not_sent", "import", "no module 'preprocessing'", "line 2", "extra file (preprocessing.py)"),
    ("tokenizer", "attribute", "no _load_tokenizer", "line 7, in initialize", "Set self._load_tokenizer"),
]
ANSWERED = [
    ("no_context", "signature", "takes 2 positional arguments but 3", "line 7: def handle(self, data)", "context)"),
    ("data_as_dict", "data_is_a_list", "one dict per request", 'line 9, in preprocess: image = data["body"]', "Loop"),
    ("sequences", "data_is_a_list", "one dict per request", "line 9, in preprocess: sequences", "Loop over it"),
    ("returns_output", "not_a_list", "returned a Tensor", "line 11, in handle: return output", "tensor.tolist()"),
    ("returns_dict", "not_a_list", "returned a dict", "line 18, in postprocess: return", "return [answer]"),
    ("swallowed", "not_a_list", "returned a dict", "line 9, in handle", "return [answer]"),
    ("undefined_names", "name", "'predicted_class' is not defined", "line 18, in postprocess", "give it a value"),
    ("cutout", "none_value", "putalpha changes its object in place", "line 14, in basic_cutout", "line of its own"),
    (
        "explains_always",
        "no_insights",
        "needs a method get_insights",
        "line 19, in handle",
        "if not self._is_explain()",
    ),
    ("no_mapping", "no_mapping", "no index_to_name.json", "line 19, in postprocess", "--extra-files"),
    ("no_duration", "name", "'duration_ms' is not defined", "line 12, in handle", "give it a value"),
]


@pytest.mark.parametrize(
    ("name", "finding", "what", "where", "change"), DO_NOT_LOAD, ids=[row[0] for row in DO_NOT_LOAD]
)
def test_listing_that_does_not_load(name: str, finding: str, what: str, where: str, change: str) -> None:
    with pytest.raises(LoadError) as raised:
        Worker(Model("m", handler=SEEDS / f"{name}.py"))
    assert raised.value.response.status == 500
    (found,) = raised.value.findings
    assert found.name == finding
    assert what in found.message
    assert f"{name}.py, {where}" in found.where
    assert change in found.fix


@pytest.mark.parametrize(("name", "finding", "what", "where", "change"), ANSWERED, ids=[row[0] for row in ANSWERED])
def test_listing_that_fails_each_request(name: str, finding: str, what: str, where: str, change: str) -> None:
    with Worker(Model("m", handler=SEEDS / f"{name}.py")) as worker:
        run = worker.predict(Request.json({"sequences": [[1.0]]}))
    assert run.response.status == 503
    (found,) = run.findings
    assert found.name == finding
    assert what in found.message
    assert f"{name}.py, {where}" in found.where
    assert change in found.fix


def test_every_listing_is_tried() -> None:
    assert {file.stem for file in SEEDS.glob("*.py")} == {row[0] for row in (*DO_NOT_LOAD, *ANSWERED)}
