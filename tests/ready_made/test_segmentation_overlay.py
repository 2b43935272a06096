"""segmentation_overlay, through a worker: its answers, odd pictures, and networks of every form."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from in_process import asked, made, network_of
from PIL import Image
from ready_made_pictures import DISCS, PNG, decode, everywhere, file_of, opened

from handlerkit import Model, Part, Request, Worker
from handlerkit.errors import LoadError
from handlerkit.model import ready_made, ready_made_modules
from handlerkit.predictions import SegmentationMap

COINS = Path(__file__).parents[2] / "notebooks" / "models" / "coins_segmenter.pt"
#: Bright pixels are class 2, of three classes.
BRIGHT = """
class Bright(nn.Module):
    def forward(self, x):
        grey = x.mean(dim=1)
        return {wrap}
"""
SCORES = "torch.stack([0.5 - grey, torch.full_like(grey, -9), grey - 0.5], dim=1)"
PLAIN = {"resize": None, "mean": [0, 0, 0], "std": [1, 1, 1]}


def bright(wrap: str = SCORES) -> str:
    return BRIGHT.format(wrap=wrap)


@pytest.fixture(scope="module")
def discs(serve: Callable[..., Any]) -> Any:
    """Answers that bright pixels are class 2, in batches of 4."""
    return serve("segmentation_overlay", bright(), {"handler": PLAIN}, labels=False, batch_size=4)


@everywhere
def test_json_holds_each_class_with_its_pixels_and_mask(discs: Any) -> None:
    answer = discs.json(PNG)
    assert answer["size"] == [48, 64]
    assert [(one["index"], one["label"], one["pixels"]) for one in answer["classes"]] == [
        (0, "0", int((DISCS < 128).sum())),
        (2, "2", int((DISCS > 128).sum())),
    ]
    assert (decode(answer["classes"][1]["mask"]) == (DISCS > 128)).all()
    assert discs(PNG).content_type == "application/json"


@everywhere
def test_kit_reads_the_answer_as_a_class_map(discs: Any) -> None:
    found = SegmentationMap.read(discs.json(PNG))
    assert found is not None
    assert (found.classes == np.where(DISCS > 128, 2, 0)).all()
    assert found.name(2) == "2"  # what the answer says


def test_labels_come_from_index_to_name(serve: Callable[..., Any]) -> None:
    answer = serve("segmentation_overlay", COINS).json(PNG)
    assert [one["label"] for one in answer["classes"]] == ["background", "coin"]


@everywhere
def test_indexed_mask_has_class_indexes_as_pixels(discs: Any) -> None:
    response = discs(PNG, accept="IMAGE/PNG; mask=indexed")
    assert response.content_type == "image/png; mask=indexed"
    mask = opened(response)
    assert mask.mode == "P"
    assert (np.asarray(mask) == np.where(DISCS > 128, 2, 0)).all()


@everywhere
def test_overlay_paints_the_classes_and_leaves_the_background(discs: Any) -> None:
    response = discs(PNG, accept="image/png")
    assert (response.content_type, dict(response.headers)["image-width"]) == ("image/png", "64")
    painted = np.asarray(opened(response))
    assert (painted[DISCS < 128] == 40).all()
    assert len(np.unique(painted[DISCS > 128], axis=0)) == 1
    assert np.ptp(painted[DISCS > 128][0]) > 50  # no longer grey


@everywhere
def test_jpeg(discs: Any) -> None:
    assert opened(discs(PNG, accept="image/jpeg")).format == "JPEG"


def test_background_and_opacity_are_settings(serve: Callable[..., Any]) -> None:
    settings = {**PLAIN, "background": 2, "opacity": 1}
    image = opened(serve("segmentation_overlay", bright(), {"handler": settings})(PNG, accept="image/png"))
    painted = np.asarray(image)
    assert (painted[DISCS > 128] == 200).all()
    assert (painted[DISCS < 128] == 0).all()


def test_mask_has_the_size_of_the_picture_whatever_the_network_saw(serve: Callable[..., Any]) -> None:
    served = serve("segmentation_overlay", bright(), {"handler": {**PLAIN, "resize": [32, 32]}})
    large = Image.fromarray(DISCS).resize((320, 240))
    mask = decode(served.json(file_of(large))["classes"][1]["mask"])
    assert mask.shape == (240, 320)
    assert (mask == (np.asarray(large) > 128)).mean() > 0.97


@everywhere
def test_rotated_picture_is_answered_upright(discs: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    tall = np.rot90(DISCS, 1)  # as stored; turned by 90 degrees clockwise, it is DISCS
    answer = discs.json(file_of(tall, exif=exif))
    assert answer["size"] == [48, 64]
    assert (decode(answer["classes"][1]["mask"]) == (DISCS > 128)).all()


@everywhere
@pytest.mark.parametrize("body", [file_of(DISCS.astype("<u2") << 8), file_of(np.dstack([DISCS] * 3 + [DISCS | 255]))])
def test_deep_and_transparent_pictures(discs: Any, body: bytes) -> None:
    assert discs.json(body) == discs.json(PNG)


@everywhere
def test_pixels_and_base64_in_json_are_the_same_picture(discs: Any) -> None:
    expected = discs.json(PNG)
    assert discs.json(Request.json({"data": base64.b64encode(PNG).decode()})) == expected
    assert discs.json(Request.json(DISCS.tolist())) == expected


@everywhere
def test_several_pictures_in_a_request_are_answered_by_a_list(discs: Any) -> None:
    dark = file_of(DISCS // 4)
    request = Request.multipart(Part("a", PNG, "a.png"), Part("b", dark, "b.png"))
    assert [len(one["classes"]) for one in discs.json(request)] == [2, 1]


@everywhere
def test_a_bad_request_fails_alone(discs: Any) -> None:
    responses = discs(PNG, b"\xff no image", Request.json({"image": 5}), PNG)
    assert [response.status for response in responses] == [200, 400, 400, 200]
    assert responses[1].reason == "Bad Request"
    assert responses[1].json()["message"].startswith("body is neither a file of PNG")
    assert responses[0].json() == responses[3].json() == discs.json(PNG)


@everywhere
def test_each_of_a_batch_gets_the_form_it_asks_for(discs: Any) -> None:
    accepts = ("image/jpeg", "text/html", "application/json", "image/png; mask=indexed")
    names = ("accept", "Accept", "ACCEPT", "aCCept")
    requests = [Request(body=PNG, headers=((name, accept),)) for name, accept in zip(names, accepts, strict=True)]
    responses = discs(*requests)
    assert [response.status for response in responses] == [200, 406, 200, 200]
    assert [response.content_type for response in responses] == [
        "image/jpeg",
        "application/json",
        "application/json",
        "image/png; mask=indexed",
    ]


@everywhere
def test_explanations_are_refused_alone(discs: Any) -> None:
    explain = Request(body=PNG, path=discs.path.replace("predictions", "explanations"))
    assert [response.status for response in discs(explain, PNG)] == [501, 200]


def test_a_picture_the_network_fails_on_is_refused_alone(serve: Callable[..., Any]) -> None:
    picky = bright(f"self.check(x, {SCORES})") + "\n    def check(self, x, scores):\n        assert x.shape[3] == 64, "
    picky += "'64 pixels wide'\n        return scores\n"
    served = serve("segmentation_overlay", picky, {"handler": PLAIN}, batch_size=4)
    responses = served(PNG, file_of(DISCS[:, :9]), PNG)
    assert [response.status for response in responses] == [200, 500, 200]
    assert responses[1].json()["message"] == "The model failed on an image of 9x48 pixels: 64 pixels wide"


@everywhere
def test_answer_over_the_limit_is_refused_and_the_worker_lives(serve: Callable[..., Any]) -> None:
    settings = {**PLAIN, "max_response_size": 1000}
    served = serve("segmentation_overlay", bright(), {"handler": settings}, batch_size=3)
    noise = file_of(np.random.default_rng(0).integers(0, 255, (60, 60), dtype=np.uint8))
    responses = served(Request(body=noise, headers={"Accept": "image/png"}), Request(body=noise), Request(body=PNG))
    assert [response.status for response in responses] == [413, 413, 200]
    assert "more than max_response_size, 1000; ask for another form" in responses[0].text


@pytest.mark.parametrize(
    "wrap",
    [
        f'{{"out": {SCORES}, "aux": x}}',
        f"({SCORES}, x)",
        f"[{SCORES}]",
        f'{{"logits": {SCORES}}}',
        "grey[:, None]",  # a probability
        "(40 * grey - 20)[:, None]",  # a logit
    ],
)
def test_networks_of_every_form(wrap: str) -> None:
    answer = asked(made("segmentation_overlay", network_of(bright(wrap)), **PLAIN), Image.fromarray(DISCS))
    assert (decode(answer["classes"][1]["mask"]) == (DISCS > 128)).all()


@everywhere
def test_grey_network(serve: Callable[..., Any]) -> None:
    one_channel = (
        bright("self.check(x)") + "\n    def check(self, x):\n        assert x.shape[1] == 1\n        return x\n"
    )
    settings = {"resize": None, "mean": [0], "std": [1]}
    served = serve("segmentation_overlay", one_channel, {"handler": settings}, labels=False)
    assert (decode(served.json(PNG)["classes"][1]["mask"]) == (DISCS > 128)).all()


TORCHVISION = """
from torchvision.models import segmentation


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = segmentation.{}(weights=None, weights_backbone=None, num_classes=5)

    def forward(self, x):
        return self.net(x)
"""


@everywhere
@pytest.mark.parametrize("name", ["lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"])
def test_torchvisions_architectures(serve: Callable[..., Any], name: str) -> None:
    served = serve("segmentation_overlay", TORCHVISION.format(name), {"handler": {"resize": 64}}, labels=False)
    answer = served.json(PNG)
    assert sum(one["pixels"] for one in answer["classes"]) == DISCS.size
    assert sum(decode(one["mask"]).astype(int) for one in answer["classes"]).tolist() == np.ones((48, 64)).tolist()


def test_scripted_architecture(serve: Callable[..., Any]) -> None:
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    network = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=300).eval()
    served = serve("segmentation_overlay", torch.jit.script(network), {"handler": {"resize": 64}}, labels=False)
    mask = opened(served(PNG, accept="image/png; mask=indexed"))
    assert mask.mode == "I;16"  # more classes than a palette has
    assert sum(one["pixels"] for one in served.json(PNG)["classes"]) == DISCS.size


@everywhere
def test_micro_batches_answer_as_whole_ones(serve: Callable[..., Any], discs: Any) -> None:
    config = {"handler": PLAIN, "micro_batching": {"micro_batch_size": 2, "parallelism": {"preprocess": 2}}}
    served = serve("segmentation_overlay", bright(), config, labels=False, batch_size=5)
    bodies = (PNG, file_of(DISCS // 4), PNG, b"\xff", PNG)
    responses = served(*bodies)
    assert [response.status for response in responses] == [200, 200, 200, 400, 200]
    assert [response.content_type for response in responses] == ["application/json"] * 5
    alone = [discs(body) for body in bodies]
    assert [response.body for response in responses] == [response.body for response in alone]


def test_micro_batching_set_as_the_handle(tmp_path: Path, discs: Any) -> None:
    (tmp_path / "network.py").write_text(f"from torch import nn\nimport torch\n{bright()}")
    (tmp_path / "model-config.yaml").write_text(json.dumps({"handler": PLAIN}))
    (tmp_path / "mine.py").write_text(
        "from segmentation_overlay import SegmentationOverlay\n"
        "from ts.handler_utils.micro_batching import MicroBatching\n\n"
        "class Mine(SegmentationOverlay):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.handle = MicroBatching(self, micro_batch_size=1)\n"
    )
    begun = ready_made("segmentation_overlay")
    files = [begun, *ready_made_modules(begun)]
    model = Model("m", handler=tmp_path / "mine.py", model_file=tmp_path / "network.py", extra_files=files,
                  config_file=tmp_path / "model-config.yaml")  # fmt: skip
    with Worker(model, batch_size=3) as worker:
        responses = worker.predict(*(Request(body=body) for body in (b"\xff", PNG, b"\xff"))).responses
    assert [response.status for response in responses] == [400, 200, 400]
    assert responses[1].body == discs(PNG).body


@pytest.mark.parametrize("envelope", ["json", "kserve"])
def test_inside_an_envelope(serve: Callable[..., Any], envelope: str) -> None:
    config = {"service_envelope": envelope}
    served = serve("segmentation_overlay", bright(), {"handler": PLAIN}, labels=False, config_properties=config)
    instance = {"b64": base64.b64encode(PNG).decode()}
    (answer,) = served.json(Request.json({"instances": [instance]}))["predictions"]
    assert (decode(answer["classes"][1]["mask"]) == (DISCS > 128)).all()


def test_several_instances_inside_the_json_envelope(serve: Callable[..., Any]) -> None:
    config = {"service_envelope": "json"}
    served = serve("segmentation_overlay", bright(), {"handler": PLAIN}, labels=False, config_properties=config)
    instance = {"b64": base64.b64encode(PNG).decode()}
    first, second = served.json(Request.json({"instances": [instance, {"b64": "AAAA"}]}))["predictions"]
    assert len(first["classes"]) == 2
    assert second["code"] == 400


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"threshhold": 0.5}, "there is no setting 'threshhold', only resize, mean, std, task, threshold,"),
        ({"threshold": 5}, "threshold is a number from 0 to 1, not 5"),
        ({"resize": "large"}, r"resize is the shorter side in pixels, \[height, width\], or null, not 'large'"),
        ({"mean": [0.5, 0.5]}, "mean is a list of one or three numbers"),
        ({"mean": [0.5]}, "mean and std have to hold as many numbers as each other"),
        ({"background": -1}, "background is a class index from 0 on, or null, not -1"),
    ],
)
def test_wrong_setting_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RuntimeError, match=sentence):
        made("segmentation_overlay", network_of(bright()), **settings)


def test_wrong_setting_is_told_at_load(serve: Callable[..., Any]) -> None:
    with pytest.raises(LoadError, match="it holds settings by name, not 'fast'") as refused:
        serve("segmentation_overlay", bright(), {"handler": "fast"})
    assert json.loads(refused.value.response.body)["code"] == 500
