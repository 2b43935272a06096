"""Reads archives that TorchServe loads, in any of torch-model-archiver's formats, whoever wrote them.

    with open_archive("x.mar") as archive:      # what is in it, without unpacking
        archive.manifest, archive.sizes, archive.open("handler.py")
    model = unpack("x.mar", "folder")           # a Model of its files, laid out in a folder

reader.py       an open archive: its manifest and its files
formats/        how each format says what it holds
members.py      the files of an archive, and how many of them it may hold
streams.py      their bytes, as many as were promised
names.py        where a file of an archive may be
manifest.py     MAR-INF/MANIFEST.json

Nothing here imports or unpickles what it reads. It may import model, serving and below. formats/ says how to add a
format; a bound that every archive has to keep goes into members.py, with a case in tests/hostile_archives.py.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from handlerkit.errors import ArchiveError, ModelError
from handlerkit.folders import OwnFolder, remove
from handlerkit.formatting import byte_size
from handlerkit.model import DEFAULT_HANDLERS, Model, PathLike
from handlerkit.serving.torchserve_facts import MANIFEST, MODEL_VERSION
from handlerkit.unpack.members import MAX_FILES, Bounds
from handlerkit.unpack.names import quoted
from handlerkit.unpack.reader import ArchiveReader, open_archive, read_manifest

__all__ = ["ArchiveReader", "Bounds", "Unpacked", "is_archive", "open_archive", "read_manifest", "unpack"]


def is_archive(word: str) -> bool:
    """Whether a word is taken for an archive's path: by its suffix, or since it is a folder with a manifest."""
    return word.endswith((".mar", ".tar.gz", ".tgz")) or Path(word).expanduser().joinpath(MANIFEST).is_file()


def unpack(path: PathLike, folder: PathLike, *, max_bytes: int | None = None, max_files: int = MAX_FILES) -> Model:
    """The model in an archive (`.mar`, `.tar.gz` or a folder), its files laid out in `folder`, which is created.

    Args:
        max_bytes: the most that the files may take; 100 times what the archive takes, and 256 MB in any case.
        max_files: the most files and folders.

    Raises ArchiveError if there is no archive, or one that does not unpack, that holds more than it may, or if
    something in it lies outside it, and if `folder` holds something already; ModelError if the manifest names a
    file that the archive does not hold. Nothing is left in `folder` then.
    """
    folder = Path(folder).expanduser()
    with open_archive(path, Bounds(max_bytes, max_files)) as archive:
        files = _files(archive)
        _check_empty(archive, folder)
        existed, made = folder.exists(), _first_missing(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _check_space(archive, folder)
            _lay_out(archive, folder)
            return _model(archive, files, folder)
        except BaseException as problem:
            for left in list(folder.iterdir()) if existed else [made]:
                remove(left)
            if isinstance(problem, OSError):
                reason = problem.strerror or problem
                raise ArchiveError(f"{archive.name} was not unpacked: {reason}") from problem
            raise


class Unpacked:
    """An archive's model in a temporary folder, which `close` removes, or the end of this process.

    Raises what `unpack` raises. `restore` unpacks the archive again after `close`.
    """

    def __init__(self, path: PathLike) -> None:
        self._path = Path(path).expanduser().absolute()
        self._own = OwnFolder()
        try:
            #: Its files are there until `close`.
            self.model = unpack(self._path, self.folder)
        except BaseException:
            self.close()
            raise

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self._own.path / "model"

    def restore(self) -> None:
        """Lay the files out again where they were removed."""
        if self._own.restore():
            unpack(self._path, self.folder)

    def give_way(self, file: Path) -> None:
        """Remove the file of this name, unless it is that one: another is to take its place."""
        own = self.folder / file.name
        if own.is_file() and not own.samefile(file):
            own.unlink()

    def close(self) -> None:
        """Remove the files."""
        self._own.remove()


def _files(archive: ArchiveReader) -> dict[str, str]:
    """The options of Model that name files of the archive. Raises ModelError for one that it does not hold."""
    said = archive.manifest["model"]
    keys = {
        "serialized_file": "serializedFile", "model_file": "modelFile", "requirements_file": "requirementsFile",
        "config_file": "configFile",
    }  # fmt: skip
    named: dict[str, str] = {}
    word = said.get("handler", "")
    if not word:
        raise ModelError(f"{archive.name} names no handler in its manifest")
    file = f"{word.partition(':')[0].rpartition('/')[2].removesuffix('.py')}.py"  # as ts.model_loader takes it
    if file in archive.sizes:
        named["handler"] = file
    elif word not in DEFAULT_HANDLERS:
        raise ModelError(
            f"{archive.name} holds no {quoted(file)}, and TorchServe has no handler {quoted(word)} of its own"
        )
    named |= {option: said[key] for option, key in keys.items() if said.get(key)}
    for option, name in named.items():
        if name not in archive.sizes:
            raise ModelError(f"{archive.name} holds no {quoted(name)}, which its manifest names as {keys[option]}")
    return named


def _model(archive: ArchiveReader, files: dict[str, str], folder: Path) -> Model:
    said = archive.manifest["model"]
    options: dict[str, str | Path] = {option: folder / name for option, name in files.items()}
    word, colon, function = said["handler"].partition(":")
    if "handler" in files:
        place = folder / files["handler"]
        named = place if colon == "" and word.endswith(".py") else place.with_suffix("")
        options["handler"] = f"{named}{colon}{function}"
    else:
        options["handler"] = word
    return Model(
        said.get("modelName") or archive.name.partition(".")[0],
        said.get("modelVersion", MODEL_VERSION),
        extra_files=[folder],
        runtime=archive.manifest.get("runtime", "python"),
        **options,
    )


def _lay_out(archive: ArchiveReader, folder: Path) -> None:
    """Raises ArchiveError for a file that is not what the archive says, OSError for what cannot be written."""
    for name in archive.sizes:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        archive.extract(name, target)


def _check_empty(archive: ArchiveReader, folder: Path) -> None:
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ArchiveError(f"{os.fspath(folder)!r} is not empty: unpack {archive.name} into a new folder")
    except NotADirectoryError:
        raise ArchiveError(f"{os.fspath(folder)!r} is a file: unpack {archive.name} into a new folder") from None


def _check_space(archive: ArchiveReader, folder: Path) -> None:
    needed, free = sum(archive.sizes.values()), shutil.disk_usage(folder).free
    if needed > free:
        raise ArchiveError(
            f"{archive.name} unpacks to {byte_size(needed)} and the disk has {byte_size(free)} free: "
            "free some space, or unpack elsewhere"
        )


def _first_missing(folder: Path) -> Path:
    """The folder, or the first one above it that does not exist either."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    return missing[-1] if missing else folder
