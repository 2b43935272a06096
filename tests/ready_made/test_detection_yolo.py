"""detection_boxes beside Ultralytics' own code: networks of each kind with random weights, and their exports."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from in_process import asked, made
from PIL import Image
from ready_made_pictures import decode, file_of

SIZE = (96, 160)  # height, width
NOISE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
PHOTO = Image.fromarray(NOISE)
PIXELS = torch.tensor(NOISE).permute(2, 0, 1)[None] / 255
THRESHOLD = 0.6


def calm(layer: torch.nn.Module, _: Any, output: torch.Tensor) -> None:
    """Change a layer so that what it returns of the same input has a standard deviation of 1."""
    layer.weight.data /= output.std()


@pytest.fixture(scope="module")
def yolo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Makes YOLO("yolov8n.yaml") and the like, each once, whose random weights see something everywhere."""
    folder = tmp_path_factory.mktemp("ultralytics")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("CONFIG_DIR", str(folder)), ("OFFLINE", "1"), ("AUTOINSTALL", "0")):
            patch.setenv(f"YOLO_{name}", value)
        # importing it replaces these, for everyone
        for module, *names in ((Image, "open"), (torch, "save"), (cv2, "imread", "imwrite", "imshow")):
            for name in names:
                patch.setattr(module, name, getattr(module, name))
        from ultralytics import YOLO

        @functools.cache
        def make(name: str, *, end2end: bool = False) -> Any:
            torch.manual_seed(0)
            found = YOLO(f"{name}.yaml", verbose=False)
            for layer in found.model.modules():
                if isinstance(layer, torch.nn.BatchNorm2d):
                    layer.momentum = 1
            found.model.end2end = end2end
            head = found.model.model[-1]
            hooks = []
            for name in ("cv3", "cv4", "one2one_cv3", "one2one_cv4"):  # the scores; masks, keypoints or angles
                for layer in getattr(head, name, None) or ():
                    last = [one for one in layer.modules() if isinstance(one, torch.nn.Conv2d)][-1]
                    torch.nn.init.normal_(last.weight)
                    if last.bias is not None:
                        torch.nn.init.constant_(last.bias, -2 if name.endswith("cv3") else 0)
                    hooks.append(last.register_forward_hook(calm))
            with torch.no_grad():
                found.model.train()(PIXELS.expand(2, -1, -1, -1))  # batch norm learns what it normalizes
                found.model.eval()(PIXELS)
            for hook in hooks:
                hook.remove()
            return found

        yield make


def returned(network: Any, pixels: torch.Tensor = PIXELS) -> tuple[torch.Tensor, torch.Tensor | None]:
    """What the network returns for the image: its rows, and the prototypes of masks."""
    with torch.inference_mode():
        main = network(pixels)[0]
    return main if isinstance(main, tuple) else (main, None)


def suppressed(network: Any, rows: torch.Tensor, **options: Any) -> torch.Tensor:
    """Ultralytics' own reading: [N, 6 + ...], x1, y1, x2, y2, score and class of each."""
    from ultralytics.utils.nms import non_max_suppression

    options = {"conf_thres": THRESHOLD, "iou_thres": 0.5, "max_det": 1000, "max_time_img": 99, **options}
    found = non_max_suppression(rows, nc=network.model[-1].nc, end2end=network.end2end, **options)[0]
    if options.get("rotated"):
        return found
    # random weights of end2end heads also find boxes that end before they begin, which the handler leaves out
    return found[(found[:, 2:4] >= found[:, :2]).all(1)][:100]


def assert_same(answer: Any, expected: torch.Tensor) -> None:
    """Up to the rounding of answers."""
    assert len(expected) > 5  # the weights see something
    assert answer["scores"] == pytest.approx(expected[:, 4].tolist(), abs=1e-4)
    assert answer["labels"] == [str(int(index)) for index in expected[:, 5]]
    inside = expected[:, :4].clamp(torch.zeros(4), torch.tensor([SIZE[1], SIZE[0]] * 2))
    assert np.array(answer["boxes"]) == pytest.approx(inside.numpy(), abs=0.06)


@pytest.mark.parametrize("name", ["yolov5n", "yolov8n", "yolov9t", "yolo11n", "yolo12n"])
def test_boxes_are_those_of_its_own_nms(yolo: Any, name: str) -> None:
    network = yolo(name).model
    handler = made("detection_boxes", network, threshold=THRESHOLD)
    assert_same(asked(handler, PHOTO), suppressed(network, returned(network)[0]))
    assert handler.form == "yolov8"


@pytest.mark.parametrize("name", ["yolov10n", "yolo26n"])
def test_rows_with_nms_done_are_kept_as_they_are(yolo: Any, name: str) -> None:
    network = yolo(name, end2end=True).model
    handler = made("detection_boxes", network, threshold=THRESHOLD)
    assert_same(asked(handler, PHOTO), suppressed(network, returned(network)[0]))
    assert handler.form == "end2end"


@pytest.mark.parametrize(("name", "end2end"), [("yolov8n-seg", False), ("yolo26n-seg", True)])
def test_masks(yolo: Any, name: str, end2end: bool) -> None:
    from ultralytics.utils.ops import process_mask

    network = yolo(name, end2end=end2end).model
    rows, maps = returned(network)
    assert maps is not None
    expected = suppressed(network, rows)
    answer = asked(made("detection_boxes", network, threshold=THRESHOLD), PHOTO)
    assert_same(answer, expected)
    masks = process_mask(maps[0], expected[:, 6:], expected[:, :4], SIZE, upsample=True).numpy()
    found = np.stack([decode(mask) for mask in answer["masks"]])
    assert masks.any()
    assert (found == masks).all()


@pytest.mark.parametrize(("name", "end2end"), [("yolo11n-pose", False), ("yolo26n-pose", True)])
def test_keypoints(yolo: Any, name: str, end2end: bool) -> None:
    network = yolo(name, end2end=end2end).model
    expected = suppressed(network, returned(network)[0])
    answer = asked(made("detection_boxes", network, threshold=THRESHOLD), PHOTO)
    assert_same(answer, expected)
    points = expected[:, 6:].unflatten(1, (-1, 3))
    points[..., :2] = points[..., :2].clamp(torch.zeros(2), torch.tensor([SIZE[1], SIZE[0]]))
    assert np.array(answer["keypoints"]) == pytest.approx(points.numpy(), abs=0.1)


@pytest.mark.parametrize("nms", [None, 0.5, 0.1])
def test_oriented_boxes_are_polygons_and_those_of_its_own_nms(yolo: Any, nms: float | None) -> None:
    from ultralytics.utils.ops import xywhr2xyxyxyxy

    network = yolo("yolov8n-obb").model
    answer = asked(made("detection_boxes", network, threshold=THRESHOLD, nms=nms, limit=1000), PHOTO)
    rows = returned(network)[0]
    expected = suppressed(network, rows, rotated=True, iou_thres=1.0 if nms is None else nms)
    assert len(expected) > 5
    assert nms is None or len(expected) < int((rows[0, 4:-1].amax(0) > THRESHOLD).sum())  # some are dropped
    assert answer["labels"] == [str(int(index)) for index in expected[:, 5]]
    corners = xywhr2xyxyxyxy(expected[:, [0, 1, 2, 3, 6]])
    inside = corners.clamp(torch.zeros(2), torch.tensor([SIZE[1], SIZE[0]]))
    assert np.array(answer["polygons"]) == pytest.approx(inside.numpy(), abs=0.1)


@pytest.mark.parametrize("size", [(200, 90), (90, 200), (33, 32), (160, 96)])
def test_letterbox_is_its_own(yolo: Any, size: tuple[int, int]) -> None:
    from image_sizes import letterboxed
    from ultralytics.data.augment import LetterBox
    from ultralytics.utils.ops import scale_boxes

    image = PHOTO.resize(size)
    seen = np.asarray(letterboxed(image, (SIZE[1], SIZE[0])))
    theirs = LetterBox(SIZE, auto=False)(image=np.asarray(image))
    assert ((seen == 114).all(2) == (theirs == 114).all(2)).all()
    network = yolo("yolov8n").model
    expected = suppressed(network, returned(network, torch.tensor(seen).permute(2, 0, 1)[None] / 255)[0])
    answer = asked(made("detection_boxes", network, threshold=THRESHOLD, letterbox=list(SIZE)), image)
    boxes = scale_boxes(SIZE, expected[:, :4], (size[1], size[0]))
    assert answer["size"] == [size[1], size[0]]
    assert len(boxes) > 5
    assert np.array(answer["boxes"]) == pytest.approx(boxes.numpy(), abs=1)  # theirs rounds the sides


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("yolo11n", {"format": "torchscript"}),
        ("yolov8n-seg", {"format": "onnx", "simplify": False}),
        ("yolov8n", {"format": "onnx", "simplify": False, "nms": True, "conf": THRESHOLD, "iou": 0.5}),
        ("yolov10n", {"format": "onnx", "simplify": False, "nms": False}),  # without: its own end-to-end head
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
@pytest.mark.filterwarnings("ignore")  # of what the exporter calls
def test_exports_answer_as_the_network(
    yolo: Any,
    serve: Callable[..., Any],
    name: str,
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # where an export lands
    found = yolo(name, end2end="nms" in options and not options["nms"])
    expected = asked(made("detection_boxes", found.model, threshold=THRESHOLD), PHOTO)
    exported = Path(found.export(imgsz=SIZE, verbose=False, **options)).absolute()
    if exported.suffix == ".torchscript":
        exported = exported.rename(exported.with_suffix(".pt"))  # what TorchServe's BaseHandler loads
    config = {"handler": {"threshold": THRESHOLD, **({} if exported.suffix == ".onnx" else {"resize": list(SIZE)})}}
    served = serve("detection_boxes", exported, config, labels=False, batch_size=2)
    response, other = served(file_of(PHOTO), file_of(PHOTO.resize((320, 192), Image.Resampling.NEAREST)))
    answer = response.json()
    assert dict(response.headers)["output-form"] == ("end2end" if "nms" in options else "yolov8")
    assert answer["scores"] == pytest.approx(expected["scores"], abs=2e-3)
    # which of two with nearly one score comes first is up to rounding
    near = np.abs(np.array(answer["boxes"])[:, None] - np.array(expected["boxes"])).max(2) <= 0.5
    near &= np.array(answer["labels"])[:, None] == np.array(expected["labels"])
    assert near.any(0).all()
    assert near.any(1).all()
    assert len(answer.get("masks", ())) == len(expected.get("masks", ()))
    assert other.json()["size"] == [192, 320]
