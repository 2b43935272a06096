"""Models for apps, and an environment to run them in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from exported_apps import environment_of

from handlerkit.app import App
from handlerkit.model import Model

ECHO = """\
def handle(data, context):
    return [f"{context.manifest['model']['modelName']}:{row['body']}" for row in data or ()]
"""


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Model]:
    """Makes a model of a handler's source."""

    def make(name: str = "m", source: str = ECHO, **options: object) -> Model:
        folder = tmp_path / "files" / name
        folder.mkdir(parents=True)
        (folder / "handler.py").write_text(source)
        return Model(name, handler=folder / "handler.py", **options)

    return make


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment for apps whose handlers import nothing."""
    folder = tmp_path_factory.mktemp("environment")
    (folder / "handler.py").write_text(ECHO)
    saved = App(Model("m", handler=folder / "handler.py")).save(folder / "app")
    return environment_of(saved, folder / "venv")
