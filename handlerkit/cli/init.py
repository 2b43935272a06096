"""`handlerkit init FOLDER`: a small project, whose CI is green at once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from handlerkit.cli.networks import NETWORKS
from handlerkit.notebook.options import Parser, named

_EXAMPLES = """examples:
  handlerkit init coins
  handlerkit init coins --from detection_boxes
  handlerkit init .                                # into this folder"""
_COLORS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (30, 60, 190)}
#: What may differ from machine to machine, by handler.
_MAY_DIFFER: Mapping[str, dict[str, float]] = {
    "detection_boxes": {"rtol": 1e-3, "iou": 0.95},
    "background_cutout": {"levels": 2, "pixels": 0.001},
}


def parser() -> Parser:
    """The folder, and the handler to begin with."""
    parser = Parser("handlerkit init", "Write a small project: handler, model file, cases, tests, CI.", _EXAMPLES)
    add = parser.add_argument
    add("folder", type=named, metavar="FOLDER", help="where to; it is created where it is not there")
    add("--from", dest="from_", choices=[*NETWORKS], default="classifier", help="the ready-made handler to begin "
        "with (classifier)")  # fmt: skip
    add("--name", metavar="NAME", help="the model's name (the folder's)")
    return parser


def run(options: dict[str, Any]) -> int:
    """Write it, with the cases that its handler answers here. Raises ModelError, and writes nothing, if a file of the
    project is there already."""
    import shutil

    from handlerkit.errors import ModelError
    from handlerkit.folders import OwnFolder

    folder, handler = Path(options["folder"]).expanduser(), options["from_"]
    name = options["name"] or re.sub(r"\W+", "_", folder.resolve().name, flags=re.ASCII).strip("_") or "model"
    own = OwnFolder()
    try:
        _write(own.path, name, handler)
        files = sorted(file for file in own.path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
        made = {file: folder / file.relative_to(own.path) for file in files}
        if taken := next((path for path in made.values() if path.exists()), None):
            raise ModelError(f"{taken} is there already: nothing was written; choose another folder")
        for file, path in made.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, path)
    finally:
        own.remove()
    print(
        "\n".join([f"{folder}: {name}, from {handler}", *(f"  {path.relative_to(folder)}" for path in made.values())])
    )
    return 0


def _write(folder: Path, name: str, handler: str) -> None:
    """All files of the project."""
    import shutil
    from importlib import resources

    from handlerkit.cli.networks import LABELS, network
    from handlerkit.model import Model

    modules = [entry.source for entry in Model(name, handler=f"handlerkit:{handler}").entries()]
    for module in modules:
        shutil.copyfile(module, folder / module.name)
    extra = [module.name for module in modules if module.stem != handler]
    if handler in LABELS:
        labels = dict(enumerate(LABELS[handler]))
        (folder / "index_to_name.json").write_text(json.dumps(labels, indent=2) + "\n")
        extra.append("index_to_name.json")
    (folder / "network.py").write_text(network(handler))
    words = {
        "name": name, "handler": handler, "extra": ", ".join(f'"{one}"' for one in extra),
        "paths": ", ".join(f'ROOT / "{one}"' for one in extra),
    }  # fmt: skip
    templates = resources.files("handlerkit.cli") / "project"
    for template, place in _PLACES.items():
        text = (templates / template).read_text("utf-8")
        for word, value in words.items():
            text = text.replace(f"{{{word}}}", value)
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text)
    (folder / "requirements-dev.txt").write_text(_requirements())
    _keep(folder, Model(
        name, handler=folder / f"{handler}.py", model_file=folder / "network.py",
        extra_files=[folder / one for one in extra],
    ), _MAY_DIFFER.get(handler, {"rtol": 1e-3}))  # fmt: skip


#: Where each template goes.
_PLACES = {
    "README.md": "README.md",
    "handlerkit.toml": "handlerkit.toml",
    "gitignore": ".gitignore",
    "pre-commit.yaml": ".pre-commit-config.yaml",
    "test.yml": ".github/workflows/test.yml",
    "pytest.ini": "pytest.ini",
    "test_handler.txt": "tests/test_handler.py",
}


def _requirements() -> str:
    from importlib.metadata import version

    return f"handlerkit=={version('handlerkit')}\npytest>=8\npre-commit>=4\n"


def _keep(folder: Path, model: Any, may_differ: Mapping[str, Any]) -> None:
    """Draw the samples, and keep what is answered to each."""
    from PIL import Image, ImageDraw

    from handlerkit.cases import keep
    from handlerkit.endpoints.worker import Worker
    from handlerkit.messages import Request

    (folder / "samples").mkdir()
    with Worker(model) as worker:
        for color, rgb in _COLORS.items():
            picture = Image.new("RGB", (96, 64), "white")
            ImageDraw.Draw(picture).ellipse((24, 8, 72, 56), fill=rgb)
            picture.save(folder / "samples" / f"{color}.png")
            run = worker.predict(Request.file(folder / "samples" / f"{color}.png")).raise_for_status()
            keep(run, color, folder / "cases", **may_differ)
