"""%%handler --from: a ready-made handler's source in the cell, and its modules in the archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError

from handlerkit.errors import ModelError
from handlerkit.model import ready_made, ready_made_modules

COINS = Path(__file__).parents[2] / "notebooks" / "models"
SOURCE = ready_made("detection_boxes").read_text()
MODULES = [module.name for module in ready_made_modules(ready_made("detection_boxes"))]


@pytest.fixture
def filled(notebook: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is asked to be in a cell: (text, whether in place of the one that ran)."""
    asked: list[Any] = []
    monkeypatch.setattr(notebook.shell, "set_next_input", lambda text, replace=False: asked.append((text, replace)))
    notebook(f"%model coins --serialized-file {COINS / 'coins_detector.pt'}")
    return asked


@pytest.mark.parametrize("magic", ["%%handler", "%handler"])
def test_empty_cell_is_filled_and_the_handler_loaded(notebook: Any, filled: list[Any], magic: str) -> None:
    cell = notebook(f"{magic} --from detection_boxes")
    assert cell.error is None
    assert filled == [(f"%%handler --from detection_boxes\n{SOURCE}", True)]
    assert cell.value.found == "class DetectionBoxes"
    assert Path("detection_boxes.py").read_text() == f"\n{SOURCE}"


def test_filled_cell_runs_again_in_a_new_kernel_and_is_left_alone(notebook: Any, filled: list[Any]) -> None:
    changed = SOURCE.replace("(0.5, SHARE)", "(0.7, SHARE)")
    cell = notebook(f"%%handler mine.py --from detection_boxes\n{changed}")
    assert cell.error is None
    assert filled == []
    assert Path("mine.py").read_text() == f"\n{changed}"
    assert notebook("%export").value.files == tuple(sorted(["coins_detector.pt", *MODULES, "mine.py"]))


def test_another_file_of_that_name_is_not_overwritten(notebook: Any, filled: list[Any]) -> None:
    Path("detection_boxes.py").write_text("mine = True\n")
    error = notebook("%%handler --from detection_boxes").error
    assert isinstance(error, UsageError)
    assert str(error) == "%%handler: detection_boxes.py exists and holds another handler; name another file to write"
    assert (filled, Path("detection_boxes.py").read_text()) == ([], "mine = True\n")


def test_unknown_name_lists_those_there_are(notebook: Any, filled: list[Any]) -> None:
    error = notebook("%%handler --from detector").error
    assert isinstance(error, UsageError)
    assert all(name in str(error) for name in ("detector", "detection_boxes", "segmentation_overlay"))


def test_function_writes_the_file_once_and_keeps_changes(session: Any) -> None:
    session.model("coins", serialized_file=str(COINS / "coins_detector.pt"))
    assert session.use("mine.py", from_="detection_boxes").found == "class DetectionBoxes"
    changed = Path("mine.py").read_text().replace("class DetectionBoxes", "class Mine")
    Path("mine.py").write_text(changed)
    assert session.use("mine.py", from_="detection_boxes").found == "class Mine"
    with pytest.raises(ModelError, match="choose one of background_cutout"):
        session.use("mine.py", from_="detector")


def test_ready_made_handler_is_used_as_it_is(session: Any) -> None:
    session.model("coins", serialized_file=str(COINS / "coins_detector.pt"))
    assert session.use("handlerkit:detection_boxes").found == "class DetectionBoxes"
    assert session.export().files == tuple(sorted(["coins_detector.pt", *MODULES, "detection_boxes.py"]))
    assert not Path("detection_boxes.py").exists()
