"""Requirements and lock files as they are met: pip freeze's, pip-compile's, uv's, pylock.toml, an archive's."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from handlerkit.archive import Archive
from handlerkit.errors import TargetError
from handlerkit.model import Model
from handlerkit.targets.requirements import lines_of_archive, read_lines


def pins(folder: Path, text: str | bytes, name: str = "image.txt") -> dict[str, str]:
    from handlerkit.targets import find

    content = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(content)
    return dict(find(folder / name).pins)


def names(lines: object) -> list[str]:
    return [str(line.requirement) for line in lines if line.requirement]  # type: ignore[attr-defined]


def test_freeze_pins_each_one(tmp_path: Path) -> None:
    assert pins(tmp_path, "numpy==1.24.3\nPyYAML==6.0.1\ntorch==2.4.0+cpu\n") == {
        "numpy": "1.24.3", "pyyaml": "6.0.1", "torch": "2.4.0+cpu",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# a comment\n\nnumpy==1.0 # why\n", {"numpy": "1.0"}),
        ("numpy>=1.0\n", {"numpy": ""}),
        ("numpy\n", {"numpy": ""}),
        ("numpy==1.*\n", {"numpy": ""}),
        ("numpy>=1,==1.5\n", {"numpy": "1.5"}),
        ("numpy===1.5\n", {"numpy": "1.5"}),
        ("numpy[extra]==1.5\n", {"numpy": "1.5"}),
        ("numpy==1.0 ; python_version < '3'\n", {}),
        ("numpy==1.0 \\\n    --hash=sha256:abc \\\n    --hash=sha256:def\n", {"numpy": "1.0"}),
        ("--index-url https://x.example/simple\nnumpy==1.0\n", {"numpy": "1.0"}),
        ("numpy @ file:///build/numpy-1.2-py3-none-any.whl\n", {"numpy": ""}),
        ("./wheels/numpy-1.2-py3-none-any.whl\n", {"numpy": "1.2"}),
        ("-e git+https://x.example/y.git#egg=y\n", {"y": ""}),
        ("https://x.example/y.zip\n", {}),
        ("Foo_Bar.baz==1\n", {"foo-bar-baz": "1"}),
        ("numpy==1.0\r\npillow==2\r\n", {"numpy": "1.0", "pillow": "2"}),
    ],
)
def test_line_is_read_as_pip_reads_it(tmp_path: Path, text: str, expected: dict[str, str]) -> None:
    assert pins(tmp_path, text) == expected


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_file_of_powershell_is_read(tmp_path: Path, encoding: str) -> None:
    assert pins(tmp_path, "numpy==1.0\n".encode(encoding)) == {"numpy": "1.0"}


def test_includes_are_read_from_where_they_stand(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "base.txt").write_text("numpy==1.0\n-r deeper.txt\n")
    (tmp_path / "more" / "deeper.txt").write_text("pillow==2.0\n")
    assert pins(tmp_path, "-r more/base.txt\ntorch==3\n") == {"numpy": "1.0", "pillow": "2.0", "torch": "3"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("numpy==1.0\n\nthis is none\n", r"image.txt, line 3 is no requirement: 'this is none'"),
        ("a==1 \\\n  --hash=x:y\n???\n", r"image.txt, line 3 is no requirement"),
        ("-r image.txt\n", r"image.txt includes itself"),
        ("-r nowhere.txt\n", r"nowhere.txt cannot be read: No such file"),
        (b"\xff\x00\xfe numpy", r"image.txt is no text in UTF-8"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, text: str | bytes, told: str) -> None:
    with pytest.raises(TargetError, match=told) as raised:
        pins(tmp_path, text)
    assert "\n" not in str(raised.value)


LOCK = """
lock-version = "1.0"
requires-python = ">=3.9"
created-by = "uv"

[[packages]]
name = "numpy"
version = "1.24.3"

[[packages]]
name = "colorama"
version = "0.4"
marker = "sys_platform == 'win32'"
"""


def test_pylock_pins_what_its_markers_allow(tmp_path: Path) -> None:
    assert pins(tmp_path, LOCK, "pylock.toml") == {"numpy": "1.24.3"}


@pytest.mark.parametrize("text", ["[", "packages = 3", "lock-version = '1.0'", "[[packages]]\nversion='1'"])
def test_pylock_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(TargetError, match=r"pylock.toml is no pylock.toml: "):
        pins(tmp_path, text, "pylock.toml")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("uv.lock", "uv export"),
        ("poetry.lock", "poetry export"),
        ("Pipfile.lock", "pipenv requirements"),
        ("environment.yml", "pip list --format=freeze"),
        ("pyproject.toml", r"no requirements file \(.txt\) and no pylock.toml"),
    ],
)
def test_lock_file_of_another_form_is_told_what_to_do(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(TargetError, match=told):
        pins(tmp_path, "", name)


def archive(folder: Path, files: dict[str, str], requirements: str) -> Path:
    manifest = {"model": {"modelName": "m", "handler": "h.py", "requirementsFile": requirements}}
    with zipfile.ZipFile(folder / "m.mar", "w") as mar:
        for name, text in {"h.py": "", **files, "MAR-INF/MANIFEST.json": json.dumps(manifest)}.items():
            mar.writestr(name, text)
    return folder / "m.mar"


def test_archive_tells_its_requirements(tmp_path: Path) -> None:
    path = archive(tmp_path, {"r.txt": "numpy==1.0\n-r more.txt\n", "more.txt": "pillow\n"}, "r.txt")
    assert names(lines_of_archive(path)) == ["numpy==1.0", "pillow"]


def test_model_tells_its_requirements_as_its_archive_does(tmp_path: Path) -> None:
    (tmp_path / "h.py").write_text("def handle(data, context): pass\n")
    (tmp_path / "r.txt").write_text("numpy==1.0\n")
    model = Model("m", handler=tmp_path / "h.py", requirements_file=tmp_path / "r.txt")
    assert names(lines_of_archive(model)) == ["numpy==1.0"]
    assert names(lines_of_archive(Archive(model).save(tmp_path / "store"))) == ["numpy==1.0"]


def test_model_without_requirements_has_none(tmp_path: Path) -> None:
    (tmp_path / "h.py").write_text("def handle(data, context): pass\n")
    assert lines_of_archive(Model("m", handler=tmp_path / "h.py")) == ()


@pytest.mark.parametrize("include", ["/etc/hostname", "../outside.txt", "missing.txt"])
def test_archive_includes_nothing_from_outside(tmp_path: Path, include: str) -> None:
    (tmp_path / "outside.txt").write_text("numpy\n")
    with pytest.raises(TargetError, match="which is not in the archive"):
        lines_of_archive(archive(tmp_path, {"r.txt": f"-r {include}\n"}, "r.txt"))


def test_archive_without_the_file_that_it_names_is_told(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"the requirements of m.mar name r.txt, which is not in the archive"):
        lines_of_archive(archive(tmp_path, {}, "r.txt"))


def test_options_are_told_from_requirements(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("--no-index\n-f .\n-c limits.txt\n-e ./project\nnumpy\n")
    lines = read_lines(tmp_path / "r.txt")
    assert [line.is_option for line in lines] == [True, True, True, False, False]
    assert [line.text for line in lines][2:4] == [f"-c {tmp_path}/limits.txt", f"-e {tmp_path}/project"]
