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
        'self.figure.savefig("gone")\n        self.x = open("gone", "rb")',
        'save_image(self.x, "gone")\n        self.x = np.load("gone")',
        'import wave\n        wave.open("gone", "wb").close()\n        self.x = open("gone", "rb")',
        'torch.onnx.export(self.x, self.y, f="gone")\n        self.x = open(os.path.join(model_dir, "gone"))',
        'name = "gone"\n        if name in os.listdir(model_dir):\n            self.x = open(name)',
        'files = set(os.listdir("."))\n        if "gone" in files:\n            self.x = open("gone")',
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
    handler = "from torchvision.utils import save_image\n" + HANDLER if "save_image" in line else HANDLER
    found = checked(handler.format(line), {"x.zip": "PK"})
    assert [one for one in found if "torchvision" not in one.message] == []


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


@pytest.mark.parametrize(
    "line",
    [
        'self.routes = ["/media/images", "/content/text"]',
        'import re\n        self.x = re.sub("/home/user", "~", self.model_dir)',
        'self.x = "/root/data".split("/")',
        'self.x = context.get_request_header(0, "url").startswith("/media/images")',
        'self.x = Path(os.getenv("HF_HOME", "~/.cache/huggingface")).expanduser()',
        'self.x = os.environ.setdefault("TORCH_HOME", os.path.expanduser("~/.cache/torch"))',
        'self.x = os.environ.get("CACHE", os.path.join(os.path.expanduser("~"), ".cache"))',
        'os.environ["HF_HOME"] = "/home/me/.cache/hf.d"',
        'places = ["/mnt/a.bin", "/mnt/b.bin"]\n'
        "        self.x = next((one for one in places if os.path.exists(one)), None)",
    ],
)
def test_texts_that_are_no_paths_of_this_machine(checked, line: str) -> None:
    assert checked(HANDLER.format(line)) == []


def test_nothing_is_said_of_the_load_where_no_reader_is_known(checked) -> None:
    found = only(checked(HANDLER.format('self.weights = "/home/me/m.pt"')), "absolute_path")
    assert found.effect == "Whatever opens it fails."


@pytest.mark.parametrize(
    "line",
    [
        'os.makedirs("/data/cache", exist_ok=True)',
        'import logging\n        self.x = logging.FileHandler("/var/log/handler.log")',
        'import sqlite3\n        self.x = sqlite3.connect("/srv/cache.db")',
        'self.x = open("/mnt/data/out.txt", "w")',
        'Path("/srv/cache").mkdir(exist_ok=True)',
    ],
)
def test_what_is_made_where_the_images_user_may_not_write(checked, line: str) -> None:
    found = only(checked(HANDLER.format(line)), "foreign_folder")
    assert found.severity == "warning"
    assert "model-server, who may not write there: registering the model answers 500" in found.effect


@pytest.mark.parametrize(
    "line",
    [
        'os.makedirs("/tmp/cache", exist_ok=True)',
        'os.makedirs(os.path.join(model_dir, "cache"), exist_ok=True)',
        'os.makedirs("/home/model-server/cache", exist_ok=True)',
        'import sqlite3\n        self.x = sqlite3.connect(":memory:")',
        'try:\n            os.makedirs("/data/cache")\n        except OSError:\n            pass',
    ],
)
def test_what_is_made_where_it_may(checked, line: str) -> None:
    assert checked(HANDLER.format(line)) == []
