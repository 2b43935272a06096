"""Where a handler's picture lies on the input image, held against torchvision itself."""

from __future__ import annotations

import numpy as np
import pytest

from handlerkit.messages import Geometry


@pytest.mark.parametrize(
    ("text", "geometry"),
    [
        ("stretch", Geometry()),
        ("resize 256", Geometry(256)),
        ("resize 256 crop 224", Geometry(256, (224, 224))),
        ("resize 256, crop 224", Geometry(256, (224, 224))),
        ("resize 240x320 crop 10x20", Geometry((240, 320), (10, 20))),
    ],
)
def test_what_is_written_is_read(text, geometry):
    assert Geometry.parse(text) == geometry
    assert Geometry.parse(str(geometry)) == geometry


@pytest.mark.parametrize("text", ["", "crop", "resize 256 crop", "crop 224 resize 256", "resize -3"])
def test_anything_else_is_refused_in_a_sentence(text):
    with pytest.raises(ValueError, match=r"is no geometry: write 'stretch', or for example 'resize 256 crop 224'"):
        Geometry.parse(text)


@pytest.mark.parametrize("size", [(640, 480), (301, 403), (256, 256)])
def test_the_region_is_where_torchvision_cuts(size):
    from PIL import Image
    from torchvision import transforms

    steps = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()])
    geometry = Geometry.of(steps)
    assert geometry == Geometry(256, (224, 224))
    # each pixel says where it is, so what is left of the input image says what was cut
    across = np.tile(np.arange(size[0], dtype=np.float32), (size[1], 1))
    down = np.tile(np.arange(size[1], dtype=np.float32)[:, None], (1, size[0]))
    seen = [np.asarray(steps.transforms[1](steps.transforms[0](Image.fromarray(one)))) for one in (across, down)]
    x1, y1, x2, y2 = geometry.region(size)
    step = 1.5 * max(size) / 256
    found = (seen[0].min(), seen[1].min(), seen[0].max() + 1, seen[1].max() + 1)
    assert (x1, y1, x2, y2) == pytest.approx(found, abs=step)
    assert geometry.network_size(size) == (224, 224)


def test_without_steps_the_region_is_the_whole_input_image():
    assert Geometry().region((640, 480)) == (0, 0, 640, 480)
    assert Geometry(256).region((640, 480)) == (0, 0, 640, 480)
    assert Geometry(256).network_size((640, 480)) == (341, 256)


def test_a_crop_larger_than_the_picture_reaches_beyond_it():
    assert Geometry(None, (100, 100)).region((50, 60)) == (-25, -20, 75, 80)


def test_transforms_that_are_not_known_say_nothing():
    from torchvision import transforms

    assert Geometry.of(transforms.Compose([transforms.Resize(256), transforms.RandomCrop(224)])) is None
    assert Geometry.of(transforms.Compose([transforms.CenterCrop(224), transforms.Resize(256)])) is None
    assert Geometry.of(None) is None
    assert Geometry.of(transforms.Compose([transforms.ToTensor()])) == Geometry()
