"""Where cases are run, by the word of a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlerkit.cases.places import named
from handlerkit.errors import ConfigError, TargetError


def test_a_word_that_names_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no endpoint 'moon': it is a URL, the folder of an exported app"):
        named("moon", {})


def test_a_requirements_file_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("torch==\n")
    with pytest.raises(TargetError, match="line 1 is no requirement: 'torch=='"):
        named(str(file), {})
