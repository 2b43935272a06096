"""Archives of a few lines, and what a check finds in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import handlerkit as hk
from handlerkit.messages import Finding, Run

Checked = Callable[..., list[Finding]]
#: What a fixture adds to a handler that is only lines of handle: every archive has an entry point.
HANDLE = "\n\ndef handle(data, context):\n    return data\n"


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., hk.Model]:
    """A model of a handler with this source, and of other files by their names in the archive."""

    def made(source: str, files: dict[str, str | bytes] | None = None, **options: Any) -> hk.Model:
        folder = tmp_path / "model"
        extra = folder / "extra"
        extra.mkdir(parents=True, exist_ok=True)
        text = dedent(source)
        handler = folder / f"{options.pop('name', 'handler')}.py"
        handler.write_text(text if "def handle" in text or "class " in text else text + HANDLE)
        for name, content in (files or {}).items():
            path = extra / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else dedent(content).encode())
        if (lines := options.pop("requirements", None)) is not None:
            options["requirements_file"] = folder / "requirements.txt"
            options["requirements_file"].write_text(lines)
        if (function := options.pop("function", None)) is not None:
            options["handler"] = f"{handler.with_suffix('')}:{function}"
        for name in ("serialized_file", "model_file"):
            if name in options:
                options[name] = extra / options[name]
        return hk.Model("m", **{"handler": handler, "extra_files": [extra], **options})

    return made


@pytest.fixture
def checked(model: Callable[..., hk.Model]) -> Checked:
    """What a check finds in such a model; no rule may fail."""

    def found(
        source: str,
        files: dict[str, str | bytes] | None = None,
        *,
        target: str = "torchserve-0.12.0-cpu",
        runs: Sequence[Run] = (),
        **options: Any,
    ) -> list[Finding]:
        check = hk.check(model(source, files, **options), target=target, runs=runs)
        assert not [finding for finding in check.findings if finding.name == "unchecked"]
        return list(check.findings)

    return found
