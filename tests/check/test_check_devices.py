"""Hard-coded devices."""

from __future__ import annotations

import pytest
from findings_of import only

HANDLER = """
import os
import torch

class Handler:
    def initialize(self, context):
        properties = context.system_properties
        self.model = torch.nn.Linear(1, 1)
        {}

    def handle(self, data, context):
        return data
"""


@pytest.mark.parametrize(
    "line",
    [
        'self.device = torch.device("cuda:0")',
        'self.device = torch.device("cuda")',
        "self.model.cuda()",
        'self.model.to("cuda:1")',
        'self.model.to(device="cuda")',
        'self.state = torch.load("/tmp/x", map_location="cuda:0")',
        'self.x = torch.zeros(3, device="cuda")',
        "torch.cuda.set_device(1)",
    ],
)
def test_a_gpu_that_need_not_be_there(checked, line: str) -> None:
    found = only(checked(HANDLER.format(line), target="declared"), "hard_coded_device")
    assert found.severity == "warning"
    assert found.where == "handler.py, line 9"
    assert 'properties.get("gpu_id")' in found.fix


def test_on_a_target_without_gpus_it_fails(checked) -> None:
    found = only(checked(HANDLER.format("self.model.cuda()"), target="torchserve-0.12.0-cpu"), "hard_coded_device")
    assert found.severity == "error"


@pytest.mark.parametrize(
    "line",
    [
        'self.device = torch.device("cuda:" + str(properties.get("gpu_id")) if torch.cuda.is_available() and '
        'properties.get("gpu_id") is not None else "cpu")',
        'self.device = "cuda" if torch.cuda.is_available() else "cpu"',
        'self.device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")',
        "if torch.cuda.is_available():\n            self.model.cuda()",
        'if properties.get("gpu_id") is not None:\n            self.model.to("cuda")',
        'torch.cuda.is_available() and self.model.to("cuda")',
        "if not torch.cuda.is_available():\n            return\n        self.model.cuda()",
        'k = "cuda" if torch.cuda.is_available() else "cpu"\n        if k == "cuda":\n            self.model.cuda()',
        'self.device = torch.device("cpu")',
        "self.model.to(torch.float16)",
        "self.count = torch.cuda.device_count()",
        'self.device = torch.device(os.environ.get("DEVICE", "cpu"))',
        "try:\n            self.model.cuda()\n        except RuntimeError:\n            pass",
        "assert torch.cuda.is_available(), 'needs a GPU'\n        self.model.cuda()",
    ],
)
@pytest.mark.parametrize("target", ["declared", "torchserve-0.12.0-cpu"])
def test_devices_that_are_asked_for(checked, line: str, target: str) -> None:
    assert checked(HANDLER.format(line), target=target) == []


@pytest.mark.parametrize(
    "line",
    [
        "use = torch.cuda.is_available() and properties.get('gpu_id') is not None\n        if use:\n"
        "            self.model.cuda()",
        "use = torch.cuda.is_available()\n        self.use = use\n        if self.use:\n            self.model.cuda()",
        "n = torch.cuda.device_count()\n        if n > 1:\n            self.model.cuda()",
        "i = properties.get('gpu_id')\n        if i is None:\n            return\n        self.model.cuda(i)",
        "kind = 'cuda' if torch.cuda.is_available() else 'cpu'\n        use = kind != 'cpu'\n        if use:\n"
        "            self.model.cuda()",
        "n = torch.cuda.device_count()\n        self.all = [torch.device('cuda', i) for i in range(n)]",
    ],
)
def test_a_name_that_was_assigned_what_asks_asks(checked, line: str) -> None:
    assert checked(HANDLER.format(line)) == []


def test_a_name_that_was_assigned_a_model_does_not_ask(checked) -> None:
    line = "self.model = torch.nn.Linear(1, 1)\n        if self.model is not None:\n            self.model.cuda()"
    only(checked(HANDLER.format(line)), "hard_coded_device")
