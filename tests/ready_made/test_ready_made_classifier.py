"""classifier, through a worker: top classes of every kind of network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import timm
import torch
from in_process import LABELS, asked, made, network_of
from PIL import Image
from ready_made_pictures import DISCS, PNG, everywhere, file_of
from transformers_networks import network

from handlerkit import Part, Request

SQUARE = Image.fromarray(DISCS).convert("RGB").resize((64, 64))
FIXED = """
class Fixed(nn.Module):
    def forward(self, x):
        assert x.shape[1:] == (3, 224, 224), x.shape
        scores = torch.tensor([[0.0, 2, 1]]).expand(len(x), -1)
        return {}
"""
SOFTMAX = np.exp([2, 1, 0]) / np.exp([2, 1, 0]).sum()


def test_best_classes_first_and_fewer_than_k_is_fine(serve: Callable[..., Any]) -> None:
    answer = serve("classifier", FIXED.format("scores")).json(PNG)
    assert answer["labels"] == ["coin", "2", "background"]
    assert answer["scores"] == pytest.approx(SOFTMAX, abs=1e-4)


def test_scores_that_are_not_finite_are_refused(serve: Callable[..., Any]) -> None:
    response = serve("classifier", FIXED.format("scores * float('nan')"))(PNG)
    assert (response.status, response.json()["message"]) == (500, "The model's scores are not finite.")


def test_half_precision() -> None:
    class Half(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x).mean((2, 3))

    answer = asked(made("classifier", Half().half()), Image.new("RGB", (64, 48)))
    assert len(answer["labels"]) == 4


def returning(output: torch.Tensor) -> torch.nn.Module:
    """A network that returns that for each image."""

    class Returning(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return output.expand(len(x), *output.shape)

    return Returning()


def test_a_single_number_speaks_for_class_1() -> None:
    answer = asked(made("classifier", returning(torch.tensor([2.0])), LABELS), SQUARE)
    assert answer == {"labels": ["coin", "background"], "scores": [0.8808, 0.1192]}


def test_a_softmax_is_not_taken_again() -> None:
    answer = asked(made("classifier", returning(torch.tensor([0.7, 0.1, 0.2]))), SQUARE)
    assert answer["scores"] == [0.7, 0.2, 0.1]


def test_what_is_no_score_of_each_class_is_refused() -> None:
    handler = made("classifier", returning(torch.rand(8, 7, 7)))
    assert "The model returns [8, 7, 7] for an image" in str(asked(handler, SQUARE))
    assert len(asked(made("classifier", returning(torch.rand(8, 1, 1))), SQUARE)["labels"]) == 5


def test_text(serve: Callable[..., Any]) -> None:
    response = serve("classifier", FIXED.format("scores"), {"handler": {"topk": 2}})(PNG, accept="TEXT/*")
    assert (response.content_type, response.text) == ("text/plain", "coin 0.6652\n2 0.2447")


@pytest.mark.parametrize(
    ("scores", "expected"),
    [("softmax", SOFTMAX), ("sigmoid", 1 / (1 + np.exp([-2, -1, 0]))), ("none", [2, 1, 0])],
)
def test_scores_setting(scores: str, expected: Any) -> None:
    answer = asked(made("classifier", network_of(FIXED.format("scores")), LABELS, scores=scores), SQUARE)
    assert answer["scores"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("wrap", ["(scores, x)", "dict(logits=scores)", "scores[:, :, None, None]", "[scores]"])
def test_networks_of_every_form(wrap: str) -> None:
    answer = asked(made("classifier", network_of(FIXED.format(wrap)), LABELS, topk=1), SQUARE)
    assert answer["labels"] == ["coin"]


MEAN = """
class Mean(nn.Module):
    def forward(self, x):
        return x.mean(dim=(2, 3))
"""


@pytest.mark.parametrize("size", [(300, 300), (640, 480), (480, 640), (30, 20), (4000, 3), (1, 1)])
def test_network_sees_the_middle_as_torchvision_crops_it(size: tuple[int, int]) -> None:
    from torchvision.transforms.v2.functional import center_crop, resize

    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize(size)
    answer = asked(made("classifier", network_of(MEAN), scores="none", topk=3), image)
    seen = dict(zip(answer["labels"], answer["scores"], strict=True))
    cropped = np.asarray(center_crop(resize(image, 256), 224)).mean(axis=(0, 1)) / 255
    expected = (cropped - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert [seen[str(index)] for index in range(3)] == pytest.approx(expected, abs=0.05)


@everywhere
def test_odd_requests_of_a_batch(serve: Callable[..., Any]) -> None:
    served = serve("classifier", FIXED.format("scores"), batch_size=4)
    several = Request.multipart(Part("a", PNG, "a.png"), Part("b", file_of(DISCS.astype("<u2") << 8), "b.png"))
    responses = served(PNG, several, Request.json([[1, 2], [3]]), Request.json(DISCS.tolist()))
    assert [response.status for response in responses] == [200, 200, 400, 200]
    assert responses[1].json() == [responses[0].json()] * 2
    assert responses[2].json()["message"] == "The pixels of body are not in rows of one length."


def test_a_network_that_answers_too_few_is_told_to_those_it_forgot(serve: Callable[..., Any]) -> None:
    first = FIXED.format("scores[:1]")
    several = Request.multipart(Part("a", PNG, "a.png"), Part("b", PNG, "b.png"))
    responses = serve("classifier", first, batch_size=2)(PNG, several)
    assert [response.status for response in responses] == [200, 500]
    assert (
        responses[1].json()["message"] == "The model failed on an image of 64x48, 64x48 pixels: 1 outputs for 2 inputs"
    )


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ({"threshold": 0.6}, ["coin", "2"]),
        ({"threshold": 0}, ["coin", "2", "background"]),
        ({"threshold": 0.95}, []),
        ({"threshold": 0.6, "topk": 1}, ["coin"]),
    ],
)
def test_threshold_of_a_multi_label_model(options: dict[str, Any], labels: list[str]) -> None:
    handler = made("classifier", network_of(FIXED.format("scores")), LABELS, scores="sigmoid", **options)
    answer = asked(handler, SQUARE)
    assert answer["labels"] == labels


def test_timm() -> None:
    torch.manual_seed(0)
    network = timm.create_model("test_resnet.r160_in1k", pretrained=False, num_classes=5).eval()
    handler = made("classifier", network, crop=64, resize=64)
    assert_best_first(asked(handler, SQUARE), network(seen(handler)).softmax(1)[0])


def test_transformers() -> None:
    handler = made("classifier", network("vit"), crop=64, resize=64)
    assert_best_first(asked(handler, SQUARE), handler.model(seen(handler)).logits.softmax(1)[0])


def seen(handler: Any) -> torch.Tensor:
    found: torch.Tensor = handler.normalized(handler.prepare(SQUARE)[None])
    return found


def assert_best_first(answer: Any, scores: torch.Tensor) -> None:
    order = scores.argsort(descending=True)
    assert answer["labels"] == [str(index) for index in order.tolist()]
    assert answer["scores"] == pytest.approx(scores[order].tolist(), abs=1e-4)


TORCHVISION = """
from torchvision import models


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = models.{}(weights=None, num_classes=7)

    def forward(self, x):
        return self.net(x)
"""


@everywhere
@pytest.mark.parametrize("name", ["mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_torchvisions_architectures(serve: Callable[..., Any], name: str) -> None:
    answer = serve("classifier", TORCHVISION.format(name), labels=False).json(PNG)
    assert len(answer["labels"]) == 5
    assert answer["scores"] == sorted(answer["scores"], reverse=True)
    assert sum(answer["scores"]) < 1


@pytest.mark.parametrize("how", [torch.jit.script, lambda network: torch.jit.trace(network, torch.zeros(1, 3, 64, 64))])
def test_torchscript(serve: Callable[..., Any], how: Callable[..., Any]) -> None:
    from torchvision.models import squeezenet1_1

    network = how(squeezenet1_1(weights=None, num_classes=3).eval())
    answer = serve("classifier", network, {"handler": {"resize": 64, "crop": 64}}, labels=False).json(PNG)
    assert sorted(answer["labels"]) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"topk": 0}, "topk is a whole number from 1 on, or null, not 0"),
        ({"topk": True}, "topk is a whole number from 1 on, or null, not True"),
        ({"crop": 300}, "crop is at most resize, 256, not 300"),
        ({"scores": "logits"}, "scores is one of softmax, sigmoid, none, not 'logits'"),
    ],
)
def test_wrong_setting_is_told_at_load(settings: Any, sentence: str) -> None:
    with pytest.raises(RuntimeError, match=sentence):
        made("classifier", network_of(MEAN), **settings)
