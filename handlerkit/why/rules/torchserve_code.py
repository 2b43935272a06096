"""Why TorchServe's own Python code fails: its ready-made handlers (base_handler, image_classifier), its metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping

from handlerkit.formatting import with_article
from handlerkit.messages import Finding
from handlerkit.why import source_search
from handlerkit.why.effects import FAILED
from handlerkit.why.evidence import Evidence, Rule
from handlerkit.why.rules import unreadable_values
from handlerkit.why.rules.model_output import as_list, is_model_output


def _inside(evidence: Evidence, file: str, function: str) -> bool:
    return any(name == function and where.endswith(f"torch_handler/{file}.py") for where, name in evidence.functions)


def rows_as_tensor(evidence: Evidence) -> Finding | None:
    if not _inside(evidence, "base_handler", "preprocess") or "dict" not in evidence.text:
        return None
    message = (
        "BaseHandler makes a tensor of data as it is, but data is a list of dicts: one {'body': value} per request."
    )
    fix = (
        "Write preprocess: return torch.tensor([row.get('data') or row.get('body') for row in data]); "
        "or set service_envelope=body, which passes only the values on."
    )
    return Finding("rows_as_tensor", message, evidence.where, FAILED, fix)


def too_few_classes(evidence: Evidence) -> Finding | None:
    if "selected index k out of range" not in evidence.text:
        return None
    if not _inside(evidence, "image_classifier", "postprocess"):
        message = "torch.topk is asked for more of the largest values than the tensor has in that dimension."
        fix = "Ask for no more than there are: torch.topk(values, min(k, values.shape[-1]))."
        return Finding("topk", message, evidence.where, evidence.effect, fix)
    count = getattr(source_search.local(evidence, "image_classifier.py", "postprocess", "self"), "topk", None)
    best = (
        "its topk best classes, 5 unless the handler sets another number"
        if count is None
        else f"the {count} best classes"
    )
    message = f"ImageClassifier answers with {best}, and the model has fewer."
    fix = "Set a smaller number in a handler of your own: class Mine(ImageClassifier): topk = 3."
    return Finding("topk", message, evidence.where, FAILED, fix)


def image_channels(evidence: Evidence) -> Finding | None:
    if not any(name == "normalize" and file.startswith("torchvision/") for file, name in evidence.functions):
        return None
    if "size of tensor" not in evidence.text and "broadcast shape" not in evidence.text:
        return None
    mean = source_search.local(evidence, "_functional_tensor.py", "normalize", "mean")
    if mean is not None and len(mean) != 3:  # it is a tensor by then
        return None
    message = "The image is not RGB (it is gray, or has transparency), but the normalization has one number per color."
    fix = "Convert it in preprocess: image = image.convert('RGB'); TorchServe's image handlers do not."
    return Finding("image_channels", message, evidence.where, FAILED, fix)


def unnamed_class(evidence: Evidence) -> Finding | None:
    if not isinstance(evidence.error, KeyError) or not evidence.functions or not evidence.error.args:
        return None
    if not any(name == "map_class_to_label" for _, name in evidence.functions):
        return None
    message = f"index_to_name.json has no name for the class {evidence.error.args[0]!r}, which the model predicted."
    return Finding(
        "labels", message, evidence.where, FAILED, f'Add "{evidence.error.args[0]}": "its name" to that file.'
    )


def explain_target(evidence: Evidence) -> Finding | None:
    if not isinstance(evidence.error, AssertionError) or "arget" not in evidence.text or not evidence.functions:
        return None
    if not any(name in ("explain_handle", "get_insights") for _, name in evidence.functions):
        return None
    message = (
        "The class to explain, 'target', came as a form field, which is bytes, and captum requires a whole number."
    )
    fix = "Send it as a file part with its type: -F 'target=@target.json;type=application/json'."
    return Finding("explain_target", message, evidence.where, FAILED, fix)


def image_row(evidence: Evidence) -> Finding | None:
    """VisionHandler reads 'data' or 'body': an image file, base64 text, or a list of numbers."""
    if not _inside(evidence, "vision_handler", "preprocess") or "must be a sequence" not in evidence.text:
        return None
    if "NoneType" in evidence.text:
        there = (
            ", ".join(repr(parameter.name) for job in evidence.attempt.jobs for parameter in job.parameters)
            or "nothing"
        )
        message = f"TorchServe's image handlers read the field 'data' or a plain body; the request has {there}."
        return Finding("image_row", message, evidence.where, FAILED, "Send it as -F data=@image.png, or -T image.png.")
    message = "TorchServe's image handlers take an image file, base64 text or a list of numbers, but got a JSON object."
    return Finding("image_row", message, evidence.where, FAILED, "Send the image file itself: curl -T image.png.")


def metric_arguments(evidence: Evidence) -> Finding | None:
    """The metrics' methods raise for wrong units, names and values."""
    if not evidence.functions or evidence.frame is None:
        return None
    if "ts/metrics/" not in evidence.functions[-1][0] and not re.match(r"Metric\w+\.add_\w+\(\) ", evidence.text):
        return None
    message = f"The metric does not take what it was given ({evidence.error_line})."
    fix = 'Give a name as text, a number, and a known unit: context.metrics.add_time("Mine", 1.5, None, "ms").'
    return Finding("metric_arguments", message, evidence.where, FAILED, fix)


def no_insights(evidence: Evidence) -> Finding | None:
    if not isinstance(evidence.error, AttributeError) or evidence.error.name != "get_insights":
        return None
    message = "explain_handle was called, which needs a method get_insights, and the handler has none."
    fix = (
        "Call explain_handle for explanations only, in the else of `if not self._is_explain():`, and write "
        "get_insights(self, tensor, text, target) for them."
    )
    if evidence.frame is None:  # it is BaseHandler's handle that calls it
        fix = "Write get_insights(self, tensor, text, target), or ask for a prediction at /predictions/MODEL."
    return Finding("no_insights", message, evidence.where, FAILED, fix)


def session_called(evidence: Evidence) -> Finding | None:
    """ONNX weights are an onnxruntime session, which BaseHandler, too, takes for a network."""
    found = re.search(r"'(\w+)' object (?:is not callable|has no attribute '(\w+)')", evidence.text)
    if found is None or found[1] not in ("InferenceSession", "ModelProto"):
        return None
    if found[1] == "ModelProto":
        message = "onnx.load gives the description of a network, which does not run by itself."
        fix = "Load the file with onnxruntime.InferenceSession(path), and call its run(None, {name: array})."
        return Finding("session_called", message, evidence.where, evidence.effect, fix)
    message = "The model is ONNX, which loads as an onnxruntime session: it cannot be called like a network"
    message += f", and has no method {found[2]}." if found[2] else "."
    fix = (
        "Write inference: name = self.model.get_inputs()[0].name; "
        "return torch.from_numpy(self.model.run(None, {name: data.cpu().numpy()})[0])."
    )
    if found[2] and evidence.frame is not None:
        fix = f"Leave .{found[2]}(...) out. {fix}"
    return Finding("session_called", message, evidence.where, evidence.effect, fix)


def base_postprocess(evidence: Evidence) -> Finding | None:
    """BaseHandler.postprocess calls data.tolist()."""
    kind = _without_attribute(evidence, "postprocess", "tolist")
    if kind is None:
        return None
    given = getattr(evidence.error, "obj", None)
    message = (
        f"{_ran(evidence, 'postprocess')} calls tolist() on what inference returned, which is {with_article(kind)}."
    )
    fix = "return a list with one element per request"
    if is_model_output(given) or "Output" in kind:
        fix = f"return data{as_list(kind, given)}"
    elif isinstance(given, Mapping) and len(given) == 1:
        fix = f"return data[{next(iter(given))!r}].tolist()"
    return Finding("base_stage", message, evidence.where, FAILED, f"Write postprocess(self, data): {fix}.")


def base_inference(evidence: Evidence) -> Finding | None:
    """BaseHandler.inference calls self.model(data.to(device))."""
    kind = _without_attribute(evidence, "inference", "to")
    if kind is None and _inside(evidence, "base_handler", "inference") and isinstance(evidence.error, AttributeError):
        given = source_search.local(evidence, "base_handler.py", "inference", "data")
        kind = "BatchEncoding" if "BatchEncoding" in f"{evidence.text} {type(given).__name__}" else None
    if kind is None:
        return None
    returned = "None" if kind == "NoneType" else with_article(kind)
    message = f"{_ran(evidence, 'inference')} gives the model one tensor, and preprocess returned {returned}."
    fix = {
        "list": "Return one tensor from preprocess (torch.stack, torch.tensor), or write inference(self, data).",
        "tuple": "Write inference(self, data): return self.model(*data).",
        "ndarray": "Return a tensor from preprocess: torch.from_numpy(array).",
        "NoneType": "Return the tensor from preprocess: its return statement is missing.",
        "Image": "Return one tensor from preprocess: torchvision.transforms.functional.to_tensor(image)[None].",
        "dict": "Write inference(self, data): return self.model(**data).",
        "BatchEncoding": "Write inference(self, data): return self.model(**data).",
    }.get(kind, "Return a tensor from preprocess, or write inference(self, data).")
    return Finding("base_stage", message, evidence.where, FAILED, fix)


def more_arguments(evidence: Evidence) -> Finding | None:
    """A network of several inputs."""
    missing = r"forward\(\) (?:is missing value for argument|missing \d+ required .*?arguments?:) '(\w+)'"
    found = re.search(missing, evidence.text)
    if found is None or not _inside(evidence, "base_handler", "inference"):
        return None
    message = f"BaseHandler's inference gives the network one tensor, and its forward takes more: {found[1]}."
    fix = "Return a tuple from preprocess, and write inference(self, data): return self.model(*data)."
    return Finding("base_stage", message, evidence.where, FAILED, fix)


def _without_attribute(evidence: Evidence, stage: str, attribute: str) -> str | None:
    """The class's name of what a stage of BaseHandler was given, if it lacks an attribute that the stage needs."""
    found = re.search(rf"'(?:[\w.]+\.)?(\w+)' object has no attribute '{attribute}'", evidence.text)
    inner = evidence.functions[-1] if evidence.functions else ("", "")
    is_base = inner[1] == stage and inner[0].endswith("torch_handler/base_handler.py")
    return found[1] if found is not None and is_base else None


def _ran(evidence: Evidence, stage: str) -> str:
    if evidence.frame is not None and evidence.frame.function == stage:
        return f"BaseHandler's {stage}"
    return f"The handler has no {stage} of its own, so BaseHandler's ran: it"


def scripted_detector(evidence: Evidence) -> Finding | None:
    """TorchScript holds torchvision's detectors to the list that their forward declares."""
    if "Expected a value of type 'List[Tensor]'" not in evidence.text or not _inside(
        evidence, "base_handler", "inference"
    ):
        return None
    message = "The TorchScript model takes a list of images, and BaseHandler gives it one stacked tensor."
    fix = (
        "Serve the detector in eager mode (a model file and its state_dict), or write inference: "
        "return self.model(list(data))[1]."
    )
    return Finding("scripted_detector", message, evidence.where, FAILED, fix)


RULES: tuple[Rule, ...] = (
    metric_arguments, no_insights, unreadable_values.not_an_image, image_row, rows_as_tensor, too_few_classes,
    image_channels, unnamed_class, explain_target, session_called, scripted_detector, base_postprocess,
    base_inference, more_arguments,
)  # fmt: skip
