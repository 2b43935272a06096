"""Reads archives that TorchServe loads, in any of torch-model-archiver's formats, whoever wrote them.

Nothing here imports or unpickles what it reads.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

from handlerkit.errors import ArchiveError
from handlerkit.model import Model, PathLike

# What reading a broken or hostile archive raises; RuntimeError stands for encryption and unknown compressions.
_UNREADABLE = (
    OSError, EOFError, ValueError, LookupError, RuntimeError, zlib.error, tarfile.TarError, zipfile.BadZipFile,
)  # fmt: skip

_MANIFEST = "MAR-INF/MANIFEST.json"
_MANIFEST_LIMIT = 1 << 20  # an archive from elsewhere may hold anything


def unpack(path: PathLike, folder: PathLike) -> Model:
    """The model in an archive (`.mar`, `.tar.gz` or a folder), its files laid out in `folder`, which is created.

    Raises ArchiveError where there is no archive, or one that does not unpack, and where `folder` holds something
    already; ModelError where the manifest names a file that the archive does not hold.
    """
    path, folder = Path(path).expanduser(), Path(folder).expanduser()
    manifest = read_manifest(path)
    if folder.exists() and any(folder.iterdir()):
        raise ArchiveError(f"{os.fspath(folder)!r} is not empty: unpack {path.name} into a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _extract(path, folder)
    except _UNREADABLE as problem:
        raise ArchiveError(f"{path.name} does not unpack: {_reason(problem)}") from problem
    shutil.rmtree(folder / "MAR-INF")
    said = manifest.get("model", {})

    def file(key: str) -> Path | None:
        return folder / said[key] if said.get(key) else None

    handler = str(said.get("handler", ""))
    word, colon, function = handler.partition(":")
    place = folder / f"{word.removesuffix('.py')}.py"
    return Model(
        str(said.get("modelName") or path.name.partition(".")[0]),
        str(said.get("modelVersion", "1.0")),
        handler=f"{place}{colon}{function}" if place.is_file() else handler,  # else one of TorchServe's own
        serialized_file=file("serializedFile"),
        model_file=file("modelFile"),
        extra_files=[folder],
        requirements_file=file("requirementsFile"),
        config_file=file("configFile"),
        runtime=str(manifest.get("runtime", "python")),
    )


def _extract(path: Path, folder: Path) -> None:
    """Raises what the formats' readers raise."""
    if path.is_dir():
        shutil.copytree(path, folder, dirs_exist_ok=True)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as zipped:
            zipped.extractall(folder)
    else:
        with tarfile.open(path, "r:gz") as tarred:
            for info in tarred:
                # as the server does: whatever the first folder is called, it is dropped
                info.name = str(PurePosixPath(*PurePosixPath(info.name).parts[1:]))
                tarred.extract(info, folder, filter="data")


def read_manifest(path: PathLike) -> dict[str, Any]:
    """MAR-INF/MANIFEST.json of an archive in any of the four formats; nothing is unpacked.

    Raises ArchiveError where there is no archive, or none that has a manifest.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise ArchiveError(f"no archive {os.fspath(path)!r}")
    try:
        text = _manifest_bytes(path)
        if len(text) > _MANIFEST_LIMIT:
            raise ValueError("its manifest is longer than 1 MiB")
        manifest = json.loads(text)
        if not isinstance(manifest, dict):
            raise ValueError("its manifest is no JSON object")
    except _UNREADABLE as problem:
        raise ArchiveError(f"{path.name} is not a model archive: {_reason(problem)}") from problem
    return manifest


def _manifest_bytes(path: Path) -> bytes:
    """The manifest's text, cut off just past the limit. Raises what the formats' readers raise."""
    if path.is_dir():
        with open(path / _MANIFEST, "rb") as file:
            return file.read(_MANIFEST_LIMIT + 1)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as zipped, zipped.open(_MANIFEST) as entry:
            return entry.read(_MANIFEST_LIMIT + 1)
    with tarfile.open(path, "r:gz") as tarred:
        for info in tarred:
            # as the server does: whatever the first folder is called, it is dropped
            if info.isfile() and info.name.partition("/")[2] == _MANIFEST and (found := tarred.extractfile(info)):
                return found.read(_MANIFEST_LIMIT + 1)
    raise LookupError(f"it holds no {_MANIFEST}")


def _reason(problem: BaseException) -> str:
    return getattr(problem, "strerror", None) or str(problem).strip("'\"")
