"""Causes that a load and a call share."""

from __future__ import annotations

import builtins
import re
import sys

from handlerkit.messages import Finding
from handlerkit.why import source
from handlerkit.why.evidence import FAILED, LOAD, Evidence

BASE = "from ts.torch_handler.base_handler import BaseHandler"
_HANDLE = "def handle(self, data, context)"
_INITIALIZE = "def initialize(self, context)"

#: The import that people mean by a name which they use without one.
_IMPORTS = {
    "np": "import numpy as np",
    "plt": "import matplotlib.pyplot as plt",
    "pd": "import pandas as pd",
    "cv2": "import cv2",
    "nn": "from torch import nn",
    "F": "import torch.nn.functional as F",
    "Image": "from PIL import Image",
    "transforms": "from torchvision import transforms",
    "BaseHandler": BASE,
    "VisionHandler": "from ts.torch_handler.vision_handler import VisionHandler",
    "PredictionException": "from ts.utils.util import PredictionException",
    "BytesIO": "from io import BytesIO",
    "Path": "from pathlib import Path",
}
_NOT_HERE = "the notebook's process has set it, and a worker has the environment of the shell, as on a server."
_PACKAGES = {"torch", "torchvision", "numpy", "PIL"}


def missing_import(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, ImportError):
        return None
    name = seen.error.name or ""
    root = name.partition(".")[0]
    served = (LOAD if seen.loading else FAILED) + (
        " The log ends in \"No module named 'ts.torch_handler...'\"; the line above it is the real one."
        if seen.loading
        else ""
    )
    if "relative import" in seen.text:
        what = "An import begins with a dot, but a handler's file belongs to no package."
        change = "Leave the dot out (from helper import x): the archive's files stand beside each other."
        return Finding("import", what, seen.where, served, change)
    if not isinstance(seen.error, ModuleNotFoundError):
        change = f"Write: {BASE}." if "'BaseHandler'" in seen.text else "Correct the name, or the version installed."
        return Finding("import", f"An import fails: {seen.text}.", seen.where, served, change)
    if _never_existed(name):
        what = f"There is no module {name!r}: TorchServe's package is called ts, and its handler class BaseHandler."
        change = f"Write: {BASE}, and derive your class from BaseHandler."
        return Finding("import", what, seen.where, served, change)
    if (distribution := seen.undeclared.get(root)) is not None:
        what = f"{root!r} is installed here, by {distribution}, and not where the model runs: nothing declares it."
        change = f"Name {distribution} in the requirements file (%model --requirements-file)."
        return Finding("undeclared", what, seen.where, served, change)
    if root in seen.notebook.modules:
        what = f"The notebook has a module {root!r}, but the archive does not hold it."
        change = f"Let it travel: %%module {root}.py, or --extra-files {root}.py."
        return Finding("notebook_only", what, seen.where, served, change)
    what = f"There is no module {name!r}, neither installed nor in the archive."
    change = f"Install it and name it in the requirements file, or let it travel as an extra file ({root}.py)."
    return Finding("import", what, seen.where, served, change)


def _never_existed(name: str) -> bool:
    """Imports that stand in many texts about TorchServe and in none of its versions."""
    root, _, rest = name.partition(".")
    if root == "ts":
        return rest.rpartition(".")[2] in ("model_handler", "handler", "base_handler", "torch_handlers")
    return root in ("torchserve", "torch_handler", "base_handler", "model_handler", "torch_serve")


def missing_name(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, NameError) or not seen.error.name:
        return None
    name = seen.error.name
    served = LOAD if seen.loading else FAILED
    known = _IMPORTS.get(name) or (f"import {name}" if name in _PACKAGES | sys.stdlib_module_names else "")
    if name in seen.notebook.names and not hasattr(builtins, name):
        what = f"{name!r} is defined in the notebook, not in the handler's file."
        change = f"Write at the top of the handler's file: {known}." if known else (
            "Define or import it in the %%handler cell or in a %%module."
        )  # fmt: skip
        return Finding("notebook_name", what, seen.where, served, change)
    what = f"The name {name!r} is not defined in the handler's file."
    change = f"Write at the top of the file: {known}." if known else "Import it, or give it a value before this line."
    return Finding("name", what, seen.where, served, change)


def missing_variable(seen: Evidence) -> Finding | None:
    """A variable of the environment that a worker has not."""
    error, served = seen.error, LOAD if seen.loading else FAILED
    if isinstance(error, KeyError) and seen.functions and error.args:
        file, function = seen.functions[-1]
        if file.rpartition("/")[2] not in ("os.py", "<frozen os>") or function not in ("__getitem__", "__delitem__"):
            return None
        name = str(error.args[0])
        if name not in seen.notebook.environment:
            what = f"The worker's environment has no variable {name!r}."
            change = f"Set it where TorchServe is started, here with {_given(name, '=...')}; or use os.environ.get."
            return Finding("environment", what, seen.where, served, change)
        what = f"The worker's environment has no variable {name!r}: {_NOT_HERE}"
        return Finding("environment", what, seen.where, served, f"Give it to the worker: {_given(name)}.")
    if isinstance(error, TypeError | AttributeError) and "NoneType" in seen.text:
        for name in sorted(seen.notebook.environment):
            read = rf"(environ\.get|getenv)\(\s*['\"]{re.escape(name)}['\"]\s*\)"
            if where := source.find(seen, read):
                what = f"The handler reads the variable {name!r}, which is None for it: {_NOT_HERE}"
                return Finding("environment", what, where, served, f"Give it to the worker: {_given(name)}.")
    return None


def signature(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, TypeError) or not re.search(r"(positional|keyword-only) argument", seen.text):
        return None
    trace = seen.info.frames if seen.info else ()
    if seen.frame is not None and trace and trace[-1].file in seen.files:
        return None  # raised inside the handler, so its own call is wrong
    served = LOAD if seen.loading else FAILED
    called = re.search(r"(\w+)\(\)", seen.text)
    where = source.find(seen, rf"def {called[1]}\(") if called else ""
    if (kind := re.search(r"(\w+)\.__init__\(\)", seen.text)) and _makes_model(seen):
        where = next(iter(source.methods(seen, kind[1], "__init__")), "")
        file = where.partition(",")[0] or "the model file"
        what = f"BaseHandler makes the model without arguments, and {kind[1]} in {file} wants some: {seen.text}."
        return Finding("model_file", what, where, served, f"Give the arguments of __init__ in {file} default values.")
    if "__init__()" in seen.text:
        what = f"TorchServe makes the handler object without arguments, and this class wants some: {seen.text}."
        return Finding("signature", what, where, served, "Give __init__ no arguments; read the model in initialize.")
    if "initialize()" in seen.text:
        change = f"Write: {_INITIALIZE}. The context tells where the model's files are."
    elif "handle()" in seen.text and "3 were given" in seen.text:
        change = f"Write: {_HANDLE}. The context carries headers, metrics and the answer's status."
    else:
        change = f"Write {_HANDLE[4:]} and {_INITIALIZE[4:]}; a function is handle(data, context)."
    what = f"TorchServe calls the handler with other arguments than it takes: {seen.text}."
    return Finding("signature", what, where, served, change)


def _given(name: str, value: str = "") -> str:
    """How a worker is given a variable, whose value %model knows where the notebook has it."""
    return f"%model --env {name}{value}, or environment={{{name!r}: ...}} of Worker and Server"


def _makes_model(seen: Evidence) -> bool:
    """Whether BaseHandler was making the class of the model file."""
    return bool(seen.functions) and seen.functions[-1][1] == "_load_pickled_model"


def attribute_not_set(seen: Evidence) -> Finding | None:
    """An attribute of the handler itself that no method has set."""
    error = seen.error
    if not isinstance(error, AttributeError) or not error.name or seen.frame is None:
        return None
    if f"self.{error.name}" not in seen.frame.source or type(error.obj).__module__ in ("builtins", "torch"):
        return None
    what = f"The handler has no {error.name}: it is no method, and nothing set self.{error.name} before this line."
    change = f"Set self.{error.name} in initialize; super().initialize(context) sets what BaseHandler has (self.model)."
    return Finding("attribute", what, seen.where, LOAD if seen.loading else FAILED, change)
