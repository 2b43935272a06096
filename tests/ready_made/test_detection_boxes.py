"""detection_boxes, through a worker: torchvision's networks and rows of boxes, thresholds, classes, drawing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from in_process import LABELS, asked, made, network_of
from PIL import Image
from ready_made_pictures import DISCS, PNG, decode, everywhere, file_of, opened

from handlerkit import Part, Request

COINS = Path(__file__).parents[2] / "notebooks" / "models" / "coins_detector.pt"
PHOTO = Image.fromarray(DISCS)
#: Two boxes that overlap by 0.68, of class 1, a third of class 2, and one that is not finite.
FIXED = """
from typing import Dict, List


class Fixed(nn.Module):
    def forward(self, images{annotation}):
        boxes = [[4.0, 14, 24, 34], [6, 16, 26, 36], [40, 14, 60, 70], [0, 0, float("nan"), 9]]
        one = dict(boxes=torch.tensor(boxes), labels=torch.tensor([1, 1, 2, 1]))
        one["scores"] = torch.tensor([0.9, 0.8, 0.6, 0.9])
        {masks}
        return [dict(one) for _ in images]
"""


def fixed(annotation: str = ": List[torch.Tensor]", masks: str = "") -> str:
    return FIXED.format(annotation=annotation, masks=masks)


@everywhere
def test_json_holds_the_best_boxes_inside_the_image(serve: Callable[..., Any]) -> None:
    served = serve("detection_boxes", fixed())
    assert served.json(PNG) == {
        "size": [48, 64],
        "boxes": [[4.0, 14.0, 24.0, 34.0], [40.0, 14.0, 60.0, 48.0]],
        "labels": ["coin", "2"],
        "scores": [0.9, 0.6],
    }
    assert served(PNG).content_type == "application/json"


@pytest.mark.parametrize(
    ("settings", "scores"),
    [
        ({}, [0.9, 0.6]),
        ({"threshold": 0.7}, [0.9]),
        ({"threshold": 0.95}, []),
        ({"nms": None}, [0.9, 0.8, 0.6]),
        ({"nms": 0.9}, [0.9, 0.8, 0.6]),
        ({"limit": 1}, [0.9]),
        ({"classes": ["coin"], "nms": None}, [0.9, 0.8]),
        ({"classes": [2]}, [0.6]),
        ({"classes": ["background"]}, []),
    ],
)
def test_settings_choose_the_boxes(settings: dict[str, Any], scores: list[float]) -> None:
    answer = asked(made("detection_boxes", network_of(fixed()), LABELS, **settings), PHOTO)
    assert answer["scores"] == scores
    assert len(answer["boxes"]) == len(answer["labels"]) == len(scores)


@everywhere
def test_boxes_are_drawn_for_those_who_accept_pictures(serve: Callable[..., Any]) -> None:
    served = serve("detection_boxes", fixed())
    drawn = np.asarray(opened(served(PNG, accept="Image/Png"))).astype(int)
    changed = np.ptp(drawn, axis=2) > 0  # the photograph is grey
    assert changed[34, 4:24].all()
    assert changed[14:34, 4].all()
    assert not changed[40:, :30].any()
    assert opened(served(PNG, accept="image/jpeg")).size == (64, 48)


def test_nothing_found_leaves_the_picture_as_it_is(serve: Callable[..., Any]) -> None:
    served = serve("detection_boxes", fixed(), {"handler": {"threshold": 1}})
    assert (np.asarray(opened(served(PNG, accept="image/png")))[:, :, 0] == DISCS).all()


@everywhere
def test_masks_come_as_run_length_and_are_painted(serve: Callable[..., Any]) -> None:
    masks = "one['masks'] = torch.zeros(4, 1, 48, 64); one['masks'][0, 0, 14:34, 4:24] = 0.9"
    served = serve("detection_boxes", fixed(masks=masks))
    answer = served.json(PNG)
    assert [int(decode(mask).sum()) for mask in answer["masks"]] == [400, 0]
    painted = np.asarray(opened(served(PNG, accept="image/png"))).astype(int)
    assert np.ptp(painted[20, 14]) > 50


@everywhere
def test_resize_answers_in_the_pictures_own_pixels(serve: Callable[..., Any]) -> None:
    masks = "one['masks'] = torch.ones(4, 1, *images[0].shape[1:])"
    served = serve("detection_boxes", fixed(masks=masks), {"handler": {"resize": [96, 128], "classes": ["coin"]}})
    answer = served.json(PNG)
    assert answer["boxes"] == [[2.0, 7.0, 12.0, 17.0]]
    assert decode(answer["masks"][0]).shape == (48, 64)


@everywhere
def test_coins(serve: Callable[..., Any]) -> None:
    large = file_of(Image.fromarray(DISCS).resize((256, 192)))
    served = serve("detection_boxes", COINS, batch_size=3)
    answer = served.json(large)
    assert answer["labels"] == ["coin", "coin"]
    assert np.allclose(sorted(answer["boxes"]), [[24, 56, 104, 136], [152, 56, 232, 136]], atol=12)
    responses = served(large, b"\xff", PNG)
    assert [response.status for response in responses] == [200, 400, 200]
    assert responses[0].json() == answer


def test_nothing_but_bad_requests(serve: Callable[..., Any]) -> None:
    assert [response.status for response in serve("detection_boxes", fixed(), batch_size=2)(b"", b"")] == [400, 400]


@everywhere
def test_several_pictures_in_a_request(serve: Callable[..., Any]) -> None:
    served = serve("detection_boxes", fixed())
    request = Request.multipart(Part("a", PNG, "a.png"), Part("b", file_of(DISCS[:40]), "b.png"))
    assert [one["size"] for one in served.json(request)] == [[48, 64], [40, 64]]
    drawn = served(Request.multipart(Part("a", PNG, "a.png"), Part("b", PNG, "b.png"), headers={"ACCEPT": "image/png"}))
    assert drawn.content_type.startswith("multipart/mixed; boundary=")
    assert drawn.body.count(b"\x89PNG") == 2


#: [N, boxes, 4 + 1 + classes] in the pixels of a picture 64 wide and 48 high.
ROWS = """
class Rows(nn.Module):
    def forward(self, x):
        assert x.shape[1:] == (3, 48, 64), x.shape
        rows = torch.tensor([[14.0, 24, 20, 20, 0.9, 0.1, 1.0], [50, 24, 20, 30, 0.5, 0.2, 0.4]]){columns}
        return {wrap}
"""


@pytest.mark.parametrize(
    "wrap", ["rows.expand(len(x), -1, -1)", "(rows.expand(len(x), -1, -1), [x])", "[rows.expand(len(x), -1, -1), x]"]
)
def test_rows_of_boxes(wrap: str) -> None:
    network = network_of(ROWS.format(columns="", wrap=wrap))
    handler = made("detection_boxes", network, LABELS, threshold=0.1, resize=[48, 64])
    answer, other = asked(handler, PHOTO, PHOTO.resize((128, 96)))
    assert answer == {
        "size": [48, 64],
        "boxes": [[4.0, 14.0, 24.0, 34.0], [40.0, 9.0, 60.0, 39.0]],
        "labels": ["coin", "coin"],
        "scores": [0.9, 0.2],
    }
    assert other["boxes"][0] == [8.0, 28.0, 48.0, 68.0]


@pytest.mark.parametrize(
    ("box_format", "box"), [("xyxy", [14.0, 24.0, 20.0, 30.0]), ("xywh", [14.0, 24.0, 34.0, 48.0])]
)
def test_rows_without_classes_in_other_formats(box_format: str, box: list[float]) -> None:
    network = ROWS.format(columns="[:1, :5]", wrap="rows.expand(len(x), -1, -1)").replace("20, 20", "20, 30")
    answer = asked(made("detection_boxes", network_of(network), LABELS, box_format=box_format), PHOTO)
    assert answer["boxes"] == [box]
    assert answer["labels"] == ["background"]


TORCHVISION = """
from torchvision.models import detection, mobilenet_v2
from torchvision.models.detection.anchor_utils import AnchorGenerator


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = {}

    def forward(self, images):
        return self.net(images)
"""
MASK = """detection.MaskRCNN(
            mobilenet_v2(weights=None).features, num_classes=4, min_size=64, max_size=96, box_score_thresh=0.0,
            rpn_anchor_generator=AnchorGenerator(((16, 32),), ((1.0,),)), box_detections_per_img=5,
            box_roi_pool=detection.mask_rcnn.MultiScaleRoIAlign(["0"], 7, 2),
            mask_roi_pool=detection.mask_rcnn.MultiScaleRoIAlign(["0"], 14, 2),
        )"""
NO_WEIGHTS = "(weights=None, weights_backbone=None, num_classes=4, "
NETWORKS = {
    "maskrcnn": MASK.replace("mobilenet_v2(weights=None).features", "self.backbone()"),
    "fasterrcnn": f"detection.fasterrcnn_mobilenet_v3_large_320_fpn{NO_WEIGHTS}box_score_thresh=0.0, min_size=64)",
    "retinanet": """detection.RetinaNet(
            self.backbone(), 4, min_size=64, max_size=96, score_thresh=0.0,
            anchor_generator=AnchorGenerator(((16, 32),), ((1.0,),)),
        )""",
    "ssdlite": f"detection.ssdlite320_mobilenet_v3_large{NO_WEIGHTS}score_thresh=0.0)",
}
BACKBONE = """
    def backbone(self):
        features = mobilenet_v2(weights=None).features
        features.out_channels = 1280
        return features
"""


@everywhere
@pytest.mark.parametrize("name", NETWORKS)
def test_torchvisions_architectures(serve: Callable[..., Any], name: str) -> None:
    network = TORCHVISION.format(NETWORKS[name]) + BACKBONE
    served = serve("detection_boxes", network, {"handler": {"threshold": 0}}, labels=False, batch_size=2)
    responses = served(PNG, file_of(DISCS[:30]))
    for response, height in zip(responses, (48, 30), strict=True):
        answer = response.json()
        assert answer["boxes"]
        assert (np.array(answer["boxes"]) <= [64, height, 64, height]).all()
        assert answer["scores"] == sorted(answer["scores"], reverse=True)
        assert ("masks" in answer) == (name == "maskrcnn")
        assert all(decode(mask).shape == (height, 64) for mask in answer.get("masks", ()))
    assert opened(served(PNG, accept="image/png")).size == (64, 48)


def test_scripted_architecture(serve: Callable[..., Any]) -> None:
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    network = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4, score_thresh=0).eval()
    served = serve(
        "detection_boxes", torch.jit.script(network), {"handler": {"threshold": 0, "limit": 7}}, labels=False
    )
    assert len(served.json(PNG)["boxes"]) == 7


@everywhere
def test_a_picture_too_narrow_for_the_network_is_refused_alone(serve: Callable[..., Any]) -> None:
    network = TORCHVISION.format(NETWORKS["fasterrcnn"])
    served = serve("detection_boxes", network, labels=False, batch_size=2)
    responses = served(file_of(np.zeros((1, 9000), np.uint8)), PNG)
    assert [response.status for response in responses] == [500, 200]
    assert "The model failed on an image of 9000x1 pixels" in responses[0].text


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"threshold": "high"}, "threshold is a number from 0 to 1, not 'high'"),
        ({"classes": ["mint"]}, "classes: there is no label 'mint', only background, coin"),
        ({"classes": "coin"}, "classes is a list of labels or class indexes, or null, not 'coin'"),
        ({"box_format": "yxyx"}, "box_format is one of cxcywh, xywh, xyxy, not 'yxyx'"),
    ],
)
def test_wrong_setting_is_told_at_load(settings: Any, sentence: str) -> None:
    with pytest.raises(RuntimeError, match=sentence):
        made("detection_boxes", network_of(fixed()), LABELS, **settings)
