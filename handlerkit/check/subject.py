"""What rules read of a model or an archive: its manifest, its files, and the syntax trees of its code."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from handlerkit.check.code.program import Program
from handlerkit.check.code.source import SourceFile
from handlerkit.check.packages import Packages
from handlerkit.check.weights import LFS_POINTER, Weights, read, read_beginning
from handlerkit.errors import TargetError
from handlerkit.messages import Run
from handlerkit.model import Model, PathLike
from handlerkit.targets import Target
from handlerkit.targets.requirements import RequirementLine, parse_lines
from handlerkit.unpack import ArchiveReader, open_archive

#: Names of files that weights have; what is in others of this kind is looked at only for its pickles.
_SUFFIXES = {
    ".pt", ".pth", ".bin", ".ckpt", ".onnx", ".so", ".pt2", ".pkl", ".pickle", ".joblib", ".npy", ".npz",
    ".safetensors", ".h5", ".hdf5", ".keras", ".gguf", ".tflite", ".model", ".data", ".dat", ".params", ".weights",
}  # fmt: skip
#: Names of files that are looked at only for being Git LFS pointers.
_NOT_LOOKED_AT = (".py", ".json", ".txt", ".yaml", ".yml", ".md", ".csv", ".html", ".css", ".js", ".xml", ".toml")
#: Bytes that are inflated whole, and in memory, to be looked at.
_SMALL = 64 << 20
#: Bytes of a file that `read` gives: code, JSON and YAML are shorter, and an archive from elsewhere may hold anything.
_MOST = 4 << 20


class Subject:
    """A model as a server would find it, read without running, importing or unpickling anything.

    Attributes:
        name: the model's.
        manifest: MAR-INF/MANIFEST.json.
        sizes: bytes of each file, by its name in the archive ("handler.py", "tokenizer/vocab.json").
        runs: what was seen of the model while it ran.
    """

    def __init__(self, archive: ArchiveReader, runs: Sequence[Run] = ()) -> None:
        self.manifest: Mapping[str, Any] = archive.manifest
        self.sizes = archive.sizes
        self.runs = tuple(runs)
        self.name = str(self.said.get("modelName") or archive.name.partition(".")[0])
        self._archive = archive
        self._sources: dict[str, SourceFile] = {}
        self._programs: dict[tuple[int, int], Program] = {}
        self._packages: dict[str, Packages] = {}

    @classmethod
    def of(cls, model_or_archive: Model | PathLike, runs: Sequence[Run] = ()) -> Subject:
        """A Model, or the archive at a path. Raises ArchiveError for a path that holds none. To be closed."""
        return cls(open_archive(model_or_archive), runs)

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()

    @cached_property
    def said(self) -> Mapping[str, Any]:
        """The manifest's `model`: modelName, handler, serializedFile and the others; empty if it is no object."""
        said = self.manifest.get("model")
        return said if isinstance(said, dict) else {}

    @cached_property
    def serialized_file(self) -> str | None:
        """The name of the file that the manifest names as the weights; None if there is none in the archive."""
        name = self.said.get("serializedFile")
        return name if isinstance(name, str) and name in self.sizes else None

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """model-config.yaml as PyYAML reads it; empty if there is none, or if it is no mapping."""
        import yaml

        name = self.said.get("configFile")
        if not isinstance(name, str) or name not in self.sizes:
            return {}
        try:
            read = yaml.safe_load(self.read(name))
        except (yaml.YAMLError, ValueError, RecursionError):
            return {}
        return read if isinstance(read, dict) else {}

    @cached_property
    def model_file(self) -> str | None:
        """The name of the file with the model's class; None if the manifest names none in the archive."""
        name = self.said.get("modelFile")
        return name if isinstance(name, str) and name in self.sizes else None

    @cached_property
    def weights(self) -> Mapping[str, Weights]:
        """What the files hold that are weights by their names or by what is in them; each is read once."""
        found = {name: self._weights(name) for name in self.sizes}
        return {name: weights for name, weights in found.items() if weights is not None}

    def _weights(self, name: str) -> Weights | None:
        is_named = name == self.serialized_file
        if not is_named and name.endswith(_NOT_LOOKED_AT):
            return Weights("git lfs pointer") if self.read(name, len(LFS_POINTER)) == LFS_POINTER else None
        with self.open(name) as file:
            found = self._read_weights(name, file)
        is_weights = is_named or PurePosixPath(name).suffix in _SUFFIXES
        return found if is_weights or found.pickles or found.kind == "git lfs pointer" else None

    def _read_weights(self, name: str, file: IO[bytes]) -> Weights:
        """Some containers are read from their end; bytes that are inflated have to be laid down for that first."""
        size = self.sizes[name]
        begins = file.read(2)
        file.seek(0)
        if not self._archive.inflates(name) or not begins.startswith((b"PK", b"\x80")):
            return read(file, size)
        if size > _SMALL and (found := read_beginning(file)) is not None:
            return found
        file.seek(0)
        with SpooledTemporaryFile(_SMALL) as spool:
            shutil.copyfileobj(file, spool, 1 << 20)
            spool.seek(0)
            return read(spool, size)

    @cached_property
    def handler_file(self) -> str | None:
        """The name of the handler's file; None if it is one of TorchServe's own."""
        word = str(self.said.get("handler", "")).partition(":")[0]
        file = f"{word.removesuffix('.py')}.py".rpartition("/")[2]  # as ts.model_loader takes it
        return file if file in self.sizes else None

    @cached_property
    def default_handler(self) -> str | None:
        """The name of TorchServe's own handler that serves, such as "image_classifier"; None if it is a file."""
        return None if self.handler_file else str(self.said.get("handler", "")).partition(":")[0]

    def open(self, name: str) -> IO[bytes]:
        """A file's bytes from its first one on. Raises KeyError for a name that is not in `sizes`."""
        return self._archive.open(name)

    def read(self, name: str, most: int = _MOST) -> bytes:
        """The first `most` bytes of a file. Raises KeyError for a name that is not in `sizes`."""
        with self.open(name) as file:
            return file.read(most)

    def source(self, name: str) -> SourceFile:
        """A Python file, parsed once. Raises KeyError for a name that is not in `sizes`."""
        if name not in self._sources:
            self._sources[name] = SourceFile(name, self.read(name))
        return self._sources[name]

    def program(self, python: tuple[int, int]) -> Program:
        """What of the code can run with that Python, from the handler and the model file on."""
        if python not in self._programs:
            named = (self.handler_file, self.said.get("modelFile"))
            roots = [name for name in named if isinstance(name, str) and name in self.sizes and name.endswith(".py")]
            entry = str(self.said.get("handler", "")).partition(":")[2]
            self._programs[python] = Program(self.sizes, self.source, list(dict.fromkeys(roots)), entry, python)
        return self._programs[python]

    @cached_property
    def requirements(self) -> tuple[RequirementLine, ...]:
        """The lines of its requirements file; of one that cannot be read, the `requirement` is None."""
        name = self.said.get("requirementsFile")
        if not isinstance(name, str) or name not in self.sizes:
            return ()
        return tuple(_lines(self.read(name).decode("utf-8-sig", "replace")))

    def packages(self, target: Target) -> Packages:
        """What can be imported in that target."""
        if target.name not in self._packages:
            self._packages[target.name] = Packages(target, self.requirements)
        return self._packages[target.name]


def _lines(text: str) -> Iterator[RequirementLine]:
    whole = text.replace("\\\n", " ").splitlines()
    for number, line in enumerate(whole, 1):
        try:
            yield from parse_lines([line])
        except TargetError:
            yield RequirementLine(line, None, f"line {number}")
