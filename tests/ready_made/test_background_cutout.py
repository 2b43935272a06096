"""background_cutout, through a worker: raw pixels, files, masks, new backgrounds."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from ready_made_pictures import DISCS, PNG, everywhere, file_of, opened

import handlerkit as hk
from handlerkit import Request
from handlerkit.errors import LoadError

COINS = Path(__file__).parents[2] / "notebooks" / "models" / "coins_segmenter.pt"
#: What is bright stands in front, from 0.2 to 0.7; seven maps, as U²-Net answers them.
FRONT = """
class Front(nn.Module):
    def forward(self, x):
        front = 0.2 + 0.5 * (x.mean(dim=1, keepdim=True) > 0.5)
        return (front, *[1 - front] * 6)
"""
PLAIN = {"resize": None, "mean": [0, 0, 0], "std": [1, 1, 1]}


@pytest.fixture(scope="module")
def front(serve: Callable[..., Any]) -> Any:
    return serve("background_cutout", FRONT, {"handler": PLAIN}, batch_size=3)


@everywhere
def test_raw_pixels_with_their_size_in_headers(front: Any) -> None:
    response = front(PNG)
    headers = dict(response.headers)
    assert response.content_type == "application/octet-stream"
    size = int(headers["image-width"]), int(headers["image-height"])
    rgba = np.asarray(Image.frombytes("RGBA", size, response.body))
    assert (rgba[:, :, 0] == DISCS).all()
    assert (rgba[:, :, 3] == np.where(DISCS > 128, 255, 0)).all()


@everywhere
def test_png_holds_the_same_pixels(front: Any) -> None:
    image = opened(front(PNG, accept="IMAGE/png"))
    assert image.mode == "RGBA"
    assert image.tobytes() == front(PNG).body


@everywhere
def test_mask_alone(front: Any) -> None:
    response = front(PNG, accept="image/png; mask=alpha")
    assert response.content_type == "image/png; mask=alpha"
    mask = opened(response)
    assert mask.mode == "L"
    assert (np.asarray(mask) == np.where(DISCS > 128, 255, 0)).all()


@everywhere
def test_json_holds_the_png(front: Any) -> None:
    answer = front(PNG, accept="application/json").json()
    assert answer["size"] == list(DISCS.shape)
    assert base64.b64decode(answer["png"]) == front(PNG, accept="image/png").body


@pytest.mark.parametrize("envelope", ["json", "kserve"])
def test_json_goes_through_an_envelope(serve: Callable[..., Any], envelope: str) -> None:
    config = {"service_envelope": envelope}
    served = serve("background_cutout", FRONT, {"handler": PLAIN}, config_properties=config)
    request = hk.envelope.wrap(envelope, PNG).with_headers({"Accept": "application/json"})
    answer = hk.envelope.unwrap(envelope, served(request))
    assert Image.open(io.BytesIO(base64.b64decode(answer["png"]))).mode == "RGBA"


def test_without_stretching_the_map_is_a_probability(serve: Callable[..., Any]) -> None:
    served = serve("background_cutout", FRONT, {"handler": {**PLAIN, "stretch": False}})
    mask = opened(served(PNG, accept="image/png; mask=alpha"))
    assert sorted(np.unique(np.asarray(mask))) == [51, 178]


@everywhere
def test_plain_map_is_not_stretched(front: Any) -> None:
    mask = opened(front(file_of(np.zeros((5, 7), np.uint8)), accept="image/png; mask=alpha"))
    assert np.unique(np.asarray(mask)).tolist() == [51]


@everywhere
def test_mask_is_scaled_back_to_the_picture_with_lanczos(serve: Callable[..., Any]) -> None:
    served = serve("background_cutout", FRONT, {"handler": {**PLAIN, "resize": [48, 64]}})
    large = Image.fromarray(DISCS).resize((256, 192), Image.Resampling.NEAREST)
    mask = opened(served(file_of(large), accept="image/png; mask=alpha"))
    seen = np.asarray(large.resize((64, 48), Image.Resampling.BILINEAR)) > 127
    expected = Image.fromarray(seen.astype(np.uint8) * 255).resize((256, 192), Image.Resampling.LANCZOS)
    assert mask.size == (256, 192)
    assert np.abs(np.asarray(mask).astype(int) - np.asarray(expected)).max() <= 1


@everywhere
@pytest.mark.parametrize("background", ["#00ff00", "lime", "wall.png"])
def test_new_background(serve: Callable[..., Any], tmp_path: Path, background: str) -> None:
    wall = tmp_path / "wall.png"
    Image.new("RGB", (3, 9), "lime").save(wall)
    served = serve("background_cutout", FRONT, {"handler": {**PLAIN, "background": background}}, extra=[wall])
    rgba = np.asarray(opened(served(PNG, accept="image/png")))
    assert (rgba[DISCS < 128] == [0, 255, 0, 255]).all()
    assert (rgba[DISCS > 128] == [200, 200, 200, 255]).all()


@everywhere
def test_network_with_classes_takes_the_first_for_the_background(serve: Callable[..., Any]) -> None:
    large = Image.fromarray(DISCS).resize((256, 192))
    mask = opened(serve("background_cutout", COINS)(file_of(large), accept="image/png; mask=alpha"))
    assert ((np.asarray(mask) > 127) == (np.asarray(large) > 128)).mean() > 0.95


@everywhere
def test_a_bad_request_fails_alone(front: Any) -> None:
    responses = front(b"", PNG, Request(body=PNG, headers=(("Accept", "text/html"),)))
    assert [response.status for response in responses] == [400, 200, 406]
    assert responses[0].json()["message"] == "body is empty."
    assert "image-width" not in dict(responses[0].headers)


@everywhere
def test_raw_pixels_over_the_limit_are_refused_and_the_mask_is_not(front: Any) -> None:
    large = file_of(np.zeros((1300, 1300), np.uint8))
    assert front(large).status == 413
    noise = file_of(np.random.default_rng(0).integers(0, 256, (1300, 1300, 3), np.uint8))
    assert front(noise, accept="application/json").status == 413
    assert front(large, accept="image/png; mask=alpha").status == 200


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"background": "nowhere.png"}, "background is a color or an image file of the archive, or null, not 'nowh"),
        ({"background": 7}, "background is a color or an image file of the archive, or null, not 7"),
        ({"stretch": "yes"}, "stretch is true or false, not 'yes'"),
    ],
)
def test_wrong_setting_is_told_at_load(serve: Callable[..., Any], settings: Any, sentence: str) -> None:
    with pytest.raises(LoadError, match=sentence):
        serve("background_cutout", FRONT, {"handler": settings})
