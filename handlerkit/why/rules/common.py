"""Causes that a load and a call share."""

from __future__ import annotations

import builtins
import difflib
import re
import sys

from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.why import live_values, source_search
from handlerkit.why.effects import DIED
from handlerkit.why.evidence import Evidence
from handlerkit.why.findings.distributions import DISTRIBUTIONS

BASE = "from ts.torch_handler.base_handler import BaseHandler"
_HANDLE = "def handle(self, data, context)"
_INITIALIZE = "def initialize(self, context)"

#: The import that a name stands for if it is used without one.
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
_NOT_IN_SHELL = "the notebook's process has set it, but a worker has the environment of the shell, as on a server."
#: Libraries that are never a file of one's own.
_LIBRARIES = {
    *DISTRIBUTIONS, "accelerate", "aiohttp", "albumentations", "bitsandbytes", "boto3", "captum", "catboost",
    "decord", "deepspeed", "detectron2", "dgl", "diffusers", "easyocr", "einops", "fastai", "fastapi", "flask",
    "ftfy", "gensim", "h5py", "imageio", "insightface", "jieba", "joblib", "keras", "kornia", "librosa", "lightgbm",
    "matplotlib", "mediapipe", "mlflow", "mmcv", "mmdet", "mmseg", "monai", "moviepy", "msgpack", "nltk", "numba",
    "numpy", "omegaconf", "onnx", "onnxruntime", "openvino", "optimum", "orjson", "pandas", "peft", "pycocotools",
    "pydantic", "pydub", "pytesseract", "pytorch_lightning", "redis", "requests", "sacremoses", "safetensors",
    "scipy", "segmentation_models_pytorch", "sentence_transformers", "sentencepiece", "shap", "soundfile", "spacy",
    "tensorflow", "tensorrt", "tiktoken", "timm", "tokenizers", "torch", "torch_geometric", "torch_tensorrt",
    "torchaudio", "torchmetrics", "torchtext", "torchvision", "tqdm", "transformers", "tritonclient", "ultralytics",
    "vllm", "xgboost",
}  # fmt: skip
#: What became of modules that old code imports.
_MOVED = {
    "torchvision.transforms.functional_tensor": "Import its functions from torchvision.transforms.functional.",
    "torch._six": "Write str for string_classes, collections.abc for container_abcs, math.inf for inf.",
    "sklearn.externals.joblib": "Write: import joblib.",
    "torchvision.models.utils": "Write: from torch.hub import load_state_dict_from_url.",
}
_PACKAGES = {"torch", "torchvision", "numpy", "PIL"}


def missing_import(evidence: Evidence) -> Finding | None:
    if not isinstance(evidence.error, ImportError):
        return None
    name = evidence.error.name or ""
    root = name.partition(".")[0]
    effect = (evidence.effect) + (
        " The log ends in \"No module named 'ts.torch_handler...'\"; the cause is the exception above it."
        if evidence.attempt.loading
        else ""
    )
    if "relative import" in evidence.text:
        message = "An import begins with a dot, but a handler's file belongs to no package."
        fix = "Leave the dot out (from helper import x): the archive's files are in one folder."
        return Finding("import", message, evidence.where, effect, fix)
    if not isinstance(evidence.error, ModuleNotFoundError):
        message, fix = _missing_in_module(evidence)
        return Finding("import", message, evidence.where, effect, fix)
    if _never_existed(name):
        message = f"There is no module {name!r}: TorchServe's package is called ts, and its handler class BaseHandler."
        fix = f"Write: {BASE}, and derive your class from BaseHandler."
        return Finding("import", message, evidence.where, effect, fix)
    if "." in name:  # Python names the first module that it does not find, so the package above it is there
        return _missing_submodule(evidence, name, effect)
    if (distribution := evidence.attempt.notebook.undeclared.get(root)) is not None:
        message = f"{root!r} is installed here, by {distribution}, but not where the model runs: no requirements file "
        message += "names it."
        fix = f"Name {distribution} in the requirements file (%model --requirements-file)."
        return Finding("undeclared", message, evidence.where, effect, fix)
    if root in _LIBRARIES:
        distribution = DISTRIBUTIONS.get(root, root.replace("_", "-"))
        brings = f"The package {distribution}" + (f", which brings {root}," if root in DISTRIBUTIONS else "")
        message = f"{brings} is not installed where the model runs."
        fix = f"Name {distribution} in the requirements file, and set install_py_dep_per_model=true; or install it."
        return Finding("import", message, evidence.where, effect, fix)
    module = _in_folder(evidence, root)
    if f"{module}.py" in evidence.source.files:
        flat = module
        message = f"There is no package {root!r}: the archive holds {flat}.py in its root, without a folder."
        fix = f"Write: from {flat} import ...; the archiver drops the folders of extra files."
        return Finding("import", message, evidence.where, effect, fix)
    if root in evidence.attempt.notebook.modules:
        message = f"The notebook has a module {root!r}, but the archive does not hold it."
        fix = f"Add it to the archive: %%module {root}.py, or --extra-files {root}.py."
        return Finding("notebook_only", message, evidence.where, effect, fix)
    message = f"There is no module {name!r}, neither installed nor in the archive."
    if module:
        fix = f"Install it and name it in the requirements file. If it is a folder of yours, archive {module}.py and "
        fix += f"write: from {module} import ...; the archiver drops the folders of extra files."
        return Finding("import", message, evidence.where, effect, fix)
    if near := difflib.get_close_matches(root, _LIBRARIES, 1, 0.85):
        return Finding("import", message, evidence.where, effect, f"Did you mean {near[0]}?")
    fix = f"Install it and name it in the requirements file, or add it as an extra file ({root}.py)."
    return Finding("import", message, evidence.where, effect, fix)


def _missing_in_module(evidence: Evidence) -> tuple[str, str]:
    """(message, fix) for a module that is there, and has no such name."""
    message, fix = f"An import fails: {evidence.said}.", "Correct the name, or install the version that has it."
    found = re.search(r"cannot import name '(\w+)' from (partially initialized module )?'([\w.]+)'", evidence.text)
    if "'BaseHandler'" in evidence.text:
        return message, f"Write: {BASE}."
    if found is None:
        return message, fix
    name, module = found[1], found[3]
    is_own = f"{module}.py" in evidence.source.files
    if found[2] and is_own:
        message = f"{module}.py imports a file that imports {module} again, before {name} is defined there."
        return message, "Move what both need into a file of its own, or import it in the function that uses it."
    if near := difflib.get_close_matches(name, dir(sys.modules.get(module)), 1, 0.7):
        return message, f"Did you mean {near[0]}?"
    return message, f"Correct the name, or define it in {module}.py." if is_own else fix


#: What became of names of modules that old code uses.
_GONE = {
    ("numpy", "float"): "float", ("numpy", "int"): "int", ("numpy", "bool"): "bool", ("numpy", "object"): "object",
    ("numpy", "str"): "str", ("PIL.Image", "ANTIALIAS"): "Image.LANCZOS", ("PIL.Image", "LINEAR"): "Image.BILINEAR",
}  # fmt: skip


def module_attribute(evidence: Evidence) -> Finding | None:
    """A name that a module has not, or has no more."""
    found = re.match(r"module '([\w.]+)' has no attribute '(\w+)'", evidence.text)
    if not isinstance(evidence.error, AttributeError) or found is None:
        return None
    module, name = found.groups()
    if f"{module}.py" in evidence.source.files:
        message = f"{module}.py in the archive has no {name}."
        return Finding(
            "module", message, evidence.where, evidence.effect, f"Correct the name, or define it in {module}.py."
        )
    message = f"The module {module} that is installed where the model runs has no {name}."
    fix = f"Use what this version has, or name another version of {module.partition('.')[0]} in the requirements file."
    if (instead := _GONE.get((module, name))) is not None:
        fix = f"Write {instead}: older versions had {name}."
    elif near := difflib.get_close_matches(name, dir(sys.modules.get(module)), 1, 0.8):
        fix = f"Did you mean {near[0]}?"
    return Finding("module", message, evidence.where, evidence.effect, fix)


def variable_not_set(evidence: Evidence) -> Finding | None:
    """A variable that only a branch sets which was not taken, or that is the file's and is set in the function, too."""
    found = re.match(r"(?:cannot access local variable|local variable) '(\w+)'", evidence.text)
    if not isinstance(evidence.error, UnboundLocalError) or found is None or evidence.frame is None:
        return None
    name, function = found[1], evidence.frame.function
    if source_search.is_global(evidence, evidence.frame.file, name):
        message = (
            f"{function} sets {name}, so {name} is a variable of its own there, which has no value yet; the one of "
        )
        message += "the file is another."
        fix = f"Begin {function} with: global {name}; or give one of them another name."
        return Finding("variable", message, evidence.where, evidence.effect, fix)
    if (place := source_search.skipped_branch(evidence, name)) is None:
        return None
    message = f"{name} is set in line {place[0]} alone, under `if {place[1]}`, which was not true."
    fix = f"Give {name} a value in the other case, too."
    return Finding("variable", message, evidence.where, evidence.effect, fix)


def command_failed(evidence: Evidence) -> Finding | None:
    """A program that the handler runs."""
    found = re.match(r"Command (.+) returned non-zero exit status (\d+)", evidence.text, re.DOTALL)
    if found is None or type(evidence.error).__name__ != "CalledProcessError":
        return None
    message = f"The handler runs the command {found[1]}, which failed with status {found[2]}."
    fix = "What the command wrote is in the log."
    if re.search(r"\bpip3?\b", found[1]):
        fix += " Name packages in the requirements file instead; install_py_dep_per_model=true installs them."
    return Finding("command_failed", message, evidence.where, evidence.effect, fix)


def _in_folder(evidence: Evidence, root: str) -> str:
    """The module that `from root.folder.module import ...` means on the line that raised; "" if that is no such."""
    source = evidence.frame.source if evidence.frame is not None else ""
    named = re.search(rf"^(?:from|import)\s+{re.escape(root)}\.([\w.]+)", source)
    return named[1].rpartition(".")[2] if named else ""


def _missing_submodule(evidence: Evidence, name: str, effect: str) -> Finding:
    """A package is there, and has no such module."""
    package, _, module = name.rpartition(".")
    root = name.partition(".")[0]
    files = evidence.source.files
    if any(file == f"{root}.py" or file.startswith(f"{root}/") for file in files):
        message = f"{root} in the archive has no module {name}."
        fix = (
            "Correct the import, or archive that file; the files of a folder go to the archive's root without its name."
        )
        return Finding("import", message, evidence.where, effect, fix)
    if root == "ts":
        message = f"TorchServe's package {package} has no module {module}; handlers of its examples are not part of it."
        fix = f"Archive that file (--extra-files {module}.py), and import it as {module}."
        return Finding("submodule", message, evidence.where, effect, fix)
    importer = next((file for file, _ in reversed(evidence.functions) if not file.startswith("<frozen")), "")
    library = importer.partition("/")[0] if "/" in importer and importer not in files else ""
    message = f"{root} is installed, but this version has no module {name}"
    if library not in ("", "ts"):
        message += f", which {library} imports"
    fix = _MOVED.get(name, "Correct the import for the installed version.")
    if library not in ("", "ts", root):
        fix = f"Install a version of {library} that fits this {root}."
    fix += f" Or name {'an older' if name in _MOVED else 'another'} version of {root} in the requirements file."
    return Finding("submodule", f"{message}.", evidence.where, effect, fix)


def reads_command_line(evidence: Evidence) -> Finding | None:
    """argparse in a handler: the command line is the worker's, and argparse ends the process."""
    said = ""
    if isinstance(evidence.error, SystemExit) and any(file.endswith("argparse.py") for file, _ in evidence.functions):
        said = str(source_search.local(evidence, "argparse.py", "error", "message") or "")
    elif evidence.error is not None or evidence.attempt.death is None:
        return None
    if not said:
        told = (_ARGPARSE.match(line.text) for line in reversed(evidence.attempt.logs))
        said = next((found[1] for found in told if found is not None), "")
    if not said:
        return None
    frame = evidence.frame
    if frame is not None and re.search(r"parse_(?:known_)?args\(\s*[^\s)]", frame.source):
        return None  # it reads something else
    short = said.partition(" /")[0]
    message = "argparse reads the command line, which in a worker is TorchServe's, and ends the process: "
    message += f'"{short}{" …" if short != said else ""}".'
    where = evidence.where or source_search.find(evidence, r"\.parse_args\(\s*\)")
    fix = "Read settings from the config file (context.model_yaml_config), or give argparse a list: parse_args([])."
    return Finding("command_line", message, where, evidence.effect if evidence.attempt.loading else DIED, fix)


#: argparse's last line on stderr.
_ARGPARSE = re.compile(r"(?:[\w.-]+: )?error: (unrecognized arguments: .+|the following arguments are required: .+"
                       r"|argument .+|ambiguous option: .+)")  # fmt: skip


def _never_existed(name: str) -> bool:
    """Imports that many texts about TorchServe have, and none of its versions."""
    root, _, rest = name.partition(".")
    if root == "ts":
        return rest.rpartition(".")[2] in ("model_handler", "handler", "base_handler", "torch_handlers")
    return root in ("torchserve", "torch_handler", "base_handler", "model_handler", "torch_serve")


def missing_name(evidence: Evidence) -> Finding | None:
    if not isinstance(evidence.error, NameError) or not evidence.error.name:
        return None
    name = evidence.error.name
    effect = evidence.effect
    known = _IMPORTS.get(name) or (f"import {name}" if name in _PACKAGES | sys.stdlib_module_names else "")
    if name in evidence.attempt.notebook.names and not hasattr(builtins, name):
        message = f"{name!r} is defined in the notebook, not in the handler's file."
        fix = f"Write at the top of the handler's file: {known}." if known else (
            "Define or import it in the %%handler cell or in a %%module."
        )  # fmt: skip
        return Finding("notebook_name", message, evidence.where, effect, fix)
    message = f"The name {name!r} is not defined in the handler's file."
    fix = f"Write at the top of the file: {known}." if known else "Import it, or give it a value before this line."
    return Finding("name", message, evidence.where, effect, fix)


def missing_variable(evidence: Evidence) -> Finding | None:
    """A variable of the environment that the worker does not have."""
    error, effect, set_here = evidence.error, evidence.effect, evidence.attempt.notebook.environment
    if isinstance(error, KeyError) and evidence.functions and error.args:
        file, function = evidence.functions[-1]
        if file.rpartition("/")[2] not in ("os.py", "<frozen os>") or function not in ("__getitem__", "__delitem__"):
            return None
        name = str(error.args[0])
        if name not in set_here:
            message = f"The worker's environment has no variable {name!r}."
            fix = f"Set it where TorchServe is started, here with {_given(name, '=...')}; or use os.environ.get."
            return Finding("environment", message, evidence.where, effect, fix)
        message = f"The worker's environment has no variable {name!r}: {_NOT_IN_SHELL}"
        return Finding("environment", message, evidence.where, effect, f"Give it to the worker: {_given(name)}.")
    if isinstance(error, TypeError | AttributeError) and "NoneType" in evidence.text:
        for name in sorted(set_here):
            read = rf"(environ\.get|getenv)\(\s*['\"]{re.escape(name)}['\"]\s*\)"
            if live_values.gave_none(evidence, read) is not None:
                where = source_search.find(evidence, read)
                message = f"The handler reads the variable {name!r}, which is None for it: {_NOT_IN_SHELL}"
                return Finding("environment", message, where, effect, f"Give it to the worker: {_given(name)}.")
    return None


def signature(evidence: Evidence) -> Finding | None:
    if not isinstance(evidence.error, TypeError) or not re.search(r"(positional|keyword-only) argument", evidence.text):
        return None
    called, effect = re.search(r"(\w+)\(\)", evidence.text), evidence.effect
    entry = evidence.attempt.setup.handler.partition(":")[2]
    if called is None or called[1] not in ("handle", "initialize", "__init__", entry):
        return None
    if not evidence.functions[-1:] or not evidence.functions[-1][0].startswith("ts/"):
        return None  # the handler's own call is wrong, or a library's
    where = source_search.find(evidence, rf"def {called[1]}\(")
    if (kind := re.search(r"(\w+)\.__init__\(\)", evidence.text)) and _makes_model(evidence):
        where = next(iter(source_search.methods(evidence, kind[1], "__init__")), "")
        file = where.partition(",")[0] or "the model file"
        message = f"BaseHandler calls {kind[1]} in {file} without arguments, but it requires some: {evidence.text}."
        fix = f"Give the arguments of __init__ in {file} default values."
        return Finding("model_file", message, where, effect, fix)
    if "__init__()" in evidence.text:
        message = f"TorchServe creates the handler without arguments, but its class requires some: {evidence.text}."
        return Finding("signature", message, where, effect, "Give __init__ no arguments; load the model in initialize.")
    if "initialize()" in evidence.text:
        fix = f"Write: {_INITIALIZE}. The context says where the model's files are."
    elif "handle()" in evidence.text and "3 were given" in evidence.text:
        fix = f"Write: {_HANDLE}. The context holds headers, metrics and the answer's status."
    else:
        fix = f"Write {_HANDLE[4:]} and {_INITIALIZE[4:]}; a function is handle(data, context)."
    message = f"TorchServe calls the handler with other arguments than it takes: {evidence.text}."
    return Finding("signature", message, where, effect, fix)


def _given(name: str, value: str = "") -> str:
    """How a worker is given a variable; %model knows the value where the notebook has it."""
    return f"%model --env {name}{value}, or environment={{{name!r}: ...}} of Worker and Server"


def _makes_model(evidence: Evidence) -> bool:
    """Whether BaseHandler was making the class of the model file."""
    return bool(evidence.functions) and evidence.functions[-1][1] == "_load_pickled_model"


def _is_self(evidence: Evidence, value: object) -> bool:
    """Whether it is the object whose method failed; of an exception that is known from a log alone, the class's name
    tells."""
    frame = evidence.frame
    if frame is None:
        return False
    if (trace := evidence.trace(frame)) is not None:
        return trace.tb_frame.f_locals.get("self") is value
    return type(value).__name__ in source_search.classes(evidence, frame.file)


def attribute_not_set(evidence: Evidence) -> Finding | None:
    """An attribute of the handler itself that no method has set."""
    error = evidence.error
    if not isinstance(error, AttributeError) or not error.name or evidence.frame is None:
        return None
    if not re.search(rf"\bself\.{error.name}\b", evidence.frame.source) or not _is_self(evidence, error.obj):
        return None
    if (place := source_search.skipped_branch(evidence, f"self.{error.name}")) is not None:
        number, condition = place
        message = f"self.{error.name} is set in line {number} alone, under `if {condition}`, which was not true."
        fix = f"Give self.{error.name} a value in the other case, too."
        if re.search(r"\b(isfile|exists|is_file)\(", condition):
            fix = "Add that file to the archive (--extra-files)."
        return Finding("attribute", message, evidence.where, evidence.effect, fix)
    message = (
        f"The handler has no {error.name}: there is no such method, and nothing set self.{error.name} before this line."
    )
    fix = f"Set self.{error.name} in initialize; super().initialize(context) sets what BaseHandler has (self.model)."
    if error.name in facts.CONTEXT:
        fix = f"It is the context's: context.{error.name}, or in a stage self.context.{error.name}."
    return Finding("attribute", message, evidence.where, evidence.effect, fix)
