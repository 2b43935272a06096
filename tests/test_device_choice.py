"""Which device BaseHandler chooses: notebooks/06_ways_to_load.ipynb says so, and the worker's context decides it."""

from types import SimpleNamespace

import pytest
import torch

import handlerkit as hk


@pytest.fixture
def choose(monkeypatch):
    """A BaseHandler's device and map_location, where the platform answers as told and the network has no weights."""
    from ts.torch_handler import base_handler

    def choose(gpu_id=None, *, there=(), environment=None):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in there)
        monkeypatch.setattr(torch.xpu, "is_available", lambda: "xpu" in there)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in there)
        monkeypatch.setattr(base_handler, "XLA_AVAILABLE", "xla" in there)
        xla = SimpleNamespace(xla_device=lambda: torch.device("xla:0"))
        monkeypatch.setattr(base_handler, "xm", xla, raising=False)
        monkeypatch.setattr(base_handler.BaseHandler, "_load_pickled_model", lambda *_: torch.nn.Identity())
        for name, value in (environment or {}).items():
            monkeypatch.setenv(name, value)
        handler = base_handler.BaseHandler()
        handler.initialize(hk.mock_context(gpu_id=gpu_id, manifest={"model": {"modelFile": "any.py"}}))
        return str(handler.device), handler.map_location

    return choose


def test_cuda_comes_first(choose):
    everything = ("cuda", "xpu", "mps", "xla")
    assert choose(1, there=everything, environment={"TS_IPEX_GPU_ENABLE": "true"}) == ("cuda:1", "cuda")


@pytest.mark.parametrize("there", ["cuda", "xpu", "mps"])
def test_without_a_gpu_id_it_is_the_processor(choose, there):
    assert choose(there=(there,), environment={"TS_IPEX_GPU_ENABLE": "true"}) == ("cpu", "cpu")


def test_xpu_has_to_be_enabled(choose):
    assert choose(0, there=("xpu",)) == ("cpu", "cpu")
    assert choose(0, there=("xpu",), environment={"TS_IPEX_GPU_ENABLE": "true"}) == ("xpu:0", "xpu")


def test_mps_has_no_number(choose):
    assert choose(3, there=("mps",)) == ("mps", "mps")


def test_xla_is_taken_without_a_gpu_id(choose):
    assert choose(there=("xla",)) == ("xla:0", None)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
def test_on_a_gpu_the_network_and_its_answer_are_there(tmp_path):
    (tmp_path / "double.py").write_text(
        "import torch\n\n\nclass Double(torch.nn.Linear):\n    def __init__(self):\n        super().__init__(1, 1)\n"
    )
    (tmp_path / "where.py").write_text(
        "from ts.torch_handler.base_handler import BaseHandler\n"
        "import torch\n\n\n"
        "class Where(BaseHandler):\n"
        "    def preprocess(self, data):\n"
        "        return torch.ones(len(data), 1)\n\n"
        "    def postprocess(self, data):\n"
        "        return [str(data.device)] * len(data)\n"
    )
    model = hk.Model("where", handler=tmp_path / "where.py", model_file=tmp_path / "double.py")
    with hk.Worker(model, gpu_id=0) as worker:
        assert worker.predict(hk.Request.text("")).raise_for_status().response.text == "cuda:0"
    with hk.Worker(model) as worker:
        assert worker.predict(hk.Request.text("")).raise_for_status().response.text == "cpu"
