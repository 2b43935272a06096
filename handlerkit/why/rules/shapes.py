"""Arrays of another shape or type than a network, or the function that joins them, takes."""

from __future__ import annotations

import re

from handlerkit.messages import Finding
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


RULES: tuple[Rule, ...] = (unequal_rows, onnx_type)
