"""The client's half of the envelopes, held against TorchServe's own half in a Worker."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from handlerkit import envelope
from handlerkit.endpoints.config_properties import read_config
from handlerkit.endpoints.worker import Worker
from handlerkit.envelope import ENVELOPES
from handlerkit.errors import RequestError
from handlerkit.messages import Part, Request, Response, Run
from handlerkit.model import Model
from handlerkit.verify import verify

PIXELS = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
IMAGE = b"\x89PNG\r\n\x1a\n\xff"
SEEN = """
def handle(data, context):
    if data is None:
        return None
    return [one["data"] if isinstance(one, dict) and "data" in one else one for one in data]
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model whose handler answers what it was given (of a tensor, its data)."""
    handler = tmp_path_factory.mktemp("envelopes") / "seen.py"
    handler.write_text(SEEN)
    return Model("seen", handler=handler)


@pytest.fixture(scope="module")
def workers(model: Model) -> dict[str, Worker]:
    """That model's worker, by envelope."""
    with Worker(model) as worker:
        yield {name: worker.with_envelope(name) for name in envelope.ENVELOPES}


def sent(workers: dict[str, Worker], name: str, payload: Any, **options: Any) -> Run:
    run = workers[name].predict(envelope.wrap(name, payload, **options))
    assert run.ok, run.findings
    return run


@pytest.mark.parametrize("name", envelope.ENVELOPES)
@pytest.mark.parametrize("payload", [[1, 2, 3], [[0.5], [1.5]], "text"], ids=str)
def test_handler_sees_the_payload_and_the_client_the_answer(workers, name: str, payload: Any) -> None:
    run = sent(workers, name, payload)
    (seen,) = run.data
    assert (seen["data"] if name == "kservev2" else seen) == payload
    answer = envelope.unwrap(name, run.response)
    if name == "kservev2":
        assert answer == list(np.ravel(payload))
    elif (name, payload) == ("body", "text"):
        assert answer == b"text"  # a str is answered as it is, and that is no JSON
    else:
        assert answer == payload


@pytest.mark.parametrize("name", ["body", "json", "kserve"])
def test_objects_arrive_as_they_are(workers, name: str) -> None:
    run = sent(workers, name, {"a": [1, None]})
    assert run.data == [{"a": [1, None]}]
    assert envelope.unwrap(name, run.response) == {"a": [1, None]}


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("body", bytearray(IMAGE)),
        ("json", IMAGE),
        ("kserve", {"data": base64.b64encode(IMAGE).decode()}),
    ],
)
def test_bytes_of_an_image(workers, name: str, seen: Any) -> None:
    request = envelope.wrap(name, IMAGE)
    assert workers[name].predict(request).data == [seen]


@pytest.mark.parametrize("name", ["kserve", "kservev2"])
def test_handlers_of_torchserve_read_an_image(workers, name: str) -> None:
    import torch
    from ts.torch_handler.vision_handler import VisionHandler

    handler = VisionHandler()
    handler.device, handler.image_processing = "cpu", lambda image: torch.tensor(np.array(image))
    batch = handler.preprocess(workers[name].predict(envelope.wrap(name, picture())).data)
    assert np.array_equal(batch, [PIXELS])


def picture(kind: str = "PNG", mode: str = "RGB") -> bytes:
    """The file of an image [1, 2, 3]."""
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("payload", [picture(), Request(body=picture())], ids=["bytes", "request"])
def test_pixels_of_an_image_are_a_tensor(workers, payload: bytes | Request) -> None:
    run = sent(workers, "kservev2", payload, as_tensor=True)
    assert run.data == [{"name": "input-0", "shape": [1, 2, 3], "datatype": "UINT8", "data": PIXELS.tolist()}]
    assert envelope.unwrap("kservev2", run.response) == PIXELS.ravel().tolist()


@pytest.mark.parametrize("name", ["body", "json", "kserve"])
def test_pixels_of_an_image_are_nested_lists(workers, name: str) -> None:
    request = Request(body=picture(), headers={"Content-Type": "image/png"}, label="coins.png")
    run = sent(workers, name, request, as_tensor=True)
    assert run.data == [PIXELS.tolist()]
    assert (run.request.label, run.request.content_type) == ("coins.png", "application/json")


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_pixels_have_three_channels(mode: str) -> None:
    (tensor,) = json.loads(envelope.wrap("kservev2", picture(mode=mode), as_tensor=True).body)["inputs"]
    assert tensor["shape"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("payload", "says"), [(b"no image", "these cannot be read as one"), ([1, 2], "the bytes of an image, not list")]
)
def test_pixels_of_something_else(payload: Any, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        envelope.wrap("kservev2", payload, as_tensor=True)


def test_bytes_of_an_image_in_a_tensor(workers) -> None:
    text = base64.b64encode(IMAGE).decode()
    run = sent(workers, "kservev2", IMAGE)
    assert run.data == [{"name": "input-0", "shape": [1], "datatype": "BYTES", "data": text}]
    assert envelope.unwrap("kservev2", run.response) == [text]


@pytest.mark.parametrize(
    ("dtype", "datatype"),
    [
        (np.bool_, "BOOL"),
        (np.uint8, "UINT8"),
        (np.int16, "INT16"),
        (np.int64, "INT64"),
        (np.float16, "FP16"),
        (np.float32, "FP32"),
        (np.float64, "FP64"),
    ],
)
def test_array_travels_with_its_type_and_shape(workers, dtype: type, datatype: str) -> None:
    array = np.array([[0, 1, 1], [1, 0, 1]], dtype)
    run = sent(workers, "kservev2", array)
    (tensor,) = run.data
    assert (tensor["datatype"], tensor["shape"]) == (datatype, [2, 3])
    assert np.array_equal(np.array(tensor["data"], dtype), array)
    assert np.array_equal(envelope.unwrap("kservev2", run.response), array.ravel())  # TorchServe answers flat


def test_scalar_is_a_tensor_without_dimensions(workers) -> None:
    run = workers["kservev2"].predict(envelope.wrap("kservev2", np.float32(1.5)))
    assert run.data[0]["data"] == 1.5


@pytest.mark.parametrize("name", envelope.ENVELOPES)
def test_tensor_that_needs_its_gradient(workers, name: str) -> None:
    import torch

    run = sent(workers, name, torch.tensor([1.0, 2.0], requires_grad=True))
    assert envelope.unwrap(name, run.response) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("name", "path"), [("kserve", "/v1/models/seen:predict"), ("kservev2", "/v2/models/seen/infer")]
)
def test_model_chooses_the_protocol_s_route(workers, name: str, path: str) -> None:
    run = sent(workers, name, [1], model="seen")
    assert run.request.path == path
    assert envelope.unwrap(name, run.response) == [1]


def test_explanations_of_kserve(workers) -> None:
    request = envelope.wrap("kserve", [1], path="/v1/models/seen:explain")
    response = workers["kserve"].predict(request).response
    assert response.json() == {"explanations": [[1]]}
    assert envelope.unwrap("kserve", response) == [1]


@pytest.mark.parametrize(
    ("request_", "instance"),
    [
        (Request.json([1, 2]), [1, 2]),
        (Request.json([1], headers={"content-type": "application/json; charset=utf-8"}), [1]),
        (Request.text("hello"), "hello"),
        (Request(body=IMAGE, headers={"Content-Type": "image/png"}), {"b64": base64.b64encode(IMAGE).decode()}),
        (Request(body=b"{}"), {"b64": "e30="}),
    ],
)
def test_request_is_wrapped_as_its_type_says(request_: Request, instance: Any) -> None:
    wrapped = envelope.wrap("json", request_)
    assert json.loads(wrapped.body) == {"instances": [instance]}
    assert wrapped.content_type == "application/json"


def test_request_keeps_everything_but_its_body() -> None:
    request = Request("PUT", "/predictions/m/2.0", {"X-Mood": "glad"}, "a=1", b"[1]", label="one.json")
    wrapped = envelope.wrap("kserve", request)
    assert (wrapped.method, wrapped.path, wrapped.query, wrapped.label) == (
        "PUT",
        "/predictions/m/2.0",
        "a=1",
        "one.json",
    )
    assert wrapped.header("X-Mood") == "glad"


def test_route_of_the_model_where_the_request_has_none() -> None:
    assert envelope.wrap("kserve", Request.json([1]), model="m").path == "/v1/models/m:predict"
    assert envelope.wrap("kserve", Request.json([1], path="/mine"), model="m").path == "/mine"


def test_body_wraps_nothing() -> None:
    request = Request.json([1])
    assert envelope.wrap("body", request) is request


@pytest.mark.parametrize(
    ("name", "payload", "says"),
    [
        ("soap", 1, f"the envelopes are {', '.join(ENVELOPES)}, not 'soap'"),
        ("json", {1, 2}, "cannot be sent as JSON"),
        ("json", Request(body=b"{", headers={"Content-Type": "application/json"}), "application/json cannot be read"),
        ("json", Request.multipart(Part("a", "1")), "a form cannot be wrapped"),
        ("kservev2", [[1], [1, 2]], "one type and one shape"),
        ("kservev2", {"a": 1}, "not a dict"),
        ("kservev2", [None], "not an array of object"),
        ("kservev2", np.array([1j]), "not an array of complex128"),
    ],
)
def test_what_cannot_be_wrapped(name: str, payload: Any, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        envelope.wrap(name, payload)


def test_tensor_of_a_type_that_numpy_lacks() -> None:
    import torch

    with pytest.raises(RequestError, match="one type and one shape"):
        envelope.wrap("kservev2", torch.zeros(2, dtype=torch.bfloat16))


@pytest.mark.parametrize(("name", "key"), [("json", "predictions"), ("kserve", "predictions"), ("kservev2", "outputs")])
@pytest.mark.parametrize("body", [b"{}", b"[1]", b'{"code": 503}'])
def test_answer_of_another_form(name: str, key: str, body: bytes) -> None:
    with pytest.raises(ValueError, match=f"this answer has no '{key}'"):
        envelope.unwrap(name, Response(200, body=body))


def test_answer_without_an_envelope_is_json_or_bytes() -> None:
    assert envelope.unwrap("body", Response(200, body=b"[1]")) == [1]
    assert envelope.unwrap("body", Response(200, body=IMAGE)) == IMAGE


def test_several_outputs_are_all_unwrapped() -> None:
    body = json.dumps({"outputs": [{"data": [1]}, {"data": [2, 3]}]}).encode()
    assert envelope.unwrap("kservev2", Response(200, body=body)) == [[1], [2, 3]]


@pytest.mark.server
@pytest.mark.parametrize("name", envelope.ENVELOPES)
def test_real_torchserve_answers_the_same_bytes(workers, model: Model, name: str, tmp_path: Path) -> None:
    from handlerkit.archive import Archive
    from handlerkit.endpoints.server import Server

    requests = [envelope.wrap(name, [[0.5, 1]]), envelope.wrap(name, picture(), as_tensor=True)]
    requests += [envelope.wrap(name, picture())] if name == "kservev2" else [envelope.wrap(name, {"a": [1, None]})]
    run = workers[name].predict(*requests)
    assert [response.status for response in run.responses] == [200, 200, 200]
    with Server([Archive(model).save(tmp_path)], {"service_envelope": name}) as server:
        report = verify(run, server)
    assert report, report.rows
    left_out = {note for row in report.rows for note in row.volatile}
    assert left_out == ({"the request's id in the body"} if name == "kservev2" else set())


def test_one_more_envelope_is_known_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = envelope.Envelope("toy", lambda payload: {"toy": payload}, lambda response: response.json()["toy"], "a toy")
    monkeypatch.setitem(envelope.ENVELOPES, "toy", toy)
    assert read_config({"service_envelope": "toy"}).service_envelope == "toy"
    assert json.loads(envelope.wrap("toy", [1]).body) == {"toy": [1]}
    assert envelope.unwrap("toy", Response(200, body=b'{"toy": 2}')) == 2
