"""Folders of models as hubs have them."""

from __future__ import annotations

import json

import pytest
from findings_of import only

HANDLER = """
class Handler:
    def initialize(self, context):
        from transformers import AutoModel
        model_dir = context.system_properties["model_dir"]
        self.model = AutoModel.from_pretrained({})

    def handle(self, data, context):
        return data
"""
SHARDS = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
CONFIG = {"auto_map": {"AutoModel": "modeling_mine.Mine", "AutoTokenizer": ["tokens_mine.Mine", None]}}


@pytest.fixture
def found(checked):
    """What is found with a line that loads."""

    def told(given: str, files: dict[str, str], name: str = "missing_file"):
        source = HANDLER.format(given)
        return [one for one in checked(source, files, requirements="transformers\n") if one.name == name]

    return told


def test_a_shard_that_was_left_out(found) -> None:
    files = {"config.json": "{}", "model.safetensors.index.json": json.dumps({"weight_map": SHARDS})}
    one = only(found("model_dir", files | {"model-1.safetensors": "x"}), "missing_file")
    assert one.message == "model.safetensors.index.json names model-2.safetensors, which the archive does not hold."
    assert found("model_dir", files | dict.fromkeys(SHARDS.values(), "x")) == []


def test_a_folder_without_its_config(found) -> None:
    one = only(found("model_dir", {"model.safetensors": "x"}), "missing_file")
    assert one.message == "AutoModel.from_pretrained reads config.json, which is not in the archive."


@pytest.mark.parametrize(
    ("given", "file"),
    [
        ("model_dir", "config.json"),
        ("model_dir", "adapter_config.json"),
        ("model_dir, config=self.config", "model.bin"),
        ("model_dir + '/net'", "net/config.json"),
    ],
)
def test_a_folder_with_it(found, given: str, file: str) -> None:
    assert found(given, {file: "{}"}) == []


def test_code_of_the_models_own(found) -> None:
    given = "model_dir, trust_remote_code=True"
    one = only(found(given, {"config.json": json.dumps(CONFIG)}), "missing_file")
    assert one.message.startswith("config.json names modeling_mine.py, tokens_mine.py as the model's own code")
    files = {"config.json": json.dumps(CONFIG), "modeling_mine.py": "", "tokens_mine.py": ""}
    assert found(given, files) == []
    assert found("model_dir", {"config.json": json.dumps(CONFIG)}) == []
