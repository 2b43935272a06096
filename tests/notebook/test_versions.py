"""Earlier versions of a handler are kept, and can be built again."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlerkit.errors import ModelError
from handlerkit.model import Model
from handlerkit.notebook.versions import Version, Versions

HANDLER = "def handle(data, context):\n    return ['{}'] * len(data or ())\n"


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """A model with a handler, a helper in a folder, weights and labels; `v1` is what the handler answers."""
    (tmp_path / "coins.py").write_text(HANDLER.format("v1"))
    (tmp_path / "lib" / "deep").mkdir(parents=True)
    (tmp_path / "lib" / "deep" / "helper.py").write_text("ONE = 1\n")
    (tmp_path / "lib" / "names.json").write_text("{}")
    (tmp_path / "net.pt").write_bytes(b"weights")
    return Model(
        "coins", "2.0", handler=tmp_path / "coins.py", serialized_file=tmp_path / "net.pt", extra_files=tmp_path / "lib"
    )


def contents(model: Model) -> dict[str, tuple[str, bytes]]:
    return {entry.name: (entry.option, entry.source.read_bytes()) for entry in model.entries()}


def test_an_earlier_version_is_built_with_its_own_code_and_todays_files(model: Model, tmp_path: Path) -> None:
    before, version = contents(model), Version.of(model)
    (tmp_path / "coins.py").write_text(HANDLER.format("v2"))
    (tmp_path / "lib" / "deep" / "helper.py").unlink()
    built = version.build(model, tmp_path / "built")
    assert contents(built) == before
    assert (built.name, built.version, built.handler) == ("coins", "2.0", "coins.py")


def test_a_function_stays_the_entry_point(tmp_path: Path) -> None:
    (tmp_path / "coins.py").write_text(HANDLER)
    model = Model("coins", handler=f"{tmp_path}/coins:handle")
    assert Version.of(model).build(model, tmp_path / "built").handler == "coins:handle"


def test_a_default_handler_has_no_file(tmp_path: Path) -> None:
    model = Model("coins", handler="image_classifier")
    version = Version.of(model)
    assert (version.file, version.build(model, tmp_path / "built").handler) == ("image_classifier", "image_classifier")


def test_the_previous_one_is_the_last_that_differs(model: Model, tmp_path: Path) -> None:
    versions = Versions()
    for text in ("v1", "v2", "v2", "v3"):
        (tmp_path / "coins.py").write_text(HANDLER.format(text))
        versions.record(model)
    assert b"v2" in versions.find("previous").sources["coins.py"][1]


@pytest.mark.parametrize("name", ["coins", "coins.py"])
def test_a_version_is_found_by_its_handlers_file(model: Model, tmp_path: Path, name: str) -> None:
    versions = Versions()
    versions.record(model)
    (tmp_path / "other.py").write_text(HANDLER)
    versions.record(Model("coins", handler=tmp_path / "other.py"))
    assert versions.find(name).file == "coins.py"


def test_what_is_not_there_names_what_is(model: Model, tmp_path: Path) -> None:
    versions = Versions()
    versions.record(model)
    with pytest.raises(ModelError, match="none, until the handler is changed"):
        versions.find("previous")
    (tmp_path / "coins.py").write_text(HANDLER)
    versions.record(model)
    with pytest.raises(ModelError, match=r"there is previous, or coins\.py"):
        versions.find("coin")
