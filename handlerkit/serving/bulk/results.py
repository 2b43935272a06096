"""What is written: a row for each input, in parts that stand whole or not at all.

A part is written under a hidden name, and gets its own when it is whole; so a run that was ended in whatever way has
lost no more than rows that are in no part, and the next one scores these. One run at a time writes to a place.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from ..http import Headers, Response, lookup

#: A part is written when it has so many rows or bytes, or is so old (seconds).
_ROWS, _BYTES, _AGE = 10_000, 64 << 20, 15.0
_PART = re.compile(r"part-(\d+)\.(parquet|jsonl)")
#: What a run that was ended may have left half written.
_HALF = re.compile(rf"\.(whole|{_PART.pattern})")
_LOCK = ".lock"


class OutputError(Exception):
    """Results cannot be written there; the text says why."""


@dataclass(frozen=True)
class Result:
    """The answer to one input. `status`: 0 where it was never asked, or got no answer; `message`: why it failed, which
    an answer with a status below 400 has whose stream broke off."""

    name: str
    status: int
    message: str = ""
    headers: Headers = ()
    body: bytes = b""

    @classmethod
    def of(cls, name: str, response: Response, message: str = "") -> Result:
        """What a client would have got."""
        return cls(name, response.status or 0, message, response.headers, response.body)

    @property
    def ok(self) -> bool:
        """A status below 400, and nothing that failed."""
        return 0 < self.status < 400 and not self.message

    @property
    def json(self) -> str | None:
        """The body's text where it is JSON: by its Content-Type, or an object or array without one."""
        kind = lookup(self.headers, "content-type")
        if "json" not in kind.lower() if kind is not None else self.body[:1] not in (b"{", b"["):
            return None
        try:
            text = self.body.decode()
            json.loads(text)
        except ValueError:
            return None
        return text

    def row(self) -> dict[str, Any]:
        """As Parquet holds it: `json` or `body` is None."""
        text = self.json
        headers = [{"name": name, "value": value} for name, value in self.headers]
        return {
            "name": self.name, "status": self.status, "message": self.message, "headers": headers, "json": text,
            "body": self.body if text is None else None,
        }  # fmt: skip

    def line(self) -> bytes:
        """As JSON Lines holds it: with "json", "body" where it is text, or else "body_base64"."""
        row: dict[str, Any] = {"name": self.name, "status": self.status, "message": self.message}
        row["headers"] = [list(pair) for pair in self.headers]
        if self.json is not None:
            row["json"] = json.loads(self.body)
        else:
            try:
                row["body"] = self.body.decode()
            except ValueError:
                row["body_base64"] = base64.b64encode(self.body).decode()
        return json.dumps(row).encode() + b"\n"


class _Form(Protocol):
    ending: str

    def write(self, path: str, results: Iterable[Result]) -> None: ...

    def names(self, path: str) -> Iterator[str]: ...


class _JsonLines:
    ending = "jsonl"

    def write(self, path: str, results: Iterable[Result]) -> None:
        with open(path, "wb") as file:
            file.writelines(one.line() for one in results)

    def names(self, path: str) -> Iterator[str]:
        try:
            with open(path, "rb") as file:
                for line in file:
                    row = json.loads(line)
                    yield str(row["name"])
                    row["status"]  # what else has a name is not taken for a result
        except (ValueError, KeyError, TypeError):
            raise OutputError(f"{path} holds lines that are no results: name another output") from None


class _Parquet:
    ending = "parquet"

    def __init__(self) -> None:
        """Raises ImportError where pyarrow is not installed."""
        import pyarrow
        from pyarrow import parquet

        self._arrow, self._parquet = pyarrow, parquet
        headers = pyarrow.list_(pyarrow.struct([("name", pyarrow.string()), ("value", pyarrow.string())]))
        fields = {
            "name": pyarrow.string(), "status": pyarrow.int32(), "message": pyarrow.string(), "headers": headers,
            "json": pyarrow.string(), "body": pyarrow.binary(),
        }  # fmt: skip
        self._schema = pyarrow.schema(list(fields.items()))

    def write(self, path: str, results: Iterable[Result]) -> None:
        table = self._arrow.Table.from_pylist([one.row() for one in results], schema=self._schema)
        self._parquet.write_table(table, path)

    def names(self, path: str) -> Iterator[str]:
        yield from self._parquet.read_table(path, columns=["name"])["name"].to_pylist()


class ResultWriter:
    """Where results go: a folder of parts, or one file (.jsonl), which is put together at the end. Use it in a `with`
    block, or close it.

    Attributes:
        done: the names of the inputs that have a row there.
        ending: "parquet" or "jsonl".
    """

    def __init__(self, path: str) -> None:
        """Raises OutputError where another run writes there, or something else is there, and OSError."""
        self.path = path
        self._is_file = path.endswith(".jsonl")
        beside = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.parts")
        self._folder = beside if self._is_file else path
        if not self._is_file and os.path.exists(path) and not os.path.isdir(path):
            raise OutputError(f"{path} is a file: name a folder for the results, or a file that ends in .jsonl")
        if os.path.isdir(path) and (self._is_file or not _is_ours(path)):
            raise OutputError(f"{path} is a folder with other files: name one for the results alone")
        os.makedirs(self._folder, exist_ok=True)
        self._lock = open(os.path.join(self._folder, _LOCK), "w")  # noqa: SIM115  # closed by `close`
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._form = self._chosen()
            self.done = self._names()
        except BlockingIOError:
            self.close()
            raise OutputError(f"another run writes to {path}: wait for its end, or name another output") from None
        except BaseException:
            self.close()
            raise
        self._next = 1 + max((number for number, _ in self._parts()), default=-1)
        self._results: list[Result] = []
        self._bytes = 0
        self._since = time.monotonic()

    @property
    def ending(self) -> str:
        return self._form.ending

    def keep(self, result: Result) -> None:
        """Add a row; it is safe when its part is written."""
        self._results.append(result)
        self._bytes += len(result.body)
        is_old = time.monotonic() - self._since > _AGE
        if len(self._results) >= _ROWS or self._bytes >= _BYTES or is_old:
            self.flush()

    def flush(self) -> None:
        """Write what there is as a part."""
        self._since = time.monotonic()
        if not self._results:
            return
        place = os.path.join(self._folder, f"part-{self._next:06d}.{self._form.ending}")
        hidden = os.path.join(self._folder, f".{os.path.basename(place)}")
        self._form.write(hidden, self._results)
        _settle(hidden)
        os.replace(hidden, place)
        self._next += 1
        self._results, self._bytes = [], 0

    def finish(self) -> None:
        """All inputs have their rows: put a file together."""
        self.flush()
        if not self._is_file:
            return
        hidden = os.path.join(self._folder, ".whole")
        with open(hidden, "wb") as whole:
            for part in ([self.path] if os.path.exists(self.path) else []) + [path for _, path in self._parts()]:
                with open(part, "rb") as file:
                    shutil.copyfileobj(file, whole)
        _settle(hidden)
        os.replace(hidden, self.path)
        shutil.rmtree(self._folder)

    def close(self) -> None:
        """Let others write there."""
        self._lock.close()

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _chosen(self) -> _Form:
        """Parquet where pyarrow is installed; a folder keeps the form that it has."""
        there = {path.rpartition(".")[2] for _, path in self._parts()}
        if self._is_file or there == {"jsonl"}:
            return _JsonLines()
        try:
            return _Parquet()
        except ImportError:
            if there:
                raise OutputError(f"{self.path} holds Parquet files, which need pyarrow: pip install pyarrow") from None
            return _JsonLines()

    def _names(self) -> set[str]:
        """Those of all rows that are there. A part that the whole file holds already goes."""
        for name in os.listdir(self._folder):
            if _HALF.fullmatch(name):
                os.remove(os.path.join(self._folder, name))
        done = set(self._form.names(self.path)) if self._is_file and os.path.exists(self.path) else set()
        for _, path in self._parts():
            names = set(self._form.names(path))
            if self._is_file and names <= done:
                os.remove(path)
            done |= names
        return done

    def _parts(self) -> list[tuple[int, str]]:
        """Their numbers and paths, in order."""
        found = [(_PART.fullmatch(name), name) for name in os.listdir(self._folder)]
        return sorted((int(match[1]), os.path.join(self._folder, name)) for match, name in found if match)


def _is_ours(folder: str) -> bool:
    """Whether a folder is empty, or holds results: the names that a run gives."""
    names = os.listdir(folder)
    return not names or _LOCK in names or any(map(_PART.fullmatch, names))


def _settle(path: str) -> None:
    """Return when the file is on the disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
