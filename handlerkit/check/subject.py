"""What rules read of a model or an archive: its manifest, its files, and the syntax trees of its code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from tempfile import TemporaryDirectory
from typing import IO, Any, Protocol

from handlerkit.check.code.program import Program
from handlerkit.check.code.source import Source
from handlerkit.messages import Run
from handlerkit.model import Model, PathLike
from handlerkit.unpack import read_manifest, unpack

#: Bytes of a file that `read` gives: code, JSON and YAML are shorter, and an archive from elsewhere may hold anything.
_MOST = 4 << 20


class Members(Protocol):
    """Where a Subject's bytes come from: a Model's files, or an archive."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of each file, by its name in the archive; MAR-INF is not among them."""
        ...

    def open(self, name: str) -> IO[bytes]:
        """The file's bytes, to be read; raises KeyError for a name that is not in `sizes`."""
        ...

    def close(self) -> None:
        """Let go of the archive."""
        ...


class Subject:
    """A model as a server would find it, read without running, importing or unpickling anything.

    Attributes:
        name: the model's.
        manifest: MAR-INF/MANIFEST.json.
        sizes: bytes of each file, by its name in the archive ("handler.py", "tokenizer/vocab.json").
        runs: what was seen of the model while it ran.
    """

    def __init__(self, manifest: Mapping[str, Any], members: Members, runs: Sequence[Run] = ()) -> None:
        self.manifest = manifest
        self.runs = tuple(runs)
        self.sizes = members.sizes
        self.name = str(self.said.get("modelName", ""))
        self._members = members
        self._sources: dict[str, Source] = {}
        self._programs: dict[tuple[int, int], Program] = {}

    @classmethod
    def of(cls, model_or_archive: Model | PathLike, runs: Sequence[Run] = ()) -> Subject:
        """A Model, or the archive at a path. Raises ArchiveError for a path that holds none. To be closed."""
        if isinstance(model_or_archive, Model):
            return cls(model_or_archive.manifest(), _ModelFiles(model_or_archive), runs)
        return cls(read_manifest(model_or_archive), _Unpacked(model_or_archive), runs)

    def close(self) -> None:
        """Close the archive."""
        self._members.close()

    @cached_property
    def said(self) -> Mapping[str, Any]:
        """The manifest's `model`: modelName, handler, serializedFile and the others; empty where it is no object."""
        said = self.manifest.get("model")
        return said if isinstance(said, dict) else {}

    @cached_property
    def handler_file(self) -> str | None:
        """The name of the handler's file; None where it is one of TorchServe's own."""
        word = str(self.said.get("handler", "")).partition(":")[0]
        file = f"{word.removesuffix('.py')}.py".rpartition("/")[2]  # as ts.model_loader takes it
        return file if file in self.sizes else None

    @cached_property
    def default_handler(self) -> str | None:
        """The name of TorchServe's own handler that serves, such as "image_classifier"; None where it is a file."""
        return None if self.handler_file else str(self.said.get("handler", "")).partition(":")[0]

    def open(self, name: str) -> IO[bytes]:
        """A file's bytes from its first one on. Raises KeyError for a name that is not in `sizes`."""
        return self._members.open(name)

    def read(self, name: str, most: int = _MOST) -> bytes:
        """The first `most` bytes of a file. Raises KeyError for a name that is not in `sizes`."""
        with self.open(name) as file:
            return file.read(most)

    def source(self, name: str) -> Source:
        """A Python file, parsed once. Raises KeyError for a name that is not in `sizes`."""
        if name not in self._sources:
            self._sources[name] = Source(name, self.read(name))
        return self._sources[name]

    def program(self, python: tuple[int, int]) -> Program:
        """What of the code can run with that Python, from the handler and the model file on."""
        if python not in self._programs:
            named = (self.handler_file, self.said.get("modelFile"))
            roots = [name for name in named if isinstance(name, str) and name in self.sizes and name.endswith(".py")]
            entry = str(self.said.get("handler", "")).partition(":")[2]
            self._programs[python] = Program(self.sizes, self.source, list(dict.fromkeys(roots)), entry, python)
        return self._programs[python]


class _ModelFiles:
    """A Model's files, where they stand."""

    def __init__(self, model: Model) -> None:
        self._paths = {entry.name: entry.source for entry in model.entries()}
        self.sizes: Mapping[str, int] = {name: path.stat().st_size for name, path in self._paths.items()}

    def open(self, name: str) -> IO[bytes]:
        return open(self._paths[name], "rb")

    def close(self) -> None:
        """Nothing stays open."""


class _Unpacked(_ModelFiles):
    """An archive's files, unpacked for as long as they are read."""

    def __init__(self, path: PathLike) -> None:
        self._folder = TemporaryDirectory()
        try:
            super().__init__(unpack(path, self._folder.name))
        except BaseException:
            self._folder.cleanup()
            raise

    def close(self) -> None:
        self._folder.cleanup()
