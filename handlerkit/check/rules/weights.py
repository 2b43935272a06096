"""Weights, by what their files hold, and whether BaseHandler loads them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from handlerkit.check.code.classes import classes, may_have_more
from handlerkit.check.code.source import SourceFile, dotted
from handlerkit.check.loading import Loading
from handlerkit.check.rules.effects import LOAD, fails, listed
from handlerkit.check.subject import Subject
from handlerkit.check.weights import Kind, Weights
from handlerkit.messages import Finding
from handlerkit.targets import Target
from handlerkit.why.findings.weights import NO_TORCHSCRIPT, NO_WEIGHTS, NOT_LOADABLE, ONE_MODEL_CLASS, SAVE_STATE_DICT

_KINDS: dict[Kind, str] = {
    "torch": "what torch.save wrote",
    "legacy torch": "what torch.save wrote",
    "torchscript": "a TorchScript program",
    "exported program": "an exported program (torch.export.save)",
    "aotinductor": "a compiled library",
    "pickle": "a pickle",
    "numpy": "NumPy arrays",
    "safetensors": "safetensors",
    "onnx": "an ONNX model",
    "keras": "a Keras model",
    "tensorflow lite": "a TensorFlow Lite model",
    "gguf": "a GGUF model",
    "git lfs pointer": "a Git LFS pointer",
    "html": "a web page",
    "text": "text",
    "empty": "empty",
    "cut short": "cut short",
    "zip": "a zip file without weights",
    "unknown": "no kind of weights that is known",
}


#: Kinds that are no weights at all: what is wrong with the file, and what to do.
_NOT_WEIGHTS: dict[Kind, tuple[str, str]] = {
    "git lfs pointer": (
        "is a Git LFS pointer: three lines of text in the place of the file.",
        "Run git lfs pull, and archive again.",
    ),
    "html": (
        "is a web page: a download that ended at a sign-in or an error.",
        "Download the file itself, and archive again.",
    ),
    "cut short": ("is cut short: it begins as weights, and ends before they do.", "Copy or download it again."),
    "empty": ("is empty.", "Save the weights again."),
}


def not_weights(subject: Subject, target: Target) -> Iterator[Finding]:
    """Files that hold something else than their names say, whoever loads them."""
    loading = Loading(subject, target)
    for name, found in subject.weights.items():
        if found.kind not in _NOT_WEIGHTS:
            continue
        is_loaded = name == subject.serialized_file and (loading.is_base or loading.torch_loads)
        if found.kind != "empty" or is_loaded:  # an empty one may be there because something had to be
            message, fix = _NOT_WEIGHTS[found.kind]
            yield Finding("not_weights", f"{name} {message}", "", fails(subject, name), fix)


def base_handler(subject: Subject, target: Target) -> Iterator[Finding]:
    """Weights that BaseHandler's own initialize does not load."""
    if not Loading(subject, target).is_base:
        return
    name, has_model_file = subject.serialized_file, bool(subject.said.get("modelFile"))
    if not subject.said.get("serializedFile") and not has_model_file:
        yield Finding("weights", NO_WEIGHTS[0], "", LOAD, NO_WEIGHTS[1])
    if name is None or (found := subject.weights[name]).kind in _NOT_WEIGHTS:
        return
    if has_model_file:
        yield from _state_dict(name, found)
    elif name.endswith(".so"):
        yield from _compiled(subject, name, found)
    elif not any(name.endswith(end) and found.kind == kind for end, kind in _TAKES.items()):
        yield Finding("weights", f"{name} is {_KINDS[found.kind]}. {_rule(name)[0]}", "", LOAD, _fix(name, found))


#: The ends of names by which BaseHandler chooses a loader, and what that loads.
_TAKES: dict[str, Kind] = {".pt": "torchscript", ".onnx": "onnx"}


def _rule(name: str) -> tuple[str, str]:
    return NO_TORCHSCRIPT if name.endswith(".pt") else NOT_LOADABLE


def _fix(name: str, found: Weights) -> str:
    ends = [end for end, kind in _TAKES.items() if kind == found.kind]
    if ends:
        return f"Name the file *{ends[0]}."
    if found.kind == "safetensors":
        return "Save the state_dict with torch.save and name the class's file (--model-file), or write initialize."
    if found.kind in ("torch", "legacy torch"):
        return _rule(name)[1]
    return "Save it as TorchScript (.pt) or ONNX (.onnx), or write initialize."


def _state_dict(name: str, found: Weights) -> Iterator[Finding]:
    """With a model file, BaseHandler gives what torch.load returns to load_state_dict."""
    if found.kind not in ("torch", "legacy torch", "pickle"):
        message = f"{name} is {_KINDS[found.kind]}, and with a model file BaseHandler takes it for a state_dict."
        fix = "Save model.state_dict() with torch.save"
        fix += ", or leave the model file out." if found.kind == "torchscript" else "."
        yield Finding("weights", message, "", LOAD, fix)
        return
    if (whole := found.whole) is not None:
        message = f"{name} holds a whole {whole}; with a model file BaseHandler takes it for a state_dict."
        yield Finding("weights", message, "", LOAD, SAVE_STATE_DICT)
        return
    keys = [key for pickle in found.pickles[-2:] for key in pickle.keys]
    if inner := [key for key in keys if key.endswith("state_dict")]:
        others = ", ".join(repr(key) for key in keys if key != inner[0])
        message = f"{name} is a checkpoint: its state_dict is the item {inner[0]!r} of a dict"
        message += f", beside {others}." if others else "."
        fix = f"Save checkpoint[{inner[0]!r}] alone, or write initialize."
        yield Finding("weights", message, "", LOAD, fix)


def _compiled(subject: Subject, name: str, found: Weights) -> Iterator[Finding]:
    """BaseHandler loads a library only where the config file says so."""
    if found.kind != "aotinductor":
        yield Finding("weights", f"{name} is {_KINDS[found.kind]}, and no library.", "", LOAD, _fix(name, found))
        return
    pt2 = subject.settings.get("pt2")
    export = pt2.get("export") if isinstance(pt2, dict) else None
    if not (isinstance(export, dict) and export.get("aot_compile") is True):
        message = f"BaseHandler loads {name} only if the config file says that it was compiled ahead of time."
        fix = "Write pt2: {export: {aot_compile: true}} into model-config.yaml (--config-file)."
        yield Finding("weights", message, "", LOAD, fix)


def model_class(subject: Subject, target: Target) -> Iterator[Finding]:
    """BaseHandler takes the one class that the model file defines."""
    name = subject.model_file
    if name is None or not Loading(subject, target).is_base:
        return
    source = subject.source(name)
    if source.problem is not None or source.is_open:
        return
    found = classes(source)
    said = "The model file must define one class, the model's"
    if len(found) > 1:
        message = f"{said}; {name} defines {len(found)}: {', '.join(found)}."
        yield Finding("model_file", message, "", LOAD, ONE_MODEL_CLASS)
    elif not found and not may_have_more(source):
        message = f"{said}; {name} defines none, and an imported one does not count."
        yield Finding("model_file", message, "", LOAD, f"Define the model's class in {name}.")
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef) and (wanted := _required(node)) and len(found) == 1:
            message = f"BaseHandler makes the model without arguments, and {node.name} wants {listed(wanted)}."
            yield Finding("model_file", message, source.place(node), LOAD, f"Give {listed(wanted)} a default value.")


def _required(node: ast.ClassDef) -> list[str]:
    """The arguments that a class's own __init__ has no default for."""
    if node.decorator_list or node.keywords:
        return []
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__" and not method.decorator_list:
            given = [*method.args.posonlyargs, *method.args.args][1:]
            required = given[: len(given) - len(method.args.defaults)]
            named = [
                one for one, value in zip(method.args.kwonlyargs, method.args.kw_defaults, strict=True) if value is None
            ]
            return [one.arg for one in (*required, *named)]
    return []


def own_loader(subject: Subject, target: Target) -> Iterator[Finding]:
    """Files that the handler's own code gives to a function which loads another container."""
    for load in Loading(subject, target).loads:
        found = subject.weights.get(load.file or "")
        if found is None or found.kind in (*load.takes, *_NOT_WEIGHTS, "unknown", "text"):
            continue
        message = f"{load.function} does not load {load.file}, which is {_KINDS[found.kind]}."
        fix = next((one for kind, one in _LOADED_BY.items() if kind == found.kind), "")
        yield Finding(
            "weights", message, load.place, LOAD, f"Load it with {fix}." if fix else "Save it again for that."
        )


_LOADED_BY: dict[Kind, str] = {
    "torch": "torch.load",
    "legacy torch": "torch.load",
    "torchscript": "torch.jit.load",
    "onnx": "onnxruntime.InferenceSession",
    "safetensors": "safetensors.torch.load_file",
    "exported program": "torch.export.load",
    "pickle": "pickle.load (or joblib.load)",
    "numpy": "numpy.load",
}


def state_keys(subject: Subject, target: Target) -> Iterator[Finding]:
    """A state_dict of another model than the model file's class."""
    name, model_file = subject.serialized_file, subject.model_file
    if name is None or model_file is None or not Loading(subject, target).is_base:
        return
    found = subject.weights[name]
    keys = next((pickle.keys for pickle in found.pickles if pickle.keys and "." in pickle.keys[0]), [])
    tops = list(dict.fromkeys(key.partition(".")[0] for key in keys))
    words = _words(subject.source(model_file))
    if not tops or words is None:
        return
    foreign = [top for top in tops if top not in words and not top.isdigit()]
    if tops == ["module"] and foreign:
        message = f"Every weight of {name} is below 'module': it was saved from DataParallel."
        fix = "Save model.module.state_dict() instead."
        yield Finding("state_dict", message, "", LOAD, fix)
    elif foreign:
        message = f"{name} has weights of {listed(foreign)}, which the class in {model_file} does not have."
        fix = f"Archive the weights and the {model_file} of the same version of the model."
        yield Finding("state_dict", message, "", LOAD, fix)


def _words(source: SourceFile) -> set[str] | None:
    """The names in a file that defines one plain module; None if modules may get their names in another way."""
    classes = [node for node in source.tree.body if isinstance(node, ast.ClassDef)]
    if len(classes) != 1 or source.problem is not None or source.is_open:
        return None
    if [dotted(base).rpartition(".")[2] for base in classes[0].bases] != ["Module"]:
        return None
    words: set[str] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name):
            words.add(node.id)
        elif isinstance(node, ast.Attribute):
            words.add(node.attr)
    if words & _NAMING:
        return None
    return words


#: What gives a module or a parameter a name that is not in the code.
_NAMING = {"setattr", "add_module", "register_module", "register_parameter", "register_buffer", "load_state_dict",
           "__dict__", "_modules", "_parameters", "_load_from_state_dict", "__setattr__"}  # fmt: skip


#: In the order in which they are asked.
WEIGHTS_RULES = (not_weights, base_handler, model_class, own_loader, state_keys)
