"""What is scored: each file of a folder or of a list, each line of JSON Lines, each row of Parquet.

It is found as pieces, plain data that any machine with the same paths can read.
"""

from __future__ import annotations

import json
import mimetypes
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

#: Files of a piece, and bytes of one of JSON Lines.
_FILES, _BYTES = 64, 4 << 20
_LISTS = (".txt", ".list", ".lst")
_JSON_LINES = (".jsonl", ".ndjson")
_PARQUET = ".parquet"
_JSON = "application/json"
#: The types of names as Python has them, whatever this machine has beside.
_TYPES = mimetypes.MimeTypes()


class InputError(ValueError):
    """What is asked for cannot be scored; the text says why."""


@dataclass(frozen=True)
class Input:
    """One request. `name` tells it from the others; with a `problem`, it could not be read."""

    name: str
    body: bytes = b""
    content_type: str | None = None
    problem: str = ""


@dataclass(frozen=True)
class Reading:
    """How rows become bodies.

    Attributes:
        column: the column, or the key of a line, whose value is the body; the whole row as JSON without one.
        content_type: that of each body, instead of the one that goes with it; "" for none.
    """

    column: str | None = None
    content_type: str | None = None

    def request(self, name: str, body: bytes, usual: str | None) -> Input:
        """With the Content-Type that is asked for, or the usual one."""
        return Input(name, body, usual if self.content_type is None else self.content_type or None)

    def value(self, name: str, value: Any) -> Input:
        """A value as a body: bytes as they are, text in UTF-8, anything else as JSON."""
        if isinstance(value, bytes):
            return self.request(name, value, None)
        if isinstance(value, str):
            return self.request(name, value.encode(), None)
        try:
            return self.request(name, json.dumps(value).encode(), _JSON)
        except (TypeError, ValueError) as problem:
            return Input(name, problem=f"it cannot be written as JSON ({problem}): choose a column with --column")


@dataclass(frozen=True)
class File:
    """A file, by an absolute path, so that other machines find it, and by the name that its results bear."""

    path: str
    name: str

    @classmethod
    def at(cls, given: str) -> File:
        """One that may be given by any of its paths: it has one name, which goes from the working directory on where it
        is in there, and from the root on elsewhere."""
        path = os.path.abspath(given)
        if os.pardir in given.split(os.sep):  # what is above a link is not above the link's place
            path = os.path.join(os.path.realpath(os.path.dirname(given)), os.path.basename(given))
        name = path.removeprefix(os.path.join(os.getcwd(), ""))
        return cls(path, os.fsencode(name).decode("utf-8", "backslashreplace"))


@dataclass(frozen=True)
class WholeFiles:
    """Files, each of which is a body."""

    files: tuple[File, ...]
    reading: Reading

    @property
    def count(self) -> int:
        """How many inputs there are."""
        return len(self.files)

    def names(self) -> Iterator[str]:
        """Those of the inputs."""
        return (file.name for file in self.files)

    def read(self, done: Collection[str] = ()) -> Iterator[Input]:
        """The inputs whose names are not among those `done`."""
        for one in self.files:
            if one.name in done:
                continue
            try:
                with open(one.path, "rb") as file:
                    body = file.read()
            except OSError as problem:
                yield Input(one.name, problem=f"it cannot be read: {problem.strerror}")
            else:
                yield self.reading.request(one.name, body, _TYPES.guess_type(one.path)[0])


@dataclass(frozen=True)
class Lines:
    """Lines of a JSON Lines file: `size` of them from a byte on, of which the first is line number `first`, and `count`
    have text."""

    file: File
    begin: int
    first: int
    size: int
    count: int
    reading: Reading

    def names(self) -> Iterator[str]:
        """As of WholeFiles, and of lines that are none."""
        return (f"{self.file.name}:{number}" for number in range(self.first, self.first + self.size))

    def read(self, done: Collection[str] = ()) -> Iterator[Input]:
        """As of WholeFiles; a line is named FILE:NUMBER, and one without text is none."""
        with open(self.file.path, "rb") as file:
            file.seek(self.begin)
            for name in self.names():
                line = file.readline().strip()
                if line and name not in done:
                    yield self._input(name, line)

    def _input(self, name: str, line: bytes) -> Input:
        column = self.reading.column
        if column is None:
            return self.reading.request(name, line, _JSON)
        try:
            return self.reading.value(name, json.loads(line)[column])
        except (ValueError, TypeError, KeyError):
            return Input(name, problem=f"it is no JSON object with {column!r}")


@dataclass(frozen=True)
class RowGroup:
    """A row group of a Parquet file, whose first row is number `first`."""

    file: File
    group: int
    first: int
    count: int
    reading: Reading

    def names(self) -> Iterator[str]:
        """As of WholeFiles."""
        return (f"{self.file.name}:{number}" for number in range(self.first, self.first + self.count))

    def read(self, done: Collection[str] = ()) -> Iterator[Input]:
        """As of WholeFiles; a row is named FILE:NUMBER, from 1 on."""
        from pyarrow import parquet

        column, file = self.reading.column, parquet.ParquetFile(self.file.path)
        names = self.names()
        for batch in file.iter_batches(256, [self.group], [column] if column else None):
            for row, name in zip(batch.to_pylist(), names):
                if name not in done:
                    yield self.reading.value(name, next(iter(row.values())) if len(row) == 1 else row)


def find(given: Iterable[str], reading: Reading, output: str = "") -> list[Any]:
    """The pieces of folders, lists of paths (.txt), JSON Lines (.jsonl), Parquet, and any other files.

    A file that is there twice is scored once, and what an earlier run has written to `output` never. Raises InputError
    for what is not there, OSError for what cannot be read.
    """
    pieces: list[Any] = []
    plain: dict[File, None] = {}
    tables: dict[File, None] = {}
    own = File.at(output).path if output else None
    for file in (File.at(path) for each in given for path in _paths(each)):
        if own is not None and (file.path == own or file.path.startswith(os.path.join(own, ""))):
            continue
        (tables if file.path.endswith((*_JSON_LINES, _PARQUET)) else plain)[file] = None
    files = list(plain)
    pieces += [WholeFiles(tuple(files[at : at + _FILES]), reading) for at in range(0, len(files), _FILES)]
    for table in tables:
        pieces += _row_groups(table, reading) if table.path.endswith(_PARQUET) else _lines(table, reading)
    return pieces


def _paths(given: str) -> Iterator[str]:
    if os.path.isdir(given):
        walked: set[str] = set()  # a link may lead to a folder above it
        for root, folders, files in os.walk(given, followlinks=True):
            walked.add(os.path.realpath(root))
            folders[:] = sorted(one for one in folders if not one.startswith("."))
            folders[:] = [one for one in folders if os.path.realpath(os.path.join(root, one)) not in walked]
            paths = [os.path.join(root, file) for file in sorted(files) if not file.startswith(".")]
            yield from (
                path for path in paths if os.path.isfile(path) or not os.path.exists(path)
            )  # no pipe, no socket
    elif not os.path.exists(given):
        raise InputError(f"{given} is not there")
    elif given.endswith(_LISTS):
        with open(given, encoding="utf-8-sig", errors="surrogateescape") as file:
            yield from (line.strip() for line in file if line.strip())
    else:
        yield given


def _lines(file: File, reading: Reading) -> Iterator[Lines]:
    with open(file.path, "rb") as opened:
        begin, first = 0, 1
        while lines := opened.readlines(_BYTES):
            yield Lines(file, begin, first, len(lines), sum(1 for line in lines if line.strip()), reading)
            begin, first = begin + sum(map(len, lines)), first + len(lines)


def _row_groups(table: File, reading: Reading) -> Iterator[RowGroup]:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError:
        raise InputError(f"{table.name} needs pyarrow: pip install pyarrow") from None
    try:
        file = parquet.ParquetFile(table.path)
    except ArrowInvalid as problem:
        raise InputError(f"{table.name} is no Parquet file: {problem}") from None
    with file:
        if reading.column and reading.column not in file.schema_arrow.names:
            names = ", ".join(file.schema_arrow.names)
            raise InputError(f"{table.name} has no column {reading.column!r}; it has {names}")
        first = 1
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            yield RowGroup(table, group, first, count, reading)
            first += count
