"""Pictures to send, what comes back of them, and where handlers are asked."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pycocotools import mask as coco

if TYPE_CHECKING:  # test_on_the_official_image runs this where the kit is not
    from handlerkit import Response

OFFICIAL = "torchserve-0.12.0-cpu"
#: For tests that ask the handlers of a Worker, and of a TorchServe with the official image's packages too.
everywhere = pytest.mark.parametrize(
    "serve",
    ["worker", pytest.param(OFFICIAL, marks=[pytest.mark.server, pytest.mark.target])],
    indirect=True,
)

ROWS, COLUMNS = np.mgrid[:48, :64]
#: Two bright discs on a dark ground, as the coins lie: grey, [48, 64].
DISCS = np.where((ROWS - 24) ** 2 + (COLUMNS % 32 - 16) ** 2 < 100, 200, 40).astype(np.uint8)


def file_of(image: Image.Image | npt.NDArray[Any], kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **options)
    return file.getvalue()


PNG = file_of(DISCS)


def opened(response: Response) -> Image.Image:
    """The picture that came back."""
    assert response.status == 200, response.text
    return Image.open(io.BytesIO(response.body))


def decode(mask: dict[str, Any]) -> npt.NDArray[np.uint8]:
    """COCO's run-length as an array [H, W]."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # of pycocotools itself
        decoded: npt.NDArray[np.uint8] = coco.decode(mask)
    return decoded
