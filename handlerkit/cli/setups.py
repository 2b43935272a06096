"""The models that cases run on: archives, files of handlers, and models of handlerkit.toml."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handlerkit.cases.places import RegisteredModel


def setups(words: Iterable[str]) -> dict[str, RegisteredModel]:
    """By their names, the models that these words name, or all that are described here without any. Raises ModelError
    for a word that names no model, ArchiveError for what is no archive, CaseError for two of one name."""
    from handlerkit.cases.places import by_name

    return by_name(_setup(one) for one in [found for word in words for found in _named(word)] or _every())


def _every() -> list[dict[str, Any]]:
    from handlerkit.cli import on_model

    return on_model.every()


def _named(word: str) -> list[dict[str, Any]]:
    from handlerkit.cli import on_model
    from handlerkit.errors import ModelError
    from handlerkit.notebook import project

    if Path(word).name in project.FILES:
        return list(project.read(word).values())
    if (found := on_model.named(word)) is None:
        raise ModelError(f"{word} is no model: name an archive, a handler's file, or a model of handlerkit.toml")
    return [found]


def _setup(model: dict[str, Any]) -> RegisteredModel:
    from handlerkit.cases.places import RegisteredModel
    from handlerkit.cli import on_model
    from handlerkit.notebook.session_model import REGISTERED

    source = Path(model["archive"]) if model.get("archive") else on_model.build(model)
    return RegisteredModel(source, {key: model[key] for key in REGISTERED if model.get(key) is not None})
