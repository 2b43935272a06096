"""A model to be served: its handler, its weights and the files beside them, in the words of the manifest."""

from __future__ import annotations

import ast
import glob
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from handlerkit.errors import ModelError
from handlerkit.serving import torchserve_facts as facts

#: Handlers that torch-model-archiver does not copy: modules of `ts.torch_handler` (model_packaging_utils.py).
DEFAULT_HANDLERS = (
    "base_handler",
    "text_classifier",
    "image_classifier",
    "object_detector",
    "image_segmenter",
    "dali_image_classifier",
    "vllm_handler",
    "trt_llm_handler",
)
#: The kit's own handlers, and the folder where they lie with the modules that they need beside them.
READY_MADE = (
    "background_cutout",
    "classifier",
    "detection_boxes",
    "segmentation_overlay",
    "text_classifier_hf",
    "text_entities",
    "text_generator",
)
READY_MADE_FOLDER = Path(__file__).parent / "handlers"
#: What the manifest's runtime can be.
RUNTIMES = ("python", "python3", "LSP")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-.]*")
_DROPPED_FOLDERS = {"__pycache__", "__MACOSX"}

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Entry:
    """A file of an archive: its name there, the file it is copied from, and the option that named it."""

    name: str
    source: Path
    option: str


class Model:
    """What an archive will hold, in the words of torch-model-archiver's options.

    Args:
        name: letters, digits, "_", "-" and ".", beginning with a letter or digit.
        version: the manifest's modelVersion; any text, "" leaves it out.
        handler: a Python file, "module:function" (the file is module.py), the name of a default handler, or a
            ready-made one of the kit, such as "handlerkit:classifier", with the modules it needs.
        serialized_file: the weights.
        model_file: a Python file with the model's class, for weights that are a state_dict.
        extra_files: files, wildcards, and folders (their contents land in the archive's root).
        requirements_file: pip's requirements, installed by a server with install_py_dep_per_model=true.
        config_file: model-config.yaml.
        runtime: python, python3 or LSP.

    Relative paths are resolved now, from the current folder. Raises ModelError, in one sentence, if a file is missing,
    a name is not allowed, or two files would have the same name in the archive.
    """

    def __init__(
        self,
        name: str,
        version: str = facts.MODEL_VERSION,
        *,
        handler: PathLike,
        serialized_file: PathLike | None = None,
        model_file: PathLike | None = None,
        extra_files: PathLike | Iterable[PathLike] = (),
        requirements_file: PathLike | None = None,
        config_file: PathLike | None = None,
        runtime: str = "python",
    ) -> None:
        if not _NAME.fullmatch(name):
            raise ModelError(
                f"{name!r} cannot name a model: use letters, digits, '_', '-' and '.', beginning with a letter or digit"
            )
        if runtime not in RUNTIMES:
            raise ModelError(f"runtime is {', '.join(RUNTIMES[:-1])} or {RUNTIMES[-1]}, not {runtime!r}")
        self.name = name
        self.version = version
        self.runtime = runtime
        self.handler_file, self.handler = self._read_handler(os.fspath(handler))
        self.serialized_file = self._file("serialized_file", serialized_file)
        self.model_file = self._file("model_file", model_file)
        if self.model_file is not None:
            _refuse_dots("model file", self.model_file)
        self.requirements_file = self._file("requirements_file", requirements_file)
        self.config_file = self._file("config_file", config_file)
        if isinstance(extra_files, str | os.PathLike):
            extra_files = os.fspath(extra_files).split(",")
        self.extra_files = tuple(path for given in extra_files for path in self._expand(os.fspath(given)))
        if self.handler_file and self.handler_file.parent == READY_MADE_FOLDER:
            self.extra_files += ready_made_modules(self.handler_file)
        self._check_places()

    def __repr__(self) -> str:
        return f"<Model {self.name} {self.version}: handler {self.handler}>"

    def entries(self) -> list[Entry]:
        """The archive's files without the manifest, sorted by name. Folders are read again each time. Raises ModelError
        if one is gone or cannot be read."""
        entries = self.named_entries()
        for entry in entries:
            _check_readable(entry.option, entry.source, os.fspath(entry.source))
        return entries

    def named_entries(self) -> list[Entry]:
        """As `entries`, whether the files are there or not."""
        first = {entry.name: entry for entry in reversed(list(self._entries()))}
        return sorted(first.values(), key=lambda entry: entry.name)

    def options(self) -> dict[str, Any]:
        """The arguments that make this model again, without its name; paths are absolute."""
        word, colon, function = self.handler.partition(":")
        file = self.handler_file
        return {
            "version": self.version,
            "handler": f"{file if word.endswith('.py') else file.with_suffix('')}{colon}{function}" if file else word,
            "serialized_file": self.serialized_file and str(self.serialized_file),
            "model_file": self.model_file and str(self.model_file),
            "extra_files": [str(path) for path in self.extra_files],
            "requirements_file": self.requirements_file and str(self.requirements_file),
            "config_file": self.config_file and str(self.config_file),
            "runtime": self.runtime,
        }

    def manifest(self) -> dict[str, Any]:
        """MAR-INF/MANIFEST.json as torch-model-archiver writes it, created now."""
        model = {
            "modelName": self.name,
            "serializedFile": self.serialized_file and self.serialized_file.name,
            "handler": self.handler,
            "modelFile": self.model_file and self.model_file.name,
            "modelVersion": self.version,
            "requirementsFile": self.requirements_file and self.requirements_file.name,
            "configFile": self.config_file and self.config_file.name,
        }
        return {
            "createdOn": datetime.now().strftime("%d/%m/%Y %H:%M:%S"),
            "runtime": self.runtime,
            "model": {key: value for key, value in model.items() if value},
            "archiverVersion": facts.VERSION,
        }

    def settings(self) -> dict[str, Any]:
        """model-config.yaml as PyYAML reads it (YAML 1.1); empty if there is none, or if it is no mapping. Raises
        ModelError if the file is gone or cannot be read."""
        if self.config_file is None:
            return {}
        import yaml

        _check_readable("config_file", self.config_file, os.fspath(self.config_file))

        try:
            read = yaml.safe_load(self.config_file.read_text())
        except (yaml.YAMLError, ValueError, RecursionError):  # no YAML, no UTF-8, nested too deeply
            return {}  # the worker that loads it reports it
        return read if isinstance(read, dict) else {}

    def labels(self) -> dict[str, str] | None:
        """The archive's index_to_name.json as TorchServe reads it; None if there is none, or if it cannot be read."""
        found = next((entry for entry in self._entries() if entry.name == facts.LABELS), None)
        if found is None:
            return None
        try:
            names = json.loads(found.source.read_text())
            if "object_type_names" in names:
                names = dict(enumerate(names["object_type_names"]))
            return {str(key): name[-1] if isinstance(name, list) else str(name) for key, name in names.items()}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return None

    def stage(self, folder: PathLike) -> Path:
        """Write the files into `folder`, which is created, as TorchServe unpacks the archive.

        Weights are linked, everything else is copied, so that a handler that writes into its model_dir does not
        change the user's files. Returns the folder's resolved path.
        """
        root = Path(folder).resolve()
        for entry in self.entries():
            target = root / entry.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if entry.option == "serialized_file":
                target.symlink_to(entry.source)
            else:
                shutil.copy(entry.source, target)
        manifest = root / facts.MANIFEST
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.write_text(json.dumps(self.manifest(), indent=2))
        return root

    def _read_handler(self, handler: str) -> tuple[Path | None, str]:
        """The handler's file (None for a default handler), and what the manifest calls it."""
        if handler in DEFAULT_HANDLERS:
            return None, handler
        _refuse_archive("handler", handler)
        folder, name = os.path.split(handler)  # a folder's name may hold a colon
        name, colon, function = name.partition(":")
        path = os.path.join(folder, name)
        if path == "handlerkit":
            file = ready_made(function)
            return file, file.name
        path = path if path.endswith(".py") else path + ".py"
        file = Path(path).expanduser().absolute()
        if not file.is_file():
            known = ", ".join(DEFAULT_HANDLERS[:5])
            raise ModelError(f"no handler file {path!r}: give a Python file, module:function, or one of {known}")
        _refuse_dots("handler", file)
        if colon and not function.isidentifier():
            raise ModelError(f"{function!r} cannot name a function: write the handler as module:function")
        word = f"{file.stem}:{function}" if colon else file.name if handler.endswith(".py") else file.stem
        return file, word

    def _file(self, option: str, given: PathLike | None) -> Path | None:
        if given is None or os.fspath(given) == "":
            return None
        _refuse_archive(option, given)
        path = Path(given).expanduser().absolute()
        _check_readable(option, path, os.fspath(given))
        return path

    def _expand(self, given: str) -> Iterator[Path]:
        """The paths that torch-model-archiver reads one of --extra-files as; none for an empty one."""
        given = os.path.expanduser(given)
        if not given:
            return
        _refuse_archive("extra_files", given)
        if Path(given).exists():  # also a file whose name holds "[" and "]"
            yield Path(given).absolute()
        elif glob.has_magic(given):
            found = sorted(glob.glob(given))
            if not found:
                raise ModelError(f"extra_files {given!r} matches no file")
            yield from (Path(path).absolute() for path in found)
        else:
            raise ModelError(f"extra_files {given!r} does not exist")

    def _entries(self) -> Iterator[Entry]:
        for option in ("handler_file", "serialized_file", "model_file", "requirements_file", "config_file"):
            if (path := getattr(self, option)) is not None:
                yield Entry(path.name, path, option)
        for extra in self.extra_files:
            if extra.is_dir():
                for root, folders, files in os.walk(extra, followlinks=True):
                    folders[:] = sorted(
                        folder for folder in folders if folder not in _DROPPED_FOLDERS and not folder.startswith(".")
                    )
                    for file in files:
                        path = Path(root, file)
                        yield Entry(path.relative_to(extra).as_posix(), path, "extra_files")
            else:
                yield Entry(extra.name, extra, "extra_files")

    def _check_places(self) -> None:
        """Raise ModelError for two files of one name: torch-model-archiver silently keeps the later one."""
        taken: dict[str, Entry] = {}
        for entry in self._entries():
            if (other := taken.setdefault(entry.name, entry)) is not entry and other.source != entry.source:
                raise ModelError(
                    f"{other.option} {other.source.name!r} and {entry.option} {entry.source.name!r} would both become "
                    f"{entry.name!r} in the archive: rename one of them"
                )
            if entry.name.split("/")[0] == facts.ARCHIVE_FOLDER:
                raise ModelError(
                    f"extra_files hold a folder {facts.ARCHIVE_FOLDER}, which is the archive's own: leave it out"
                )
        for name in taken:
            if clash := next((str(folder) for folder in PurePosixPath(name).parents if str(folder) in taken), None):
                raise ModelError(f"{clash!r} would be both a file and a folder in the archive: rename one of them")


#: An archive, or the model to make one of.
PathOrModel = PathLike | Model


def _check_readable(option: str, path: Path, given: str) -> None:
    if not path.is_file():
        problem = "is a folder, not a file" if path.is_dir() else "is no file" if path.exists() else "does not exist"
    elif not os.access(path, os.R_OK):
        problem = "cannot be read: this user may not"
    else:
        return
    raise ModelError(f"{option} {given!r} {problem}")


def _refuse_dots(kind: str, file: Path) -> None:
    """TorchServe imports the part of the name before the first dot."""
    if "." in file.stem:
        raise ModelError(f"TorchServe cannot import a {kind} named {file.name!r}: take the dots out of its name")


def _refuse_archive(option: str, given: PathLike) -> None:
    if (path := os.fspath(given)).endswith(".mar") and os.path.isfile(os.path.expanduser(path)):
        raise ModelError(
            f"{option} {path!r} is an archive: use %model --archive {path}, hk.Worker({path!r}), "
            f"or hk.unpack({path!r}, folder) for its files"
        )


def ready_made(name: str) -> Path:
    """The file of one of the kit's handlers. Raises ModelError, which lists them, for an unknown name."""
    if name not in READY_MADE:
        raise ModelError(f"there is no ready-made handler {name!r}: choose one of {', '.join(READY_MADE)}")
    return READY_MADE_FOLDER / f"{name}.py"


def ready_made_modules(file: Path) -> tuple[Path, ...]:
    """The modules beside a ready-made handler that it imports, itself or through one of them."""
    found: list[Path] = []
    unread = [file]
    while unread:
        nodes = ast.walk(ast.parse(unread.pop().read_bytes()))
        imported = {READY_MADE_FOLDER / f"{node.module}.py" for node in nodes if isinstance(node, ast.ImportFrom)}
        unread += (new := sorted(path for path in imported - set(found) if path.is_file()))
        found += new
    return tuple(sorted(found))
