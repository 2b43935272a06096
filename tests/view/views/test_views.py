"""Which view fits an answer, and what it reads there."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from handlerkit import view
from handlerkit.messages import Geometry
from handlerkit.predictions import Classifications, Detections
from handlerkit.view.contents.changes import Changes
from handlerkit.view.contents.drawings import Drawing
from handlerkit.view.contents.marks import Marks
from handlerkit.view.decode.response import Picture
from handlerkit.view.diff.comparison import compare
from handlerkit.view.preview.message import message
from handlerkit.view.render import answer
from handlerkit.view.views import VIEWS
from handlerkit.view.views.documents import Document
from handlerkit.view.views.heatmap import HeatMap
from handlerkit.view.views.masks import InstanceMasks
from handlerkit.view.views.spec import ViewSpec
from handlerkit.view.views.tensors import Tensors
from handlerkit.view.views.tokens import TokenWeights

TABLE = np.zeros((80, 100), int)
TABLE[20:40, 30:60] = 1


def read(run):
    return answer(run, run.exchanges[0])


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


RLE = {"size": [80, 100], "counts": [0, 80, 80 * 99]}
CASES = {
    "classes": {"cat": 0.7, "dog": 0.3},
    "boxes": [{"label": "cat", "box": [1, 2, 30, 40], "score": 0.5}],
    "masks": [{"label": "cat", "score": 0.5, "segmentation": RLE}],
    "segmentation": TABLE.tolist(),
    "picture": Image.new("RGB", (30, 20)),
    "tokens": {"words": ["good", "film"], "importances": [0.5, -0.1]},
    "tensor": [float(i) for i in range(40)],
    "json": {"anything": "else"},
    "text": b"plain words",
    "bytes": bytes(range(256)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_view_that_fits(send, name):
    assert read(send(CASES[name])).view == name


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_pictures_of_any_kind(send, kind):
    run = send(encoded(Image.new("RGB", (30, 20), (10, 200, 30)), kind))
    found = read(run)
    assert found.view == "picture"
    assert found.content.said.startswith(f"30x20 {kind}")


def test_an_explanation_is_a_heat_map_and_a_prediction_of_the_same_numbers_is_not(send):
    numbers = np.zeros((3, 10, 12))
    numbers[0, 4, 6] = -2
    found = read(send(numbers.tolist(), path="/explanations/coins"))
    assert isinstance(found.content, HeatMap)
    assert found.content.values[4, 6] == 1
    assert found.content.values.sum() == 1
    assert read(send(numbers.tolist())).view == "tensor"


def test_probability_maps_are_read_as_classes_and_their_probability(send):
    share = np.full((3, 80, 100), 0.1)
    share[2] = 0.8
    content = read(send(share.tolist())).content
    assert set(content.pixels()) == {2}
    assert content.probabilities[5, 5] == pytest.approx(0.8)


@pytest.mark.parametrize("array", [TABLE.astype(np.uint8), np.stack([1 - TABLE, TABLE]).astype(np.float32)])
def test_class_maps_come_as_npy_too(send, array):
    assert read(send(array)).content.pixels() == {0: 7400, 1: 600}


def test_npy_of_objects_is_not_unpickled(send):
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert read(send(buffer.getvalue())).view == "bytes"


# --- masks one by one -------------------------------------------------------------------------------------------------

MASK = (TABLE == 1).astype(int)


def png_mask() -> str:
    return base64.b64encode(encoded(Image.fromarray((MASK * 255).astype(np.uint8)))).decode()


@pytest.mark.parametrize(
    "body",
    [
        {"masks": [MASK.tolist()], "labels": ["coin"], "scores": [0.9]},
        {"masks": [[(MASK * 0.7).tolist()]], "labels": ["coin"], "scores": [0.9]},
        [{"label": "coin", "score": 0.9, "mask": png_mask()}],
        [{"label": "coin", "score": 0.9, "segmentation": [[30, 20, 59, 20, 59, 39, 30, 39]]}],
        [{"label": "coin", "score": 0.9, "bbox": [30, 20, 30, 20], "mask": MASK.tolist()}],
    ],
    ids=["columns", "torchvision", "transformers", "COCO polygon", "rows"],
)
def test_forms_of_masks(send, body):
    content = read(send(body)).content
    assert isinstance(content, InstanceMasks)
    assert (content.masks[0] == (MASK == 1)).all()
    assert content.found.labels == ["coin"]
    assert content.found.boxes.tolist() == [[30, 20, 60, 40]]


# --- weights and tensors ----------------------------------------------------------------------------------------------


def test_weights_of_words_and_of_pairs_of_words(send):
    # TorchServe's text_classifier weighs bigrams, too, and names the words alone
    content = read(send([{"words": ["a", "b"], "importances": [0.1, 0.2, 0.3]}])).content
    assert content == TokenWeights(("a", "b"), (0.1, 0.2))


def test_kserve_outputs_are_tensors_of_their_shape_and_type(send):
    outputs = [{"name": "logits", "shape": [2, 10], "datatype": "FP32", "data": list(range(20))}]
    content = read(send({"model_name": "coins", "outputs": outputs})).content
    assert isinstance(content, Tensors)
    ((name, array),) = content.tensors
    assert (name, array.shape, array.dtype) == ("logits", (2, 10), np.float32)


def test_a_few_numbers_stay_json(send):
    assert read(send([1, 2, 3])).view == "json"
    assert read(send([1, 2, 3], shown_as="tensor")).view == "tensor"


# --- one number for each place of the input image ---------------------------------------------------------------------

DEPTH = (np.arange(20)[:, None] * np.ones(25) / 7 + 1).tolist()  # of the shape of the input image's 100x80


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (DEPTH, "values 1 to 3.71"),
        (np.array(DEPTH, np.float32), "values 1 to 3.71"),
        ({"depth": DEPTH, "far": 3.7}, "depth 1 to 3.71"),
        ({"predicted_depth": [DEPTH]}, "predicted_depth 1 to 3.71"),
    ],
    ids=["alone", "npy", "named", "a batch of one"],
)
def test_fractions_in_the_input_image_s_shape_are_a_heat_map(send, body, said):
    run = send(body)
    assert read(run).view == "heatmap"
    assert f"heat map 25x20, {said}, strongest" in view(run).text


@pytest.mark.parametrize(
    "body",
    [
        [row[:20] for row in DEPTH],
        [DEPTH, DEPTH],
        {"depth": DEPTH, "confidence": DEPTH},
        [row[:10] for row in DEPTH[:8]],
    ],
    ids=["another shape", "two channels", "two maps", "few"],
)
def test_other_tables_are_numbers(send, body):
    assert read(send(body)).view == "tensor"


# --- pictures in base64 -----------------------------------------------------------------------------------------------


def photograph(size: tuple[int, int], kind: str, **options: object) -> bytes:
    """A picture of more colors than a mask has."""
    x = np.linspace(0, 255, size[0], dtype=np.uint8)
    rows = np.stack([np.tile(x, (size[1], 1)), np.tile(x[::-1], (size[1], 1)), np.full(size[::-1], 90, np.uint8)], 2)
    return encoded(Image.fromarray(rows), kind, **options)


PHOTOGRAPH = photograph((300, 200), "PNG")
WRITTEN = base64.b64encode(PHOTOGRAPH).decode()


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"mask": WRITTEN}, " at mask"),
        ({"output": {"image": f"data:image/png;base64,{WRITTEN}", "seconds": 0.1}}, " at output.image"),
        ([{"b64": WRITTEN}, {"b64": WRITTEN}], " at 0.b64, the first of 2"),
        (WRITTEN.encode(), ""),
        (f'"{WRITTEN}"'.encode(), ""),
    ],
    ids=["under mask", "data URI", "two", "alone", "JSON text"],
)
def test_a_picture_in_base64_is_drawn_as_one(send, body, where):
    run = send(body)
    found = read(run)
    assert (found.view, found.content.image.size) == ("embedded", (300, 200))
    assert f"image 300x200 PNG in base64{where}\n" in f"{view(run).text}\n"
    assert message(run, run.exchanges[0], "a").picture == PHOTOGRAPH


@pytest.mark.parametrize("text", ["QUJD" * 30, "no base64 " * 20, WRITTEN[:200] + "A" * 40])
def test_other_texts_are_no_pictures(send, text):
    assert read(send({"text": text})).view == "json"
    assert read(send(text.encode())).view == "text"


def test_boxes_beside_a_picture_in_base64_are_drawn(send):
    rows = [{"label": "coin", "box": [1, 2, 30, 40], "score": 0.9}]
    assert read(send({"predictions": rows, "image": WRITTEN})).view == "boxes"


@pytest.mark.parametrize(("exif", "upright"), [(1, (3200, 1800)), (6, (1800, 3200))])
def test_a_large_jpeg_is_unpacked_no_larger_than_it_is_drawn(send, exif, upright):
    tags = Image.Exif()
    tags[0x0112] = exif
    run = send(photograph((3200, 1800), "JPEG", exif=tags))
    content = read(run).content
    assert (content.size, max(content.image.size), max(view(run).image.size)) == (upright, 1600, 1600)
    assert "image 3200x1800 JPEG" in view(run).text


def test_large_jpegs_are_compared_pixel_by_pixel(send):
    red, blue = (send(encoded(Image.new("RGB", (3200, 1800), color), "JPEG")) for color in ("red", "blue"))
    assert "5 760 000 px changed (100 %)" in view(compare(red, blue)).text


# --- bare pixels ------------------------------------------------------------------------------------------------------


def test_bare_bytes_as_large_as_the_input_image_are_pixels(send):
    found = read(send(bytes([200, 10, 20, 255]) * 8000))
    assert found.view == "pixels"
    assert found.content.image.getpixel((5, 5)) == (200, 10, 20, 255)


@pytest.mark.parametrize(
    "said",
    [
        {"headers": (("width", "30"), ("height", "20"))},
        {"headers": (("X-Image-Size", "30x20"),)},
        {"query": "width=30&height=20"},
    ],
    ids=["two headers", "one header", "query"],
)
def test_a_header_or_the_query_says_the_size_of_bare_bytes(send, said):
    assert read(send(bytes([200, 10, 20]) * 600, **said)).content.image.size == (30, 20)


def test_bytes_of_no_known_size_are_pixels_only_when_asked(send):
    gray = bytes([128] * 961)
    assert read(send(gray)).view == "bytes"
    assert read(send(gray, shown_as="pixels")).content.image.size == (31, 31)


# --- asked for by name ------------------------------------------------------------------------------------------------


def test_a_view_that_is_asked_for_takes_precedence(send):
    found = read(send(CASES["boxes"], shown_as="json"))
    assert isinstance(found.content, Document)


def test_a_view_that_is_asked_for_may_take_more(send):
    share = (MASK * 0.7).tolist()
    assert read(send(share)).view == "heatmap"
    assert read(send(share, shown_as="segmentation")).content.pixels() == {0: 7400, 1: 600}
    assert read(send([share, share])).view == "tensor"
    assert read(send([share, share], shown_as="heatmap")).view == "heatmap"


def test_a_view_that_does_not_fit_says_so(send):
    found = read(send(b"plain words", shown_as="boxes"))
    assert (found.view, found.notes) == ("text", ("not shown as boxes: the answer is of another kind",))


def test_a_view_that_is_not_there_is_named(send):
    with pytest.raises(ValueError, match="there is no view 'bokses': choose one of stream, texts, segmentation"):
        read(send(b"", shown_as="bokses"))


def test_errors_are_not_drawn(send):
    assert read(send(CASES["boxes"], status=503)).view == "json"


# --- views of the user's own ------------------------------------------------------------------------------------------


@pytest.fixture
def own_views(monkeypatch):
    monkeypatch.setattr(VIEWS, "specs", list(VIEWS.specs))


@pytest.mark.usefixtures("own_views")
def test_a_registered_view_is_asked_first_and_by_name(send):
    @view.register("spectrum")
    def spectrum(source):
        return Classifications(("hertz",), (0.5,)) if source.text == "440" else None

    assert view.names()[0] == "spectrum"
    assert read(send(b"440")).view == "spectrum"
    assert "hertz 50 %" in view(send(b"440")).text
    assert read(send(b"441")).view == "text"


@pytest.mark.usefixtures("own_views")
def test_a_registered_view_may_give_a_picture(send):
    view.register("red")(lambda source: Image.new("RGB", (3, 2), "red"))
    found = read(send(b"x"))
    assert isinstance(found.content, Picture)
    assert view(send(b"x")).image.getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.usefixtures("own_views")
def test_a_registered_view_takes_the_place_of_its_name(send):
    view.register("boxes")(lambda source: None)
    assert view.names().count("boxes") == 1
    assert read(send(CASES["boxes"])).view == "json"


@pytest.mark.usefixtures("own_views")
def test_a_reader_in_a_view_s_place_leaves_its_drawing(send):
    view.register("boxes")(lambda source: Detections(np.array([[1, 2, 3, 4]], np.float32), None, ["own"]))
    assert view(send(b"x")).text.splitlines()[-2:] == ["1 box: own (1,2)-(3,4)", "own 1"]


@pytest.mark.usefixtures("own_views")
def test_a_view_that_gives_what_none_draws_leaves_a_note(send):
    view.register("broken")(lambda source: 3)
    assert read(send(b"words")).notes == ("not shown as broken: TypeError: there is no drawing of a int",)


@dataclass(frozen=True)
class Point:
    x: int


@pytest.mark.usefixtures("own_views")
def test_a_view_spec_brings_its_own_drawing_comparison_and_marks(send):
    view.register(
        ViewSpec(
            "point",
            lambda source: Point(source.json["x"]) if isinstance(source.json, dict) and "x" in source.json else None,
            Point,
            lambda content, answer: Drawing((f"a point at {content.x}",)),
            changes=lambda before, after, answer: Changes((f"moved by {after.x - before.x}",)),
            marks=lambda content, answer: Marks({"boxes": [[content.x, 0, content.x + 1, 1, None, 0]]}, size=(8, 8)),
        )
    )
    one, other = send({"x": 3}), send({"x": 5})
    assert view(one).text.splitlines()[-2] == "a point at 3"
    assert "moved by 2" in view(compare(one, other)).text
    assert message(one, one.exchanges[0], "a").facts["boxes"] == [[3, 0, 4, 1, None, 0]]


@pytest.mark.usefixtures("own_views")
def test_a_view_that_fails_leaves_a_note_to_the_next(send):
    @view.register("broken")
    def broken(source):
        raise RuntimeError("no such thing")

    found = read(send(b"x"))
    assert (found.view, found.notes) == ("text", ("not shown as broken: RuntimeError: no such thing",))


# --- where it lies on the input image ---------------------------------------------------------------------------------

PAIRS = np.stack([np.ones((224, 224)), np.full((224, 224), 0.9)], axis=2)


def test_the_default_segmenter_s_map_lies_where_it_cropped(send):
    found = read(send(PAIRS.tolist(), (640, 480)))
    assert found.region == Geometry(256, (224, 224)).region((640, 480))
    assert found.notes == ("placed as the default handlers' resize 256, crop 224 puts it",)


def test_what_the_handler_did_decides_where_a_map_lies(send):
    found = read(send(np.ones((30, 30), int).tolist(), (640, 480), geometry=Geometry(60, (30, 30))))
    assert found.region == (200, 120, 440, 360)


def test_without_a_geometry_a_map_is_stretched_and_says_so(send):
    found = read(send(np.ones((30, 30), int).tolist(), (640, 480)))
    assert (found.region, found.notes) == ((0, 0, 640, 480), ("stretched to the input image's 640x480",))


def test_a_geometry_that_is_set_wins(send):
    found = read(send(PAIRS.tolist(), (640, 480), geometry=Geometry()))
    assert found.region == (0, 0, 640, 480)


def test_a_map_as_large_as_the_input_image_lies_on_all_of_it(send):
    found = read(send(TABLE.tolist(), geometry=Geometry(60, (30, 30))))
    assert (found.region, found.notes) == ((0, 0, 100, 80), ())


def test_boxes_as_fractions_of_the_input_image_are_scaled(send):
    found = read(send([{"box": [0.1, 0.5, 0.2, 1], "label": "cat"}]))
    assert found.content.boxes[0] == pytest.approx([10, 40, 20, 80])
    assert found.notes == ("boxes are fractions of the input image's sides",)


def test_boxes_in_the_network_s_picture_are_moved_to_the_input_image(send):
    rows = [{"box": [0, 0, 224, 112], "label": "cat"}]
    found = read(send(rows, (640, 480), geometry=Geometry(256, (224, 224))))
    x1, y1, x2, y2 = Geometry(256, (224, 224)).region((640, 480))
    assert found.content.boxes[0] == pytest.approx([x1, y1, x2, (y1 + y2) / 2], abs=0.1)


def test_boxes_beyond_the_network_s_picture_are_the_input_image_s(send):
    rows = [{"box": [0, 0, 600, 400], "label": "cat"}]
    assert read(send(rows, (640, 480), geometry=Geometry(256, (224, 224)))).content.boxes[0, 2] == 600


# --- input images -----------------------------------------------------------------------------------------------------


def test_an_input_image_that_exif_turns_is_drawn_as_a_handler_opens_it(send):
    exif = Image.Exif()
    exif[0x0112] = 6
    input_image = encoded(Image.new("RGB", (100, 80)), "JPEG", exif=exif)
    found = read(send(CASES["boxes"], input_image=input_image))
    assert found.input_image.size == (100, 80)
    assert found.notes == ("EXIF rotates the input image by 90°; drawn as PIL opens it, not rotated",)


def test_an_input_image_is_turned_where_the_answer_speaks_of_it_turned(send):
    image = Image.new("RGB", (100, 80), "white")
    image.paste("red", (0, 0, 20, 20))  # the upper left corner; turned clockwise, the upper right one
    exif = Image.Exif()
    exif[0x0112] = 6
    answer = {"size": [100, 80], "boxes": [[1, 2, 70, 90]], "labels": ["coin"], "scores": [0.9]}
    found = read(send(answer, input_image=encoded(image, "JPEG", exif=exif)))
    assert (found.input_image.size, found.notes) == ((80, 100), ())
    red, _, blue = found.input_image.shown.getpixel((75, 5))
    assert red > 200 > 100 > blue


@pytest.mark.parametrize(("kind", "size"), [("JPEG", (4000, 3000)), ("PNG", (3300, 40)), ("PNG", (1600, 1600))])
def test_a_large_input_image_shrinks_by_a_whole_number(send, kind, size):
    input_image = encoded(Image.new("RGB", size, (90, 90, 90)), kind)
    found = read(send(CASES["boxes"], input_image=input_image)).input_image
    assert found.size == size
    assert max(found.shown.size) <= 1600
    assert (size[0] / found.shown.width) % 1 == 0


@pytest.mark.parametrize("mode", ["L", "I;16", "1", "P", "LA", "RGBA", "CMYK"])
def test_input_images_of_every_mode(send, mode):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    found = read(send(CASES["boxes"], input_image=encoded(Image.new(mode, (100, 80)), kind)))
    assert found.input_image.shown.mode == "RGB"


# --- series -----------------------------------------------------------------------------------------------------------


def test_a_series_is_a_line_and_a_histogram_only_when_asked(send):
    run = send([float(i) for i in range(40)])
    assert "hk-series" in view(run).html
    assert "hk-histogram" not in view(run).html
    asked = view(run, shown_as="histogram")
    assert "hk-histogram" in asked.html
    assert "hk-series" not in asked.html


def test_a_line_keeps_the_peaks_of_a_long_series_and_has_gaps(send):
    numbers = np.zeros(100_000, np.float32)
    numbers[54_321], numbers[10:4000] = 7, np.nan
    page = view(send(numbers)).html
    svg = base64.b64decode(page.partition("svg+xml;base64,")[2].partition('"')[0]).decode()
    assert svg.count("<polyline") == 2
    assert ",4.0" in svg  # the top
    assert "from 0 to 7" in page


def test_an_embedding_among_words_is_a_line_above_the_tree(send):
    page = view(send({"model": "mini", "data": [{"embedding": [0.1 * i for i in range(40)]}]})).html
    assert page.index('class="hk-series') < page.index('class="hk-tree')
    assert "data.0.embedding: float64 [40]" in page
