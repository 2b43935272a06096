"""hk.check itself: what it reads, what it returns, what a rule's failure does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import handlerkit as hk
from handlerkit.check import rules
from handlerkit.check.subject import Subject
from handlerkit.errors import ArchiveError, TargetError
from handlerkit.messages import Finding
from handlerkit.targets import Target

MISSING = "import surely_not_there\n"


def test_a_check_is_true_without_an_error(model: Callable[..., hk.Model]) -> None:
    check = hk.check(model("import torch\n"))
    assert check
    assert check.ok
    assert check.findings == ()
    assert repr(check) == "<Check m for declared: no findings>"


def test_a_check_is_false_with_an_error(model: Callable[..., hk.Model]) -> None:
    check = hk.check(model(MISSING))
    assert not check
    assert not check.ok
    assert repr(check) == "<Check m for declared: 1 error>"


def test_warnings_leave_it_true(model: Callable[..., hk.Model]) -> None:
    check = hk.check(model('import torch\nmodel = torch.hub.load("pytorch/vision", "resnet18")\n'))
    assert [finding.severity for finding in check.findings] == ["warning"]
    assert check.ok


def test_errors_stand_first(model: Callable[..., hk.Model]) -> None:
    source = 'import torch\nmodel = torch.hub.load("pytorch/vision", "resnet18")\n' + MISSING
    severities = [finding.severity for finding in hk.check(model(source)).findings]
    assert severities == ["error", "warning"]


@pytest.mark.parametrize("archive_format", ["default", "zip-store", "tgz", "no-archive"])
def test_an_archive_is_read_as_its_model(model: Callable[..., hk.Model], tmp_path: Path, archive_format: str) -> None:
    source = "import helper\n" + MISSING
    made = model(source, {"helper.py": "import gone_too\n"})
    path = hk.Archive(made, archive_format).save(tmp_path / "store")
    assert hk.check(path).findings == hk.check(made).findings
    assert len(hk.check(path).findings) == 2


def test_no_archive(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError):
        hk.check(tmp_path / "gone.mar")


def test_no_target(model: Callable[..., hk.Model]) -> None:
    with pytest.raises(TargetError, match="there is no target 'torchserve'"):
        hk.check(model(""), target="torchserve")


def test_a_rule_that_fails_hides_no_other(model: Callable[..., hk.Model], monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(subject: Subject, target: Target) -> Iterator[Finding]:
        yield Finding("odd", "Found before it failed.")
        raise KeyError("what nobody thought of")

    monkeypatch.setattr(sys.modules["handlerkit.check"], "RULES", (odd, *rules.RULES))
    found = hk.check(model(MISSING)).findings
    assert {finding.name for finding in found} == {"odd", "missing_module", "unchecked"}
    unchecked = next(finding for finding in found if finding.name == "unchecked")
    assert unchecked.message == (
        "The rule 'odd' failed, so what it looks for is not checked: KeyError: 'what nobody thought of'."
    )


def test_checking_imports_nothing_heavy(model: Callable[..., hk.Model]) -> None:
    made = model("import torch\nimport numpy\n", {"index_to_name.json": '{"0": "a"}'})
    path = hk.Archive(made).save(made.handler_file.parent / "store")  # type: ignore[union-attr]
    code = f"import sys, handlerkit as hk; hk.check({str(path)!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert {"torch", "torchvision", "ts", "numpy", "PIL", "matplotlib", "IPython"}.isdisjoint(done.stdout.split())


def test_nothing_of_the_archive_is_run(checked, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    checked(f"open({str(mark)!r}, 'w')\n", {"sitecustomize.py": f"open({str(mark)!r}, 'w')\n"})
    assert not mark.exists()
