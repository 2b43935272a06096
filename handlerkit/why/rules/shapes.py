"""Arrays of another shape or type than a network, or the function that joins them, takes."""

from __future__ import annotations

import re

from handlerkit.messages import Finding
from handlerkit.why import live_values, source_search
from handlerkit.why.effects import FAILED
from handlerkit.why.evidence import Evidence, Rule

_STACK = re.compile(r"stack expects each tensor to be equal size, but got \[([\d, ]*)\] at entry 0 and \[([\d, ]*)\]")
_ONNX_TYPE = re.compile(r"Unexpected input data type\. Actual: \(tensor\((\w+)\)\) ?, expected: \(tensor\((\w+)\)\)")
#: numpy's names of ONNX's types.
_NUMPY = {"float": "float32", "double": "float64", "float16": "float16"}


def unequal_rows(evidence: Evidence) -> Finding | None:
    """torch.stack of what the rows of a batch, or the pictures of a request, were made into."""
    found = _STACK.search(evidence.text)
    if found is None:
        return None
    one, other = ([int(size) for size in group.split(",") if size.strip()] for group in found.groups())
    message = f"torch.stack joins only tensors of one shape, and got [{found[1]}] and [{found[2]}]."
    fix = "Bring each to one shape first: resize images, pad sequences."
    if len(one) == len(other) == 3 and one[0] != other[0] and {one[0], other[0]} <= {1, 2, 3, 4}:
        message += " The images differ in their channels: some are gray, or have an alpha channel."
        fix = "Convert each: image.convert('RGB')."
    return Finding("unequal_rows", message, evidence.where, FAILED, fix)


def onnx_type(evidence: Evidence) -> Finding | None:
    """onnxruntime converts nothing: numpy makes float64 of numbers with a point, and int64 of whole ones."""
    found = _ONNX_TYPE.search(evidence.text)
    if found is None:
        return None
    got, wanted = (_NUMPY.get(name, name) for name in found.groups())
    message = f"The ONNX model takes {wanted}, and got {got}."
    fix = f"Convert it: np.asarray(value, dtype=np.{wanted})."
    if got == "string":
        fix = f"Send numbers: {wanted} cannot be made of text."
    return Finding("onnx_type", message, evidence.where, FAILED, fix)


_FEATURES = re.compile(r"mat1 and mat2 shapes cannot be multiplied \(\d+x(\d+) and (\d+)x\d+\)")
_TENSOR_TYPES = (
    re.compile(r"mat1 and mat2 must have the same dtype, but got (\w+) and (\w+)"),
    re.compile(r"expected m1 and m2 to have the same dtype, but got: (.+) != (.+)"),
    re.compile(
        r"Input type \((?:torch\.)?([\w ]+)\) and (?:bias|weight) type \((?:torch\.)?([\w ]+)\) should be the same"
    ),
)
#: torch's names of types, as it calls them in its errors.
_TORCH = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64", "Int": "int32",
    "Byte": "uint8", "Bool": "bool", "float": "float32", "double": "float64", "c10::Half": "float16",
    "FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16", "LongTensor": "int64",
    "ByteTensor": "uint8", "unsigned char": "uint8", "long": "int64", "int": "int32",
}  # fmt: skip


def feature_count(evidence: Evidence) -> Finding | None:
    """A linear layer and rows of another length."""
    found = _FEATURES.search(evidence.text)
    if found is None:
        return None
    message = f"A layer of the network takes rows of {found[2]} numbers, and got rows of {found[1]}."
    for one in live_values.in_rows(evidence):
        if type(one.value) is list and len(one.value) == int(found[1]):
            message += f" {one.name} holds {found[1]}."
            break
    fix = f"Send {found[2]} numbers, or bring the tensor to (requests, {found[2]}) in preprocess."
    return Finding("feature_count", message, evidence.where, FAILED, fix)


def tensor_type(evidence: Evidence) -> Finding | None:
    """Weights of one type and numbers of another."""
    found = next(filter(None, (pattern.search(evidence.text) for pattern in _TENSOR_TYPES)), None)
    got, wanted = (_TORCH.get(name.strip()) for name in found.groups()) if found is not None else (None, None)
    if got is None or wanted is None:
        return None
    message = f"The network's weights are {wanted}, and it got numbers of type {got}."
    why = {"int64": " torch.tensor makes int64 of whole numbers.", "float64": " numpy makes float64 of numbers."}
    message += why.get(got, "")
    fix = f"Convert them in preprocess: tensor.to(torch.{wanted})."
    return Finding("tensor_type", message, evidence.where, FAILED, fix)


def no_batch(evidence: Evidence) -> Finding | None:
    """One image given to BaseHandler's inference without the dimension that counts the requests."""
    given = source_search.local(evidence, "torch_handler/base_handler.py", "inference", "data")
    shape = tuple(getattr(given, "shape", ()))
    if len(shape) != 3 or shape[0] not in (1, 3, 4) or not _OF_DIMENSIONS.search(evidence.text):
        return None
    message = f"preprocess returned one image, of shape {shape}; a network of images takes (requests, "
    message += "channels, height, width)."
    fix = "Return torch.stack([image, ...]) with one for each row; for one alone image.unsqueeze(0)."
    return Finding("no_batch", message, evidence.where, FAILED, fix)


_OF_DIMENSIONS = re.compile(r"Dimension out of range|[Ee]xpected .*\b(4D\b|4-dimensional)|same number of dim")


def onnx_inputs(evidence: Evidence) -> Finding | None:
    """Other names, or another shape, than the inputs of an ONNX model have."""
    if (
        found := re.search(r"Required inputs \(\[(.+?)\]\) are missing from input feed \(\[(.*?)\]\)", evidence.text)
    ) is not None:
        message = f"The ONNX model's inputs are called {found[1]}, and the handler gives it {found[2] or 'none'}."
        fix = "Take the names from the session: session.get_inputs()[0].name."
        return Finding("onnx_inputs", message, evidence.where, FAILED, fix)
    found = re.search(
        r"Got invalid dimensions for input: (\S+) .*?index: (\d+) Got: (\d+) Expected: (\d+)", evidence.text, re.DOTALL
    )
    if found is None:
        return None
    name, index, got, wanted = found.groups()
    message = f"Dimension {index} of the ONNX model's input {name} is {wanted}, and it got {got} (counted from 0)."
    fix = "Bring the array to that shape, or export the model with dynamic_axes."
    return Finding("onnx_inputs", message, evidence.where, FAILED, fix)


def embedding(evidence: Evidence) -> Finding | None:
    """An embedding takes whole numbers below the number of its rows."""
    if "Expected tensor for argument #1 'indices'" in evidence.text:
        got = re.search(r"got (?:torch\.)?(\w+) instead", evidence.text)
        message = (
            f"An embedding takes whole numbers (int64), and got {_TORCH.get(got[1], got[1]) if got else 'others'}."
        )
        return Finding("embedding", message, evidence.where, FAILED, "Convert them in preprocess: tensor.long().")
    if evidence.text != "index out of range in self":
        return None
    message = "An embedding got a number that it has no row for: it is negative, or not below the vocabulary's size."
    fix = "Make the numbers with the tokenizer or vocabulary that the model was trained with."
    return Finding("embedding", message, evidence.where, FAILED, fix)


def training_mode(evidence: Evidence) -> Finding | None:
    """Batch normalization of a network that was not set to evaluation."""
    if "Expected more than 1 value per channel when training" not in evidence.text:
        return None
    message = "The network is in training mode, in which batch normalization takes no batch of one."
    return Finding("training_mode", message, evidence.where, FAILED, "Call self.model.eval() in initialize.")


RULES: tuple[Rule, ...] = (
    unequal_rows, onnx_type, onnx_inputs, feature_count, tensor_type, embedding, training_mode, no_batch,
)  # fmt: skip
