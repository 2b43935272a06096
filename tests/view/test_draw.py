from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from handlerkit.view import draw

GRAY = (90, 90, 90)


def plain(width: int = 100, height: int = 80) -> Image.Image:
    return Image.new("RGB", (width, height), GRAY)


def test_a_box_ends_one_pixel_before_x2_and_y2():
    picture = draw.boxes(plain(), [[10, 20, 50, 60]], width=2)
    color = draw.color(0)
    assert [picture.getpixel(at) for at in ((10, 20), (11, 40), (49, 59), (48, 40))] == [color] * 4
    assert [picture.getpixel(at) for at in ((9, 40), (12, 40), (50, 40), (30, 60), (30, 40))] == [GRAY] * 5


def test_small_boxes_lie_on_large_ones():
    colors = [(255, 0, 0), (0, 0, 255)]
    picture = draw.boxes(plain(), [[20, 20, 40, 40], [20, 10, 90, 70]], colors=colors, width=2)
    assert picture.getpixel((20, 30)) == colors[0]


def test_the_image_itself_stays_as_it_is():
    image = plain()
    draw.boxes(image, [[10, 10, 40, 40]], ["coin"])
    draw.overlay(image, np.ones((80, 100), np.uint8))
    assert image.getcolors() == [(8000, GRAY)]


def test_what_cannot_be_drawn_is_counted():
    nan, inf = float("nan"), float("inf")
    boxes = [[1, 1, 9, 9], [nan, 1, 9, 9], [1, 1, inf, 9], [200, 1, 220, 9], [1, 1, 9, 9], [60, 60, 50, 50]]
    picture = draw.boxes(plain(), boxes, scores=[0.5, 0.5, 0.5, 0.5, nan, 0.5])
    assert picture.info["skipped"] == 3


def test_a_box_whose_score_is_no_number_is_drawn_and_says_so():
    picture = draw.boxes(plain(), [[10, 30, 60, 60]], ["coin"], [float("nan")], width=2)
    assert picture.getpixel((10, 50)) == draw.color(0)
    assert picture.tobytes() != draw.boxes(plain(), [[10, 30, 60, 60]], ["coin"], [0.5], width=2).tobytes()


def test_a_label_stays_inside_the_picture():
    picture = np.asarray(draw.boxes(plain(), [[90, 70, 100, 80]], ["a coin"], font_size=11))
    filled = (picture == draw.color(0)).all(axis=2)
    assert filled[:, 50:].sum() > 300


def test_a_taken_place_moves_the_label():
    one = np.asarray(draw.boxes(plain(), [[20, 30, 80, 70]], ["coin"], font_size=11))
    two = np.asarray(draw.boxes(plain(), [[20, 30, 80, 70]] * 2, ["coin"] * 2, font_size=11))
    color = draw.color(0)
    assert ((two == color).all(axis=2)[32:48]).sum() > ((one == color).all(axis=2)[32:48]).sum() + 100


@pytest.mark.parametrize(("ground", "color"), [((240, 228, 66), (0, 0, 0)), ((0, 114, 178), (255, 255, 255))])
def test_text_contrasts_with_its_ground(ground, color):
    assert draw.text_color(ground) == color


def test_five_hundred_boxes_and_none():
    corners = np.random.default_rng(0).uniform(-50, 150, (500, 4))
    assert draw.boxes(plain(), corners, ["x"] * 500, np.ones(500)).size == (100, 80)
    assert draw.boxes(plain(), []).tobytes() == plain().tobytes()


def test_a_label_never_leaves_a_picture_that_is_too_small_for_it():
    picture = draw.boxes(plain(20, 8), [[1, 1, 6, 6]], ["a long name"], width=1)
    assert (np.asarray(picture) == draw.color(0)).all(axis=2).sum() <= 4 * 5


def test_labels_do_not_cover_each_other():
    from handlerkit.view.draw.labels import LabelPainter

    labels = LabelPainter(plain(100, 140), 11)
    assert [labels.add("coin", (20, 30, 60, 70), GRAY) for _ in range(6)] == [True] * 5 + [False]


def disc(x: int, y: int, radius: int) -> np.ndarray:
    down, across = np.mgrid[:80, :100]
    return (down - y) ** 2 + (across - x) ** 2 <= radius**2


def test_a_mask_is_half_its_color_inside_and_all_of_it_at_its_edge():
    color = (200, 10, 50)
    picture = draw.masks(plain(), [disc(50, 40, 20)], colors=[color], width=1)
    assert picture.getpixel((30, 40)) == color
    # 128 of 255, as PIL rounds
    half = [(90 * 127 + channel * 128) / 255 for channel in color]
    assert picture.getpixel((50, 40)) == pytest.approx(half, abs=0.6)
    assert [picture.getpixel(at) for at in ((29, 40), (71, 40), (50, 61))] == [GRAY] * 3


def test_small_masks_lie_on_large_ones():
    colors = [(255, 0, 0), (0, 0, 255)]
    picture = draw.masks(plain(), [disc(50, 40, 8), disc(50, 40, 30)], colors=colors, opacity=1)
    assert picture.getpixel((50, 40)) == colors[0]
    assert picture.getpixel((70, 40)) == colors[1]


def test_masks_of_another_size_are_stretched_without_blending():
    small = np.zeros((8, 10), bool)
    small[2:4, 5:7] = True
    picture = draw.masks(plain(), [small], colors=[(1, 2, 3)], opacity=1)
    assert sorted(picture.getcolors()) == sorted([(8000 - 400, GRAY), (400, (1, 2, 3))])
    assert [picture.getpixel(at) for at in ((50, 20), (69, 39))] == [(1, 2, 3)] * 2


def test_masks_without_a_pixel_and_no_masks():
    assert draw.masks(plain(), [np.zeros((80, 100), bool), disc(50, 40, 3)]).info["skipped"] == 1
    assert draw.masks(plain(), []).tobytes() == plain().tobytes()


@pytest.mark.parametrize("shape", [(80, 96), (80, 101), (1, 1)])
def test_bounds_of_a_mask(shape):
    mask = np.zeros(shape, bool)
    assert draw.mask_to_xyxy(mask) is None
    mask[-1, -1] = mask[-1, shape[1] // 2] = True
    assert draw.mask_to_xyxy(mask) == (shape[1] // 2, shape[0] - 1, shape[1], shape[0])


def test_heat_leaves_cold_pixels_gray_and_ends_in_bright_yellow():
    values = np.zeros((80, 100))
    values[:, 50:] = 1
    picture = draw.heat(Image.new("RGB", (100, 80), (10, 200, 60)), values, opacity=1)
    gray = Image.new("RGB", (1, 1), (10, 200, 60)).convert("L").getpixel((0, 0))
    assert picture.getpixel((10, 10)) == (gray,) * 3
    assert picture.getpixel((90, 10)) == (252, 255, 164)


def test_heat_takes_what_is_not_finite_for_nothing():
    picture = draw.heat(plain(4, 4), np.array([[float("nan")] * 4] * 4))
    assert picture.getcolors() == [(16, GRAY)]


def test_highlight_colors_the_pixels_and_pales_the_rest():
    where = np.zeros((80, 100), bool)
    where[10, 10] = True
    picture = draw.highlight(plain(), where)
    assert picture.getpixel((10, 10)) == (213, 94, 0)
    assert picture.getpixel((11, 10)) == (178 + 90 * 77 // 255,) * 3


def test_a_single_pixel_stays_when_the_picture_is_smaller():
    where = np.zeros((800, 1000), bool)
    where[400, 500] = True
    picture = draw.highlight(plain(), where)
    assert picture.getpixel((50, 40)) == (213, 94, 0)


def test_overlay_is_the_same_in_strips_and_at_once():
    classes = np.random.default_rng(0).integers(0, 5, (200, 40)).astype(np.uint8)
    image = Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 40, 3), np.uint8))
    layer = Image.fromarray(np.array(draw.palette(), np.uint8)[classes])
    assert draw.overlay(image, classes, background=None).tobytes() == Image.blend(image, layer, 0.5).tobytes()


def test_overlay_blends_by_class_and_leaves_the_background():
    classes = np.array([[0, 1], [1, 2]], np.uint8).repeat(4, 0).repeat(4, 1)
    picture = draw.overlay(plain(8, 8), classes, opacity=0.5)
    half = [tuple((90 + channel) // 2 for channel in draw.color(index)) for index in (1, 2)]
    assert picture.getpixel((0, 0)) == GRAY
    assert np.abs(np.subtract(picture.getpixel((7, 0)), half[0])).max() <= 1
    assert np.abs(np.subtract(picture.getpixel((7, 7)), half[1])).max() <= 1


def test_overlay_without_a_background_covers_all():
    picture = draw.overlay(plain(4, 4), np.zeros((4, 4), int), opacity=1, background=None)
    assert picture.getcolors() == [(16, draw.color(0))]


def test_overlay_stretches_a_map_of_another_size_without_blending():
    picture = draw.overlay(plain(100, 80), np.array([[False, True]]), opacity=1)
    assert sorted(picture.getcolors()) == sorted([(4000, GRAY), (4000, draw.color(1))])


def test_classes_beyond_the_palette_are_not_background():
    assert draw.overlay(plain(4, 4), np.full((4, 4), 510), opacity=1).getpixel((0, 0)) != GRAY


def test_overlay_writes_a_legend():
    picture = draw.overlay(plain(200, 100), np.zeros((100, 200), np.uint8) + 1, {1: "coin"}, opacity=0)
    assert picture.getpixel((5, 8)) == draw.color(1)


def test_bars_are_as_long_as_their_values():
    picture = np.asarray(draw.bars(["aa", "aa"], [1.0, 0.5]))
    lengths = [(row == draw.color(0)).all(axis=1).sum() for row in (picture[8], picture[picture.shape[0] // 2 + 8])]
    assert lengths[0] == pytest.approx(2 * lengths[1], abs=1)


def test_bars_of_odd_values():
    assert draw.bars(["a" * 200, "b", "c"], [0.5, float("nan"), -1]).info["skipped"] == 2
    assert draw.bars([], []).height == 1


def test_a_cutout_shows_the_board_where_it_is_transparent():
    rgba = np.zeros((16, 16, 4), np.uint8)
    rgba[:, 8:] = (200, 10, 20, 255)
    board = draw.checkerboard(rgba)
    assert [board.getpixel(at) for at in ((0, 0), (0, 8), (8, 0))] == [(216,) * 3, (255,) * 3, (200, 10, 20)]


def test_fit_only_makes_smaller():
    assert draw.fit(plain(3200, 100)).size == (1600, 50)
    assert draw.fit(plain(10, 3200), max_height=320).size == (1, 320)
    assert draw.fit(plain()).size == (100, 80)


@pytest.mark.parametrize(
    "image",
    [
        np.full((1, 1), 65535, np.uint16),
        np.full((2, 2), 1.0),
        np.full((2, 2, 1), 255, np.uint8),
        np.ones((2, 2), bool),
        Image.fromarray(np.full((2, 2), 65535, np.uint16)),
        Image.new("LA", (2, 2), (0, 0)),
        Image.new("1", (2, 2), 1),
        Image.new("CMYK", (2, 2)),
    ],
)
def test_every_kind_of_white_is_white(image):
    assert draw.rgb(image).getpixel((0, 0)) == (255, 255, 255)


def test_an_array_that_is_no_image_is_refused():
    with pytest.raises(ValueError, match="an image is"):
        draw.rgb(np.zeros((3, 4, 5)))


def test_heat_below_and_above_nothing_has_two_colors_and_none_between():
    picture = draw.heat(plain(30, 10), np.array([[-1.0, 0.0, 1.0]]).repeat(10, 0).repeat(10, 1), opacity=1)
    below, nothing, above = (picture.getpixel((x, 5)) for x in (2, 15, 27))
    assert nothing == GRAY
    assert below == pytest.approx((0, 114, 178), abs=2)
    assert above == pytest.approx((213, 94, 0), abs=2)
