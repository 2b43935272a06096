"""The page of causes: docs/catalogue.py."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WHY = ROOT / "handlerkit" / "why"


@pytest.fixture(scope="module")
def messages() -> dict[str, str]:
    return runpy.run_path(str(ROOT / "docs" / "catalogue.py"))["messages"]()


@pytest.mark.parametrize(
    "name", ["files_changed", "notebook_name", "unavailable", "config_key", "shadowed", "envelope_id"]
)
def test_finding_without_an_example_is_on_the_page_with_its_message(name: str, messages: dict[str, str]) -> None:
    assert re.search(r"\w{3,} \w{3,}", messages[name])


def test_every_name_in_why_is_on_the_page(messages: dict[str, str]) -> None:
    written = {
        name
        for file in WHY.rglob("*.py")
        for name in re.findall(r'(?:Finding\(\s*|return )"(\w+)", ', file.read_text())
    }
    assert written - set(messages) == set()
