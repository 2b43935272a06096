"""The models of the notebooks, as their cells make them: %model lines, %%handler, %%module and %%writefile cells."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from string import Template

from handlerkit import Model
from handlerkit.notebook.commands import COMMANDS

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
#: Cells whose handler is meant to fail, and is said to.
MEANT = {"broken.py"}


def models_of(notebook: Path, folder: Path) -> Iterator[Model]:
    """Every model that a %%handler cell, or a %model line with a handler, makes. `folder`'s stand in for
    files that other cells write: with the text that the cell writes, where it is there, or with a few bytes."""
    options: dict[str, object] = {}
    modules: list[Path] = []
    variables: dict[str, str] = {}
    for source in _cells(notebook):
        variables |= dict(re.findall(r'^(\w+) = "([^"\n]*)"$', source, re.MULTILINE))
        for name, text in re.findall(r'"([\w.-]+)"\)\.write_text\(("[^"\n]*")\)', source):
            _write(folder / "texts" / name, ast.literal_eval(text))
        first, _, body = source.partition("\n")
        words = first.split()
        if words[:1] == ["%%module"]:
            modules.append(_write(folder / words[1], body))
        elif words[:1] == ["%%writefile"]:
            _write(folder / words[1], body)
        elif words[:1] == ["%%handler"] and words[1] not in MEANT:
            handler = _write(folder / words[1], body)
            yield _model({"name": handler.stem, **options, "handler": str(handler)}, modules, folder)
        for line in re.findall(r"^ *%model (.*)", source.replace("\\\n", ""), re.MULTILINE):
            words = shlex.split(Template(line).safe_substitute(variables))
            read = COMMANDS["model"].parser().read(words)
            if len(words) > 1:
                options = read
            if len(words) > 1 and read.get("handler"):
                yield _model(options, modules, folder)


def _cells(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def _model(options: dict[str, object], modules: list[Path], folder: Path) -> Model:
    def file(name: object) -> str | None:
        return str(_standing_in(str(name), folder)) if name else None

    handler = str(options["handler"])
    extra = [_standing_in(name, folder) for name in options.get("extra_files") or ()]
    named = {extra_file.name for extra_file in extra}
    return Model(
        str(options["name"]),
        handler=str(folder / handler) if handler.endswith(".py") else handler,
        serialized_file=file(options.get("serialized_file")),
        model_file=file(options.get("model_file")),
        requirements_file=file(options.get("requirements_file")),
        config_file=file(options.get("config_file")),
        extra_files=[*extra, *(module for module in modules if module.name not in named)],
    )


def _standing_in(name: str, folder: Path) -> Path:
    if (NOTEBOOKS / name).exists():
        return NOTEBOOKS / name
    path, written = folder / name, folder / "texts" / Path(name).name
    if not path.exists():
        _write(path, written.read_text() if written.exists() else _TEXTS.get(path.suffix, "-"))
    return path


_TEXTS = {".json": '{"0": "zero"}', ".yaml": "minWorkers: 1\nmaxWorkers: 1\n", ".txt": ""}


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
