"""What TorchServe's BaseHandler needs to load a model, and what to do where it is not there."""

from __future__ import annotations

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
