"""What a load reads in a model's code once, for all of its calls."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

#: The methods that BaseHandler's handle calls.
STAGES = ("preprocess", "inference", "postprocess")


class ModelCode(NamedTuple):
    """What it says to the rules.

    Attributes:
        text: the whole of it.
        silenced: the names of the warnings that `# handlerkit: ignore=NAME` comments silence.
        may_skip_stages: it defines a handle and a stage, so that the rule `unused_stage` may fit.
    """

    text: str
    silenced: frozenset[str]
    may_skip_stages: bool


def read_code(files: Iterable[Path]) -> ModelCode:
    """Read a model's Python files; one that cannot be read is left out."""
    texts = []
    for file in files:
        with suppress(OSError, UnicodeDecodeError):
            texts.append(file.read_text("utf-8"))
    code = "\n".join(texts)
    may_skip = "def handle(" in code and any(f"def {stage}(" in code for stage in STAGES)
    return ModelCode(code, _silenced(code), may_skip)


def _silenced(code: str) -> frozenset[str]:
    names: set[str] = set()
    for listed in re.findall(r"#\s*handlerkit:\s*ignore\s*=\s*([\w, ]+)", code):
        names |= {name.strip() for name in listed.split(",")}
    return frozenset(names - {""})
