"""The client's half of TorchServe's request envelopes: what a client of each sends, and where its answer stands.

The server's half is TorchServe's own (`ts.torch_handler.request_envelope`); a Worker runs it when its
config_properties name a service_envelope.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from handlerkit.errors import RequestError
from handlerkit.messages import Request, Response
from handlerkit.serving import torchserve_facts as facts

NAMES = facts.ENVELOPES


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
    if name not in facts.ENVELOPES:
        raise RequestError(f"the envelopes are {', '.join(facts.ENVELOPES)}, not {name!r}")
    if isinstance(payload, Request):
        if name == "body" and not as_tensor:
            return payload
        rest = {
            "method": payload.method, "path": payload.path, "query": payload.query, "label": payload.label,
            "headers": _without_type(payload), **rest,
        }  # fmt: skip
        payload = _value(payload)
    if as_tensor:
        payload = _pixels(payload)
    if name == "body":
        return Request(body=payload, **rest) if isinstance(payload, bytes) else Request.json(_plain(payload), **rest)
    if name == "kservev2":
        _route(rest, model, "/v2/models/{}/infer")
        return Request.json({"inputs": [_tensor(payload)]}, **rest)
    if name == "kserve":
        _route(rest, model, "/v1/models/{}:predict")
        if isinstance(payload, bytes | bytearray):
            payload = {"data": base64.b64encode(payload).decode()}  # KServe's own form for TorchServe
    return Request.json({"instances": [_plain(payload)]}, **rest)


def unwrap(name: str, response: Response) -> Any:
    """The answer inside a response of this envelope, for the one payload that `wrap` sent.

    json and kserve give the first of "predictions" (or "explanations"), kservev2 the data of each output, body the
    JSON value or, where the body is none, its bytes. Raises ValueError where the response has another form.
    """
    if name == "body":
        try:
            return response.json()
        except ValueError:
            return response.body
    answer = response.json()
    if name == "kservev2":
        outputs = [output["data"] for output in _member(answer, "outputs")]
        return outputs[0] if len(outputs) == 1 else outputs
    key = "explanations" if isinstance(answer, dict) and "explanations" in answer else "predictions"
    return _member(answer, key)[0]


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


def _route(rest: dict[str, Any], model: str | None, path: str) -> None:
    if model is not None and rest.get("path") is None:
        rest["path"] = path.format(model)


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
