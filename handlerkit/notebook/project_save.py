"""What hk.session.save() writes: the current model in the words of %model, where `project` reads them.

tomlkit writes, since the file is its user's: comments, order and blank lines stay, which no other writer keeps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handlerkit.errors import ModelError
from handlerkit.model import PathLike
from handlerkit.notebook import project
from handlerkit.notebook.commands.model import MODEL
from handlerkit.notebook.session_model import SessionModel, fingerprint
from handlerkit.targets import NAMES

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


def save(model: SessionModel, file: PathLike, temporary: Path | None) -> Path:
    """Describe the model in this file, instead of what it says about a model of that name. The rest stays.

    Args:
        temporary: a folder whose files are gone with the session.

    Raises ModelError for a file that cannot be read or written, for one whose only model has another name, and for a
    model whose files are gone with the session.
    """
    import tomlkit

    path = Path(file).expanduser()
    words = dict(_words(model, path, temporary))
    try:
        document = _document(path)
        table: MutableMapping[str, Any] = document
        for key in project.place_of(path):
            table = table.setdefault(key, tomlkit.table(is_super_table=key == "tool"))
            if not isinstance(table, MutableMapping):
                raise ModelError(f"{path}: {key} is no table")
        _write(_table_of(table, model.name, path, words), words)
        path.write_text(tomlkit.dumps(document), encoding="utf-8")
    except OSError as problem:
        raise ModelError(f"{path} cannot be written: {problem.strerror or problem}") from None
    return path


def _document(path: Path) -> TOMLDocument:
    """What the file holds now; nothing, if it is not there."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
    except (TOMLKitError, ValueError) as problem:
        raise ModelError(f"{path} is no TOML: {problem}") from None


def _table_of(
    table: MutableMapping[str, Any], name: str, path: Path, words: dict[str, Any]
) -> MutableMapping[str, Any]:
    """Where that model is described in the file's table."""
    import tomlkit

    several = table.get("models")
    if isinstance(several, MutableMapping):  # its name is the table's
        words.pop("name")
        found: MutableMapping[str, Any] = several.setdefault(name, tomlkit.table())
        return found
    there = table.get("name", table.get("model-name", name))
    if there != name:
        raise ModelError(
            f"{path} describes another model, {there}: save to another file, or begin its part with [models.{there}]"
        )
    return table


def _write(table: MutableMapping[str, Any], words: Mapping[str, Any]) -> None:
    """Make the table say these words; what it says already in another spelling stays as it is."""
    for key in [key for key in table if key != "models" and _spelled(key) not in words]:
        del table[key]
    spelled = {_spelled(key): key for key in table}
    for key, value in words.items():
        if key not in spelled or table[spelled[key]] != value:
            table[spelled.get(key, key)] = _inline(value) if isinstance(value, Mapping) else value


def _inline(pairs: Mapping[str, Any]) -> Any:
    """On one line: a table of its own would take the lines below it."""
    import tomlkit

    table = tomlkit.inline_table()
    table.update(pairs)
    return table


def _spelled(key: str) -> str:
    return "name" if key == "model-name" else key.replace("_", "-")


def _words(model: SessionModel, file: Path, temporary: Path | None) -> Iterator[tuple[str, Any]]:
    """What %model was told, without its defaults."""
    yield "name", model.name
    options: dict[str, Any] = {**model.options, **model.registered, **_of_export(model.archiver)}
    options["target"] = None if model.target == "declared" else str(model.target)
    if model.unpacked is not None:
        yield "archive", _from(file, _archive_of(model))
        options = {key: value for key, value in options.items() if key not in model.options}
    for action in MODEL.options("")._actions:
        value = options.get(action.dest)
        if value in (None, "", action.default) or value in ([], {}):
            continue
        key = max(action.option_strings, key=len).removeprefix("--")
        if action.dest == "environment":
            yield key, _variables(value)
        elif action.dest == "extra_files":
            yield key, [_path(file, "extra_files", one, temporary) for one in value]
        else:
            yield key, _path(file, action.dest, value, temporary) if action.dest in project.PATHS else value


def _of_export(archiver: Mapping[str, Any]) -> dict[str, Any]:
    return {"export_path" if key == "folder" else key: value for key, value in archiver.items()}


def _archive_of(model: SessionModel) -> str:
    """The archive that it came from. Raises ModelError if it is not what the model is now."""
    if model.archive is None or model.fingerprint != fingerprint(model.build()):
        raise ModelError(
            f"{model.name} came out of an archive and has changed since: its files lie in a temporary folder. Unpack "
            "it with hk.unpack(archive, folder), and choose the model of that folder"
        )
    return str(model.archive)


def _variables(environment: Mapping[str, str]) -> list[str]:
    """One that has the value it has here is written by its name: such a value is this machine's, or a secret."""
    return [name if os.environ.get(name) == value else f"{name}={value}" for name, value in environment.items()]


def _path(file: Path, key: str, value: Any, temporary: Path | None) -> str:
    text = str(value)
    if (key == "handler" and project.is_own_word(text)) or (key == "target" and text in NAMES):
        return text
    if temporary is not None and Path(text).is_relative_to(temporary):
        raise ModelError(
            f"{Path(text).name} is the class of a plain cell, in a temporary file: write it with %%handler to save it"
        )
    return _from(file, text)


def _from(file: Path, path: str) -> str:
    """As it is relative to the file's folder."""
    return Path(os.path.relpath(Path(path).expanduser().absolute(), file.absolute().parent)).as_posix()
