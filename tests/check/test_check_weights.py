"""Weights that cannot be loaded, told before a worker tries."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from made import BASE, OFFICIAL, OWN, assert_quiet, found, model
from torch import nn

NET = "from torch import nn\n\n\nclass Net(nn.Linear):\n    def __init__(self):\n        super().__init__(3, 2)\n"


def saved(value: object, **options: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)  # type: ignore[arg-type]
    return file.getvalue()


def scripted() -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Linear(3, 2), torch.zeros(1, 3)), file)
    return file.getvalue()


STATE = saved(nn.Linear(3, 2).state_dict())
HEADER = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
SAFETENSORS = struct.pack("<Q", len(HEADER)) + HEADER + bytes(8)


@pytest.mark.parametrize(
    ("name", "content", "told", "change"),
    [
        ("it.pt", STATE, "no TorchScript program", "--model-file"),
        ("it.pt", SAFETENSORS, "is safetensors", "torch.save"),
        ("it.pt", pickle.dumps([1]), "is a pickle", "TorchScript"),
        ("it.pth", scripted(), "is a TorchScript program", "*.pt"),
        ("it.bin", STATE, "needs the model's class", "--model-file"),
        ("it.safetensors", SAFETENSORS, "is safetensors", "torch.save"),
        ("it.onnx", scripted(), "is a TorchScript program", "*.pt"),
        ("it.so", b"\x7fELF" + bytes(64), "compiled ahead of time", "aot_compile"),
        ("it.h5", b"\x89HDF\r\n\x1a\n" + bytes(64), "is a Keras model", "initialize"),
    ],
)
def test_base_handler_does_not_load_it(tmp_path: Path, name: str, content: bytes, told: str, change: str) -> None:
    one = found(model(tmp_path, {name: content}, serialized_file=name))["weights"]
    assert told in one.message
    assert change in one.fix
    assert one.severity == "error"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (saved(nn.Linear(3, 2)), "holds a whole torch.nn.modules.linear.Linear"),
        (saved(nn.Linear(3, 2), _use_new_zipfile_serialization=False), "holds a whole torch.nn"),
        (saved({"epoch": 3, "state_dict": nn.Linear(3, 2).state_dict()}), "is a checkpoint"),
        (saved({"model_state_dict": {}, "loss": 1.0}, _use_new_zipfile_serialization=False), "is a checkpoint"),
        (scripted(), "takes it for a state_dict"),
        (SAFETENSORS, "takes it for a state_dict"),
    ],
)
def test_no_state_dict_for_the_model_file(tmp_path: Path, content: bytes, told: str) -> None:
    made = model(tmp_path, {"net.py": NET, "it.pt": content}, model_file="net.py", serialized_file="it.pt")
    findings = found(made, OFFICIAL)
    assert told in findings["weights"].message
    assert list(findings) == ["weights"]


def test_no_weights_at_all(tmp_path: Path) -> None:
    assert "names no serialized_file" in found(model(tmp_path))["weights"].message


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (NET + "\n\nclass Block(nn.Module):\n    pass\n", "defines 2: Net, Block"),
        ("from torchvision.models import ResNet\n", "defines none"),
        (NET + "\n\nModel = Net\n", "defines 2"),
        (NET + "\n\nBox = namedtuple('Box', 'a b')\n", "defines 2: Net, Box"),
        (NET.replace("self", "self, width, depth=2"), "wants width"),
    ],
)
def test_a_model_file_has_one_class(tmp_path: Path, source: str, told: str) -> None:
    made = model(tmp_path, {"net.py": source, "it.pt": STATE}, model_file="net.py", serialized_file="it.pt")
    assert told in found(made)["model_file"].message


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (STATE[:-50], "cut short"),
        (b"", "empty"),
    ],
)
def test_what_is_no_weights(tmp_path: Path, content: bytes, told: str) -> None:
    made = model(tmp_path, {"net.py": NET, "it.pt": content}, model_file="net.py", serialized_file="it.pt")
    findings = found(made)
    assert told in findings["not_weights"].message
    assert list(findings) == ["not_weights"]


def test_a_pointer_in_the_place_of_any_file(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"
    files = {"net.py": NET, "it.pt": STATE, "vocabulary.txt": pointer}
    made = model(tmp_path, files, model_file="net.py", serialized_file="it.pt")
    assert found(made)["not_weights"].message.startswith("vocabulary.txt")


HONEST = {
    "a state_dict and its class": ({"net.py": NET, "it.pt": STATE}, BASE, {"model_file": "net.py"}),
    "a state_dict of protocol 2 in a .pth": (
        {"net.py": NET, "it.pth": saved(nn.Linear(3, 2).state_dict(), _use_new_zipfile_serialization=False)},
        BASE,
        {"model_file": "net.py"},
    ),
    "TorchScript": ({"it.pt": scripted()}, BASE, {}),
    "a handler with its own way to load": (
        {"it.safetensors": SAFETENSORS},
        OWN.format(load="open('it.safetensors', 'rb').read()"),
        {},
    ),
    "a handler that changes what BaseHandler does": (
        {"it.pth": STATE},
        BASE.replace("pass", "def initialize(self, context):\n        self.model = object()"),
        {},
    ),
    "a helper class that is imported by the model file": (
        {"net.py": "from blocks import Block\n" + NET, "blocks.py": "class Block:\n    pass\n", "it.pt": STATE},
        BASE,
        {"model_file": "net.py"},
    ),
    "an empty file that only fills a place": ({"dummy.bin": b""}, OWN.format(load="self.model = len"), {}),
    "a handler that chooses the file": (
        {"it.bin": STATE},
        BASE.replace(
            "pass",
            "def initialize(self, context):\n        context.manifest['model']['serializedFile'] = 'x.pt'\n"
            "        super().initialize(context)",
        ),
        {},
    ),
    "a handler that goes on without weights": (
        {"it.bin": STATE},
        BASE.replace(
            "pass",
            "def initialize(self, context):\n        try:\n            super().initialize(context)\n"
            "        except RuntimeError:\n            self.model = None",
        ),
        {},
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_weights_get_no_word(tmp_path: Path, name: str) -> None:
    files, handler, options = HONEST[name]
    weights = next(file for file in files if not file.endswith(".py"))
    assert_quiet(model(tmp_path, files, handler, serialized_file=weights, **options))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_is_read_as_its_files_are(tmp_path: Path, compression: int) -> None:
    with zipfile.ZipFile(tmp_path / "it.mar", "w", compression) as zipped:
        zipped.writestr("handler.py", BASE)
        zipped.writestr("it.pt", STATE)
        manifest = {"model": {"modelName": "it", "handler": "handler.py", "serializedFile": "it.pt"}}
        zipped.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
    assert "no TorchScript program" in found(tmp_path / "it.mar")["weights"].message


# --- the handler's own loader, and the keys of a state_dict -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "load", "change"),
    [
        ("it.pt", STATE, "torch.jit.load(context.manifest['model']['serializedFile'])", "torch.load"),
        ("it.safetensors", SAFETENSORS, "torch.load('it.safetensors')", "safetensors"),
        ("it.bin", scripted(), "pickle.load(open('models/it.bin', 'rb'))", "torch.jit.load"),
    ],
)
def test_the_wrong_loader(tmp_path: Path, name: str, content: bytes, load: str, change: str) -> None:
    made = model(tmp_path, {name: content}, OWN.format(load=f"self.model = {load}"), serialized_file=name)
    one = found(made)["weights"]
    assert f"does not load {name}" in one.message
    assert change in one.fix
    assert one.where == "handler.py, line 8"


@pytest.mark.parametrize(
    "load",
    [
        "torch.jit.load(context.manifest['model']['serializedFile'] if context.gpu else 'other.pt')",
        "torch.jit.load(self.path)",
        "torch.jit.load('it.pt') if context.fast else torch.load('it.bin', weights_only=True)",
        "torch.load(context.manifest['model']['serializedFile'], map_location='cpu')",
    ],
)
def test_loaders_of_which_little_is_known(tmp_path: Path, load: str) -> None:
    handler = OWN.format(load=f"self.model = {load}")
    assert "weights" not in found(model(tmp_path, {"it.bin": STATE}, handler, serialized_file="it.bin"))


BLOCK = (
    "from torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.body = nn.Linear(3, 2)\n"
)


class Wrapped(nn.Module):
    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (nn.DataParallel(Wrapped(body=nn.Linear(3, 2))), "DataParallel"),
        (Wrapped(body=nn.Linear(3, 2), head=nn.Linear(2, 2)), "weights of head"),
    ],
)
def test_weights_of_another_class(tmp_path: Path, state: nn.Module, told: str) -> None:
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        files = {"net.py": BLOCK, "it.pt": saved(state.state_dict(), **options)}
        made = model(tmp_path / str(len(options)), files, model_file="net.py", serialized_file="it.pt")
        assert told in found(made)["state_dict"].message


@pytest.mark.parametrize(
    "source",
    [
        BLOCK,
        BLOCK.replace("nn.Linear(3, 2)", "nn.ModuleDict({'a': nn.Linear(3, 2)})"),
        BLOCK.replace("self.body", "setattr(self, 'bo' + 'dy', None); self.other"),
        "from torchvision.models import ResNet\n\n\nclass Net(ResNet):\n    pass\n",
    ],
)
def test_weights_that_the_class_may_have(tmp_path: Path, source: str) -> None:
    files = {"net.py": source, "it.pt": saved(Wrapped(body=nn.Linear(3, 2)).state_dict())}
    assert_quiet(model(tmp_path, files, model_file="net.py", serialized_file="it.pt"))


def test_what_torch_save_wrote_before_1_6_is_whole_or_cut_short(tmp_path: Path) -> None:
    whole = saved(nn.Linear(99, 99).state_dict(), _use_new_zipfile_serialization=False)
    handler = OWN.format(load="self.model = torch.load('it.pt', weights_only=True)")
    assert_quiet(model(tmp_path / "whole", {"it.pt": whole}, handler, serialized_file="it.pt"))
    made = model(tmp_path / "cut", {"it.pt": whole[:-100]}, handler, serialized_file="it.pt")
    assert "cut short" in found(made)["not_weights"].message


def test_what_is_no_library(tmp_path: Path) -> None:
    files = {"it.so": STATE, "c.yaml": "pt2: {export: {aot_compile: true}}\n"}
    made = model(tmp_path, files, serialized_file="it.so", config_file="c.yaml")
    assert "no library" in found(made)["weights"].message
