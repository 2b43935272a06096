"""Names of the target's packages, read in the files of the official image's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from findings_of import only

from handlerkit.check.rules.package_names import _missing
from handlerkit.targets import find

CPU = "torchserve-0.12.0-cpu"
pytestmark = pytest.mark.target
#: Prints "module name" of all that these packages have, one a line.
ALL_NAMES = """
import importlib, pkgutil
for top in ("torch", "torchvision", "numpy", "PIL", "captum", "requests", "yaml", "psutil", "packaging", "ts"):
    package = importlib.import_module(top)
    names = [f"{top}.{one.name}" for one in pkgutil.iter_modules(package.__path__) if one.name != "__main__"]
    for module in [top, *names]:
        try:
            print(*(f"\\n> {module} {name}" for name in dir(importlib.import_module(module))))
        except BaseException:
            continue
"""


@pytest.fixture(scope="module")
def site() -> Path:
    """Where the packages of the official image are."""
    environment = find(CPU).build()
    (found,) = (environment.interpreter.parents[1] / "lib").glob("python*/site-packages")
    return found


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("from torch.nn.attention.flex_attention import flex_attention", "torch.nn.attention.flex_attention"),
        ("from numpy.exceptions import AxisError", "numpy.exceptions"),
        ("import numpy.strings", "numpy.strings"),
        ("from ts.handler_utils.timer import clock", "ts.handler_utils.timer.clock"),
        ("from torchvision.transforms.v2 import JPEGs", "torchvision.transforms.v2.JPEGs"),
    ],
)
def test_another_version_has_it(checked, site: Path, line: str, missing: str) -> None:
    found = only(checked(f"{line}\n"), "missing_name")
    assert found.message.startswith(f"{missing} is not in ")
    assert found.where == "handler.py, line 1"


@pytest.mark.parametrize(
    "line",
    [
        "from torchvision.transforms import v2",
        "from torchvision.transforms.v2 import Resize, functional",
        "import torch.nn.functional, torch.fx, torch.ops, torch.classes",
        "from PIL import Image, ImageOps, features",
        "from ts.handler_utils.micro_batching import MicroBatching",
        "from ts.torch_handler import base_handler",
        "import numpy.random, numpy.typing",
        "try:\n    from numpy.exceptions import AxisError\nexcept ImportError:\n    from numpy import AxisError",
    ],
)
def test_what_this_version_has(checked, site: Path, line: str) -> None:
    assert checked(f"{line}\n") == []


def test_a_version_of_the_archives_own(checked, site: Path) -> None:
    found = checked("from numpy.exceptions import AxisError\n", requirements="numpy==2.0.2\n")
    assert [one for one in found if one.name == "missing_name"] == []


def test_nothing_that_is_there_is_missing(site: Path) -> None:
    environment = find(CPU).build()
    ran = subprocess.run(
        [environment.interpreter, "-W", "ignore", "-c", ALL_NAMES], capture_output=True, text=True, check=True
    )
    names = [line.split()[1:] for line in ran.stdout.splitlines() if line.startswith("> ")]
    assert len(names) > 10_000
    assert [pair for pair in names if _missing((site,), *pair)] == []
