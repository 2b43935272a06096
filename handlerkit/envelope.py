"""The client's half of TorchServe's request envelopes: what a client of each sends, and where its answer is.

The server's half is TorchServe's own (`ts.torch_handler.request_envelope`); a Worker runs it if its config_properties
name a service_envelope. To add one, add an `Envelope` to ENVELOPES: config.properties, the magics and the rules of
`handlerkit.why` then take its name.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from handlerkit.errors import RequestError
from handlerkit.messages import Request, Response


@dataclass(frozen=True)
class Envelope:
    """What a client and the rules know of one envelope.

    Attributes:
        name: the value of service_envelope.
        wrap: makes a payload the body of a request: bytes, or a JSON value.
        unwrap: takes the payload's answer out of a response; raises ValueError for one of another form.
        takes: a body that it reads, for a finding's fix.
        returns: what a handler returns to it, for a finding's fix.
        route: the path of its own protocol, with {} for the model's name; None for /predictions.
        first_only: whether it reads the first request of a batch alone.
        flat: whether it answers with flat data, so that a number is the same as a list of one.
    """

    name: str
    wrap: Callable[[Any], Any]
    unwrap: Callable[[Response], Any]
    takes: str
    returns: str = "a list of plain numbers, texts, lists and dicts: one element per instance"
    route: str | None = None
    first_only: bool = False
    flat: bool = False


def wrap(name: str, payload: Any, *, as_tensor: bool = False, model: str | None = None, **rest: Any) -> Request:
    """The request a client of this envelope sends for one payload.

    Args:
        name: body, json (TensorFlow Serving's form), kserve (v1) or kservev2 (the Open Inference Protocol).
        payload: a JSON value, bytes (an image's file), an array or tensor, or a Request whose body is one of these.
            Arrays go as nested lists.
        as_tensor: send an image's pixels, an array [H, W, 3] of uint8, instead of its file.
        model: its name, for the kserve routes /v1/models/<model>:predict and /v2/models/<model>/infer; without
            it the request goes to /predictions.
        rest: headers, method, path, query, label of the Request.

    What TorchServe's half makes of it is one element of the handler's `data`::

        body      the JSON value, or the bytes as a bytearray
        json      the JSON value, or the bytes: sent as {"b64": base64}, it decodes them again
        kserve    the JSON value, or {"data": base64} for bytes: TorchServe's image handlers read this, others decode it
        kservev2  {"name", "shape", "datatype", "data"}: an array as nested lists with its shape and datatype, so
                  UINT8 and [H, W, 3] for pixels; text as it is and bytes as base64, both of datatype BYTES, of which
                  the envelope hands over the first element alone

    Raises RequestError for an unknown name and for a payload that JSON cannot carry.
    """
    envelope = named(name)
    if isinstance(payload, Request):
        if name == "body" and not as_tensor:
            return payload
        rest = {
            "method": payload.method, "path": payload.path, "query": payload.query, "label": payload.label,
            "headers": _without_type(payload), **rest,
        }  # fmt: skip
        payload = _value(payload)
    if envelope.route is not None and model is not None and rest.get("path") is None:
        rest["path"] = envelope.route.format(model)
    body = envelope.wrap(_pixels(payload) if as_tensor else payload)
    return Request(body=body, **rest) if isinstance(body, bytes) else Request.json(body, **rest)


def unwrap(name: str, response: Response) -> Any:
    """The answer inside a response of this envelope, for the one payload that `wrap` sent.

    json and kserve give the first of "predictions" (or "explanations"), kservev2 the data of each output, body the
    JSON value or, if the body is none, its bytes. Raises ValueError for a response of another form, and RequestError
    for an unknown name.
    """
    return named(name).unwrap(response)


def named(name: str) -> Envelope:
    """The envelope of that name. Raises RequestError, which lists them, for an unknown one."""
    if name not in ENVELOPES:
        raise RequestError(f"the envelopes are {', '.join(ENVELOPES)}, not {name!r}")
    return ENVELOPES[name]


def _raw(payload: Any) -> Any:
    return payload if isinstance(payload, bytes) else _plain(payload)


def _instances(payload: Any) -> Any:
    return {"instances": [_plain(payload)]}


def _kserve_instances(payload: Any) -> Any:
    if isinstance(payload, bytes | bytearray):
        payload = {"data": base64.b64encode(payload).decode()}  # KServe's own form for TorchServe
    return _instances(payload)


def _inputs(payload: Any) -> Any:
    return {"inputs": [_tensor(payload)]}


def _json_or_bytes(response: Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return response.body


def _first_prediction(response: Response) -> Any:
    answer = response.json()
    key = "explanations" if isinstance(answer, dict) and "explanations" in answer else "predictions"
    return _member(answer, key)[0]


def _outputs(response: Response) -> Any:
    outputs = [output["data"] for output in _member(response.json(), "outputs")]
    return outputs[0] if len(outputs) == 1 else outputs


def _member(answer: Any, key: str) -> Any:
    if not isinstance(answer, dict) or not answer.get(key):
        raise ValueError(f"this answer has no {key!r}")
    return answer[key]


def _value(request: Request) -> Any:
    """The payload in a request's body, as its Content-Type says."""
    kind = (request.content_type or "").partition(";")[0].strip().lower()
    if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        raise RequestError("a form cannot be wrapped: an envelope takes one payload, such as a file or JSON")
    try:
        if kind == "application/json":
            return json.loads(request.body)
        return request.body.decode() if kind.startswith("text/") else request.body
    except ValueError as problem:
        raise RequestError(f"this {kind} cannot be read to be wrapped: {problem}") from None


def _pixels(payload: Any) -> Any:
    """An image's bytes as an array [H, W, 3] of uint8."""
    import io

    import numpy as np
    from PIL import Image

    if not isinstance(payload, bytes | bytearray):
        raise RequestError(f"as_tensor takes the bytes of an image, not {type(payload).__name__}")
    try:
        with Image.open(io.BytesIO(payload)) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as problem:
        raise RequestError("as_tensor takes the bytes of an image, and these cannot be read as one") from problem


def _without_type(request: Request) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in request.headers if pair[0].lower() != "content-type")


def _plain(payload: Any) -> Any:
    """What JSON carries of a payload."""
    if isinstance(payload, bytes | bytearray):
        return {"b64": base64.b64encode(payload).decode()}
    return payload.tolist() if hasattr(payload, "tolist") else payload


def _tensor(payload: Any) -> dict[str, Any]:
    """One input of the Open Inference Protocol: name, shape, datatype, flat data."""
    if isinstance(payload, bytes | bytearray | str):
        text = payload if isinstance(payload, str) else base64.b64encode(payload).decode()
        return {"name": "input-0", "shape": [1], "datatype": "BYTES", "data": [text]}
    import numpy as np

    try:
        array = np.asarray(payload.detach().cpu() if hasattr(payload, "detach") else payload)
    except (TypeError, ValueError) as problem:  # a tensor of a type numpy lacks, rows of several lengths
        raise RequestError(f"kservev2 takes an array with one type and one shape: {problem}") from None
    kinds = {"b": "BOOL", "u": "UINT", "i": "INT", "f": "FP"}
    if array.dtype.kind not in kinds:
        other = f"an array of {array.dtype}" if array.ndim else f"a {type(payload).__name__}"
        raise RequestError(f"kservev2 carries numbers, bools, text and bytes, not {other}")
    bits = "" if array.dtype.kind == "b" else str(array.dtype.itemsize * 8)
    datatype = kinds[array.dtype.kind] + bits
    return {"name": "input-0", "shape": list(array.shape), "datatype": datatype, "data": array.ravel().tolist()}


_INSTANCES = '{"instances": [first, second]} with Content-Type: application/json'
_TENSORS = '{"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}]} as application/json'

#: Those of TorchServe 0.12, by their names (ts.torch_handler.request_envelope).
ENVELOPES = {
    envelope.name: envelope
    for envelope in (
        Envelope("body", _raw, _json_or_bytes, takes="a body of any kind"),
        Envelope("json", _instances, _first_prediction, takes=_INSTANCES),
        Envelope(
            "kserve", _kserve_instances, _first_prediction, takes=_INSTANCES,
            route="/v1/models/{}:predict", first_only=True,
        ),
        Envelope(
            "kservev2", _inputs, _outputs, takes=_TENSORS,
            returns=f"{Envelope.returns}, and no more of them than inputs",
            route="/v2/models/{}/infer", first_only=True, flat=True,
        ),
    )
}  # fmt: skip
