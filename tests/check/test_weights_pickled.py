"""What a pickle would import, read from its opcodes."""

from __future__ import annotations

import collections
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from picklescan.scanner import scan_pickle_bytes

from handlerkit.check.weights.pickled import Global, read, read_all


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


def globals_of(content: bytes) -> list[str]:
    return [str(found) for found in read(io.BytesIO(content)).globals]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_names_what_it_imports(protocol: int) -> None:
    value = {"a": Calls(os.system, "x"), "b": [collections.OrderedDict(a=1), Calls(os.system, "y")]}
    assert globals_of(pickle.dumps(value, protocol)) == ["posix.system", "collections.OrderedDict"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_imported_by_plain_values(protocol: int) -> None:
    found = read(io.BytesIO(pickle.dumps([1, 2.5, "text", None, True, (3, [4]), {"os": "system"}], protocol)))
    assert (found.globals, found.problem) == ([], "")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"\x80\x04\x8c\x02os\x94\x8c\x03foo0\x8c\x06system\x93.", "os.system"),  # a decoy that is dropped
        (b"\x80\x04\x8c\x06system\x94\x8c\x02os\x94000h\x01h\x00\x93.", ""),  # more dropped than there is
        (b"\x80\x04\x8c\x06system\x94\x8c\x02os\x9400h\x01h\x00\x93.", "os.system"),  # through the memo
        (b"\x80\x04\x8c\x02os2\x8c\x06system\x930.", "os.system"),  # a duplicate below
        (b"(S'x'\nios\nsystem\n.", "os.system"),  # INST
        (b"(cos\nsystem\nS'x'\no.", "os.system"),  # OBJ
        (b"\x80\x02\x82\x05.", "copyreg's extension 5.?"),
        (b"\x80\x04cbuiltins\ngetattr\n)R\x8c\x06system\x93.", "builtins.getattr"),
        (b"c__builtin__\neval\n.", "builtins.eval"),  # Python 2's name for it
    ],
)
def test_names_that_hide(content: bytes, named: str) -> None:
    assert globals_of(content)[:1] == [named] * bool(named)


def test_a_name_that_is_computed() -> None:
    (found,) = read(io.BytesIO(b"\x80\x04\x8c\x02os)R\x8c\x06system\x93.")).globals
    assert found.is_computed
    assert str(found) == "?.system"


def test_pickles_in_a_pickles_bytes() -> None:
    inner = pickle.dumps(pickle.dumps(Calls(os.system, "x")))
    assert globals_of(pickle.dumps([b"\x80plain", inner])) == ["posix.system"]


def test_a_tensor_in_a_plain_pickle_is_read_through_its_bytes() -> None:
    assert "torch._utils._rebuild_tensor_v2" in globals_of(pickle.dumps(torch.zeros(3)))


def test_pickles_behind_each_other() -> None:
    found = read_all(io.BytesIO(pickle.dumps(1) + pickle.dumps(Calls(os.system, "x")) + b"raw bytes"))
    assert [len(one.globals) for one in found] == [0, 1, 0]
    assert [bool(one.problem) for one in found] == [False, False, True]


def test_the_object_itself() -> None:
    dict_of = read(io.BytesIO(pickle.dumps({"epoch": 1, "state_dict": {"inner": 2}, 3: 4})))
    assert (dict_of.root, dict_of.keys) == ("dict", ["epoch", "state_dict"])
    assert read(io.BytesIO(pickle.dumps(collections.OrderedDict(a=1)))).root == Global("collections", "OrderedDict")
    assert read(io.BytesIO(pickle.dumps([1]))).root is None


def test_joblib_writes_arrays_between_the_opcodes(tmp_path: Path) -> None:
    values = [np.zeros((3, 5)), np.array(["a", "bc"]), np.array([Calls(os.system, "x")], object), Calls(print, "y")]
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        joblib.dump(values, tmp_path / "values.joblib", protocol=protocol)
        with open(tmp_path / "values.joblib", "rb") as file:
            (found,) = read_all(file)
        assert not found.problem
        assert {"posix.system", "builtins.print"} <= set(map(str, found.globals))


def test_the_version_that_scikit_learn_writes() -> None:
    from sklearn.preprocessing import StandardScaler

    assert read(io.BytesIO(pickle.dumps(StandardScaler()))).versions.keys() == {"_sklearn_version"}


@pytest.mark.parametrize("cut", [1, 7, 20, -1])
def test_a_pickle_cut_short_has_a_problem(cut: int) -> None:
    assert read(io.BytesIO(pickle.dumps({"a": Calls(os.system, "x")})[:cut])).problem


def test_a_length_that_is_a_lie_takes_no_memory() -> None:
    assert read(io.BytesIO(b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"x")).problem


def test_nothing_runs(tmp_path: Path) -> None:
    content = pickle.dumps(Calls(os.mkdir, str(tmp_path / "made")))
    read(io.BytesIO(content))
    assert not (tmp_path / "made").exists()
    code = (
        "import io, sys; from handlerkit.check.weights import pickled; pickled.read(io.BytesIO(b'ctorch\\nload\\n.'));"
    )
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=True)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_another_scanner_sees_no_more(protocol: int) -> None:
    content = pickle.dumps(
        [torch.nn.Linear(2, 2).state_dict(), Calls(eval, "1"), np.zeros(3), torch.nn.Linear(2, 2)], protocol
    )
    theirs = {(one.module, one.name) for one in scan_pickle_bytes(io.BytesIO(content), "it").globals}
    python_3 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
    ours = {tuple(one) for one in read(io.BytesIO(content)).globals}
    assert {(python_3.get(module, module), name) for module, name in theirs} <= ours
