"""Why a handler does not load."""

from __future__ import annotations

from handlerkit.messages import Finding
from handlerkit.why.common import missing_import, missing_name, signature
from handlerkit.why.evidence import LOAD, Evidence, Rule


def died(seen: Evidence) -> Finding | None:
    """The process ended, or took too long, and no exception is known."""
    if not seen.died or seen.error is not None:
        return None
    kind, _, what = seen.died.partition(": ")
    changes = {
        "timeout": "Load less in initialize, or raise startupTimeout (model-config.yaml) or default_startup_timeout.",
        "exit": "Find what ends the process: sys.exit, os._exit, a crash in native code, or too little memory.",
    }
    return Finding(f"worker_{kind}", what, served=LOAD, change=changes.get(kind, ""))


def class_count(seen: Evidence) -> Finding | None:
    if not (isinstance(seen.error, ValueError) and "Expected only one class" in str(seen.error)):
        return None
    names = ", ".join(sorted(kind.__name__ for kind in seen.classes))
    if not seen.classes:
        what = "The handler file defines no class and no function named handle; an imported class does not count."
        change = "Define the handler class in this file, or a function handle(data, context)."
    else:
        what = f"The handler file defines {len(seen.classes)} classes ({names}); TorchServe takes one, or a function."
        change = "Move the others to a helper module (%%module, --extra-files) and import them from there."
    return Finding("class_count", what, served=LOAD, change=change)


def syntax(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, SyntaxError):
        return None
    place = f"{(seen.error.filename or '').rsplit('/', 1)[-1]}, line {seen.error.lineno}"
    return Finding("syntax", f"Python cannot read the file: {seen.error.msg}.", place, LOAD, "Correct that line.")


def no_method(seen: Evidence) -> Finding | None:
    error = seen.error
    if isinstance(error, ValueError) and "Expect handle method" in str(error):
        lacks = "handle"
    elif isinstance(error, AttributeError) and error.name == "initialize" and isinstance(error.obj, seen.classes):
        lacks = "initialize"
    else:
        return None
    sign = "handle(self, data, context)" if lacks == "handle" else "initialize(self, context)"
    what = f"The handler class has no method {lacks}; TorchServe needs both initialize and handle."
    return Finding("no_method", what, served=LOAD, change=f"Add {sign}, or derive from BaseHandler, which has it.")


def weights(seen: Evidence) -> Finding | None:
    error, text = seen.error, str(seen.error)
    if isinstance(error, AttributeError) and "endswith" in text:
        what = "BaseHandler finds no weights: the model names no serialized_file."
        return Finding(
            "weights", what, seen.where, LOAD, "Name the weights (--serialized-file model.pt), or write initialize."
        )
    if isinstance(error, RuntimeError) and text == "No model weights could be loaded":
        what = "BaseHandler loads .pt (TorchScript), .onnx and .so files; for a state_dict it needs the model's class."
        return Finding(
            "weights",
            what,
            seen.where,
            LOAD,
            "Name the class's file (--model-file model.py), or save TorchScript as .pt.",
        )
    if type(error).__name__ == "UnpicklingError" and "weights_only" in text:
        what = "The weights hold a pickled module; torch.load reads only tensors (weights_only=True) since torch 2.6."
        return Finding("weights", what, seen.where, LOAD, "Save model.state_dict() instead of the model.")
    return None


def none_at_load(seen: Evidence) -> Finding | None:
    """A function handler is called once with data=None when the worker starts."""
    if seen.frame is None or seen.classes or seen.frame.function == "<module>":
        return None
    if not isinstance(seen.error, TypeError | AttributeError) or "None" not in str(seen.error):
        return None
    what = "A function handler is called once with data=None when it is loaded, and this one fails then."
    return Finding("none_at_load", what, seen.where, LOAD, "Begin it with: if data is None: return None.")


def not_enough_memory(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, MemoryError) and not (
        isinstance(seen.error, RuntimeError) and "CUDA" in str(seen.error)
    ):
        return None
    served = "Registering the model answers 507 'Failed to start workers'."
    return Finding(
        "memory",
        f"There is not enough memory to load the model ({seen.name}).",
        seen.where,
        served,
        "Use a smaller model or batch, or another device.",
    )


def any_exception(seen: Evidence) -> Finding | None:
    if seen.error is None:
        return None
    return Finding("load", f"Loading the handler raised {seen.name}.", seen.where, LOAD, "Correct that line.")


LOAD_RULES: tuple[Rule, ...] = (
    died, class_count, missing_import, syntax, no_method, weights, signature, none_at_load, missing_name,
    not_enough_memory, any_exception,
)  # fmt: skip
