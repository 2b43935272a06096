"""Why a model's files are not loaded: by TorchServe's ready-made handlers, or by the handler's own code."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from handlerkit.messages import Finding
from handlerkit.why import live_values, source_search
from handlerkit.why.evidence import Evidence, Rule
from handlerkit.why.findings.weights import (
    NO_TORCHSCRIPT,
    NO_WEIGHTS,
    NOT_LOADABLE,
    ONE_MODEL_CLASS,
    SAVE_STATE_DICT,
)
from handlerkit.why.rules import pretrained

_TRUSTED = " Or, if you trust the file: torch.load(..., weights_only=False)."
#: What to save instead of an object that torch.load does not take, by the beginning of its class's full name.
_INSTEAD = (
    ("argparse.Namespace", "Save vars(args) instead of args."),
    ("collections.defaultdict", "Save dict(value) instead."),
    ("numpy.", "Save numbers with value.item(), and arrays as tensors: torch.from_numpy(array)."),
    ("pathlib.", "Save str(path) instead."),
)
#: What the libraries that read weights say to a file that is none of theirs, or is damaged.
_UNREADABLE = re.compile(
    "invalid load key|Unsupported operand|PytorchStreamReader failed reading|INVALID_PROTOBUF|Ran out of input"
    "|unpickling stack underflow|pickle data was truncated|header too (large|small)"
    "|Error while deserializing header|invalid header",
    re.IGNORECASE,
)
_POINTER = b"version https://git-lfs.github.com/spec/"
#: Methods of networks that code calls on what torch.load gave, and that a dict does not have.
_NETWORK_METHODS = {
    "eval", "to", "cuda", "cpu", "half", "float", "train", "parameters", "named_parameters", "modules", "children",
    "load_state_dict", "state_dict", "forward", "share_memory", "requires_grad_", "generate", "predict",
}  # fmt: skip
#: Under which keys checkpoints hold the weights.
_WEIGHT_KEYS = ("state_dict", "model_state_dict", "model_state", "model", "net", "weights")


def labels(evidence: Evidence) -> Finding | None:
    if not any(function == "load_label_mapping" for _, function in evidence.functions):
        return None
    message = f"index_to_name.json, which names the classes, cannot be used: {evidence.error_line}."
    fix = 'Make it one JSON object with a text for each class, such as {"0": "cat", "1": "dog"}.'
    return Finding("labels", message, effect=evidence.effect, fix=fix)


def model_class(evidence: Evidence) -> Finding | None:
    """What BaseHandler makes of the model file."""
    if not any(function == "_load_pickled_model" for _, function in evidence.functions):
        return None
    file = str(source_search.manifest(evidence).get("modelFile", ""))
    if isinstance(evidence.error, ImportError) and file and not file.endswith(".py"):
        message = f"The model file {file} is not a Python file, and BaseHandler imports it for the class of the model."
        fix = f"Name the file with the class (--model-file model.py), and the weights as --serialized-file {file}."
        return Finding("model_file", message, effect=evidence.effect, fix=fix)
    if not (isinstance(evidence.error, ValueError) and "Expected only one class as model definition" in evidence.text):
        return None
    names = re.findall(r"<class '(?:[\w.]+\.)?(\w+)'>", evidence.text)
    if names:
        message = f"The model file {file} must define exactly one class, the model's, and defines {len(names)}: "
        message += f"{', '.join(names)}."
        return Finding("model_file", message, effect=evidence.effect, fix=ONE_MODEL_CLASS)
    message = f"The model file {file} defines no class; BaseHandler makes the model from the one class in it."
    fix = f"Define it in {file}: class Net(torch.nn.Module). A class that the file imports does not count."
    return Finding("model_file", message, effect=evidence.effect, fix=fix)


def other_weights(evidence: Evidence) -> Finding | None:
    """load_state_dict was given other names or sizes than the network has."""
    if not (isinstance(evidence.error, RuntimeError) and "Error(s) in loading state_dict" in evidence.text):
        return None
    found = re.search(r"Unexpected key\(s\) in state_dict: (.+)\. ", evidence.text + " ")
    names = re.findall(r'"([^"]+)"', found[1]) if found else []
    inner = next((key for key in _WEIGHT_KEYS if key in names), None)
    is_own = evidence.frame is not None
    if inner is not None:
        message = f"The file is a checkpoint that holds the weights under {inner!r}, beside other things."
        fix = f"Save that part alone: torch.save(checkpoint[{inner!r}], path)."
        if is_own:
            fix = f"Load that part: model.load_state_dict(checkpoint[{inner!r}])."
        return Finding("checkpoint", message, evidence.where, evidence.effect, fix)
    if names and all(name.startswith("module.") for name in names):
        message = "The names of the weights begin with 'module.': they were saved from a model in DataParallel."
        fix = "Save model.module.state_dict() instead."
        if is_own:
            fix += " Or cut it off: {name.removeprefix('module.'): value for name, value in weights.items()}."
        return Finding("model_file", message, evidence.where, evidence.effect, fix)
    file = source_search.manifest(evidence).get("modelFile")
    lines = [line.strip().rstrip(". ") for line in evidence.text.splitlines() if line.strip()]
    first = lines[1] if len(lines) > 1 else lines[0].strip(": ")
    first = first if len(first) <= 160 else f"{first[:159]}…"
    network = f"class in the model file {file}" if file and not is_own else "network that they are loaded into"
    message = f"The weights do not fit the {network} ({first})."
    fix = "Archive the weights and the class of the same version of the model."
    return Finding("model_file", message, evidence.where, evidence.effect, fix)


def weights(evidence: Evidence) -> Finding | None:
    """BaseHandler finds none that it can load."""
    error, text = evidence.error, evidence.text
    if isinstance(error, AttributeError) and "endswith" in text and evidence.raised_in("torch_handler/base_handler.py"):
        message, fix = NO_WEIGHTS
        return Finding("weights", message, evidence.where, evidence.effect, fix)
    if isinstance(error, RuntimeError) and text == "No model weights could be loaded":
        message, fix = _not_loadable(str(source_search.manifest(evidence).get("serializedFile", "")))
        return Finding("weights", message, evidence.where, evidence.effect, fix)
    if isinstance(error, RuntimeError) and "constants.pkl" in text:
        if evidence.frame is not None:
            message = (
                f"{_subject(evidence)} is no TorchScript program, which torch.jit.load reads: torch.save wrote it."
            )
            fix = (
                "Read it with torch.load and make the model from its class, or save torch.jit.script(model).save(path)."
            )
            return Finding("weights", message, evidence.where, evidence.effect, fix)
        message, fix = NO_TORCHSCRIPT
        return Finding("weights", message, evidence.where, evidence.effect, fix)
    if "TorchScript archives passed to" in text:
        message = f"{_subject(evidence)} is a TorchScript program, and torch.load reads only weights."
        return Finding("weights", message, evidence.where, evidence.effect, "Load it with torch.jit.load(path).")
    return None


def _not_loadable(file: str) -> tuple[str, str]:
    """(message, fix) for weights of a kind that BaseHandler does not load."""
    suffix = PurePath(file).suffix
    own = f"Write initialize, and load {file} in it"
    if suffix == ".onnx":
        message = "BaseHandler loads .onnx files with onnxruntime, which is not installed where the model runs."
        return message, "Name onnxruntime in the requirements file, and set install_py_dep_per_model=true."
    if suffix == ".so":
        message = f"BaseHandler loads {file} only if the config file says that it is a compiled model (AOTInductor)."
        return message, "Write pt2: {export: {aot_compile: true}} into model-config.yaml (--config-file)."
    if suffix in (".pt", ".pth", ".bin", ".ckpt", ".tar"):
        return NOT_LOADABLE
    message = f"BaseHandler does not load {suffix or 'such'} files; it takes .pt (TorchScript), .onnx and .so."
    return message, f"{own}, with safetensors.torch.load_file." if suffix == ".safetensors" else f"{own}."


# --- files that are not what they are read as -------------------------------------------------------------------------


def not_weights(evidence: Evidence) -> Finding | None:
    """The file holds something else than the code that reads it expects."""
    if evidence.error is None or isinstance(evidence.error, ImportError | OSError):
        return None
    path, frame = _file(evidence), evidence.frame
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return None
    name, where, effect = path.name, evidence.where, evidence.effect
    if head.startswith(_POINTER):
        message = f"{name} is a git-lfs pointer, a few lines of text that stand for the file itself."
        return Finding("not_weights", message, where, effect, "Run git lfs pull, and build the archive again.")
    if not isinstance(evidence.error, EOFError) and not _UNREADABLE.search(evidence.text):
        return None
    if not head:
        return Finding("not_weights", f"{name} is empty.", where, effect, "Save or copy it again.")
    if head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        message = f"{name} is an HTML page: its download gave a page of a web site instead of the file."
        return Finding("not_weights", message, where, effect, "Download the file itself, and look at its size.")
    if head[8:10] in (b'{"', b"{ ") and path.suffix != ".onnx":
        message = f"{name} is a safetensors file, and is read as something else."
        return Finding("not_weights", message, where, effect, "Load it with safetensors.torch.load_file(path).")
    if _is_text(head):
        reader = "the code that loads it expects weights"
        if frame is not None and "torch.load" in frame.source:
            reader = "torch.load reads only what torch.save wrote"
        message = f"{name} is a text file, and {reader}."
        fix = "Read it as text, open(path).read().splitlines() or json.load; or archive the weights under that name."
        return Finding("not_weights", message, where, effect, fix)
    is_cut = re.search("was truncated|Ran out of input", evidence.text) is not None
    if is_cut or (head.startswith(b"PK") and "failed finding central directory" in evidence.text):
        message = f"{name} is damaged: its end is missing."
        return Finding("not_weights", message, where, effect, "Copy or download it again, and compare the sizes.")
    return None


def _file(evidence: Evidence) -> Path | None:
    """The file of the archive that was read: the one torch's own variable names; else that of the line that raised, or
    of its function; in TorchServe's own code the model's weights."""
    folder = evidence.source.folder
    if folder is None:
        return None
    for module in ("torch/serialization.py", "torch/jit/_serialization.py"):
        given = source_search.local(evidence, module, "load", "f")
        given = getattr(given, "name", given)
        if isinstance(given, str | os.PathLike) and (path := folder / given).is_file():
            return path
    if evidence.frame is None:
        path = folder / str(source_search.manifest(evidence).get("serializedFile", ""))
        return path if path.is_file() else None
    function = source_search.enclosing(source_search.tree(evidence, evidence.frame.file), evidence.frame.line)
    lines = source_search.text(evidence, evidence.frame.file).splitlines()
    around = "\n".join(lines[function.lineno - 1 : evidence.frame.line]) if function else evidence.frame.source
    files = [file for file in folder.iterdir() if file.is_file() and file.suffix != ".py"]
    for text in (evidence.frame.source, around):
        named = [file for file in files if re.search(rf"(?<![\w.-]){re.escape(file.name)}(?![\w.-])", text)]
        if named:
            return named[0] if len(named) == 1 else None
    return None


def _subject(evidence: Evidence) -> str:
    """That file, at the beginning of a sentence."""
    path = _file(evidence)
    return path.name if path is not None else "The file"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as problem:
        if problem.start < len(head) - 3:  # and no letter that the end of `head` cut
            return False
        text = head[: problem.start].decode()
    return all(letter.isprintable() or letter in "\t\n\r\f" for letter in text)


# --- what was pickled -------------------------------------------------------------------------------------------------


def refused(evidence: Evidence) -> Finding | None:
    """torch.load(weights_only=True) names the first class that it does not take."""
    found = re.search(r"(?:GLOBAL|Unsupported class|unsupported class) ([\w.]+)", evidence.text)
    if not type(evidence.error).__name__.endswith("UnpicklingError") or found is None:
        return None
    if not live_values.is_live(evidence) and evidence.frame is not None and "BytesIO(" in evidence.frame.source:
        return None  # it came in a request
    name = found[1].rstrip(".")
    module, _, kind = name.rpartition(".")
    holds, fix = f"{name}", "Save only tensors, numbers, text, lists and dicts."
    if module == "__main__":
        holds = f"an object of the class {kind}, which was defined in the notebook or script that saved it"
        fix = SAVE_STATE_DICT
    elif module.startswith("torch.nn.modules") or _is_network(evidence, kind):
        holds, fix = f"a whole model ({name}), not its weights alone", SAVE_STATE_DICT
    elif instead := next((fix for start, fix in _INSTEAD if name.startswith(start)), ""):
        holds = f"a value of numpy ({name})" if name.startswith("numpy.") else f"an object of the class {name}"
        fix = instead
    elif module.partition(".")[0] not in ("builtins", "torch"):
        holds = f"an object of the class {name}"
        fix += " Of a model, save its state_dict()."
    message = f"{_subject(evidence)} holds {holds}; "
    message += "torch.load takes only tensors and plain values (weights_only=True, the default since torch 2.6)."
    if evidence.frame is not None and module != "__main__":
        fix += _TRUSTED
    return Finding("weights", message, evidence.where, evidence.effect, fix)


def _is_network(evidence: Evidence, kind: str) -> bool:
    """Whether a file of the archive defines a class of that name as a torch.nn.Module."""
    return bool(source_search.find(evidence, rf"^class {re.escape(kind)}\(.*Module\b"))


def pickled_class(evidence: Evidence) -> Finding | None:
    """Unpickling imports the classes of what was pickled, from where they were then."""
    found = re.search(r"Can't get attribute '([\w.]+)' on <module '([\w.]+)'", evidence.text)
    if found is not None and isinstance(evidence.error, AttributeError):
        kind, module = found.groups()
        if module == "__main__":
            message = f"{_subject(evidence)} holds an object of the class {kind}, which was defined in the notebook or "
            message += "script that saved it: unpickling looks for it in __main__, which in a worker is TorchServe's."
            fix = f"Save model.state_dict(); or define {kind} in a file of the archive, import it from there, and save "
            return Finding("pickled_class", message, evidence.where, evidence.effect, fix + "again.")
        message = f"{_subject(evidence)} was pickled with a class {kind} of the module {module}, which has none here."
        fix = f"Archive the version of {module} that has it, or save model.state_dict() instead of the model."
        return Finding("pickled_class", message, evidence.where, evidence.effect, fix)
    error = evidence.error
    if not isinstance(error, ModuleNotFoundError) or not error.name or not _is_unpickling(evidence):
        return None
    message = f"{_subject(evidence)} was pickled with the module {error.name}, which is neither installed nor in the "
    message += "archive."
    fix = "Save model.state_dict() instead of the model, and make the model from its class; or archive that module."
    return Finding("pickled_class", message, evidence.where, evidence.effect, fix)


def _is_unpickling(evidence: Evidence) -> bool:
    if any(function == "find_class" for _, function in evidence.functions):
        return True
    frame = evidence.frame
    return frame is not None and re.search(r"\b(pickle|joblib|dill|torch)\.loads?\(", frame.source) is not None


def state_dict_as_model(evidence: Evidence) -> Finding | None:
    """torch.load gave a dict of tensors, and the handler takes it for the network."""
    found = re.search(r"'(?:collections\.)?(?:OrderedDict|dict)' object (is not callable|has no attribute '(\w+)')",
                      evidence.text)  # fmt: skip
    source = evidence.info.frames[-1].source if evidence.info and evidence.info.frames else ""
    if found is None or "BytesIO(" in source:  # which is no file of the archive
        return None
    used = rf"\.{found[2]}\b" if found[2] in _NETWORK_METHODS else r"\(" if found[2] is None else None
    name = re.search(rf"((?:self\.)?\w*(?:model|net)\w*){used}", source)
    if used is None or not (name or re.search(rf"torch\.load\(.*\){used}", source)):
        return None
    held = getattr(evidence.error, "obj", None) or (_value(evidence, name[1]) if name else None)
    inner = None
    if isinstance(held, Mapping) and held:
        inner = next((key for key in _WEIGHT_KEYS if _are_weights(held.get(key))), None)
        if inner is None and not _are_weights(held):
            return None
    elif "OrderedDict" not in evidence.text and "torch.load" not in source:
        return None  # of a plain dict it is not known whether it holds weights
    fix = (
        "Make the network from its class, and load the weights into it: model = Net(); model.load_state_dict(weights)."
    )
    message = "What was loaded is a dict of weights (a state_dict), and the handler uses it as the network itself."
    if inner is not None and isinstance(held, Mapping):
        message = (
            f"What was loaded is a checkpoint, a dict with {_listed(held)}, and the handler uses it as the network."
        )
        fix = f"Make the network from its class: model = Net(); model.load_state_dict(checkpoint[{inner!r}])."
    return Finding("state_dict", message, evidence.where, evidence.effect, fix)


def keys_as_model(evidence: Evidence) -> Finding | None:
    """self.model = model.load_state_dict(weights)."""
    if "'_IncompatibleKeys' object" not in evidence.text:
        return None
    message = "load_state_dict fills the network in place and returns only which keys did not fit; the handler takes "
    message += "that for the network."
    fix = "Call it on a line of its own: model = Net(); model.load_state_dict(weights); self.model = model."
    return Finding("state_dict", message, evidence.where, evidence.effect, fix)


def _value(evidence: Evidence, name: str) -> Any:
    """What a name, or an attribute of self, stands for on the line that raised."""
    trace = evidence.error.__traceback__ if evidence.error is not None else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    known = trace.tb_frame.f_locals if trace is not None else {}
    own, _, attribute = name.rpartition(".")
    return getattr(known.get(own), "__dict__", {}).get(attribute) if own else known.get(attribute)


def _are_weights(held: object) -> bool:
    """Whether it is a dict of tensors by their names."""
    return isinstance(held, Mapping) and any(type(value).__name__ in ("Tensor", "Parameter") for value in held.values())


def _listed(held: Mapping[Any, Any]) -> str:
    return ", ".join(map(repr, list(held)[:4])) + (" and more" if len(held) > 4 else "")


#: Asked of a load and of a call, before it is asked which import is missing.
RULES: tuple[Rule, ...] = (
    not_weights, refused, pickled_class, state_dict_as_model, keys_as_model, other_weights, weights,
    pretrained.from_pretrained, pretrained.no_connection,
)  # fmt: skip
