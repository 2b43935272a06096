"""Imports: in the archive, in the target, or missing."""

from __future__ import annotations

import importlib.metadata
import sys

import pytest
from findings_of import only

CPU = "torchserve-0.12.0-cpu"


@pytest.mark.parametrize("target", ["declared", CPU])
def test_what_is_there_gets_no_word(checked, target: str) -> None:
    source = """
        import json, os.path, xml.etree.ElementTree
        import numpy as np, torch.nn.functional as F, torchvision.transforms, yaml, psutil, requests, packaging.version
        from PIL import Image
        from captum.attr import IntegratedGradients
        from ts.torch_handler.base_handler import BaseHandler
        import helper, package.inner
        from package import inner, CONSTANT
        from package.inner import function
    """
    files = {
        "helper.py": "x = 1",
        "package/__init__.py": "from .inner import function\nCONSTANT = 1\n",
        "package/inner.py": "from . import other\nfrom .other import y\ndef function(): pass\n",
        "package/other.py": "y = 1\n",
    }
    assert checked(source, files, target=target) == []


def test_missing_with_the_version_installed_here(checked) -> None:
    found = only(checked("import skimage.io\n", target="declared"), "missing_module")
    version = importlib.metadata.version("scikit-image")
    assert found.severity == "error"
    assert found.where == "handler.py, line 1"
    assert f"here it comes with scikit-image {version}" in found.message
    assert found.effect.startswith("Registering the model answers 500")
    assert found.fix == f"Add scikit-image=={version} to requirements.txt (--requirements-file)."


def test_missing_and_not_here_either(checked) -> None:
    found = only(checked("import fitz\n"), "missing_module")
    assert found.fix == "Add pymupdf to requirements.txt (--requirements-file)."


@pytest.mark.parametrize("line", ["opencv-python", "opencv-python-headless==4.10.0.84", "OpenCV_Python>=4"])
def test_declared_by_any_name_that_brings_it(checked, line: str) -> None:
    found = checked("import cv2\n", requirements=f"{line}\n")
    assert [one for one in found if one.name == "missing_module"] == []


def test_brought_by_what_is_declared(checked) -> None:
    assert [one.name for one in checked("import scipy\n", requirements="scikit-image\n")] == []


def test_only_if_something_brings_it(checked) -> None:
    """Nothing here tells what a distribution needs that is not installed."""
    found = checked("import sklearn\n", requirements="surely-unknown-distribution\n")
    found = [one for one in found if one.name == "missing_module"]
    assert [one.severity for one in found] == ["info"]
    assert "only if surely-unknown-distribution brings it" in found[0].message


def test_a_module_named_like_part_of_an_unknown_distribution(checked) -> None:
    found = checked("import fasttext\n", requirements="fasttext-wheel\n")
    assert [one for one in found if one.name == "missing_module"] == []


def test_a_helper_that_was_left_out(checked) -> None:
    found = only(checked("from my_helper import read\n"), "missing_module")
    assert found.fix.startswith("Put my_helper.py into the archive (extra_files)")


def test_the_kit_itself_is_on_no_server(checked) -> None:
    found = only(checked("import handlerkit\n"), "missing_module")
    assert found.severity == "error"


def test_reached_through_the_archives_own_modules(checked) -> None:
    found = only(
        checked("import helper\n", {"helper.py": "import deeper\n", "deeper.py": "import cv2\n"}), "missing_module"
    )
    assert found.where == "deeper.py, line 1"


def test_files_that_nothing_imports_get_no_word(checked) -> None:
    assert checked("import torch\n", {"training.py": "import cv2, wandb\nfrom . import x\n"}) == []


def test_imported_in_a_function_that_is_called(checked) -> None:
    source = """
        def handle(data, context):
            return read(data)

        def read(data):
            import cv2
            return cv2.imdecode(data)
    """
    found = only(checked(source), "missing_module")
    assert found.where == "handler.py, line 6"
    assert "503" in found.effect


def test_imported_in_a_function_that_nothing_calls(checked) -> None:
    source = """
        def plot(data):
            import seaborn

        def handle(data, context):
            return data

        if __name__ == "__main__":
            import wandb
            plot(3)
    """
    assert checked(source) == []


@pytest.mark.parametrize(
    "line",
    [
        'cv2 = __import__("cv2")',
        'import importlib\ncv2 = importlib.import_module("cv2.dnn")',
        'from importlib import import_module\ncv2 = import_module("cv2")',
        "from cv2 import *",
    ],
)
def test_imported_in_other_ways(checked, line: str) -> None:
    assert only(checked(f"{line}\n"), "missing_module").message.startswith("cv2")


@pytest.mark.parametrize(
    "source",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import cv2\n",
        "import typing\nif typing.TYPE_CHECKING:\n    import cv2\n",
        "try:\n    import cv2\nexcept ImportError:\n    cv2 = None\n",
        "try:\n    import cv2\nexcept Exception:\n    pass\n",
        "from contextlib import suppress\nwith suppress(ImportError):\n    import cv2\n",
        'import importlib.util\nif importlib.util.find_spec("cv2"):\n    import cv2\n',
        "import sys\nif sys.platform == 'win32':\n    import winreg, win32api\n",
        "import sys\nif sys.version_info < (3,):\n    import urllib2\n",
        "try:\n    import numpy\nexcept ImportError:\n    import cv2\n",
    ],
)
def test_imports_that_may_fail_or_are_not_reached(checked, source: str) -> None:
    assert checked(source) == []


def test_caught_and_raised_again(checked) -> None:
    source = 'try:\n    import cv2\nexcept ImportError as problem:\n    raise RuntimeError("install it") from problem\n'
    assert only(checked(source), "missing_module").severity == "error"


def test_the_other_one_where_the_first_is_missing(checked) -> None:
    source = "try:\n    import cv2\nexcept ImportError:\n    import imageio\n"
    found = only(checked(source), "missing_module")
    assert found.message.startswith("imageio is not in the archive")


def test_only_if_some_condition_holds(checked) -> None:
    source = "import torch\nif torch.cuda.is_initialized():\n    import cupy\n"
    assert only(checked(source), "missing_module").severity == "warning"


def test_a_fallback_that_is_used_all_the_same(checked) -> None:
    source = """
        try:
            import sklearn
        except ImportError:
            sklearn = None

        def handle(data, context):
            return sklearn.show_versions()
    """
    found = only(checked(source), "missing_fallback")
    assert found.where == "handler.py, line 8"
    assert found.severity == "warning"


@pytest.mark.parametrize("test", ["sklearn is not None", "sklearn", "HAS_SKLEARN"])
def test_a_fallback_that_is_asked_for(checked, test: str) -> None:
    source = f"""
        try:
            import sklearn
            HAS_SKLEARN = True
        except ImportError:
            sklearn = None
            HAS_SKLEARN = False

        def handle(data, context):
            return sklearn.show_versions() if {test} else data
    """
    assert checked(source) == []


# --- the standard library --------------------------------------------------------------------------------------------


def test_newer_than_the_targets_python(checked) -> None:
    found = only(checked("import tomllib\n"), "missing_module")
    assert found.message == "tomllib is not in the standard library of Python 3.9."


@pytest.mark.skipif(sys.version_info < (3, 13), reason="the declared target has this Python, which still has cgi")
def test_gone_from_this_python(checked) -> None:
    found = only(checked("import cgi\n", target="declared"), "missing_module")
    assert "the standard library has it no longer since 3.13" in found.message


def test_still_there_in_an_older_python(checked) -> None:
    assert checked("import cgi, imp, asyncore, distutils.version\n") == []


def test_a_conditional_backport(checked) -> None:
    source = """
        import sys
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
    """
    assert only(checked(source), "missing_module").message.startswith("tomli is not in the archive")
    assert [one.name for one in checked(source, requirements="tomli\n") if one.name == "missing_module"] == []


# --- what flattening breaks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("from . import helper", "Write `import helper`: helper.py is beside it in the archive's root."),
        ("from .helper import x", "Write `from helper import ...`: helper.py is beside it in the archive's root."),
        ("from .gone import x", "Write `from gone import ...`, and put gone.py into the archive (extra_files)."),
    ],
)
def test_relative_imports_of_a_top_level_module(checked, line: str, fix: str) -> None:
    found = only(checked(f"{line}\n", {"helper.py": "x = 1\n"}), "relative_import")
    assert found.fix == fix
    assert found.where == "handler.py, line 1"


def test_a_relative_import_with_an_alternative(checked) -> None:
    source = "try:\n    from .helper import x\nexcept ImportError:\n    from helper import x\n"
    assert checked(source, {"helper.py": "x = 1\n"}) == []


def test_a_package_whose_files_stand_in_the_root(checked) -> None:
    found = only(checked("from mynet.layers import Block\n", {"layers.py": "class Block: pass\n"}), "missing_module")
    assert found.message == "mynet.layers is not in the archive: its root holds layers.py, and no folder mynet."
    assert found.effect.startswith("extra_files puts the contents of a folder into the root.")
    assert found.fix.startswith("Write `from layers import ...`")


def test_a_package_that_is_a_folder(checked) -> None:
    assert checked("from mynet.layers import Block\n", {"mynet/layers.py": "class Block: pass\n"}) == []


def test_a_name_that_a_helper_does_not_have(checked) -> None:
    found = only(checked("from helper import gone\n", {"helper.py": "x = 1\n"}), "missing_name")
    assert found.message == "helper.py has no 'gone', which `from helper import gone` takes from it."


@pytest.mark.parametrize(
    "helper",
    [
        "from os.path import *\n",
        "def __getattr__(name): return name\n",
        "globals()['gone'] = 1\n",
        "if True:\n    gone = 1\n",
        "try:\n    gone = 1\nfinally:\n    pass\n",
        "with open('x') as gone: pass\n",
        "for gone in range(3): pass\n",
        "def set_it():\n    global gone\n    gone = 1\n",
        "import os as gone\n",
        "(gone := 1)\n",
        "class gone: pass\n",
        "a, (b, *gone) = 1, (2, 3)\n",
    ],
)
def test_names_that_a_helper_may_have(checked, helper: str) -> None:
    found = checked("from helper import gone\n", {"helper.py": helper, "x": ""})
    assert [one for one in found if one.name == "missing_name"] == []


def test_modules_in_another_folder_of_sys_path(checked) -> None:
    source = """
        import os, sys
        sys.path.insert(0, os.path.join(os.path.dirname(__file__), "src"))
        import helper
    """
    assert checked(source, {"src/helper.py": "x = 1\n"}) == []


def test_an_import_that_needs_a_window(checked) -> None:
    """As completion writes it: `from turtle import width`."""
    found = only(checked("from turtle import width\n"), "missing_module")
    assert found.message == "turtle needs Tk, which servers and TorchServe's images do not have."
    assert checked("from turtle import width\n", {"turtle.py": "width = 1\n"}) == []


def test_a_model_of_spacy_is_a_distribution(checked) -> None:
    source = "import spacy\nnlp = spacy.load('en_core_web_sm')\n"
    found = [one for one in checked(source, requirements="spacy\n") if one.name == "missing_module"]
    assert found[0].fix.startswith("Add en-core-web-sm to requirements.txt.")
    declared = checked(source, requirements="spacy\nen-core-web-sm\n")
    assert [one for one in declared if one.name == "missing_module"] == []


@pytest.mark.parametrize("handler", ["vllm_handler", "dali_image_classifier"])
def test_default_handlers_that_need_more(checked, handler: str) -> None:
    found = checked("", handler=handler)
    assert "missing_module" in [one.name for one in found]


@pytest.mark.parametrize(
    "line",
    [
        "import zipfile\nzipfile.ZipFile('code.zip').extractall('.')\nfrom models.network import Network",
        "import shutil\nshutil.unpack_archive('code.tar')\nimport networks_of_mine",
        "import sys\nsys.path.insert(0, 'code.zip')\nimport networks_of_mine",
    ],
)
def test_modules_of_an_archive_that_the_code_unpacks(checked, line: str) -> None:
    assert checked(line, {"code.zip": "PK", "code.tar": "x"}) == []


def test_what_the_code_unpacks_brings_no_distribution(checked) -> None:
    line = "import zipfile\nzipfile.ZipFile('code.zip').extractall('.')\nimport sklearn"
    only(checked(line, {"code.zip": "PK"}), "missing_module")
