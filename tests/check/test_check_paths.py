"""Files that the code reads."""

from __future__ import annotations

import pytest
from findings_of import only

HANDLER = """
import json, os
from os.path import join
from pathlib import Path
import numpy as np
import torch

class Handler:
    def initialize(self, context):
        properties = context.system_properties
        model_dir = properties.get("model_dir")
        self.model_dir = model_dir
        {}

    def handle(self, data, context):
        return data
"""
READS_LABELS = [
    'self.x = open(os.path.join(model_dir, "labels.txt"))',
    'self.x = open(join(properties["model_dir"], "labels.txt"), "rb")',
    'self.x = (Path(model_dir) / "labels.txt").read_text()',
    'self.x = (Path(self.model_dir) / "labels.txt").open()',
    'self.x = np.load(f"{model_dir}/labels.txt")',
    'self.x = torch.load(model_dir + "/labels.txt")',
    'self.x = torch.jit.load(os.path.join(context.system_properties["model_dir"], "labels.txt"))',
    'self.x = open("labels.txt")',
    'self.x = open("./labels.txt")',
    'self.x = open(Path(__file__).parent / "labels.txt")',
    'self.x = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "labels.txt"))',
    'path = os.path.join(model_dir, "labels.txt")\n        self.x = open(path)',
    'self.path = os.path.join(model_dir, "labels.txt")\n        self.x = open(self.path)',
    'self.x = json.load(open(os.path.join(os.getcwd(), "labels.txt")))',
    'self.x = os.listdir(os.path.join(model_dir, "labels.txt"))',
]


@pytest.mark.parametrize("line", READS_LABELS)
def test_a_file_that_was_left_out(checked, line: str) -> None:
    found = only(checked(HANDLER.format(line)), "missing_file")
    assert found.message == "labels.txt is read, and is not in the archive."
    assert found.severity == "error"
    assert found.fix == "Put labels.txt into the archive (extra_files)."


@pytest.mark.parametrize("line", READS_LABELS)
def test_a_file_that_is_there(checked, line: str) -> None:
    assert checked(HANDLER.format(line), {"labels.txt": "cat\n"}) == []


@pytest.mark.parametrize(
    "line",
    [
        'self.x = Tokenizer(os.path.join(model_dir, "vocab.txt"))',
        'self.x = Tokenizer(vocab_file=f"{model_dir}/vocab.txt")',
        'path = Path(model_dir, "vocab.txt")\n        self.x = Tokenizer.load(str(path))',
        'self.x = Tokenizer.load("vocab.txt")',
        'self.x = Tokenizer.from_service_account_json("./vocab.txt")',
    ],
)
def test_a_file_for_a_function_that_is_not_looked_into(checked, line: str) -> None:
    handler = "class Tokenizer(dict):\n    pass\n\n" + HANDLER
    found = [one for one in checked(handler.format(line)) if one.name == "missing_file"]
    assert [one.severity for one in found] == ["warning"]
    assert found[0].message == "vocab.txt is given to a function, and is not in the archive."
    assert [one for one in checked(handler.format(line), {"vocab.txt": ""}) if one.name == "missing_file"] == []


def test_a_path_of_the_notebooks_folder(checked) -> None:
    found = only(checked(HANDLER.format('self.x = open("models/labels.txt")'), {"labels.txt": ""}), "missing_file")
    assert found.message == "models/labels.txt is read, and is not in the archive, whose root holds labels.txt."
    assert found.fix.startswith("Open labels.txt")


@pytest.mark.parametrize(
    "line",
    [
        'path = os.path.join(model_dir, "gone")\n        if os.path.isfile(path):\n            self.x = open(path)',
        'path = Path(model_dir) / "gone"\n        self.x = path.read_text() if path.exists() else None',
        'try:\n            self.x = open("gone")\n        except FileNotFoundError:\n            self.x = None',
        'self.x = open(os.path.join(model_dir, "gone"), "w")',
        'open("gone", "w").close()\n        self.x = open("gone")',
        'self.x = open(os.path.join(model_dir, context.manifest["model"]["modelName"]))',
        'self.x = open(os.path.join(model_dir, "MAR-INF", "MANIFEST.json"))',
        'import zipfile\n        zipfile.ZipFile("x.zip").extractall(model_dir)\n        self.x = open("gone")',
        'import subprocess\n        subprocess.run(["make"])\n        self.x = open("gone")',
        'self.x = open("/tmp/gone", "w")',
        'self.x = open("/proc/self/status")',
        'for name in ("a", "b"):\n            self.x = open(name)',
        "self.x = open(os.path.join(os.environ.get('MODELS', ''), 'x'))",
        'os.chdir("/tmp")\n        self.x = open("gone")',
        'self.x = os.path.expanduser(os.environ.get("CACHE", "/tmp"))',
        'self.x = "/predictions/m"',
        'self.x = os.environ.get("HOME", "/tmp")',
    ],
)
def test_files_that_may_be_there(checked, line: str) -> None:
    assert checked(HANDLER.format(line), {"x.zip": "PK"}) == []


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ('self.x = open("/var/models/labels.txt")', "/var/models/labels.txt"),
        ('self.x = torch.load("/home/me/m.pt")', "/home/me/m.pt"),
        ('self.x = Path("/data/labels.txt").read_text()', "/data/labels.txt"),
        (r'self.x = r"C:\Users\me\m.pt"', r"C:\\Users\\me\\m.pt"),
        ('self.x = "/content/drive/MyDrive/m.pt"', "/content/drive/MyDrive/m.pt"),
        ('self.x = os.path.expanduser("~/models/m.pt")', "~/models/m.pt"),
        ('import sys\n        sys.path.append("/home/me/src")', "/home/me/src"),
        ('self.x = {"weights": "/Users/me/m.pt"}', "/Users/me/m.pt"),
    ],
)
def test_paths_of_ones_own_machine(checked, line: str, path: str) -> None:
    found = only(checked(HANDLER.format(line)), "absolute_path")
    assert found.severity == "warning"
    assert found.message == f"'{path}' lies outside the archive: on another machine it is not there."


@pytest.mark.parametrize(
    "path",
    ['"../data/labels.txt"', 'os.path.join(model_dir, "../labels.txt")', 'Path(__file__).parent.parent / "labels.txt"'],
)
def test_paths_that_lead_out_of_model_dir(checked, path: str) -> None:
    found = only(checked(HANDLER.format(f"self.x = open({path})"), {"labels.txt": ""}), "outer_path")
    assert found.fix == "Open labels.txt in model_dir, where extra_files puts it."


def test_a_docstring_may_name_any_path(checked) -> None:
    assert checked('"""Was /home/me/handler.py once."""\nimport torch\n') == []


def test_a_path_of_which_the_code_asks(checked) -> None:
    line = 'if os.path.exists("/mnt/models/m.pt"):\n            self.x = torch.load("/mnt/models/m.pt")'
    assert checked(HANDLER.format(line)) == []


@pytest.mark.parametrize(
    "line", ["self.x = Path.home()", 'self.x = os.environ["HOME"]', 'self.x = os.path.expanduser("~")']
)
def test_home_folders(checked, line: str) -> None:
    only(checked(HANDLER.format(line)), "home_folder")


def test_weights_that_the_manifest_does_not_name(checked) -> None:
    line = 'self.x = os.path.join(model_dir, context.manifest["model"]["serializedFile"])'
    found = only(checked(HANDLER.format(line)), "missing_file")
    assert "The manifest names no serializedFile" in found.message
    assert found.fix == "Name the file (--serialized-file), or ask with .get('serializedFile')."


def test_weights_that_the_manifest_names(checked) -> None:
    line = 'self.x = os.path.join(model_dir, context.manifest["model"]["serializedFile"])'
    found = checked(HANDLER.format(line), {"m.bin": "x"}, serialized_file="m.bin")
    assert [one for one in found if one.name == "missing_file"] == []


def test_weights_that_are_asked_for(checked) -> None:
    said = 'context.manifest["model"]'
    line = f'if "serializedFile" in {said}:\n            self.x = {said}["serializedFile"]'
    assert checked(HANDLER.format(line)) == []


def test_the_text_classifiers_vocabulary(checked) -> None:
    found = checked("", handler="text_classifier")
    assert "text_classifier reads source_vocab.pt, which is not in the archive." in [one.message for one in found]
