"""App: models as a folder that serves them anywhere."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from string import Template
from typing import Any

from handlerkit.app.requirements import Requirements, requirements
from handlerkit.app.settings import check_asked, check_model, check_properties
from handlerkit.archive import Archive, Progress
from handlerkit.archive.interrupts import interrupts_deferred
from handlerkit.archive.place import beside
from handlerkit.errors import ArchiveError, ConfigError, ModelError
from handlerkit.model import Model, PathLike
from handlerkit.serving.config import property_text
from handlerkit.targets import Target, find
from handlerkit.unpack import Unpacked

_FILES = Path(__file__).parent / "files"
_RUNTIME = Path(__file__).parents[1] / "serving"
#: Files with names to put in; the others are copied as they are.
_TEMPLATES = {"Dockerfile", "README.md", "serve.yaml", "kuberay.yaml", "kserve.yaml", "config.yaml"}
#: The files by which an app's folder is known.
_OURS = ("app.py", "models.json", "serving/__init__.py")
_METRICS = "metrics.yaml"


class App:
    """Models as a folder that serves them with the same bytes as TorchServe, without Java and without this kit: as a
    server of its own, in a container, on Ray Serve, KubeRay, KServe and SageMaker, and on files.

    Args:
        paths_or_models: archives and Models, one or several, of different names.
        config_properties: keys of config.properties. `ignored` has those that change nothing in an app.
        batch_size, max_batch_delay (ms), response_timeout (s), initial_workers: as a register call gives them, of each
            model; None leaves them to model-config.yaml and TorchServe's defaults.
        requirements: lines of a requirements file that are added to what the code imports and the models require.
        target: the environment whose Python and versions the app is to have, as of handlerkit.Server.

    Raises ConfigError for a key that TorchServe does not know or an app cannot follow and for a wrong number,
    ModelError for two models of one name and for settings that an app cannot follow, ArchiveError for a path that is no
    archive, TargetError for an unknown target.
    """

    def __init__(
        self,
        paths_or_models: PathLike | Model | Iterable[PathLike | Model],
        config_properties: Mapping[str, Any] | None = None,
        *,
        batch_size: int | None = None,
        max_batch_delay: int | None = None,
        response_timeout: int | None = None,
        initial_workers: int | None = None,
        requirements: Iterable[str] = (),
        target: PathLike | Target = "declared",
    ) -> None:
        given = [paths_or_models] if isinstance(paths_or_models, str | os.PathLike | Model) else list(paths_or_models)
        self.config_properties = dict(config_properties or {})
        #: Keys of config.properties that change nothing in an app.
        self.ignored = check_properties(self.config_properties)
        self.target = target if isinstance(target, Target) else find(target)
        asked = {
            "batch_size": batch_size, "max_batch_delay": max_batch_delay, "response_timeout": response_timeout,
            "initial_workers": initial_workers,
        }  # fmt: skip
        self._asked = {key: value for key, value in asked.items() if value is not None}
        check_asked(self._asked)
        self._requirements = tuple(requirements)
        self._unpacked = [Unpacked(one) for one in given if not isinstance(one, Model)]
        archives = iter(self._unpacked)
        self.models = tuple(one if isinstance(one, Model) else next(archives).model for one in given)
        names = [model.name for model in self.models]
        if not names or len({*names}) < len(names):
            raise ModelError(f"an app serves one model or several of different names, not {', '.join(names) or 'none'}")
        for model in self.models:
            check_model(model)

    def __repr__(self) -> str:
        return f"<App of {', '.join(model.name for model in self.models)}, target {self.target.name}>"

    def requirements(self) -> Requirements:
        """What the app's requirements.txt says. Raises ModelError for code that imports this kit, and for models that
        contradict each other."""
        return requirements(
            self.models, self.target, self._requirements, self.config_properties.get("service_envelope") or None
        )

    def save(self, folder: PathLike, *, force: bool = False, progress: Progress | None = None) -> Path:
        """Write the app and return its folder's path.

        The folder is created, and one that holds an app is replaced. It is written beside its place under a hidden name
        until it is whole, so that an export broken off by an error or by Ctrl-C leaves an older app as it was.
        `progress` is called as of Archive.save, for each model.

        Raises ArchiveError if something else is at its place and `force` is false, if that holds one of the models'
        files, and if the app cannot be written. Raises as `requirements`.
        """
        target = Path(folder).expanduser().absolute()
        needed = self.requirements()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with interrupts_deferred() as deliver, ExitStack() as stack:
                part = stack.enter_context(
                    beside(target, folder=True, check=lambda: self._check_place(target, force), deliver=deliver)
                )

                def written(done: int, total: int) -> None:
                    deliver()
                    if progress is not None:
                        progress(done, total)

                for model in self.models:
                    Archive(model, "no-archive").save(part / "model", progress=written)
                self._write(part, needed)
        except (FileExistsError, NotADirectoryError) as problem:
            raise ArchiveError(f"{target.name} was not written: {target.parent} is no folder") from problem
        except OSError as problem:
            raise ArchiveError(f"{target.name} was not written: {problem.strerror or problem}") from problem
        return target

    def _check_place(self, target: Path, force: bool) -> None:
        if not os.path.lexists(target):
            return
        if not target.is_dir():
            raise ArchiveError(f"{target.name} is a file: save the app elsewhere")
        is_empty = next(target.iterdir(), None) is None
        if not force and not is_empty and not all((target / name).is_file() for name in _OURS):
            raise ArchiveError(f"{target.name} is a folder and no app: save elsewhere, or replace it with force=True")
        place, here = target.resolve(), Path.cwd().resolve()
        sources = [entry.source.resolve() for model in self.models for entry in model.named_entries()]
        if any(source.is_relative_to(place) for source in sources) or here.is_relative_to(place):
            raise ArchiveError(f"{target.name} holds a file of the model, or the current folder: save elsewhere")

    def _write(self, part: Path, needed: Requirements) -> None:
        """All but the models."""
        properties = {key: value for key, value in self.config_properties.items() if key not in self.ignored}
        if metrics := properties.get("metrics_config"):
            try:
                shutil.copy(metrics, part / _METRICS)
            except OSError as problem:
                raise ConfigError(f"metrics_config {metrics!r} cannot be read: {problem.strerror}") from None
            properties["metrics_config"] = _METRICS
        said = [{"model_dir": f"model/{model.name}", **self._asked} for model in self.models]
        contents = {"models": said, "config_properties": {key: property_text(one) for key, one in properties.items()}}
        (part / "models.json").write_text(f"{json.dumps(contents, indent=2)}\n", encoding="utf-8")
        (part / "requirements.txt").write_text(_requirements_text(needed, self.target), encoding="utf-8")
        for source in _runtime():
            place = part / "serving" / source.relative_to(_RUNTIME)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
        names = self._names(needed)
        for source in sorted(path for path in _FILES.rglob("*") if path.is_file() and path.suffix != ".pyc"):
            place = part / source.relative_to(_FILES)
            place.parent.mkdir(parents=True, exist_ok=True)
            text = source.read_text(encoding="utf-8")
            place.write_text(Template(text).substitute(names) if source.name in _TEMPLATES else text, encoding="utf-8")
        shutil.copyfile(part / "deploy" / "ray_app.py", part / "deploy" / "sagemaker" / "deployment.py")

    def _names(self, needed: Requirements) -> dict[str, str]:
        first = self.models[0].name
        slug = re.sub(r"[^a-z0-9]+", "-", first.lower()).strip("-") or "app"
        return {
            "name": slug if slug[0].isalpha() else f"app-{slug}",
            "model": first,
            "models": ", ".join(model.name for model in self.models),
            "python": ".".join(map(str, self.target.python)),
            "target": self.target.name,
            "copied": "".join(f"COPY {folder} {folder}\n" for folder in self._named_in(needed)),
            "ignored": self._told_ignored(),
        }

    def _named_in(self, needed: Requirements) -> list[str]:
        """The folders of models whose requirements name files of theirs, which pip needs."""
        folders = [f"model/{model.name}" for model in self.models]
        return [folder for folder in folders if f"{folder}/" in "\n".join(needed.lines)]

    def _told_ignored(self) -> str:
        if not self.ignored:
            return ""
        return f"\nWithout effect here: {', '.join(f'`{key}`' for key in self.ignored)} of config.properties.\n"


def _runtime() -> Iterator[Path]:
    return (path for path in sorted(_RUNTIME.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)


def _requirements_text(needed: Requirements, target: Target) -> str:
    python = ".".join(map(str, target.python))
    head = [f"# Python {python}; versions as target {target.name} has them. pip's torch for Linux brings CUDA along;",
            "# for a smaller one without, install torch for CPUs first, as PyTorch's site says."]  # fmt: skip
    return "\n".join([*head, *needed.lines, *(f"# {note}" for note in needed.notes), ""])
