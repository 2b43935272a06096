"""The forms of an answer, and the decoders of a picture."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from handlerkit.bench.options import decodings, encodings, find_array, run_length

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 50, 4), dtype=np.uint8)
CLASSES = np.repeat(np.arange(4, dtype=np.uint8), 500).reshape(40, 50)


def saved(array: np.ndarray, kind: str, **how: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **how)
    return file.getvalue()


def as_torchserve(value: object) -> bytes:
    return json.dumps(value, indent=2).encode()


def sizes(body: bytes) -> dict[str, int]:
    return {option.name: option.size for option in encodings(body)[1]}


def test_an_array_in_json_is_measured_in_every_form() -> None:
    about, options = encodings(as_torchserve(PICTURE.tolist()))
    assert about == "array 40 × 50 × 4 of uint8 in JSON"
    names = ["JSON, indented", "compact JSON", "orjson", "bytes", "PNG, level 6", "PNG, level 1"]
    assert [option.name for option in options] == names
    assert all(option.seconds > 0 for option in options)


def test_the_present_form_is_marked_by_its_bytes() -> None:
    def now(body: bytes) -> list[str]:
        return [option.name for option in encodings(body)[1] if option.now]

    values = PICTURE.tolist()
    assert now(as_torchserve(values)) == ["JSON, indented"]
    assert now(json.dumps(values, separators=(",", ":")).encode())[0] == "compact JSON"
    assert now(json.dumps(values, indent=4).encode()) == []


def test_sizes_are_those_of_the_forms() -> None:
    body = as_torchserve(PICTURE.tolist())
    found = sizes(body)
    assert found["JSON, indented"] == len(body)
    assert found["bytes"] == PICTURE.nbytes
    assert found["orjson"] == found["compact JSON"] == len(json.dumps(PICTURE.tolist(), separators=(",", ":")))
    assert found["PNG, level 1"] == len(saved(PICTURE, "PNG", compress_level=1))


def test_orjson_is_left_out_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "orjson" not in sizes(as_torchserve(PICTURE.tolist()))


def test_jpeg_says_how_much_it_loses() -> None:
    _, options = encodings(as_torchserve(PICTURE[..., :3].tolist()))
    (jpeg,) = (option for option in options if option.name.startswith("JPEG"))
    back = np.asarray(Image.open(io.BytesIO(saved(PICTURE[..., :3], "JPEG", quality=85)))).astype(int)
    assert jpeg.lossy
    assert jpeg.note == f"values differ by up to {np.abs(back - PICTURE[..., :3]).max()}"


def test_run_length_gives_the_array_back() -> None:
    pairs = np.array(json.loads(run_length(CLASSES))).reshape(-1, 2)
    assert np.array_equal(np.repeat(pairs[:, 0], pairs[:, 1]).reshape(CLASSES.shape), CLASSES)
    assert sizes(as_torchserve(CLASSES.tolist()))["run-length"] == len(run_length(CLASSES))


def test_the_array_inside_an_object_is_found() -> None:
    about, options = encodings(as_torchserve({"name": "coins", "answers": [{"mask": CLASSES.tolist()}]}))
    assert about == "array 40 × 50 of uint8 in JSON at ['answers'][0]['mask']"
    assert "bytes" in [option.name for option in options]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.arange(2000) - 1000, "int16"),
        (np.arange(2000) * 1000, "uint32"),
        (np.arange(2000) % 2 == 0, "uint8"),
        (np.linspace(0, 1, 2000, dtype=np.float32), "float32"),
        (np.linspace(0, 1, 2000), "float64"),
    ],
)
def test_bytes_hold_every_number_exactly(values: np.ndarray, kind: str) -> None:
    array = find_array(values.tolist()).array
    assert array.dtype == kind
    assert np.array_equal(array, values)


@pytest.mark.parametrize("value", [[[1, 2], [3]] * 1000, ["text"] * 2000, list(range(10)), {"a": 1}, [{}] * 2000])
def test_what_holds_no_array_has_only_the_forms_of_json(value: object) -> None:
    assert list(sizes(as_torchserve(value))) == ["JSON, indented", "compact JSON", "orjson"]


@pytest.mark.parametrize("body", [b"", b"plain text", b"\x00\x01\x02" * 1000, b"7", b'"text"'])
def test_of_bytes_and_text_nothing_is_said(body: bytes) -> None:
    assert encodings(body) == ("", ())


def test_a_picture_is_measured_from_its_pixels() -> None:
    body = saved(PICTURE, "PNG")
    about, options = encodings(body)
    assert about == "array 40 × 50 × 4 of uint8, a PNG picture"
    assert {option.name: option.size for option in options if option.now} == {"PNG, level 6": len(body)}


def test_decoders_of_a_jpeg() -> None:
    about, options = decodings(saved(PICTURE[..., :3], "JPEG"))
    assert about == "JPEG of 50 × 40 pixels"
    found = {option.name: option for option in options}
    assert {"PIL", "PIL, draft at 1/2", "PIL, draft at 1/4", "torchvision"} <= set(found)
    assert found["PIL, draft at 1/2"].note.endswith("25 × 20 pixels")
    assert found["PIL, draft at 1/2"].lossy
    assert found["PIL"].now


def test_draft_is_for_jpeg_alone() -> None:
    assert not any("draft" in option.name for option in decodings(saved(PICTURE, "PNG"))[1])


def test_cv2_is_measured_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cv2:
        IMREAD_COLOR = 1
        imdecode = staticmethod(lambda data, mode: PICTURE)

    monkeypatch.setitem(sys.modules, "cv2", Cv2)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "cv2")
    assert [option.name for option in decodings(saved(PICTURE, "PNG"))[1]] == ["PIL", "cv2"]


def test_what_is_no_picture_has_no_decoders() -> None:
    assert decodings(b"\xff\xd8\xff broken") == ("", ())
