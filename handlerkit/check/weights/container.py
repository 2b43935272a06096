"""Which container a file of weights is, told by its bytes and never by its name."""

from __future__ import annotations

import ast
import bz2
import io
import json
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any, Literal

from handlerkit.check.weights import onnx, pickled, script
from handlerkit.check.weights.onnx import Onnx
from handlerkit.check.weights.pickled import Global, Pickled
from handlerkit.check.weights.script import Script
from handlerkit.formatting import byte_size

Kind = Literal[
    "torch",  # torch.save: a zip with data.pkl
    "legacy torch",  # torch.save before 1.6: pickles behind each other, or a tar
    "torchscript",
    "exported program",  # torch.export.save, .pt2
    "aotinductor",  # an ELF library, or a .pt2 that holds one
    "pickle",
    "numpy",  # .npy or .npz
    "safetensors",
    "onnx",
    "keras",  # HDF5, or Keras's own zip
    "tensorflow lite",
    "gguf",
    "git lfs pointer",
    "html",
    "text",
    "empty",
    "cut short",
    "zip",
    "unknown",
]

#: How a Git LFS pointer begins.
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_HEAD = 4096
#: A zip's header before each file: how it is stored, and the lengths of its name and of what is behind that.
_LOCAL = struct.Struct("<8xH16xHH")
#: Where the classes of state_dicts, and the functions that make tensors, are defined.
_NO_OBJECTS = ("collections", "torch._utils", "torch.storage", "torch._tensor")
#: The first pickle of a file that torch.save wrote before 1.6: its magic number.
_LEGACY = (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", b"\x80\x03\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
_COUNT = 8  # bytes before each storage, which tell how many numbers follow
_LEGACY_PICKLES = 5  # magic number, protocol, system, the object, its storages' keys
_MOST_UNZIPPED = 512 << 20
_BROKEN = (
    OSError, EOFError, ValueError, LookupError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile,
    tarfile.TarError, lzma.LZMAError, struct.error, SyntaxError, MemoryError,
)  # fmt: skip


@dataclass(frozen=True)
class Weights:
    """What a file holds.

    Attributes:
        kind: the container.
        pickles: those that loading it unpickles.
        script: what a TorchScript archive calls.
        onnx: what an ONNX model asks for.
        torch_version: of the torch that wrote it, where it says so.
        problem: why it was not read whole; "" if it was.
    """

    kind: Kind
    pickles: tuple[Pickled, ...] = ()
    script: Script | None = None
    onnx: Onnx | None = None
    torch_version: str = ""
    problem: str = ""

    @property
    def whole(self) -> Global | None:
        """The class of a whole object that torch.save pickled, if that is no state_dict and no tensor."""
        roots = [pickle.root for pickle in self.pickles if isinstance(pickle.root, Global) and not pickle.problem]
        root = roots[0] if self.kind in ("torch", "legacy torch", "pickle") and roots else None
        return None if root is None or root.module.startswith(_NO_OBJECTS) else root


@dataclass(frozen=True)
class _Signature:
    kind: Kind
    begins: tuple[bytes, ...]
    at: int = 0
    reader: Callable[[IO[bytes], int], Weights] | None = field(default=None)


def read(file: IO[bytes], size: int) -> Weights:
    """The weights in a file of `size` bytes that can be sought. Nothing that it holds makes this raise."""
    head = file.read(_HEAD)
    file.seek(0)
    try:
        for magic in _MAGIC:
            if head[magic.at :].startswith(magic.begins):
                return magic.reader(file, size) if magic.reader else Weights(magic.kind)
        return _by_structure(file, size, head)
    except _BROKEN as problem:
        return Weights("unknown", problem=_reason(problem))


def read_beginning(file: IO[bytes]) -> Weights | None:
    """What torch.save wrote, if the file's beginning is enough to tell: its pickle is the first thing in it. For files
    whose end is far; None if the end has to be read."""
    head = file.read(_LOCAL.size)
    if len(head) < _LOCAL.size or not head.startswith(b"PK\x03\x04"):
        return None
    *_, method, name_length, extra_length = _LOCAL.unpack(head)
    name = file.read(name_length)
    if method != zipfile.ZIP_STORED or not name.endswith(b"/data.pkl"):
        return None
    file.seek(extra_length, io.SEEK_CUR)
    found = pickled.read(file)
    return None if found.problem else Weights("torch", (found,))


def _by_structure(file: IO[bytes], size: int, head: bytes) -> Weights:
    """Containers without a word that begins them."""
    if not size:
        return Weights("empty")
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|\?xml)", head, re.IGNORECASE):
        return Weights("html")
    if (tensors := _safetensors(file, size, head)) is not None:
        return tensors
    if _is_tar(head):
        return _tar(file)
    if (model := onnx.read(file, size)) is not None:
        return Weights("onnx", onnx=model)
    if head[:2] in (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda"):
        return _compressed(file, zlib.decompressobj())
    file.seek(0)
    if head[:1] in b"(c]}ISV" and size <= _MOST_UNZIPPED:  # protocol 0 and 1 have no mark
        found = pickled.read(io.BytesIO(file.read()))
        if not found.problem and len(found.opcodes) > 1:
            return Weights("pickle", (found,))
    if _is_text(head):
        return Weights("text")
    return Weights("unknown")


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as problem:
        if problem.start < len(head) - 4:
            return False
        text = head[: problem.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\t\r\n\f" for letter in text.lstrip("\ufeff"))


def _zip(file: IO[bytes], size: int) -> Weights:
    try:
        archive = zipfile.ZipFile(file)
        names = archive.namelist()
    except _BROKEN as problem:
        return Weights("cut short", problem=_reason(problem))
    root = names[0].partition("/")[0] if names else ""
    inner = {name.removeprefix(f"{root}/"): name for name in names}
    if "constants.pkl" in inner and "data.pkl" in inner:
        return _guarded("torchscript", lambda: Weights("torchscript", script=script.read(archive, root)))
    if "data.pkl" in inner:
        return _guarded("torch", lambda: Weights("torch", (_unpack_pickle(archive, inner["data.pkl"]),)))
    if any(".so" in name and "aotinductor" in name for name in names):
        return Weights("aotinductor", torch_version=_producer(archive, inner))
    if "archive_format" in inner or "serialized_exported_program.json" in inner:
        return Weights("exported program", torch_version=_producer(archive, inner))
    if names and all(name.endswith(".npy") for name in names):
        return _guarded("numpy", lambda: Weights("numpy", _npz(archive)))
    if "model.weights.h5" in names:
        return Weights("keras")
    return Weights("zip")


def _guarded(kind: Kind, reading: Callable[[], Weights]) -> Weights:
    try:
        return reading()
    except _BROKEN as problem:
        return Weights(kind, problem=_reason(problem))


def _unpack_pickle(archive: zipfile.ZipFile, name: str) -> Pickled:
    info = archive.getinfo(name)
    if info.file_size > _MOST_UNZIPPED:
        raise ValueError(f"{name} holds more than {byte_size(_MOST_UNZIPPED)}")
    return pickled.read(io.BytesIO(archive.read(info)))


def _producer(archive: zipfile.ZipFile, inner: dict[str, str]) -> str:
    """The torch that exported a program, which its JSON names."""
    for name, whole in inner.items():
        if name.endswith(".json") and archive.getinfo(whole).file_size < 64 << 20:
            found = re.search(rb'"torch_version"\s*:\s*"([^"]{1,40})"', archive.read(whole))
            if found:
                return found[1].decode("utf-8", "replace")
    return ""


def _npz(archive: zipfile.ZipFile) -> tuple[Pickled, ...]:
    found = []
    for info in archive.infolist():
        with archive.open(info) as entry:
            found += _npy_pickles(io.BufferedReader(entry))  # type: ignore[type-var]
    return tuple(found)


def _npy_pickles(file: IO[bytes]) -> list[Pickled]:
    """The pickle of an array of objects; other arrays hold none."""
    begin = file.read(8)
    if not begin.startswith(b"\x93NUMPY"):
        return []
    wide = begin[6] > 1
    (length,) = struct.unpack("<I" if wide else "<H", file.read(4 if wide else 2))
    header = ast.literal_eval(file.read(min(length, 1 << 20)).decode("latin-1"))
    return [pickled.read(file)] if "O" in str(header.get("descr")) else []


def _npy(file: IO[bytes], size: int) -> Weights:
    return _guarded("numpy", lambda: Weights("numpy", tuple(_npy_pickles(file))))


def _pickle(file: IO[bytes], size: int) -> Weights:
    return Weights("pickle", tuple(pickled.read_all(file)))


def _legacy(file: IO[bytes], size: int) -> Weights:
    pickles = []
    for _ in range(_LEGACY_PICKLES):
        pickles.append(pickled.read(file))
        if pickles[-1].problem:
            return Weights("cut short", tuple(pickles), problem=pickles[-1].problem)
    stored = [one for pickle in pickles for one in pickle.stored.values()]
    if file.tell() + sum(stored) + _COUNT * len(stored) > size:
        return Weights("cut short", tuple(pickles))
    return Weights("legacy torch", tuple(pickles))


def _tar(file: IO[bytes]) -> Weights:
    """What torch.save wrote before 0.1.10; any other tar is not known."""
    file.seek(0)
    with tarfile.open(fileobj=file) as archive:
        names = archive.getnames()
        if not {"pickle", "tensors", "storages"} <= set(names):
            return Weights("unknown")
        members = [archive.extractfile(name) for name in ("pickle", "tensors", "storages")]
        return Weights("legacy torch", tuple(found for each in members if each for found in pickled.read_all(each)))


def _safetensors(file: IO[bytes], size: int, head: bytes) -> Weights | None:
    if len(head) < 10 or head[8:9] != b"{":
        return None
    (length,) = struct.unpack("<Q", head[:8])
    if not 2 <= length <= 100 << 20:
        return None
    if 8 + length > size:
        return Weights("cut short")
    file.seek(8)
    try:
        header: dict[str, Any] = json.loads(file.read(length))
        ends = [value["data_offsets"][1] for key, value in header.items() if key != "__metadata__"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
    return Weights("cut short") if 8 + length + max(ends, default=0) > size else Weights("safetensors")


def _compressed(file: IO[bytes], decompressor: Any) -> Weights:
    """A pickle that joblib or gzip made smaller."""
    file.seek(0)
    unzipped = bytearray()
    while block := file.read(1 << 20 if unzipped else 64):  # a few bytes tell that it is no pickle
        unzipped += decompressor.decompress(block, _MOST_UNZIPPED + 1 - len(unzipped))
        if unzipped and unzipped[0] != 0x80:
            return Weights("unknown")
        if len(unzipped) > _MOST_UNZIPPED:
            return Weights("pickle", problem=f"it holds more than {byte_size(_MOST_UNZIPPED)}")
    return Weights("pickle", tuple(pickled.read_all(io.BytesIO(unzipped))))


def _reason(problem: BaseException) -> str:
    return " ".join(str(problem).split()) or type(problem).__name__


_MAGIC = (
    _Signature("git lfs pointer", (LFS_POINTER,)),
    _Signature("zip", (b"PK\x03\x04", b"PK\x05\x06"), reader=_zip),
    _Signature("legacy torch", _LEGACY, reader=_legacy),
    _Signature("pickle", tuple(bytes([0x80, protocol]) for protocol in range(2, 6)), reader=_pickle),
    _Signature("numpy", (b"\x93NUMPY",), reader=_npy),
    _Signature("aotinductor", (b"\x7fELF",)),
    _Signature("keras", (b"\x89HDF\r\n\x1a\n",)),
    _Signature("gguf", (b"GGUF",)),
    _Signature("tensorflow lite", (b"TFL3",), at=4),
    _Signature("pickle", (b"\x1f\x8b",), reader=lambda file, size: _compressed(file, zlib.decompressobj(31))),
    _Signature("pickle", (b"BZh",), reader=lambda file, size: _compressed(file, bz2.BZ2Decompressor())),
    _Signature("pickle", (b"\xfd7zXZ\x00",), reader=lambda file, size: _compressed(file, lzma.LZMADecompressor())),
)
