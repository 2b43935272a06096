"""Why BaseHandler and its kin do not find a model in what the archive holds."""

from __future__ import annotations

from handlerkit.messages import Finding
from handlerkit.why.evidence import LOAD, Evidence

# What is wrong and what to change, for a load that failed as for one that would.
NO_WEIGHTS = (
    "BaseHandler finds no weights: the model names no serialized_file.",
    "Name the weights (--serialized-file model.pt), or write initialize.",
)
NOT_LOADABLE = (
    "BaseHandler loads .pt (TorchScript), .so and, with onnxruntime, .onnx; a state_dict needs the model's class.",
    "Name the class's file (--model-file model.py), save TorchScript as .pt, or require onnxruntime for .onnx.",
)
NO_TORCHSCRIPT = (
    "The .pt file holds no TorchScript program; without a model file BaseHandler takes every .pt for one.",
    "Name the class's file for a state_dict (--model-file model.py), or save torch.jit.script(model).",
)
ONE_MODEL_CLASS = "Move the others to a helper module and import them."
SAVE_STATE_DICT = "Save model.state_dict() instead of the model."


def labels(seen: Evidence) -> Finding | None:
    if not any(function == "load_label_mapping" for _, function in seen.functions):
        return None
    what = f"index_to_name.json, which names the classes, cannot be used: {seen.name}."
    change = 'Make it one JSON object with a text for each class, such as {"0": "cat", "1": "dog"}.'
    return Finding("labels", what, effect=LOAD, fix=change)


def model_class(seen: Evidence) -> Finding | None:
    if isinstance(seen.error, ValueError) and "Expected only one class as model definition" in seen.text:
        what = "The model file must define one class, the model's; this one defines another number of classes."
        return Finding("model_file", what, effect=LOAD, fix=ONE_MODEL_CLASS)
    if isinstance(seen.error, RuntimeError) and "Error(s) in loading state_dict" in seen.text:
        first = seen.text.splitlines()[0].strip(": ")
        what = f"The weights do not fit the class in the model file ({first})."
        change = "Archive the weights and the model file of the same version of the model."
        return Finding("model_file", what, seen.where, LOAD, change)
    return None


def weights(seen: Evidence) -> Finding | None:
    error, text = seen.error, seen.text
    if isinstance(error, AttributeError) and "endswith" in text:
        what, change = NO_WEIGHTS
        return Finding("weights", what, seen.where, LOAD, change)
    if isinstance(error, RuntimeError) and text == "No model weights could be loaded":
        what, change = NOT_LOADABLE
        return Finding("weights", what, seen.where, LOAD, change)
    if isinstance(error, RuntimeError) and "constants.pkl" in text:
        what, change = NO_TORCHSCRIPT
        return Finding("weights", what, seen.where, LOAD, change)
    if type(error).__name__ == "UnpicklingError" and "weights_only" in text:
        what = "The weights hold a pickled module; torch.load reads only tensors (weights_only=True) since torch 2.6."
        return Finding("weights", what, seen.where, LOAD, SAVE_STATE_DICT)
    return None
