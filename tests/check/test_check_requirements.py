"""The requirements file that a check asks for."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

import handlerkit as hk
from handlerkit.check import requirements as module
from handlerkit.check.requirements import requirements
from handlerkit.errors import TargetError

PINNED = {name: f"{name}=={importlib.metadata.version(name)}" for name in ("pytest", "hypothesis", "scikit-image")}


@pytest.fixture
def required(tmp_path: Path):
    """What a handler with this source requires, beside other files of the archive."""

    def read(source: str, target: str = "declared", **files: str) -> tuple[str, ...]:
        for name, text in {"handler": source, **files}.items():
            (tmp_path / f"{name}.py").write_text(text)
        extra = [tmp_path / f"{name}.py" for name in files]
        return requirements(hk.Model("m", handler=tmp_path / "handler.py", extra_files=extra), target=target)

    return read


def test_pinned_and_sorted(required) -> None:
    assert required("import pytest\nimport hypothesis\n") == (PINNED["hypothesis"], PINNED["pytest"])


def test_a_distribution_of_another_name(required) -> None:
    assert required("from skimage.transform import resize\n") == (PINNED["scikit-image"],)


def test_once_for_several_imports(required) -> None:
    assert required("import pytest\nfrom pytest import raises\nimport _pytest.mark\n") == (PINNED["pytest"],)


@pytest.mark.parametrize("target", ["declared", "torchserve-0.12.0-cpu"])
@pytest.mark.parametrize("module", ["json", "torch.nn", "torchvision", "numpy", "PIL.Image", "yaml", "ts", "psutil"])
def test_not_what_the_target_brings(required, module: str, target: str) -> None:
    assert required(f"import {module}\n", target) == ()


def test_not_what_travels_along(required) -> None:
    assert required("import helper\n", helper="import io\n") == ()


def test_what_a_helper_module_imports(required) -> None:
    assert required("import helper\n", helper="import pytest\n") == (PINNED["pytest"],)


def test_what_a_method_imports_when_it_is_called(required) -> None:
    assert required("def handle(data, context):\n    import pytest\n    return data\n") == (PINNED["pytest"],)


def test_what_may_be_missing_is_there_as_here(required) -> None:
    assert required("try:\n    import pytest\nexcept ImportError:\n    pytest = None\n") == (PINNED["pytest"],)


def test_not_what_nobody_has(required) -> None:
    assert required("import a_package_that_nobody_has\n") == ()


def test_nothing_where_all_is_there(required) -> None:
    assert required("import pytest\n", "here") == ()


def test_a_local_version_is_left_out(required, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handlerkit.targets.distributions.Distribution.version", "9.9+local")
    assert required("import pytest\n") == ("pytest==9.9",)


def test_what_is_not_from_an_index_is_a_comment(required, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_is_own", lambda name: name == "pytest")
    comment, line = required("import pytest, skimage\n")
    assert comment.startswith(f"# {PINNED['pytest']}: not from an index")
    assert line == PINNED["scikit-image"]


def test_a_distribution_from_a_folder_is_seen() -> None:
    assert module._is_own("handlerkit")
    assert not module._is_own("pytest")
    assert not module._is_own("a-package-that-nobody-has")


def test_an_archive_as_well(tmp_path: Path) -> None:
    (tmp_path / "handler.py").write_text("import pytest\n\n\ndef handle(data, context):\n    return data\n")
    path = hk.Archive(hk.Model("m", handler=tmp_path / "handler.py")).save(tmp_path)
    assert requirements(path) == (PINNED["pytest"],)


def test_its_own_requirements_file_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "handler.py").write_text("import pytest\n")
    (tmp_path / "mine.txt").write_text("pytest\n")
    model = hk.Model("m", handler=tmp_path / "handler.py", requirements_file=tmp_path / "mine.txt")
    assert requirements(model) == (PINNED["pytest"],)


def test_a_target_that_is_not_known(required) -> None:
    with pytest.raises(TargetError, match="there is no target 'moon'"):
        required("", "moon")


def test_without_a_pin_where_the_version_here_is_too_new(required) -> None:
    (line,) = required("import scipy\n", "torchserve-0.12.0-cpu")
    here = importlib.metadata.metadata("scipy")
    assert line == f"scipy  # {here['Version']}, installed here, is for Python {here['Requires-Python']}, not 3.9"


def test_what_it_writes_the_check_takes(required, tmp_path: Path) -> None:
    lines = required("import scipy, pytest\n", "torchserve-0.12.0-cpu")
    (tmp_path / "r.txt").write_text("\n".join(lines))
    model = hk.Model("m", handler=tmp_path / "handler.py", requirements_file=tmp_path / "r.txt")
    found = {one.name for one in hk.check(model, target="torchserve-0.12.0-cpu").findings}
    assert not found & {"requirement_python", "requirement", "missing_module"}
