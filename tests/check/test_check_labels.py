"""index_to_name.json and other JSON files."""

from __future__ import annotations

import sys

import pytest
from findings_of import only

#: What json says to it.
TRAILING_COMMA = (
    "Illegal trailing comma before end of object"
    if sys.version_info >= (3, 13)
    else "Expecting property name enclosed in double quotes"
)
CLASSIFIER = (
    "from ts.torch_handler.image_classifier import ImageClassifier\nclass Handler(ImageClassifier):\n    topk = 1\n"
)
OWN = """
    import json

    class Handler:
        def initialize(self, context):
            with open("index_to_name.json") as file:
                self.names = json.load(file)

        def handle(self, data, context):
            return data
"""


@pytest.mark.parametrize(
    "names", ['{"0": "cat", "1": "dog"}', '{"0": ["n01", "cat"]}', '{"object_type_names": ["a", "b"]}']
)
def test_what_the_loader_reads(checked, names: str) -> None:
    assert [one for one in checked(CLASSIFIER, {"index_to_name.json": names}) if one.name == "labels"] == []


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ('["cat", "dog"]', "is no JSON object"),
        ('"cat"', "is no JSON object"),
        ('{"cat": 0}', "has 0 for 'cat', which is no text"),
        ('{"0": null}', "has null for '0', which is no text"),
        ('{"0": []}', "has an empty list for '0'"),
        ('{"0": "cat",}', f"is no JSON: {TRAILING_COMMA}"),
        ("", "is no JSON: Expecting value"),
        (b"\xef\xbb\xbf{}", "begins with a byte order mark"),
        ('{"0": "Z\xfcrich"}'.encode("latin-1"), "is not in UTF-8"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_what_the_loader_refuses(checked, names: str | bytes, says: str) -> None:
    found = next(one for one in checked(CLASSIFIER, {"index_to_name.json": names}) if one.name == "labels")
    assert found.severity == "error"
    assert says in found.message
    assert found.effect.startswith("Registering the model answers 500")


def test_a_class_without_a_name(checked) -> None:
    found = [one for one in checked(CLASSIFIER, {"index_to_name.json": '{"1": "a", "2": "b"}'}) if one.name == "labels"]
    assert [one.severity for one in found] == ["warning"]
    assert found[0].message == "index_to_name.json has no name for class 0, and one for class 2."


def test_detectors_count_from_one(checked) -> None:
    source = "from ts.torch_handler.object_detector import ObjectDetector\nclass Handler(ObjectDetector): pass\n"
    assert [one for one in checked(source, {"index_to_name.json": '{"1": "a"}'}) if one.name == "labels"] == []


def test_keys_that_are_no_numbers(checked) -> None:
    found = [one for one in checked(CLASSIFIER, {"index_to_name.json": '{"cat": "0"}'}) if one.name == "labels"]
    assert [one.severity for one in found] == ["error"]


def test_in_a_folder_where_it_is_not_looked_for(checked) -> None:
    found = [one for one in checked(CLASSIFIER, {"data/index_to_name.json": '{"0": "a"}'}) if one.name == "labels"]
    assert found[0].message.startswith("data/index_to_name.json is not in the archive's root")


@pytest.mark.parametrize("names", ['["cat", "dog"]', '{"cat": 0}', '{"1": "a"}'])
def test_a_handler_that_reads_it_itself_may_have_any_shape(checked, names: str) -> None:
    assert checked(OWN, {"index_to_name.json": names}) == []


@pytest.mark.parametrize("names", ["{'0': 'cat'}", b"\xef\xbb\xbf[]", "[1, 2"])
def test_broken_json_that_the_handler_names(checked, names: str | bytes) -> None:
    found = only(checked(OWN, {"index_to_name.json": names}), "broken_json")
    assert found.where == "handler.py, line 6"


def test_broken_json_that_nothing_names(checked) -> None:
    assert checked("import json\n", {"notes.json": "{"}) == []


def test_one_json_a_line(checked) -> None:
    source = OWN.replace("json.load(file)", "[json.loads(line) for line in file]")
    assert checked(source, {"index_to_name.json": '{"a": 1}\n{"a": 2}\n'}) == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize(
    "reading", ['open("index_to_name.json", "rb")', 'io.BytesIO(Path("index_to_name.json").read_bytes())']
)
def test_json_of_bytes_is_read_in_its_encoding(checked, encoding: str, reading: str) -> None:
    source = OWN.replace('open("index_to_name.json")', reading).replace(
        "import json", "import io, json\n    from pathlib import Path"
    )
    assert checked(source, {"index_to_name.json": '["é"]'.encode(encoding)}) == []
