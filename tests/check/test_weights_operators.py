"""What a torch knows."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from packaging.version import Version

from handlerkit.check.weights.operators import Torch, own_namespace
from handlerkit.check.weights.pickled import read

HERE = Path(torch.__file__).parents[1]
TODAY = Torch(Version(torch.__version__), HERE)


def of_version(version: str) -> Torch:
    return Torch(Version(version), None)


def test_every_operator_that_this_torch_has() -> None:
    names = {schema.name for schema in torch._C._jit_get_all_schemas()}
    assert [name for name in names if TODAY.lacks(name)] == []


def test_no_operator_of_this_torch_takes_more_arguments() -> None:
    schemas = torch._C._jit_get_all_schemas()
    assert [one for one in schemas if len(one.arguments) > TODAY.takes(one.name)] == []


def test_an_operator_that_it_does_not_have() -> None:
    assert TODAY.lacks("aten::not_there")
    assert TODAY.takes("aten::stft") == 11


def test_what_came_after_torch_2_4() -> None:
    lanczos = "aten::_upsample_lanczos2d_aa"
    assert of_version("2.4.0+cpu").lacks(lanczos)
    assert not of_version("2.4").may_lack(lanczos)
    assert not of_version("2.9").lacks(lanczos)
    assert of_version("2.9").may_lack(lanczos)
    assert not of_version("2.4").lacks("aten::relu")
    assert not of_version("2.14").may_lack(lanczos)


def test_arguments_that_came_after_torch_2_4() -> None:
    assert of_version("2.4").takes("aten::pad_sequence") == 3
    assert of_version("2.4").takes("aten::stft") < TODAY.takes("aten::stft")
    assert of_version("2.9").takes("aten::pad_sequence") > 100  # not known


def test_everything_that_weights_only_allows() -> None:
    from torch._weights_only_unpickler import _get_allowed_globals

    pickles = read(io.BytesIO(b"\x80\x02" + b"".join(_named(name) for name in _get_allowed_globals()) + b"N."))
    assert TODAY.refuses(pickles) == []


@pytest.mark.parametrize("version", ["2.4", "2.6"])
def test_what_weights_only_refuses(version: str) -> None:
    pickles = read(io.BytesIO(b"\x80\x02" + _named("torch.nn.modules.linear.Linear") + b"."))
    assert of_version(version).refuses(pickles) == ["torch.nn.modules.linear.Linear"]
    sets = read(io.BytesIO(b"\x80\x02" + _named("builtins.set") + b"."))
    assert bool(of_version(version).refuses(sets)) == (version == "2.4")


def test_a_pickle_protocol_that_weights_only_does_not_read() -> None:
    assert TODAY.refuses(read(io.BytesIO(b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00}\x94.")))


def test_namespaces() -> None:
    assert own_namespace("aten::relu")
    assert not own_namespace("torchvision::nms")


def _named(name: str) -> bytes:
    module, _, last = name.rpartition(".")
    return f"c{module}\n{last}\n".encode()
