"""Why TorchServe's own Python code fails: its ready-made handlers (base_handler, image_classifier), its metrics."""

from __future__ import annotations

from handlerkit.messages import Finding
from handlerkit.why.evidence import FAILED, Evidence, Rule


def _inside(seen: Evidence, file: str, function: str) -> bool:
    return any(name == function and where.endswith(f"torch_handler/{file}.py") for where, name in seen.functions)


def rows_as_tensor(seen: Evidence) -> Finding | None:
    if not _inside(seen, "base_handler", "preprocess") or "dict" not in seen.text:
        return None
    what = "BaseHandler makes a tensor of data as it is, and data is a list of dicts: one {'body': value} per request."
    change = (
        "Write preprocess: return torch.tensor([row.get('data') or row.get('body') for row in data]); "
        "or set service_envelope=body, which hands over the values alone."
    )
    return Finding("rows_as_tensor", what, seen.where, FAILED, change)


def too_few_classes(seen: Evidence) -> Finding | None:
    if "selected index k out of range" not in seen.text:
        return None
    what = "More best classes are asked for than the model has; ImageClassifier answers with the 5 best."
    change = "Set a smaller number in a handler of your own: class Mine(ImageClassifier): topk = 3."
    return Finding("topk", what, seen.where, FAILED, change)


def image_channels(seen: Evidence) -> Finding | None:
    if not any(name == "normalize" for _, name in seen.functions):
        return None
    if "size of tensor" not in seen.text and "broadcast shape" not in seen.text:
        return None
    what = "The image is not RGB (grey, or with transparency), and the normalisation has three numbers, one per colour."
    change = "Convert it in preprocess: image = image.convert('RGB'); TorchServe's image handlers do not."
    return Finding("image_channels", what, seen.where, FAILED, change)


def unnamed_class(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, KeyError) or not seen.functions or not seen.error.args:
        return None
    if not any(name == "map_class_to_label" for _, name in seen.functions):
        return None
    what = f"index_to_name.json has no name for the class {seen.error.args[0]!r}, which the model answered with."
    return Finding("labels", what, seen.where, FAILED, f'Add "{seen.error.args[0]}": "its name" to that file.')


def explain_target(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, AssertionError) or "arget" not in seen.text or not seen.functions:
        return None
    if not any(name in ("explain_handle", "get_insights") for _, name in seen.functions):
        return None
    what = "The class to explain, 'target', came as a form field, which is bytes, and captum wants a whole number."
    change = "Send it as a file part with its type: -F 'target=@target.json;type=application/json'."
    return Finding("explain_target", what, seen.where, FAILED, change)


def not_an_image(seen: Evidence) -> Finding | None:
    if type(seen.error).__name__ != "UnidentifiedImageError":
        return None
    what = "The bytes are no image that PIL can read."
    if any(job.parameters and bytes(job.parameters[0].value[:2]) == b"--" for job in seen.jobs):
        what += " They begin like a multipart form, which was sent as a plain body."
    change = "Send the image file itself: curl -T image.png, or -F data=@image.png; base64 only as text/plain."
    return Finding("not_an_image", what, seen.where, FAILED, change)


def image_row(seen: Evidence) -> Finding | None:
    """VisionHandler reads 'data' or 'body': an image file, base64 text, or a list of numbers."""
    if not _inside(seen, "vision_handler", "preprocess") or "must be a sequence" not in seen.text:
        return None
    if "NoneType" in seen.text:
        there = ", ".join(repr(parameter.name) for job in seen.jobs for parameter in job.parameters) or "nothing"
        what = f"TorchServe's image handlers read the field 'data', or a plain body; the request has {there}."
        return Finding("image_row", what, seen.where, FAILED, "Send it as -F data=@image.png, or -T image.png.")
    what = "TorchServe's image handlers take an image file, base64 text or a list of numbers, but got a JSON object."
    return Finding("image_row", what, seen.where, FAILED, "Send the image file itself: curl -T image.png.")


def metric_arguments(seen: Evidence) -> Finding | None:
    """The metrics' methods raise for wrong units, names and values."""
    if not seen.functions or "ts/metrics/" not in seen.functions[-1][0] or seen.frame is None:
        return None
    what = f"The metric was given something it does not take ({seen.name})."
    change = 'Give a name as text, a number, and a unit it knows: context.metrics.add_time("Mine", 1.5, None, "ms").'
    return Finding("metric_arguments", what, seen.where, FAILED, change)


def no_insights(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, AttributeError) or seen.error.name != "get_insights":
        return None
    what = "explain_handle was called, and needs a method get_insights of the handler, which has none."
    change = (
        "Call explain_handle for explanations alone: in the else of `if not self._is_explain():`; and write "
        "get_insights(self, tensor, text, target) for them."
    )
    return Finding("no_insights", what, seen.where, FAILED, change)


def session_called(seen: Evidence) -> Finding | None:
    """BaseHandler loads .onnx weights as an onnxruntime session, and calls its model as a network."""
    if "'InferenceSession' object is not callable" not in seen.text:
        return None
    what = (
        "The weights are ONNX, which BaseHandler loads as an onnxruntime session; it cannot be called like a network."
    )
    change = (
        "Write inference: name = self.model.get_inputs()[0].name; "
        "return torch.from_numpy(self.model.run(None, {name: data.cpu().numpy()})[0])."
    )
    return Finding("session_called", what, seen.where, FAILED, change)


def scripted_detector(seen: Evidence) -> Finding | None:
    """TorchScript holds torchvision's detectors to the list that their forward declares."""
    if "Expected a value of type 'List[Tensor]'" not in seen.text or not _inside(seen, "base_handler", "inference"):
        return None
    what = "The TorchScript model takes a list of images, and BaseHandler hands over one stacked tensor."
    change = (
        "Serve the detector in eager mode (a model file and its state_dict), or write inference: "
        "return self.model(list(data))[1]."
    )
    return Finding("scripted_detector", what, seen.where, FAILED, change)


DEFAULT_RULES: tuple[Rule, ...] = (
    metric_arguments, no_insights, not_an_image, image_row, rows_as_tensor, too_few_classes, image_channels,
    unnamed_class, explain_target, session_called, scripted_detector,
)  # fmt: skip
