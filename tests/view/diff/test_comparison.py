"""Two Runs side by side, and what changed between their answers."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import handlerkit as hk
from handlerkit import view
from handlerkit.predictions import match_boxes
from handlerkit.view import draw
from handlerkit.view.contents import box_changes
from handlerkit.view.html import elements

TABLE = np.zeros((80, 100), int)
TABLE[20:40, 30:60] = 1
NAMES = {"0": "background", "1": "coin"}


def box(x: int, label: str = "coin", score: float = 0.9) -> dict:
    return {"label": label, "box": [x, 10, x + 20, 30], "score": score}


def lines(before, after) -> list[str]:
    return [line.strip() for line in view(hk.compare(before, after)).text.splitlines()]


def test_boxes_are_paired_by_their_overlap():
    before = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [50, 0, 60, 10]])
    after = np.array([[21, 0, 31, 10], [0, 0, 10, 10], [57, 0, 67, 10]])
    assert match_boxes(before, after) == [(0, 1, 1.0), (1, 0, pytest.approx(90 / 110))]


def test_each_box_is_in_one_pair_and_the_surest_pair_wins():
    before, after = np.array([[0, 0, 10, 10], [1, 0, 11, 10]]), np.array([[1, 0, 11, 10]])
    assert match_boxes(before, after) == [(1, 0, 1.0)]


def test_boxes_that_are_not_finite_pair_with_nothing():
    nan = np.array([[float("nan"), 0, 10, 10]])
    assert match_boxes(nan, nan) == []
    assert match_boxes(np.zeros((0, 4)), nan) == []


def test_what_happened_to_each_box_is_told(send):
    before = send([box(0), box(40), box(70, score=0.5)])
    after = send([box(2), box(40, "ring"), box(72, score=0.5), {"label": "new", "box": [0, 50, 9, 70], "score": 1.0}])
    told = lines(before, after)
    assert told[2] == "3 boxes before, 4 after: 3 changed, 1 new"
    assert told[3] == "coin (2,10)-(22,30): moved from (0,10)-(20,30), IoU 0.82"
    assert told[4] == "ring (40,10)-(60,30): was coin, is ring"
    assert told[6] == "new 1.00 (0,50)-(9,70): new"


def test_a_box_that_is_gone_is_drawn_where_it_was(send):
    shown = view(hk.compare(send([box(0), box(40)]), send([box(0)])))
    assert "2 boxes before, 1 after: 1 the same, 1 gone" in shown.text
    assert shown.image.getpixel((40, 20)) == (213, 94, 0)
    assert shown.image.getpixel((0, 20)) != (213, 94, 0)


def test_changed_pixels_of_a_class_map_are_counted_by_class(send):
    after = TABLE.copy()
    after[0:10, 0:10] = 1
    after[20, 30] = 0
    shown = view(hk.compare(send(TABLE.tolist(), labels=NAMES), send(after.tolist(), labels=NAMES)))
    assert "101 px changed (1.3 %)" in shown.text
    assert "0 · background in index_to_name.json -> 1 · coin in index_to_name.json: 100 px" in shown.text
    assert "1 · coin in index_to_name.json -> 0 · background in index_to_name.json: 1 px" in shown.text
    assert shown.image.getpixel((5, 5)) == (213, 94, 0)
    assert shown.image.getpixel((50, 70)) != (213, 94, 0)


def test_changed_pixels_of_a_picture_are_counted(send):
    one, other = Image.new("RGB", (40, 30), (9, 9, 9)), Image.new("RGB", (40, 30), (9, 9, 9))
    other.putpixel((3, 4), (9, 29, 9))
    assert lines(send(one), send(other))[2] == "1 px changed (0.1 %), by up to 20 of 255"


def test_a_cutout_s_transparency_counts(send):
    one, other = Image.new("RGBA", (4, 4), (9, 9, 9, 0)), Image.new("RGBA", (4, 4), (9, 9, 9, 255))
    assert lines(send(one), send(other))[2] == "16 px changed (100 %), by up to 255 of 255"


def test_pictures_of_two_sizes_say_so(send):
    told = lines(send(Image.new("RGB", (4, 4))), send(Image.new("RGB", (5, 4))))
    assert told[2] == "was 4x4 PNG, is 5x4 PNG"


def test_changed_classes_are_told_the_largest_change_first(send):
    told = lines(send({"cat": 0.7, "dog": 0.2, "cow": 0.1}), send({"dog": 0.8, "cat": 0.1, "hen": 0.1}))
    assert told[2:] == [
        "the most likely class was cat, is dog",
        "cat: 70 % -> 10 %",
        "dog: 20 % -> 80 %",
        "cow: 10 % -> nothing",
        "hen: nothing -> 10 %",
    ]


def test_tensors_say_how_many_numbers_differ(send):
    one = np.zeros((4, 5))
    other = one.copy()
    other[1, 2] = -0.25
    assert lines(send(one), send(other))[2] == "the tensor: 1 of 20 numbers differ, by up to 0.25"


def test_other_json_tells_where_it_differs(send):
    assert lines(send({"a": {"b": 1}}), send({"a": {"b": 2}}))[2] == "body.a.b: 1 -> 2"


def test_the_same_answers_are_the_same(send):
    compared = hk.compare(send([box(0)]), send([box(0)]))
    assert compared.same
    assert "the same answer" in repr(compared)


def test_an_error_after_a_success_is_told_by_its_status(send):
    failed = send(
        {"code": 503, "message": "Prediction failed"}, status=503, headers=(("content-type", "application/json"),)
    )
    assert "was 200, is 503 Prediction failed" in repr(hk.compare(send([box(0)]), failed))


def test_answers_read_by_two_views_say_so(send):
    assert lines(send([box(0)]), send(b"text"))[2] == "was read as boxes, is read as text"


def test_runs_of_two_lengths_compare_what_both_have(send):
    one = send([box(0)])
    two = hk.Run(one.exchanges * 2, model="coins")
    compared = hk.compare(one, two)
    assert not compared.same
    assert len(compared.rows) == 1
    assert "1 answers before, 2 after" in repr(compared)
    assert "nothing to compare" in repr(hk.compare(hk.Run(()), two))


def test_only_runs_are_compared(send):
    with pytest.raises(TypeError, match="compare takes two Runs or two endpoints, not Run and int"):
        hk.compare(send([]), 3)


# --- the page ---------------------------------------------------------------------------------------------------------


def test_without_scripts_both_pictures_stand_side_by_side(send):
    page = view(hk.compare(send([box(0)]), send([box(5)]))).html
    assert page.count("<figure>") == 3  # before, after, difference
    assert "<script" not in page
    # what shows the slider is set by a script alone
    assert 'class="hk-sides hk-slider"' not in page
    assert page.count('type="range"') == 1


def test_pictures_of_two_shapes_have_no_slider(send):
    page = view(hk.compare(send(Image.new("RGB", (40, 40))), send(Image.new("RGB", (80, 40))))).html
    assert "<input" not in page
    assert page.count("<figure>") == 2


def test_a_comparison_stays_small(send):
    noise = [Image.fromarray(np.random.default_rng(i).integers(0, 255, (900, 1200, 3), np.uint8)) for i in (0, 1)]
    assert len(view(hk.compare(*map(send, noise))).html.encode()) < elements.MAX_HTML


def test_a_report_that_differs_shows_the_comparison(send):
    class Other:
        def predict(self, *requests):
            return send([box(40)])

    shown = view(hk.verify(send([box(0)]), Other()))
    assert shown.text.startswith("1 of 1 answers differ")
    assert "1 boxes" not in shown.text
    assert "1 box before, 1 after: 1 new, 1 gone" in shown.text
    assert "<figure>" in shown.html


def test_what_labels_say_is_escaped(send):
    page = view(hk.compare(send([box(0, "<u>a</u>")]), send([box(0, "<u>b</u>")]))).html
    assert "<u>" not in page
    assert "&lt;u&gt;b" in page


def test_new_and_gone_have_colors_that_differ_for_all_eyes():
    colors = {box_changes._NEW, box_changes._GONE, box_changes._CHANGED}
    assert len(colors) == 3
    assert colors <= set(draw.palette())
