"""`handlerkit init FOLDER`: a small project, whose CI is green at once."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from handlerkit.cli import on_model
from handlerkit.cli.networks import NETWORKS
from handlerkit.model import READY_MADE
from handlerkit.notebook.options import Parser, named

_EXAMPLES = """examples:
  handlerkit init coins
  handlerkit init coins --from detection_boxes
  handlerkit init .                                # into this folder; a README.md or .gitignore of its own stays"""
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
    add("--from", dest="from_", type=_handler, choices=[*NETWORKS], default="classifier", help="the ready-made handler "
        "to begin with (classifier); those for text need a model of transformers, which has no stand-in")  # fmt: skip
    add("--name", metavar="NAME", help="the model's name (the folder's)")
    return parser


def _handler(text: str) -> str:
    """The name of a ready-made handler, of which some have no stand-in for their network."""
    if text in READY_MADE and text not in NETWORKS:
        raise argparse.ArgumentTypeError(
            f"{text} needs a model of transformers, and a few lines cannot stand in for one: write handler = "
            f'"handlerkit:{text}" and its files into handlerkit.toml'
        )
    return text


def run(options: dict[str, Any]) -> int:
    """Write it, with the cases that its handler answers here, beside what is in the folder. Raises ModelError, and
    writes nothing, if a file of the project is there already; what every repository has stays as it is."""
    import shutil

    from handlerkit.errors import ModelError
    from handlerkit.folders import OwnFolder

    folder, handler = Path(options["folder"]).expanduser(), options["from_"]
    name = options["name"] or on_model.name_for(folder.resolve().name)
    own = OwnFolder()
    try:
        _write(own.path, name, handler)
        files = sorted(file for file in own.path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
        made = {file: folder / file.relative_to(own.path) for file in files}
        there = [file for file, path in made.items() if path.exists()]
        if taken := next((made[file] for file in there if file.name not in _STAY), None):
            raise ModelError(f"{taken} is there already: nothing was written; choose another folder")
        stay = [made.pop(file) for file in there]
        for file, path in made.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, path)
    finally:
        own.remove()
    written = [f"  {path.relative_to(folder)}" for path in made.values()]
    stayed = [f"left as it is: {path.relative_to(folder)}" for path in stay]
    print("\n".join([f"{folder}: {name}, from {handler}", *written, *stayed]))
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


#: Files that a repository has before.
_STAY = ("README.md", ".gitignore")
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
