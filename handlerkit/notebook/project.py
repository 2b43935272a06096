"""Models written down once, in the words of %model: handlerkit.toml, or [tool.handlerkit] in pyproject.toml.

    name = "coins"                              # one model ...
    handler = "segmenter.py"
    serialized-file = "coins.pt"
    extra-files = ["index_to_name.json"]
    config-property = {service_envelope = "json"}

    [models.coins]                              # ... or several, by their names
    handler = "segmenter.py"

Paths are relative to the file. The options and their checks are those of %model.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from handlerkit.errors import ModelError
from handlerkit.model import DEFAULT_HANDLERS, PathLike
from handlerkit.notebook.commands.model import MODEL
from handlerkit.notebook.options import Mapped, WrongOption, did_you_mean, names
from handlerkit.serving.config import property_text
from handlerkit.targets import NAMES

#: What it is called, and the table of each that holds it; the first that is in a folder counts.
FILES: dict[str, tuple[str, ...]] = {"handlerkit.toml": (), "pyproject.toml": ("tool", "handlerkit")}
#: Options of `Session.model` that name files.
PATHS = (
    "handler", "archive", "serialized_file", "model_file", "extra_files", "requirements_file", "config_file", "target",
    "export_path",
)  # fmt: skip
#: Options of the line that no file has.
_NOT_HERE = {"--file", "--help"}


def find(start: PathLike = ".") -> Path | None:
    """The file that describes the models of this folder: in it, or in the next folder above it that has one. Raises
    ModelError for one that cannot be read."""
    here = Path(start).absolute()
    for folder in (here, *here.parents):
        for name, place in FILES.items():
            file = folder / name
            if file.is_file() and _describes(file, place):
                return Path(os.path.relpath(file, here)) if folder in (here, here.parent) else file
    return None


def read(file: PathLike) -> dict[str, dict[str, Any]]:
    """By name, the arguments of `Session.model` for each model that the file describes, with paths as they are from the
    current folder. Raises ModelError for a file that cannot be read, and for what %model would refuse."""
    path = Path(file).expanduser()
    table = inner(_loaded(path), place_of(path))
    several = table.get("models", {})
    tables = dict(several) if isinstance(several, Mapping) else {"": several}
    if alone := {key: value for key, value in table.items() if key != "models"}:
        tables = {"": alone, **tables}
    models = [_model(path, name, one) for name, one in tables.items()]
    if not models:
        place = f" in [{'.'.join(place_of(path))}]" * bool(place_of(path))
        raise ModelError(f'{path} describes no model{place}: write name = "..." and handler = "..." into it')
    found = {one["name"]: one for one in models}
    if len(found) < len(models):
        raise ModelError(f"{path} describes two models of one name; there is {', '.join(found)}")
    return found


def choose(file: PathLike, name: str | None) -> dict[str, Any]:
    """The model of that name, or the only one. Raises ModelError, as `read` too."""
    models = read(file)
    if name is None and len(models) > 1:
        raise ModelError(f"{file} describes several models: name one of {', '.join(models)}")
    if name is not None and name not in models:
        raise ModelError(f"{file} describes no model {name!r}, but {', '.join(models)}{did_you_mean(name, [*models])}")
    return models[name] if name is not None else next(iter(models.values()))


def place_of(file: Path) -> tuple[str, ...]:
    """The table of this file that describes models."""
    return FILES.get(file.name, ())


def inner(table: Mapping[str, Any], place: tuple[str, ...]) -> Mapping[str, Any]:
    """The table in that place; empty if there is none."""
    for key in place:
        table = table.get(key, {})
        if not isinstance(table, Mapping):
            return {}
    return table


def is_own_word(handler: str) -> bool:
    """Whether it names a handler of TorchServe or of the kit, and no file."""
    return handler in DEFAULT_HANDLERS or handler.startswith("handlerkit:")


def _describes(file: Path, place: tuple[str, ...]) -> bool:
    """Whether models are described in it. One that never says the table's name is left to others, though it is no
    TOML."""
    if not place:
        return True
    table = _loaded(file) if place[-1].encode() in _content(file) else {}
    return bool(inner(table, place))


def _loaded(file: Path) -> dict[str, Any]:
    """Its tables; a number with a point is the text that is written, as version = 1.10."""
    try:
        return tomllib.loads(_content(file).decode(), parse_float=str)
    except ValueError as problem:  # no TOML, no UTF-8
        raise ModelError(f"{file} is no TOML: {_line(problem)}") from None


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as problem:
        raise ModelError(f"{file} cannot be read: {problem.strerror or problem}") from None


def _line(problem: Exception) -> str:
    said = " ".join(str(problem).split())
    return re.sub(r"\(at line (\d+), column (\d+)\)", r"(line \1, column \2)", said[:1].lower() + said[1:])


def _model(file: Path, name: str, table: object) -> dict[str, Any]:
    """The arguments of one model."""
    if not isinstance(table, Mapping):
        raise ModelError(f"{file}: models are tables, such as [models.coins], not {table!r}")
    try:
        options = MODEL.options(str(file)).read(list(_words(file, table)))
    except WrongOption as wrong:
        raise ModelError(f"{file}: {wrong.mistake.removeprefix('argument --')}") from None
    own = options.pop("model_name")
    options["name"] = name or own
    if name and own not in (None, name):
        raise ModelError(f"{file}: [models.{name}] has another name, {own}: leave it out")
    if not options["name"]:
        raise ModelError(f'{file} names no model: write name = "..." into it')
    del options["file"]
    for key in PATHS:
        if value := options[key]:
            options[key] = [_from_here(file, one) for one in value] if key == "extra_files" else _path(file, key, value)
    return options


def _path(file: Path, key: str, value: str) -> str:
    if (key == "handler" and is_own_word(value)) or (key == "target" and value in NAMES):
        return value
    return _from_here(file, value)


def _from_here(file: Path, path: str) -> str:
    return str(file.parent / Path(path).expanduser())


def _words(file: Path, table: Mapping[str, Any]) -> Iterator[str]:
    """The table as words of %model. Raises ModelError for a key that is none of its options."""
    known = {key: one for key, one in MODEL.options("").spellings().items() if key not in _NOT_HERE}
    for key, value in table.items():
        option = "--model-name" if key == "name" else f"--{key.replace('_', '-')}"
        if option not in known:
            near = did_you_mean(option, [one for one in known if one.startswith("--")]).replace("--", "")
            raise ModelError(f"{file}: {key} is no word of %model{near}")
        action = known[option]
        values = _values(value)
        if action.nargs == 0:
            if not isinstance(value, bool):
                raise ModelError(f"{file}: {key} is true or false, not {value!r}")
            yield from [option] * value
        elif action.type is names:
            of_list = [one.replace(",", "\\,") for one in values] if isinstance(value, list) else values
            yield f"{option}={','.join(of_list)}"
        elif isinstance(action, Mapped):
            yield from (f"{option}={one}" for one in values)
        elif isinstance(value, str | int) and not isinstance(value, bool):
            yield f"{option}={value}"
        else:
            raise ModelError(f"{file}: {key} is a text or a number, not {value!r}")


def _values(value: object) -> list[str]:
    """A list's texts; a table's KEY=VALUE."""
    if isinstance(value, Mapping):
        return [f"{key}={property_text(one)}" for key, one in value.items()]
    return [property_text(one) for one in (value if isinstance(value, list) else [value])]
