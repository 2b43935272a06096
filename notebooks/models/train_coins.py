"""Trains the two small models of the notebooks on the coins photograph of scikit-image, and judges them.

    python train_coins.py

writes, next to this file and in under three minutes on two cores:

    coins_segmenter.pt        which pixel is coin; answers in the form of torchvision's segmentation models
    coins_detector.pt         where each coin is; answers in the form of torchvision's detection models
    index_to_name.json        the classes' names
    coins.json                how well both do on the part of the photograph they have not seen

Everything is seeded: two runs on one machine, with one version of torch, give models with the same outputs.

    python train_coins.py --rewrite

trains nothing: it writes the files again with the weights that they hold, in the form that this script now gives them.
"""

import io
import json
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from coins_data import (
    CROP,
    SPLIT_ROW,
    Batch,
    Grey,
    Labels,
    TrainingPictures,
    boxes_of,
    label_coins,
    photograph,
    variants,
)
from torch import Tensor, nn
from torch.nn import functional as F

HERE = Path(__file__).resolve().parent
CLASSES = {"0": "background", "1": "coin"}
BATCH, STEPS = 8, 500


# ---- The networks


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class Level(nn.Module):
    """One level of a U-Net: halves its input, and adds what the levels below make of it. [N, C, H, W] -> H/2, W/2."""

    def __init__(self, inputs: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        width, below = widths[0], widths[1:]
        self.down = nn.Sequential(convolution(inputs, width, stride=2), convolution(width, width))
        self.below = Level(width, below) if below else None
        self.widen = nn.Conv2d(below[0], width, 1) if below else None
        self.merge = convolution(width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        if self.below is not None and self.widen is not None:
            deep = self.widen(self.below(x))
            x = self.merge(x + doubled(deep))
        return x


def doubled(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, 2 H, 2 W]: F.interpolate(x, scale_factor=2.0, mode="bilinear"), by the operator beneath.

    Scripted, F.interpolate takes all its modes into the file, and no torch loads it that does not know the newest one.
    """
    enlarged: Tensor = torch.ops.aten.upsample_bilinear2d(x, None, False, [2.0, 2.0])
    return enlarged


def normalised(images: Tensor) -> Tensor:
    """[N, 3, H, W] -> grey [N, 1, H', W'] of mean 0 and deviation 1 each, padded to whole multiples of 32.

    So lighting matters less, and a grey picture normalised by the ImageNet constants gives almost the same.
    """
    grey = images.mean(dim=1, keepdim=True)
    deviation, mean = torch.std_mean(grey, dim=[1, 2, 3], keepdim=True, correction=0)
    height, width = images.shape[2], images.shape[3]
    return F.pad((grey - mean) / (deviation + 0.01), [0, -width % 32, 0, -height % 32], mode="replicate")


class Segmenter(nn.Module):
    """Float [N, 3, H, W] in 0..1, of any size -> {"out": logits, float [N, 2, H, W]}: background, coin."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Level(1, (16, 24, 32, 40, 56))
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        logits = self.head(self.trunk(normalised(images)))
        logits = doubled(logits)
        return {"out": logits[:, :, : images.shape[2], : images.shape[3]]}


class Detector(nn.Module):
    """A list of float [3, H, W] in 0..1, of any sizes -> one dict each, best score first:

    {"boxes": float [K, 4] x1, y1, x2, y2 in pixels, "labels": int64 [K], always 1, "scores": float [K] in 0..1}.

    That is what torchvision's detection models answer. Scripted, those answer (losses, detections); this one answers
    the detections alone. Every 4x4 pixel cell tells how surely a coin's centre lies there (the heatmap of CenterNet)
    and how far the box's sides are (the distances of FCOS); a peak of the heatmap is a coin.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(convolution(1, 16, stride=2), Level(16, (32, 32, 40, 48)), convolution(32, 32))
        self.heat = nn.Conv2d(32, 1, 1)
        self.sides = nn.Conv2d(32, 4, 1)
        assert self.heat.bias is not None
        nn.init.constant_(self.heat.bias, -3.0)  # centres are rare

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[N, 3, H, W] -> a logit for a centre [N, H/4, W/4], and the box around each cell [N, H/4, W/4, 4]."""
        features = self.trunk(normalised(images))
        heat, sides = self.heat(features)[:, 0], self.sides(features).clamp(-4, 4).exp().permute(0, 2, 3, 1) * 16
        y = torch.arange(heat.shape[1], device=heat.device)[:, None].expand(heat.shape[1:]) * 4 + 2
        x = torch.arange(heat.shape[2], device=heat.device)[None, :].expand(heat.shape[1:]) * 4 + 2
        centres = torch.stack([x, y], dim=2)
        return heat, torch.cat([centres - sides[..., :2], centres + sides[..., 2:]], dim=3)

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        detections: list[dict[str, Tensor]] = []
        for image in images:
            height, width = image.shape[1], image.shape[2]
            heat, boxes = self.maps(image[None])
            rows, columns = (height + 3) // 4, (width + 3) // 4  # without the padding
            heat, boxes = heat[:, :rows, :columns].sigmoid(), boxes[0, :rows, :columns].reshape(-1, 4)
            peaks = heat * (heat == F.max_pool2d(heat, 7, stride=1, padding=3))
            scores, best = peaks.flatten().topk(min(100, rows * columns))
            best, scores = best[scores > 0.3], scores[scores > 0.3]
            x, y = boxes[best, 0::2].clamp(0, width), boxes[best, 1::2].clamp(0, height)
            detections.append(
                {
                    "boxes": torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=1),
                    "labels": torch.ones_like(best),
                    "scores": scores,
                }
            )
        return detections


# ---- Losses


def segmentation_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy, and Dice so that a picture with little coin counts as much."""
    pictures, coins = batch
    logits, truth = model(pictures)["out"], (coins != 0).long()
    probability = logits.softmax(dim=1)[:, 1]
    overlap = 2 * (probability * truth).sum(dim=(1, 2)) + 1
    dice = 1 - overlap / (probability.sum(dim=(1, 2)) + truth.sum(dim=(1, 2)) + 1)
    loss: Tensor = F.cross_entropy(logits, truth) + dice.mean()
    return loss


def detection_targets(coins: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of coins int64 [H, W]: the heat, 0..1 [H/4, W/4], each cell's box [H/4, W/4, 4], and the cells left out."""
    cell = torch.arange(CROP // 4) * 4 + 2.0
    heat, boxes = torch.zeros(CROP // 4, CROP // 4), torch.zeros(CROP // 4, CROP // 4, 4)
    for number in coins[coins > 0].unique():
        y, x = torch.nonzero(coins == number, as_tuple=True)
        box = torch.stack([x.min(), y.min(), x.max() + 1, y.max() + 1]).float()
        middle, spread = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 8
        across, down = (cell[None, :] - middle[0]) / spread[0], (cell[:, None] - middle[1]) / spread[1]
        blob = torch.exp(-(across**2 + down**2) / 2)
        blob = blob / blob.max()  # the nearest cell is exactly 1
        boxes[blob > heat] = box
        heat = torch.maximum(heat, blob)
    return heat, boxes, (coins < 0)[2::4, 2::4]


def detection_loss(model: nn.Module, batch: Batch) -> Tensor:
    """CenterNet's focal loss of the heatmap, and -log(IoU) of the boxes around the centres."""
    assert isinstance(model, Detector)
    pictures, coins = batch
    logits, boxes = model.maps(pictures)
    heat, true_boxes, unsure = (torch.stack(maps) for maps in zip(*map(detection_targets, coins), strict=True))
    p, centre = logits.sigmoid(), heat == 1
    focal = torch.where(centre, (1 - p) ** 2 * F.logsigmoid(logits), (1 - heat) ** 4 * p**2 * F.logsigmoid(-logits))
    heat_loss = -focal[~unsure].sum() / centre.sum().clamp(min=1)
    near = heat > 0.5
    overlap = iou(boxes[near], true_boxes[near]).clamp(min=1e-3)
    return heat_loss - (heat[near] * overlap.log()).sum() / heat[near].sum().clamp(min=1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes [..., 4], pair by pair."""
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    return inner / ((a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - inner)


def train(model: nn.Module, loss_of: Callable[[nn.Module, Batch], Tensor], pictures: TrainingPictures) -> nn.Module:
    """Trains the model in place for STEPS batches, and returns it ready for inference."""
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=5e-3, total_steps=STEPS)
    mean = 0.0
    for step in range(1, STEPS + 1):
        loss = loss_of(model, pictures.draw(BATCH))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        mean += loss.item() / 100
        if step % 100 == 0:
            print(f"  step {step:4d} of {STEPS}  mean loss {mean:.3f}", flush=True)
            mean = 0.0
    return model.eval()


# ---- Judgement


def tensor_of(grey: Grey) -> Tensor:
    """[H, W] -> the RGB picture [3, H, W] that a handler makes of a grey one."""
    return torch.from_numpy(grey).expand(3, -1, -1)


@torch.inference_mode()
def segmentation_iou(segmenter: nn.Module, grey: Grey, labels: Labels) -> float:
    """Intersection over union of the coins' pixels."""
    found, truth = segmenter(tensor_of(grey)[None])["out"][0].argmax(dim=0).numpy() == 1, labels > 0
    return float((found & truth).sum() / (found | truth).sum())


@torch.inference_mode()
def average_precision(detector: nn.Module, grey: Grey, labels: Labels, at: float = 0.5) -> float:
    """Area under the precision-recall curve, precision made monotonic, as COCO and Pascal VOC 2010 do.

    A detection is right when its IoU with a coin that no better-scored one has taken is `at` or more.
    """
    truth = torch.from_numpy(boxes_of(labels))
    free, right = torch.ones(len(truth), dtype=torch.bool), []
    for box in detector([tensor_of(grey)])[0]["boxes"]:
        overlap, best = (iou(box, truth) * free).max(dim=0)
        right.append(bool(overlap >= at))
        free[best] &= not right[-1]
    hits = np.cumsum(right)
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    return float(precision[np.array(right, bool)].sum() / len(truth))


def judge(segmenter: nn.Module, detector: nn.Module) -> dict[str, dict[str, float]]:
    """Both models on the held-out part, as it is and in each variant: figures of 0..1, rounded to three places."""
    return {
        name: {
            "segmenter_iou": round(segmentation_iou(segmenter, grey, labels), 3),
            "detector_ap50": round(average_precision(detector, grey, labels), 3),
        }
        for name, (grey, labels) in variants().items()
    }


def trained(kind: type[nn.Module], loss_of: Callable[[nn.Module, Batch], Tensor]) -> nn.Module:
    """A model of this kind, trained on the lower part of the photograph."""
    torch.manual_seed(0)
    grey = photograph()
    return train(kind(), loss_of, TrainingPictures(grey[SPLIT_ROW:], label_coins(grey)[SPLIT_ROW:]))


def rewritten(kind: type[nn.Module], path: Path) -> nn.Module:
    """A model of this kind with the weights of the file."""
    model = kind()
    model.load_state_dict(torch.jit.load(str(path)).state_dict())
    return model.eval()


def save(scripted: torch.jit.ScriptModule, path: Path) -> None:
    """Writes the model, code and weights in one file; not its debug files, which name folders of this machine."""
    whole = io.BytesIO(scripted.save_to_buffer())
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                target.writestr(entry, source.read(entry))


def main(rewrite: bool) -> None:
    start = time.perf_counter()
    # torch deprecates TorchScript, but a .pt file that TorchServe's BaseHandler loads without a model file is one.
    warnings.filterwarnings("ignore", message=".*torch.jit", category=FutureWarning)
    torch.set_num_threads(1)  # layers this small gain little from a second one, and lose much on a busy machine
    torch.use_deterministic_algorithms(True)
    models = []
    for name, kind, loss_of in (("segmenter", Segmenter, segmentation_loss), ("detector", Detector, detection_loss)):
        path = HERE / f"coins_{name}.pt"
        print(path.name)
        models.append(torch.jit.script(rewritten(kind, path) if rewrite else trained(kind, loss_of)))
        save(models[-1], path)
    figures = judge(*models)
    (HERE / "index_to_name.json").write_text(json.dumps(CLASSES, indent=2) + "\n")
    (HERE / "coins.json").write_text(json.dumps(figures, indent=2) + "\n")
    for name, row in figures.items():
        print(f"  {name:24} IoU {row['segmenter_iou']:.3f}  AP at IoU 0.5 {row['detector_ap50']:.3f}")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main(rewrite="--rewrite" in sys.argv[1:])
