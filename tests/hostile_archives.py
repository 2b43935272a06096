"""Archives that lie, by construction: each case writes one, and says how.

A case is a function that is given an empty folder and returns the path of the archive it wrote there. Beside that
folder lie `outside/secret.txt` and the current folder with `private.py`, which an archive may try to reach.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import socket
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

MANIFEST = "MAR-INF/MANIFEST.json"
HANDLER = b"def handle(data, context):\n    return data\n"
#: Unpickling it makes a file in the current folder.
PICKLE = b"cos\nsystem\n(S'touch unpickled'\ntR."
GOOD = {"runtime": "python", "model": {"modelName": "m", "handler": "h.py", "serializedFile": "w.pt"}}
MB = 1 << 20

Write = Callable[[Path], Path]
CASES: dict[str, Write] = {}


def case(name: str, write: Write) -> None:
    assert name not in CASES, name
    CASES[name] = write


def named(write: Write) -> Write:
    case(write.__name__, write)
    return write


def manifest(**model: Any) -> bytes:
    return json.dumps({**GOOD, "model": {**GOOD["model"], **model}}).encode()  # type: ignore[dict-item]


# --- zips, every field of which can lie ------------------------------------------------------------------------------


@dataclass
class File:
    """A file of a zip. What is None tells the truth."""

    name: bytes
    body: bytes = b""
    method: int = 0
    flags: int = 0
    attributes: int = 0o100644 << 16
    size: int | None = None  # as the directory says
    packed_size: int | None = None
    crc: int | None = None
    local_name: bytes | None = None
    local_size: int | None = None
    local_method: int | None = None
    local_flags: int | None = None
    offset: int | None = None
    extra: bytes = b""
    before: bytes = b""  # is before its header
    packed: bytes = field(default=b"", init=False)

    def __post_init__(self) -> None:
        if self.method == 8:
            engine = zlib.compressobj(9, zlib.DEFLATED, -15)
            self.packed = engine.compress(self.body) + engine.flush()
        else:
            self.packed = self.body


def first(value: int | None, other: int) -> int:
    return other if value is None else value


def zip_of(files: Iterable[File], *, end: bytes | None = None, behind: bytes = b"", count: int | None = None) -> bytes:
    """The bytes of a zip; `end` takes the place of the end record, `behind` follows it."""
    out, directory, number = io.BytesIO(), io.BytesIO(), 0
    for file in files:
        number += 1
        out.write(file.before)
        place, name = out.tell(), file.name
        crc = first(file.crc, zlib.crc32(file.body))
        size, packed = first(file.size, len(file.body)), first(file.packed_size, len(file.packed))
        local = file.name if file.local_name is None else file.local_name
        out.write(struct.pack(
            "<4s5H3L2H", b"PK\3\4", 20, first(file.local_flags, file.flags), first(file.local_method, file.method), 0,
            33, crc, packed & 0xFFFFFFFF, first(file.local_size, size) & 0xFFFFFFFF, len(local), 0,
        ))  # fmt: skip
        out.write(local + file.packed)
        directory.write(struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 20 | 3 << 8, 20, file.flags, file.method, 0, 33, crc, packed & 0xFFFFFFFF,
            size & 0xFFFFFFFF, len(name), len(file.extra), 0, 0, 0, file.attributes, first(file.offset, place),
        ))  # fmt: skip
        directory.write(name + file.extra)
    start, listing = out.tell(), directory.getvalue()
    entries = first(count, number) & 0xFFFF
    record = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, entries, entries, len(listing), start, 0)
    return out.getvalue() + listing + (record if end is None else end) + behind


def honest(*more: File, said: bytes | None = None, weights: bytes = PICKLE) -> list[File]:
    return [
        File(b"h.py", HANDLER),
        File(b"w.pt", weights),
        *more,
        File(MANIFEST.encode(), manifest() if said is None else said),
    ]


def mar(body: bytes) -> Write:
    def write(folder: Path) -> Path:
        (folder / "x.mar").write_bytes(body)
        return folder / "x.mar"

    return write


def a_zip(name: str, *more: File, **options: Any) -> None:
    case(f"zip: {name}", lambda folder: mar(zip_of(honest(*more), **options))(folder))


NAMES = {
    "one level up": "../x", "two levels up": "../../outside/x", "up in the middle": "a/../../x", "absolute": "/tmp/x",
    "doubly absolute": "//tmp/x", "only up": "..", "up at the end": "a/..", "NUL": "a.py\0.txt", "newline": "a\nb",
    "carriage return": "a\rb", "escape": "a\x1b[2J", "delete": "a\x7f", "backslash": "a\\b", "drive": "C:\\x",
    "backslashes up": "..\\..\\x", "line separator": "a\u2028b", "C1 control": "a\x85b", "long part": "a" * 256,
    "long name": "/".join(["a" * 100] * 30), "deep": "a/" * 70 + "b", "very deep": "a/" * 2000 + "b",
    "up through a folder": "./../x", "secret": "../outside/secret.txt",
}  # fmt: skip
for title, name in NAMES.items():
    a_zip(f"name, {title}", File(name.encode(), b"!", flags=0x800))
a_zip("name, empty", File(b"", b"!"))
a_zip("name, not UTF-8", File(b"\xff\xfe", b"!"))
a_zip("name, half a pair", File(b"\xed\xa0\x80", b"!", flags=0x800))
a_zip("folder above", File(b"../up/", b""))
a_zip("folder at the root", File(b"/up/", b""))
a_zip("twice the same file", File(b"h.py", b"import os"))
a_zip("twice, spelled otherwise", File(b"./h.py", b"import os"))
a_zip("twice, with two slashes", File(b"a/b", b""), File(b"a//b", b""))
a_zip("two manifests", File(MANIFEST.encode(), manifest(modelName="other")))
a_zip("two manifests, one spelled otherwise", File(b"MAR-INF/./MANIFEST.json", manifest(modelName="other")))
a_zip("file where a folder is", File(b"a", b""), File(b"a/b", b""))
a_zip("handler where a folder is", File(b"h.py/x", b""))
a_zip("MAR-INF is a file", File(b"MAR-INF", b""))
a_zip("encrypted", File(b"a", b"!" * 40, flags=1))
a_zip("strongly encrypted", File(b"a", b"!" * 40, flags=0x41))
a_zip("masked directory", File(b"a", b"!", flags=0x2000))
a_zip("patched", File(b"a", b"!", flags=0x20))
for number, title in {
    1: "shrunk",
    9: "deflate64",
    12: "bzip2",
    14: "LZMA",
    93: "zstandard",
    99: "AES",
    4242: "unknown",
}.items():
    a_zip(f"compression, {title}", File(b"a", b"!" * 40, method=number))
a_zip("link to a file", File(b"a", b"/etc/passwd", attributes=0o120777 << 16))
a_zip("link upwards", File(b"a", b"../outside", attributes=0o120777 << 16), File(b"a/secret.txt", b"!"))
a_zip("character device", File(b"a", b"", attributes=0o020666 << 16))
a_zip("block device", File(b"a", b"", attributes=0o060666 << 16))
a_zip("pipe", File(b"a", b"", attributes=0o010666 << 16))
a_zip("socket", File(b"a", b"", attributes=0o140666 << 16))
a_zip("other name in its header", File(b"a", b"!", local_name=b"../x"))
a_zip("other length of name in its header", File(b"a", b"!", local_name=b"ab"))
a_zip("other method in its header", File(b"a", b"!", local_method=8))
a_zip("other size in its header", File(b"a", b"!", local_size=100_000))
a_zip("stored in two sizes", File(b"a", b"!" * 10, size=5, packed_size=10))
a_zip("says it is longer", File(b"a", b"!" * 10, method=8, size=100))
a_zip("says it is shorter", File(b"a", b"!" * 100, method=8, size=10))
a_zip("other checksum, stored", File(b"a", b"!", crc=1))
a_zip("other checksum, deflated", File(b"a", b"!" * 100, method=8, crc=1))
a_zip("two files in one place", File(b"a", b"!", method=8), File(b"a", b"!", method=8, offset=0))
a_zip("one file under two names", File(b"a", b"!"), File(b"b", b"", offset=0, local_name=b"a"))
a_zip("gap between files", File(b"a", b"!", before=b"\0" * 100))
a_zip("hidden file between files", File(b"a", b"!", before=zip_of([File(b"../x", b"!")])[:36]))
a_zip("begins at no header", File(b"a", b"!", offset=3))
a_zip("begins behind the end", File(b"a", b"!", offset=10**6))
a_zip("size of 4 GB in a small file", File(b"a", b"!", size=0xFFFFFFFE, packed_size=0xFFFFFFFE))
a_zip("size in 64 bits, which is missing", File(b"a", b"!", size=0xFFFFFFFF))
a_zip(
    "size of 16 EB in 64 bits", File(b"a", b"!", method=8, size=0xFFFFFFFF, extra=struct.pack("<HHQ", 1, 8, 2**64 - 1))
)
a_zip("size of 2**63 in 64 bits", File(b"a", b"!", method=8, size=0xFFFFFFFF, extra=struct.pack("<HHQ", 1, 8, 2**63)))
a_zip("offset in 64 bits", File(b"a", b"!", offset=0xFFFFFFFF, extra=struct.pack("<HHQ", 1, 8, 2**63)))
a_zip("extra field that ends early", File(b"a", b"!", extra=struct.pack("<HH", 1, 900)))
a_zip("no end", end=b"")
a_zip("end without a directory", end=struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, 10**6, 0, 0))
a_zip("directory beyond the end", end=struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, 10, 0xFFFFFFF0, 0))
a_zip("directory of 4 GB", end=struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, 0xFFFFFFF0, 0, 0))
a_zip("another zip behind", behind=zip_of([File(b"../x", b"!"), File(MANIFEST.encode(), manifest())]))
case("zip: another zip before", mar(zip_of([File(b"h.py", b"import os")]) + zip_of(honest())))
case("zip: bytes before", mar(b"PK, this is no header" + zip_of(honest())))
case("zip: program before", mar(b"#!/bin/sh\n" + zip_of(honest())))
case("zip: only an end", mar(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0, 0, 0, 0, 0)))
case("zip: only its first bytes", mar(b"PK\3\4"))
case("zip: no manifest", mar(zip_of([File(b"h.py", HANDLER)])))
case("zip: manifest is a folder", mar(zip_of([File(b"h.py", HANDLER), File(f"{MANIFEST}/".encode())])))
case("zip: manifest in a folder of its name", mar(zip_of([File(b"h.py", HANDLER), File(f"{MANIFEST}/x".encode())])))
case("zip: manifest is a link", mar(zip_of([
    File(b"h.py", HANDLER), File(MANIFEST.encode(), b"../../outside/secret.txt", attributes=0o120777 << 16),
])))  # fmt: skip
for part in (30, 61, 100, 200, 350):
    case(f"zip: cut off at byte {part}", mar(zip_of(honest())[:part]))
case("zip: cut off before its end", mar(zip_of(honest())[:-10]))
case("zip: 64-bit end that lies", mar(zip_of(honest(), end=struct.pack(
    "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2**40, 2**40, 2**62, 2**62,
) + struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1) + struct.pack(
    "<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0,
))))  # fmt: skip


@named
def zip_bomb(folder: Path) -> Path:
    """1 MB that unpacks to 1 GB, and says so."""
    with zipfile.ZipFile(folder / "x.mar", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("h.py", HANDLER)
        with out.open("w.pt", "w", force_zip64=True) as body:
            for _ in range(1024):
                body.write(bytes(MB))
        out.writestr(MANIFEST, manifest())
    return folder / "x.mar"


@cache
def of_zeros(size: int) -> bytes:
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"".join([*(engine.compress(bytes(MB)) for _ in range(size)), engine.flush()])


def lying_bomb(said: int) -> Write:
    def write(folder: Path) -> Path:
        weights = File(b"w.pt", b"", method=8, size=said, crc=0)
        weights.packed = of_zeros(300)
        body = zip_of([File(b"h.py", HANDLER), weights, File(MANIFEST.encode(), manifest())])
        return mar(body)(folder)

    return write


def zip_bomb_in_mar_inf(folder: Path) -> Path:
    """It is never unpacked by the kit, but Java does."""
    bomb = File(b"MAR-INF/a", b"", method=8, size=10, crc=0)
    bomb.packed = of_zeros(300)
    return mar(zip_of(honest(bomb)))(folder)


case("zip: bomb of 300 MB that says it is empty", lying_bomb(0))
case("zip: bomb of 300 MB that says it is 1 kB", lying_bomb(1000))
case("zip: bomb of 300 MB that says it is 50 MB", lying_bomb(50 * MB))


@named
def zip_bomb_of_many_files(folder: Path) -> Path:
    """Each of them is small enough."""
    packed = of_zeros(40)
    files = []
    for number in range(30):
        files.append(File(b"%d" % number, b"", method=8, size=40 * MB, crc=0))
        files[-1].packed = packed
    return mar(zip_of(honest(*files)))(folder)


@named
def zip_bomb_of_one_file_under_many_names(folder: Path) -> Path:
    """As David Fifield's: the directory names one stretch of deflated bytes again and again."""
    files = [File(b"0", b"", method=8, size=40 * MB, crc=0)]
    files[0].packed = of_zeros(40)
    files += [File(b"%d" % number, b"", method=8, size=40 * MB, packed_size=len(files[0].packed), offset=0, crc=0)
              for number in range(1, 200)]  # fmt: skip
    return mar(zip_of([*files, *honest()]))(folder)


@named
def zip_of_too_many_files(folder: Path) -> Path:
    return mar(zip_of(honest(*(File(b"f/%d" % number) for number in range(30_000)))))(folder)


@named
def zip_of_a_million_files_in_its_directory(folder: Path) -> Path:
    """Tens of megabytes of directory, all of which name one file."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    listing = entry * 1_000_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(listing), 31, 0)
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, 0, 0, 1, 0) + b"a"
    return mar(local + listing + end)(folder)


def flipped(seed: int) -> Write:
    chance, body = random.Random(seed), bytearray(zip_of(honest(File(b"a", b"text " * 99, method=8))))
    for _ in range(4):
        body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
    return mar(bytes(body))


#: These may be readable still: what they hold is inside, whatever it is.
OTHER_NAME = File(b"a", b"!", extra=struct.pack("<HHBL", 0x7075, 9, 1, zlib.crc32(b"a")) + b"../x")
DAMAGED = {"zip with another name for those who look": mar(zip_of(honest(OTHER_NAME)))}
DAMAGED |= {f"zip with four wrong bits, {seed}": flipped(seed) for seed in range(40)}


# --- tars ------------------------------------------------------------------------------------------------------------


def tgz(body: bytes) -> Write:
    def write(folder: Path) -> Path:
        (folder / "x.tar.gz").write_bytes(body)
        return folder / "x.tar.gz"

    return write


def info_of(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "", **other: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    for key, value in other.items():
        setattr(info, key, value)
    return info


Entry = tuple[tarfile.TarInfo, bytes]


def tar_of(*more: Entry, said: bytes | None = None, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as made:
        text = manifest() if said is None else said
        for info, body in (
            (info_of("m/h.py", len(HANDLER)), HANDLER), (info_of("m/w.pt", len(PICKLE)), PICKLE), *more,
            (info_of(f"m/{MANIFEST}", len(text)), text),
        ):  # fmt: skip
            made.addfile(info, io.BytesIO(body))
    return out.getvalue()


def a_tar(name: str, *more: Entry, **options: Any) -> None:
    case(f"tar: {name}", lambda folder: tgz(gzip.compress(tar_of(*more, **options), 1))(folder))


for title, name in NAMES.items():
    if title not in ("NUL", "absolute", "doubly absolute"):  # a tar's names end at a NUL
        a_tar(f"name, {title}", (info_of(f"m/{name}", 1), b"!"))
a_tar("name, absolute", (info_of("/tmp/x", 1), b"!"))
a_tar("name, up in the folder that is dropped", (info_of("../x", 1), b"!"))
a_tar("name, not UTF-8", (info_of("m/\udcff", 1), b"!"), form=tarfile.GNU_FORMAT)
a_tar("name, in a long header", (info_of("m/../" + "x" * 150, 1), b"!"), form=tarfile.GNU_FORMAT)
a_tar("name, in a pax header", (info_of("m/a", 1, pax_headers={"path": "m/../../x"}), b"!"))
a_tar("folder above", (info_of("m/../../up", kind=tarfile.DIRTYPE), b""))
a_tar("twice the same file", (info_of("m/h.py", 1), b"!"))
a_tar("twice, from two folders", (info_of("n/h.py", 1), b"!"))
a_tar("two manifests", (info_of(f"m/{MANIFEST}", 2), b"{}"))
a_tar("file where a folder is", (info_of("m/a", 1), b"!"), (info_of("m/a/b", 1), b"!"))
a_tar("link to a file outside", (info_of("m/a", kind=tarfile.SYMTYPE, link="/etc/passwd"), b""))
a_tar("link upwards", (info_of("m/a", kind=tarfile.SYMTYPE, link="../../outside/secret.txt"), b""))
a_tar("file through a link",
      (info_of("m/a", kind=tarfile.SYMTYPE, link="/tmp"), b""), (info_of("m/a/x", 1), b"!"))  # fmt: skip
a_tar("chain of links",
      (info_of("m/a", kind=tarfile.SYMTYPE, link="b"), b""), (info_of("m/b", kind=tarfile.SYMTYPE, link=".."), b""),
      (info_of("m/a/x", 1), b"!"))  # fmt: skip
a_tar("link to itself", (info_of("m/a", kind=tarfile.SYMTYPE, link="a"), b""))
a_tar("hard link outside", (info_of("m/a", kind=tarfile.LNKTYPE, link="/etc/passwd"), b""))
a_tar("hard link inside", (info_of("m/a", kind=tarfile.LNKTYPE, link="m/h.py"), b""))
a_tar("link in a pax header", (info_of("m/a", kind=tarfile.SYMTYPE, pax_headers={"linkpath": "/etc/passwd"}), b""))
a_tar("character device", (info_of("m/a", kind=tarfile.CHRTYPE, devmajor=1, devminor=5), b""))
a_tar("block device", (info_of("m/a", kind=tarfile.BLKTYPE, devmajor=8), b""))
a_tar("pipe", (info_of("m/a", kind=tarfile.FIFOTYPE), b""))
a_tar("sparse", (info_of("m/a", kind=tarfile.GNUTYPE_SPARSE), b""))
a_tar("sparse, in a pax header", (info_of("m/a", 512, pax_headers={
    "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "m/a", "GNU.sparse.realsize": str(2**50),
}), b"1\n0\n512\n".ljust(512, b"\0")))  # fmt: skip
a_tar("volume header", (info_of("m/a", kind=b"V"), b""))
a_tar("more volumes", (info_of("m/a", kind=b"M"), b""))
a_tar("size in a pax header", (info_of("m/a", 1, pax_headers={"size": str(2**62)}), b"!"))
a_tar("negative size in a pax header", (info_of("m/a", 1, pax_headers={"size": "-1024"}), b"!"))
case("tar: cut off", tgz(gzip.compress(tar_of(), 1)[:-40]))
case("tar: cut off within", tgz(gzip.compress(tar_of()[:1500], 1)))
case("tar: other checksum of the gzip", tgz(gzip.compress(tar_of(), 1)[:-8] + b"\0" * 8))
case("tar: not one", tgz(gzip.compress(b"no tar at all" * 999)))
case("tar: empty", tgz(gzip.compress(b"")))
case("tar: only zeros", tgz(gzip.compress(bytes(10240))))
case("tar: not zipped", tgz(tar_of()))
case("tar: gzip that only begins", tgz(b"\x1f\x8b\x08"))
case("tar: no manifest", tgz(gzip.compress(tar_of(said=b"")[:2048] + bytes(1024))))


def damaged_header() -> bytes:
    body = bytearray(tar_of((info_of("m/a", 1), b"!")))
    place = body.index(b"m/a\0")
    body[place + 148 : place + 156] = b"0000000\0"  # its checksum
    return bytes(body)


case("tar: damaged header amid it", tgz(gzip.compress(damaged_header())))


def with_header(kind: bytes, size: int, payload: Iterable[bytes], base256: int | None = None) -> Write:
    """A tar whose first header claims `size` bytes of a kind that tarfile reads at once."""

    def write(folder: Path) -> Path:
        raw = bytearray(info_of("m/a", 0, kind).tobuf(tarfile.USTAR_FORMAT))
        raw[124:136] = (
            b"%011o\0" % size
            if base256 is None
            else (b"\x80" if base256 > 0 else b"\xff") + base256.to_bytes(11, "big", signed=True)
        )
        raw[148:156] = b" " * 8
        raw[148:156] = b"%06o\0 " % sum(raw)
        with gzip.open(folder / "x.tar.gz", "wb", 1) as out:
            out.write(raw)
            for block in payload:
                out.write(block)
            out.write(tar_of())
        return folder / "x.tar.gz"

    return write


case("tar: name of 200 MB", with_header(b"L", 200 * MB, (b"a" * MB for _ in range(200))))
case("tar: target of 200 MB", with_header(b"K", 200 * MB, (b"a" * MB for _ in range(200))))
case("tar: pax header of 200 MB", with_header(b"x", 200 * MB, (b"a" * MB for _ in range(200))))
case("tar: pax header for all of 200 MB", with_header(b"g", 200 * MB, (b"a" * MB for _ in range(200))))
case("tar: name that is not there", with_header(b"L", 7 * 2**30, ()))
case("tar: negative size", with_header(b"0", 0, (), base256=-1024))
case("tar: very negative size", with_header(b"0", 0, (), base256=-(2**70)))
case("tar: size of 2**70", with_header(b"0", 0, (), base256=2**70))
case("tar: negative length of a name", with_header(b"L", 0, (), base256=-512))
case("tar: negative length of a pax header", with_header(b"x", 0, (), base256=-1024))


@named
def tar_with_a_chain_of_pax_headers(folder: Path) -> Path:
    one = info_of("m/x", 11, tarfile.XHDTYPE).tobuf(tarfile.USTAR_FORMAT) + b"11 path=m/a\n".ljust(512, b"\0")
    return tgz(gzip.compress(one * 20_000 + tar_of()))(folder)


@named
def tar_with_a_sparse_map_of_100_mb(folder: Path) -> Path:
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "m/a", "GNU.sparse.realsize": "1"}
    lines = b"1\n" * (MB // 2)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        made.addfile(info_of("m/a", 0, pax_headers={**headers, "size": str(100 * MB)}))
    start = out.getvalue()[:1536]
    with gzip.open(folder / "x.tar.gz", "wb", 1) as squeezed:
        squeezed.write(start + b"50000000\n".ljust(512, b"1"))
        for _ in range(100):
            squeezed.write(lines)
        squeezed.write(tar_of())
    return folder / "x.tar.gz"


@named
def tar_bomb(folder: Path) -> Path:
    """A few megabytes that unpack to 1 GB."""
    with gzip.open(folder / "x.tar.gz", "wb", 1) as out:
        out.write(info_of("m/w.pt", 1024 * MB).tobuf(tarfile.USTAR_FORMAT))
        for _ in range(1024):
            out.write(bytes(MB))
        out.write(tar_of()[: -10 * 1024])
    return folder / "x.tar.gz"


@named
def tar_of_zeros(folder: Path) -> Path:
    with gzip.open(folder / "x.tar.gz", "wb", 1) as out:
        out.write(tar_of())
        for _ in range(1024):
            out.write(bytes(MB))
    return folder / "x.tar.gz"


@named
def tar_of_too_many_files(folder: Path) -> Path:
    return tgz(gzip.compress(tar_of(*((info_of(f"m/{number}"), b"") for number in range(12_000))), 1))(folder)


def flipped_tar(seed: int) -> Write:
    chance, body = random.Random(seed), bytearray(tar_of((info_of("m/a", 9), b"text text")))
    for _ in range(3):
        body[chance.randrange(len(body) - 6000)] ^= 1 << chance.randrange(8)
    return tgz(gzip.compress(bytes(body), 1))


DAMAGED |= {f"tar with three wrong bits, {seed}": flipped_tar(seed) for seed in range(20)}


# --- folders ---------------------------------------------------------------------------------------------------------


def folder_of(folder: Path, said: bytes | None = None) -> Path:
    root = folder / "x"
    (root / "MAR-INF").mkdir(parents=True)
    (root / "h.py").write_bytes(HANDLER)
    (root / "w.pt").write_bytes(PICKLE)
    (root / MANIFEST).write_bytes(manifest() if said is None else said)
    return root


def a_folder(name: str, change: Callable[[Path], object]) -> None:
    def write(folder: Path) -> Path:
        root = folder_of(folder)
        change(root)
        return root

    case(f"folder: {name}", write)


def swapped(name: str, target: str) -> Callable[[Path], None]:
    """A link takes a file's place."""

    def change(root: Path) -> None:
        (root / name).unlink()
        (root / name).symlink_to(target)

    return change


def deep(root: Path) -> None:
    for _ in range(80):
        root = root / "a"
    root.mkdir(parents=True)
    (root / "b").touch()


def sparse(root: Path) -> None:
    with open(root / "a", "wb") as file:
        file.truncate(1 << 40)


def a_socket(root: Path) -> None:
    before = os.getcwd()
    os.chdir(root)  # a socket's path is a short one
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("a")
    finally:
        os.chdir(before)


def manifest_folder(root: Path) -> None:
    (root / MANIFEST).unlink()
    (root / MANIFEST).mkdir()


def linked_mar_inf(root: Path) -> None:
    (root / "MAR-INF").rename(root.parent.parent / "outside" / "MAR-INF")
    (root / "MAR-INF").symlink_to("../../outside/MAR-INF")


a_folder("weights are a link to a file of the system", swapped("w.pt", "/etc/passwd"))
a_folder("weights are a link upwards", swapped("w.pt", "../../outside/secret.txt"))
a_folder("handler is a link outside", swapped("h.py", "../../outside/secret.txt"))
a_folder("manifest is a link outside", swapped(MANIFEST, "../../../outside/manifest.json"))
a_folder("MAR-INF is a link outside", linked_mar_inf)
a_folder("link to a folder outside", lambda root: (root / "a").symlink_to("../../outside"))
a_folder("link to the root", lambda root: (root / "a").symlink_to("/"))
a_folder("link to its own parent", lambda root: (root / "a").symlink_to(".."))
a_folder("link to itself", lambda root: (root / "a").symlink_to("a"))
a_folder("two links to one another", lambda root: [(root / a).symlink_to(b) for a, b in ("ab", "ba")])
a_folder("link to its own folder", lambda root: (root / "a").symlink_to("."))
a_folder("link to nowhere", lambda root: (root / "a").symlink_to("nowhere"))
a_folder("chain of links outside", lambda root: [
    (root / "b").symlink_to("../../outside"), (root / "a").symlink_to("b/secret.txt")])  # fmt: skip
a_folder("pipe", lambda root: os.mkfifo(root / "a"))
a_folder("socket", a_socket)
a_folder("newline in a name", lambda root: (root / "a\nb").touch())
a_folder("backslash in a name", lambda root: (root / "a\\b").touch())
a_folder("name that is not text", lambda root: Path(os.fsdecode(os.fsencode(root) + b"/\xff")).touch())
a_folder("deep", deep)
a_folder("sparse file of 1 TB", sparse)
a_folder("manifest is a folder", manifest_folder)
a_folder("no manifest", lambda root: (root / MANIFEST).unlink())
a_folder("too many files", lambda root: [(root / f"{number}").touch() for number in range(10_001)])


@named
def folder_that_holds_only_a_link(folder: Path) -> Path:
    (folder / "x").mkdir()
    (folder / "x" / "m").symlink_to(folder_of(folder.parent / "outside"))
    return folder / "x"


case("folder: empty", lambda folder: (folder / "x").mkdir() or folder / "x")  # type: ignore[func-returns-value]


# --- manifests -------------------------------------------------------------------------------------------------------


def a_manifest(name: str, said: bytes) -> None:
    case(f"manifest: {name}", lambda folder: mar(zip_of(honest(said=said)))(folder))


TEXTS = ("modelName", "modelVersion", "handler", "serializedFile", "modelFile", "requirementsFile", "configFile")
WRONG = {
    "a list": [],
    "an object": {},
    "true": True,
    "a list of text": ["h.py"],
    "nested": [[{"a": []}]],
    "a number": 5,
}
for key in TEXTS:
    for title, value in WRONG.items():
        if (key, title) != ("modelVersion", "a number"):  # TorchServe takes a version's digits
            a_manifest(f"{key} is {title}", manifest(**{key: value}))
    for title, text in {"NUL": "a\0b", "newline": "a\nb", "half a pair": "\ud800", "very long": "a" * 5000}.items():
        a_manifest(f"{key} holds {title}", manifest(**{key: text}))
    if key not in ("modelName", "modelVersion"):
        for title, path in {
            "absolute": "/etc/passwd", "upwards": "../../outside/secret.txt", "up within": "a/../../x",
            "missing": "none", "of the current folder": "private", "of the current folder, by its file": "private.py",
        }.items():  # fmt: skip
            a_manifest(f"{key} is {title}", manifest(**{key: path}))
for title, value in {**WRONG, "text": "m"}.items():
    if title != "an object":
        a_manifest(f"model is {title}", json.dumps({**GOOD, "model": value}).encode())
    if title != "text":
        a_manifest(f"runtime is {title}", json.dumps({**GOOD, "runtime": value}).encode())
    a_manifest(f"it is {title}", json.dumps(value).encode())
for handler in (
    "private:go",
    "os:system",
    "subprocess",
    "handlerkit:classifier",
    "h:go:on",
    "h:",
    ":h",
    ".",
    "a/",
    "h.py/..",
):
    a_manifest(f"handler {handler}", manifest(handler=handler))
a_manifest("no handler", json.dumps({"model": {"modelName": "m"}}).encode())
a_manifest("handler is null", manifest(handler=None))
for name in ("../m", "a/b", "my model", "-m", ".", "m\\n"):
    a_manifest(f"modelName {name}", manifest(modelName=name))
a_manifest("another runtime", json.dumps({**GOOD, "runtime": "ruby"}).encode())
a_manifest("empty", b"")
a_manifest("null", b"null")
a_manifest("not JSON", b"{'model': 1}")
a_manifest("not UTF-8", b'{"model": {"modelName": "\xff"}}')
a_manifest("UTF-16", manifest().decode().encode("utf-16"))
a_manifest("longer than 1 MiB", b" " * (1 << 20) + manifest())
a_manifest("deeply nested", b"[" * 500_000)
a_manifest("deeply nested objects", b'{"a":' * 150_000)
a_manifest("deeply nested, beside the model", manifest()[:-1] + b', "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}")
a_manifest(
    "a number of 900,000 digits as text", manifest(handler=0).replace(b'"handler": 0', b'"handler": ' + b"9" * 900_000)
)
a_manifest("NaN", manifest(modelVersion=float("nan")))
a_manifest("Infinity", manifest(modelVersion=float("inf")))
a_manifest("a key twice", manifest()[:-1] + b', "model": {}}')
a_manifest("a key twice in the model", b'{"model": {"handler": "h.py", "handler": "private.py"}}')
a_manifest("50,000 keys", b'{"model": {"handler": "h.py"}, "a": {' + b'"":0,' * 50_000 + b'"":0}}')


# --- what is no archive ----------------------------------------------------------------------------------------------


case("nothing: empty file", mar(b""))
case("nothing: text", mar(b"no archive at all"))
case("nothing: pickle", mar(PICKLE))
case("nothing: zeros", mar(bytes(100_000)))
case("nothing: not there", lambda folder: folder / "x.mar")
case("nothing: link to nowhere", lambda folder: (folder / "x.mar").symlink_to("y") or folder / "x.mar")  # type: ignore[func-returns-value]
case("nothing: pipe", lambda folder: os.mkfifo(folder / "x.mar") or folder / "x.mar")  # type: ignore[func-returns-value]
case("nothing: device", lambda folder: Path("/dev/zero"))
case("nothing: NUL in its path", lambda folder: folder / "x\0.mar")
case("nothing: very long path", lambda folder: folder / ("x" * 5000))


# --- honest ones, however odd ----------------------------------------------------------------------------------------

LONG = "m/" + "a" * 90 + "/" + "b" * 200


def honest_tar(*more: Entry, **options: Any) -> Write:
    return tgz(gzip.compress(tar_of(*more, **options)))


def a_folder_entry(name: str) -> Entry:
    return info_of(name, kind=tarfile.DIRTYPE), b""


HONEST: dict[str, Write] = {
    "zip as it should be": mar(zip_of(honest())),
    "zip with a comment": mar(zip_of(honest())[:-2] + b"\5\0hello"),
    "zip with bytes behind it": mar(zip_of(honest(), behind=bytes(100))),
    "zip with folders": mar(zip_of(honest(File(b"a/", attributes=0o040755 << 16 | 0x10), File(b"a/b", b"!")))),
    "zip with a name in German": mar(zip_of(honest(File("ü/ß.txt".encode(), b"!", flags=0x800)))),
    "zip with two cases of one name": mar(zip_of(honest(File(b"README", b"!"), File(b"readme", b"?")))),
    "zip with an archive in it": mar(zip_of(honest(File(b"other.mar", zip_of(honest()), method=8)))),
    "zip whose pickle is never read": mar(zip_of(honest(weights=PICKLE))),
    "zip with a byte order mark": mar(zip_of(honest(said=b"\xef\xbb\xbf" + manifest()))),
    "zip without a version": mar(zip_of(honest(said=manifest(modelVersion=None)))),
    "zip with a version in digits": mar(zip_of(honest(said=manifest(modelVersion=2)))),
    "zip with a handler in a folder's name": mar(zip_of(honest(said=manifest(handler="src/h.py")))),
    "zip with a function": mar(zip_of(honest(said=manifest(handler="h:handle")))),
    "zip with unknown keys": mar(zip_of(honest(said=manifest(extensions={"a": [1, None]}, description="two\nlines")))),
    "zip with a default handler": mar(zip_of(honest(said=manifest(handler="image_classifier")))),
    "tar as it should be": tgz(gzip.compress(tar_of())),
    "tar with bytes behind it": tgz(gzip.compress(tar_of()) + b"behind"),
    "tar with folders": honest_tar(a_folder_entry("m"), a_folder_entry("m/a")),
    "tar with long names": honest_tar((info_of(LONG, 1), b"!")),
    "tar with long names, GNU's": honest_tar((info_of(LONG, 1), b"!"), form=tarfile.GNU_FORMAT),
    "tar of a folder": honest_tar((info_of("./README", 1), b"!"), a_folder_entry(".")),
    "folder as it should be": folder_of,
}  # fmt: skip


@(lambda write: HONEST.setdefault("folder with a link that stays inside", write))
def folder_with_an_inner_link(folder: Path) -> Path:
    root = folder_of(folder)
    (root / "w.pt").rename(root / "weights-1.pt")
    (root / "w.pt").symlink_to("weights-1.pt")
    return root


@(lambda write: HONEST.setdefault("folder in a folder", write))
def folder_in_a_folder(folder: Path) -> Path:
    return folder_of(folder / "y").parent


@(lambda write: HONEST.setdefault("folder with a colon in its name", write))
def folder_with_a_colon(folder: Path) -> Path:
    root = folder_of(folder)
    return root.rename(folder / "a:b")


@(lambda write: HONEST.setdefault("zip written to a pipe", write))
def zip_written_to_a_pipe(folder: Path) -> Path:
    """Sizes come after each file."""

    class Pipe(io.RawIOBase):
        body = b""

        def writable(self) -> bool:
            return True

        def write(self, block: Any, /) -> int:
            self.body += bytes(block)
            return len(block)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as out:  # type: ignore[call-overload]
        out.writestr("h.py", HANDLER)
        out.writestr("w.pt", PICKLE)
        out.writestr(MANIFEST, manifest())
    return mar(pipe.body)(folder)
