"""What unpickling weights would import and run."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections import Counter, OrderedDict
from datetime import date
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from made import BASE, OFFICIAL, OWN, archive, assert_quiet, found, model
from test_check_weights import NET, STATE, saved
from torch import nn


class Calls:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


def pickled(module: str, name: str) -> bytes:
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b")\x81."


UNPICKLES = OWN.format(load="self.model = pickle.load(open('it.pkl', 'rb'))")
LOADS_ALL = OWN.format(load="self.model = torch.load('it.pt', weights_only=False)")
LOADS = OWN.format(load="self.model = torch.load('it.pt')")


@pytest.mark.parametrize(
    "value",
    [
        Calls(os.system, "x"),
        Calls(eval, "1"),
        Calls(subprocess.Popen, ["x"]),
        Calls(torch.hub.load, "a", "b"),
        Calls(np.load, "x"),
        [OrderedDict(), pickle.dumps(Calls(exec, "1"))],
    ],
)
def test_a_pickle_that_runs_something(tmp_path: Path, value: object) -> None:
    files = {"handler.py": BASE, "net.py": NET, "it.pt": saved(value)}
    said = {"modelName": "it", "handler": "handler.py", "modelFile": "net.py", "serializedFile": "it.pt"}
    one = found(archive(tmp_path / "it.mar", said, files))["dangerous_pickle"]
    assert one.severity == "error"


def test_in_any_file_whoever_loads_it(tmp_path: Path) -> None:
    files = {"it.pt": STATE, "net.py": NET, "data/words": pickle.dumps(Calls(os.system, "x"), protocol=0)}
    made = model(tmp_path, files, serialized_file="it.pt", model_file="net.py")
    assert "posix.system" in found(made)["dangerous_pickle"].message


def test_a_name_that_reaches_anything(tmp_path: Path) -> None:
    made = model(tmp_path, {"it.pkl": pickle.dumps(Calls(getattr, 1, "real"))}, UNPICKLES, serialized_file="it.pkl")
    assert found(made)["unclear_pickle"].severity == "warning"


def test_a_pickle_that_cannot_be_read_to_its_end(tmp_path: Path) -> None:
    made = model(tmp_path, {"it.pkl": b"\x80\x04\x95garbage"}, UNPICKLES, serialized_file="it.pkl")
    assert found(made)["unread_pickle"].severity == "error"


def test_a_class_of_a_notebook(tmp_path: Path) -> None:
    made = model(tmp_path, {"it.pkl": pickled("__main__", "Net")}, UNPICKLES, serialized_file="it.pkl")
    one = found(made)["pickled_import"]
    assert "__main__.Net" in one.message
    assert "Define Net in a file that travels" in one.fix


@pytest.mark.parametrize(
    ("module", "name", "told"),
    [
        ("my_project.nets", "Net", "my_project is not in the archive"),
        ("helper", "Gone", "helper.py in the archive has no Gone"),
        ("skimage.io", "ImageCollection", "skimage is not in the archive"),
        ("torch.nn.modules.nowhere", "Net", "holds no module torch.nn.modules.nowhere"),
    ],
)
def test_names_that_are_not_there(tmp_path: Path, module: str, name: str, told: str) -> None:
    files = {"it.pkl": pickled(module, name), "helper.py": "class Net:\n    pass\n"}
    made = model(tmp_path, files, UNPICKLES, serialized_file="it.pkl")
    assert told in found(made)["pickled_import"].message


def test_arrays_of_a_newer_numpy(tmp_path: Path) -> None:
    made = model(tmp_path, {"it.pkl": pickle.dumps(np.zeros(3))}, UNPICKLES, serialized_file="it.pkl")
    assert_quiet(made, "declared")
    assert "numpy._core is not in numpy 1.24.3" in found(made, OFFICIAL)["pickled_import"].message


def test_an_estimator_of_another_scikit_learn(tmp_path: Path) -> None:
    from sklearn.preprocessing import StandardScaler

    joblib.dump(StandardScaler(), tmp_path / "scaler.joblib")
    files = {"scaler.joblib": (tmp_path / "scaler.joblib").read_bytes(), "r.txt": "scikit-learn==1.2.0\njoblib\n"}
    handler = OWN.format(load="import joblib; self.model = joblib.load('scaler.joblib')")
    made = model(tmp_path / "it", files, handler, serialized_file="scaler.joblib", requirements_file="r.txt")
    assert "pickled_version" in found(made, OFFICIAL)


@pytest.mark.parametrize(("handler", "target", "told"), [
    (LOADS, "declared", True),
    (LOADS, OFFICIAL, False),  # torch 2.4 lets everything in, unless it is told otherwise
    (LOADS.replace("'it.pt')", "'it.pt', weights_only=True)"), OFFICIAL, True),
    (LOADS_ALL, "declared", False),
    (LOADS.replace("torch.load", "torch.serialization.add_safe_globals([object]); torch.load"), "declared", False),
])  # fmt: skip
def test_what_torch_load_refuses(tmp_path: Path, handler: str, target: str, told: bool) -> None:
    made = model(tmp_path, {"it.pt": saved(nn.Linear(3, 2))}, handler, serialized_file="it.pt")
    findings = found(made, target)
    assert ("weights_only" in findings) == told
    if told:
        assert "torch.nn.modules.linear.Linear" in findings["weights_only"].message
        assert findings["weights_only"].where.startswith("handler.py, line")


def test_a_vocabulary_that_text_classifier_cannot_load(tmp_path: Path) -> None:
    made = found(
        archive(
            tmp_path / "it.mar",
            {"modelName": "it", "handler": "text_classifier", "modelFile": "net.py", "serializedFile": "it.pt"},
            {"net.py": NET, "it.pt": STATE, "source_vocab.pt": saved(nn.ReLU())},
        )
    )
    assert made["weights_only"].message.startswith("source_vocab.pt")


#: What Python 3.13 pickles of it, the official image cannot load.
PATH = {"p": Path("x")} if sys.version_info < (3, 13) else {}
HONEST = {
    "a module of torch, loaded whole": ({"it.pt": saved(nn.Linear(3, 2))}, LOADS_ALL),
    "a class that travels": (
        {"it.pkl": pickled("net", "Net"), "net.py": NET},
        UNPICKLES,
    ),
    "tensors, numbers, sets and dates": (
        {"it.pkl": pickle.dumps({"w": torch.zeros(3), "s": {1, 2}, "d": date(2024, 2, 29), "c": Counter("a"), **PATH})},
        UNPICKLES,
    ),
    "a class of a notebook that the handler puts into __main__": (
        {"it.pkl": pickled("__main__", "Net"), "net.py": NET},
        UNPICKLES.replace("import pickle", "import pickle\nimport sys\nfrom net import Net\n"
                          'setattr(sys.modules["__main__"], "Net", Net)'),
    ),
    "a file that nothing unpickles": ({"it.pkl": pickled("my_project", "Net")}, OWN.format(load="self.model = None")),
    "a state_dict with its own loader": ({"it.pt": STATE}, LOADS),
    "an array of objects beside": ({"it.npy": b"\x93NUMPY\x01\x00\x02\x00{}"}, OWN.format(load="self.model = 1")),
}  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_honest_pickles_get_no_word(tmp_path: Path, name: str) -> None:
    files, handler = HONEST[name]
    weights = next(file for file in files if not file.endswith(".py"))
    assert_quiet(model(tmp_path, files, handler, serialized_file=weights))


def on_cuda() -> bytes:
    """A state_dict as torch.save writes it where its tensors lie on a GPU."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(STATE)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("data.pkl"):
                content = content.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
            new.writestr(name, content)
    return file.getvalue()


def test_tensors_that_lay_on_a_gpu(tmp_path: Path) -> None:
    handler = OWN.format(load="self.model = torch.load('it.pt', weights_only=True)")
    made = model(tmp_path, {"it.pt": on_cuda()}, handler, serialized_file="it.pt")
    one = found(made, OFFICIAL)["saved_device"]
    assert "cuda:0" in one.message
    assert (one.severity, found(made)["saved_device"].severity) == ("error", "warning")
    assert_quiet(made, "torchserve-0.12.0-gpu")


@pytest.mark.parametrize("device", ["map_location='cpu'", "map_location=self.device"])
def test_tensors_that_are_told_where_to_go(tmp_path: Path, device: str) -> None:
    handler = OWN.format(load=f"self.model = torch.load('it.pt', weights_only=True, {device})")
    assert_quiet(model(tmp_path / "own", {"it.pt": on_cuda()}, handler, serialized_file="it.pt"))
    files = {"it.pt": on_cuda(), "net.py": NET}
    assert_quiet(model(tmp_path / "base", files, model_file="net.py", serialized_file="it.pt"))


def test_a_path_of_python_3_13(tmp_path: Path) -> None:
    made = model(tmp_path, {"it.pkl": pickled("pathlib._local", "PosixPath")}, UNPICKLES, serialized_file="it.pkl")
    assert "Python 3.13 alone" in found(made, OFFICIAL)["pickled_import"].message
