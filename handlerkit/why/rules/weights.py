"""Why TorchServe's ready-made handlers find no model in the archive."""

from __future__ import annotations

from handlerkit.messages import Finding
from handlerkit.why.evidence import LOAD, Evidence

# (message, fix) of a load that failed, and of one that would.
NO_WEIGHTS = (
    "BaseHandler finds no weights: the model names no serialized_file.",
    "Name the weights (--serialized-file model.pt), or write initialize.",
)
NOT_LOADABLE = (
    "BaseHandler loads .pt (TorchScript), .so and, with onnxruntime, .onnx; a state_dict needs the model's class.",
    "Name the class's file (--model-file model.py), save TorchScript as .pt, or require onnxruntime for .onnx.",
)
NO_TORCHSCRIPT = (
    "The .pt file is no TorchScript program; without a model file BaseHandler takes every .pt for one.",
    "Name the class's file for a state_dict (--model-file model.py), or save torch.jit.script(model).",
)
ONE_MODEL_CLASS = "Move the others to a helper module and import them."
SAVE_STATE_DICT = "Save model.state_dict() instead of the model."


def labels(evidence: Evidence) -> Finding | None:
    if not any(function == "load_label_mapping" for _, function in evidence.functions):
        return None
    message = f"index_to_name.json, which names the classes, cannot be used: {evidence.error_line}."
    fix = 'Make it one JSON object with a text for each class, such as {"0": "cat", "1": "dog"}.'
    return Finding("labels", message, effect=LOAD, fix=fix)


def model_class(evidence: Evidence) -> Finding | None:
    if isinstance(evidence.error, ValueError) and "Expected only one class as model definition" in evidence.text:
        message = "The model file must define exactly one class, the model's; this one does not."
        return Finding("model_file", message, effect=LOAD, fix=ONE_MODEL_CLASS)
    if isinstance(evidence.error, RuntimeError) and "Error(s) in loading state_dict" in evidence.text:
        first = evidence.text.splitlines()[0].strip(": ")
        message = f"The weights do not fit the class in the model file ({first})."
        fix = "Archive the weights and the model file of the same version of the model."
        return Finding("model_file", message, evidence.where, LOAD, fix)
    return None


def weights(evidence: Evidence) -> Finding | None:
    error, text = evidence.error, evidence.text
    if isinstance(error, AttributeError) and "endswith" in text:
        message, fix = NO_WEIGHTS
        return Finding("weights", message, evidence.where, LOAD, fix)
    if isinstance(error, RuntimeError) and text == "No model weights could be loaded":
        message, fix = NOT_LOADABLE
        return Finding("weights", message, evidence.where, LOAD, fix)
    if isinstance(error, RuntimeError) and "constants.pkl" in text:
        message, fix = NO_TORCHSCRIPT
        return Finding("weights", message, evidence.where, LOAD, fix)
    if type(error).__name__ == "UnpicklingError" and "weights_only" in text:
        message = (
            "The weights hold a pickled module; torch.load reads only tensors (weights_only=True) since torch 2.6."
        )
        return Finding("weights", message, evidence.where, LOAD, SAVE_STATE_DICT)
    return None
