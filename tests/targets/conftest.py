"""A cache of the test's own, and distributions that are made up."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from target_cases import Install


@pytest.fixture(autouse=True)
def cache(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where environments are kept; the user's own place for tests of an official image, which is 5 GB."""
    if "target" not in request.keywords:
        monkeypatch.setenv("HANDLERKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "targets"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages that this process finds first."""
    folder = tmp_path / "prefix" / "lib" / "python3" / "site-packages"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def install(site: Path) -> Install:
    """Writes distributions into `site`."""

    def write(
        name: str,
        version: str = "1.0",
        files: Mapping[str, str] | None = None,
        requires: Sequence[str] = (),
        direct_url: str = "",
    ) -> Path:
        files = {f"{name}.py": f"NAME = {name!r}\n"} if files is None else files
        info = f"{name}-{version}.dist-info"
        needed = "".join(f"Requires-Dist: {one}\n" for one in requires)
        written = {**files, f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}\n"}
        if direct_url:
            written[f"{info}/direct_url.json"] = direct_url
        for path, text in written.items():
            place = site / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.resolve().write_text(text)
        record = "".join(f"{_quoted(path)},sha256=x,{len(text)}\n" for path, text in written.items())
        (site / info / "RECORD").write_text(f"{record}{info}/RECORD,,\n")
        return site / info

    return write


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with the wheel of a distribution `tiny` 1.0, which needs nothing."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "tiny-1.0.dist-info"
    with zipfile.ZipFile(folder / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", "NAME = 'tiny'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return folder


def _quoted(path: str) -> str:
    return '"' + path.replace('"', '""') + '"' if "," in path or '"' in path else path
