"""JSON as Gson reads and writes it; tests/golden/k_found_by_fuzzing.jsonl has what TorchServe makes of such text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlerkit.serving.documents import gson

VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-9, 9), st.text(st.characters(codec="utf-8"), max_size=5)),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner)),
    max_leaves=6,
)


@settings(deadline=None)  # the machine may be busy
@given(VALUES)
def test_plain_json_is_written_as_python_writes_it(value: object) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    assert gson.write(gson.read(text)) == text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{a: 1; 'b' => c}", {"a": "1", "b": "c"}),
        ("[1,]", ["1", None]),
        ("[;]", [None, None]),
        ("TRUE", True),
        ("/* one */ nUlL", None),
        ("-Infinity", "-Infinity"),
        (r"'\'é'", "'é"),
        ("\ufeff{}", {}),
    ],
)
def test_read_leniently(text: str, value: object) -> None:
    assert gson.read(text) == value


@pytest.mark.parametrize("text", ["{a}", "{a: 1,}", "[1", "'", "{a: 1} {", "{} //", "[1 2]", r"'\q'", ",", "{]"])
def test_refused(text: str) -> None:
    with pytest.raises(gson.JsonError):
        gson.read(text)


@pytest.mark.parametrize("text", ["", " \n", "# nothing", "/* nothing */"])
def test_no_value(text: str) -> None:
    with pytest.raises(EOFError):
        gson.read(text)


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ("{a:", "}")])
def test_what_is_nested_deeply_is_read_and_written(opens: str, closes: str) -> None:
    value = gson.read(opens * 5000 + "1" + closes * 5000)
    assert gson.read(gson.write(value)) is not None
    deep = gson.read(opens * 100_000 + "1" + closes * 100_000)
    with pytest.raises(gson.DepthError):
        gson.write(deep)


def test_escape_without_its_digits_is_told_apart() -> None:
    with pytest.raises(gson.EscapeError):
        gson.read(r'"\u00zz"')


@pytest.mark.parametrize(
    ("text", "is_number"),
    [("1e5", True), ("-0", True), ("01", False), ("+1", False), ("1.", False), ("9" * 1023, True), ("9" * 1024, False),
     (f"{2**64}", True), (f"{2**64}0", False)],
)  # fmt: skip
def test_number_or_bare_word(text: str, is_number: bool) -> None:
    read = gson.read(text)
    assert (read, isinstance(read, gson.Literal)) == (text, is_number)


def test_null_is_left_out_of_objects_alone() -> None:
    assert gson.write(gson.read('{"a": null, "b": [null]}')) == '{\n  "b": [\n    null\n  ]\n}'


@pytest.mark.parametrize(
    ("text", "data"),
    [("é😀", "é😀".encode()), ("\ud83d\ude00", "😀".encode()), ("\ud800", b"?"), ("\ud800x", b"?x"),
     ("\ud800中", b"?-"), ("\ud800\ud801", b"??"), ("\ud800😀", b"???"), ("x\udc00", b"x?")],
)  # fmt: skip
def test_half_a_pair_is_written_as_netty_does(text: str, data: bytes) -> None:
    assert gson.to_utf8(text) == data


@pytest.mark.parametrize(("data", "text"), [(b"\xed\xa0\x80", "\ufffd"), (b"\xe0\x80\x80", "\ufffd" * 3)])
def test_bytes_that_are_no_text_are_read_as_java_does(data: bytes, text: str) -> None:
    assert gson.from_utf8(data) == text
