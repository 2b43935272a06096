"""handlerkit check --format github: what GitHub reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_runs import BROKEN, FINE

import handlerkit as hk
from handlerkit.cli.github import workflow_commands


def lines(*findings: hk.Finding, model: hk.Model | None = None) -> list[str]:
    return list(workflow_commands(hk.Check("m", "declared", findings), model))


@pytest.fixture
def model(folder: Path) -> hk.Model:
    (folder / "src").mkdir()
    (folder / "src" / "handler.py").write_text(FINE)
    return hk.Model("m", handler="src/handler.py")


@pytest.mark.parametrize(("severity", "level"), [("error", "error"), ("warning", "warning"), ("info", "notice")])
def test_a_finding_stands_at_its_line(model: hk.Model, severity: str, level: str) -> None:
    finding = hk.Finding("name", "Says.", "handler.py, line 3", "Effect.", "Fix.", severity)  # type: ignore[arg-type]
    assert lines(finding, model=model) == [
        "checked m for declared: 1 found",
        f"::{level} file=src/handler.py,line=3,title=m%3A name::Says.%0AEffect.%0AFix.",
    ]


def test_data_and_properties_are_escaped(folder: Path) -> None:
    (folder / "a,b:c%").mkdir()
    (folder / "a,b:c%" / "handler.py").write_text(FINE)
    finding = hk.Finding("n", "100 %: a, b\r\nc", "handler.py")
    _, line = lines(finding, model=hk.Model("m", handler="a,b:c%/handler.py"))
    assert line == "::error file=a%2Cb%3Ac%25/handler.py,title=m%3A n::100 %25: a, b%0D%0Ac"


def test_a_place_that_is_no_file_of_the_model_is_said(model: hk.Model) -> None:
    _, line = lines(hk.Finding("n", "Says.", "somewhere, line 3"), model=model)
    assert line == "::error title=m%3A n::Says.%0Asomewhere, line 3"


def test_files_are_called_from_the_root_of_the_repository(
    model: hk.Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(folder.parent))
    assert "file=here/src/handler.py," in lines(hk.Finding("n", "Says.", "handler.py"), model=model)[1]


def test_the_command_writes_them(command, folder: Path) -> None:
    (folder / "handler.py").write_text(BROKEN)
    status, said, error = command("check", "handler.py", "--format", "github")
    assert (status, error) == (1, "")
    assert "\n::error file=handler.py,line=1,title=handler%3A missing_module::a_package_that_nobody_has" in said


def test_an_archive_names_no_file_of_the_repository(command, archive) -> None:
    assert "\n::error title=m%3A missing_module::" in command("check", archive(BROKEN), "--format", "github")[1]
