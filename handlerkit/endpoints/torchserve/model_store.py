"""Models in a TorchServe's model store: what each is called, where it is put, and where TorchServe unpacks it."""

from __future__ import annotations

import os
from pathlib import Path

from handlerkit.model import Model
from handlerkit.unpack import open_archive


def existing(path: str | os.PathLike[str]) -> Path:
    """An archive's absolute path. Raises ArchiveError if it is not there, or if unpack() would refuse it."""
    with open_archive(path) as archive:
        archive.check()  # Java unpacks whatever it is given
    return Path(path).expanduser().absolute()


def name_of(source: Model | Path) -> str:
    """What a model is called before it is registered."""
    return source.name if isinstance(source, Model) else source.name.partition(".")[0]


def place(number: int, source: Model | Path, store: Path) -> Path:
    """Put the model into the model store without copying weights: an archive is linked, a Model staged. `number` is
    another one for each model."""
    target = store / source.name
    if target.exists():  # another version, or an archive of that name from another folder
        target = store / f"{number}-{source.name}"
    if isinstance(source, Model):
        source.stage(target)
    else:
        target.symlink_to(source)
    return target


def unpacked(temporary: Path, url: str) -> Path:
    """The files of the model that TorchServe loaded last. `temporary` is its folder for temporary files; a folder in
    the model store is linked from there."""
    folder = max((temporary / "models").iterdir(), key=lambda path: path.stat().st_mtime)
    return folder / url if (folder / url).is_dir() else folder
