from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest

from handlerkit import Archive, Model, Request, Worker, unpack
from handlerkit.archive import SUFFIXES
from handlerkit.errors import ArchiveError, LoadError, ModelError
from handlerkit.unpack import ArchiveReader, Unpacked, open_archive, read_manifest

MANIFEST = "MAR-INF/MANIFEST.json"
FORMATS = tuple(SUFFIXES)


@pytest.fixture
def model(tmp_path: Path, handlers: Path) -> Model:
    """A model with an entry point by name, a configuration and a folder in its root."""
    extra = tmp_path / "extra"
    (extra / "words").mkdir(parents=True)
    (extra / "words" / "en.txt").write_text("yes")
    config = tmp_path / "model-config.yaml"
    config.write_text("batchSize: 3\n")
    return Model("letters", "2.1", handler=handlers / "mirror.py", extra_files=extra, config_file=config)


@pytest.mark.parametrize("archive_format", FORMATS)
def test_unpacked_model_is_the_archived_one(model: Model, tmp_path: Path, archive_format: str) -> None:
    found = unpack(Archive(model, archive_format).save(tmp_path / "store"), tmp_path / "new")
    assert found.manifest() | {"createdOn": 0} == model.manifest() | {"createdOn": 0}
    assert [(entry.name, entry.source.read_bytes()) for entry in found.entries()] == [
        (entry.name, entry.source.read_bytes()) for entry in model.entries()
    ]


def test_unpacked_model_is_served(model: Model, tmp_path: Path) -> None:
    found = unpack(Archive(model).save(tmp_path / "store"), tmp_path / "new")
    request = Request.json({"a": 1})
    with Worker(found) as worker, Worker(model) as origin:
        assert worker.batch_size == 3
        assert worker.predict(request).response.body == origin.predict(request).response.body


def test_entry_point_by_name(tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text("def begin(data, context):\n    return data and ['begun']\n")
    model = Model("two", handler=f"{tmp_path / 'two.py'}:begin")
    found = unpack(Archive(model).save(tmp_path / "store"), tmp_path / "new")
    with Worker(found) as worker:
        assert worker.predict(Request.json(1)).response.text == "begun"


def test_default_handler(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(b"weights")
    model = Model("net", handler="image_classifier", serialized_file=tmp_path / "net.pt")
    found = unpack(Archive(model).save(tmp_path / "store"), tmp_path / "new")
    assert (found.handler, found.handler_file) == ("image_classifier", None)


def test_folder_in_use_is_left_alone(model: Model, tmp_path: Path) -> None:
    archive = Archive(model).save(tmp_path / "store")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine.txt").write_text("mine")
    with pytest.raises(ArchiveError, match=r"is not empty: unpack letters\.mar into a new folder"):
        unpack(archive, tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mine.txt"]


def test_file_that_only_the_manifest_has(tmp_path: Path) -> None:
    path = tmp_path / "m.mar"
    path.write_bytes(zipped(MANIFEST, b'{"model": {"modelName": "m", "handler": "h.py", "serializedFile": "w.pt"}}'))
    with pytest.raises(ModelError, match=r"h\.py"):
        unpack(path, tmp_path / "new")


def test_nothing_is_written_outside_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "store" / "m.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as made:
        for name, body in (("m/" + MANIFEST, b"{}"), ("m/../../outside.txt", b"!")):
            info = tarfile.TarInfo(name)
            info.size = len(body)
            made.addfile(info, io.BytesIO(body))
    with pytest.raises(ArchiveError, match=r"m\.tar\.gz does not unpack"):
        unpack(path, tmp_path / "new")
    assert not (tmp_path / "outside.txt").exists()


@pytest.mark.parametrize("archive_format", FORMATS)
def test_read_manifest_of_every_format(model: Model, tmp_path: Path, archive_format: str) -> None:
    manifest = read_manifest(Archive(model, archive_format).save(tmp_path))
    assert manifest == model.manifest() | {"createdOn": manifest["createdOn"]}


def zipped(name: str, body: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(name, body)
    return buffer.getvalue()


def tarred(info: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        made.addfile(info)
    return buffer.getvalue()


def link() -> tarfile.TarInfo:
    info = tarfile.TarInfo("m/" + MANIFEST)
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", ""),
        (b"no archive at all", ""),
        (zipped(MANIFEST, b"{}")[:60], ""),
        (zipped("other.txt", b""), "holds no MAR-INF"),
        (zipped(MANIFEST, b"{"), "Expecting"),
        (zipped(MANIFEST, b"[]"), "no JSON object"),
        (zipped(MANIFEST, b"\xff\xfe\xfd"), "decode"),
        (zipped(MANIFEST, b"[" * 500_000), ""),
        (zipped(MANIFEST, b" " * 2_000_000 + b"{}"), "longer than 1 MiB"),
        (tarred(tarfile.TarInfo("m/other.txt")), "holds no MAR-INF"),
        (tarred(tarfile.TarInfo("m/" + MANIFEST))[:-20], ""),
    ],
    ids=(
        "empty", "text", "cut-zip", "zip-without-manifest", "cut-json", "list", "no-utf-8", "deep-json", "long-json",
        "tar-without-manifest", "cut-tar",
    ),  # an archive's own bytes hold the time
)  # fmt: skip
def test_read_manifest_of_what_is_no_archive(tmp_path: Path, body: bytes, reason: str) -> None:
    path = tmp_path / "x.mar"
    path.write_bytes(body)
    with pytest.raises(ArchiveError, match=rf"^x\.mar is not a model archive: .*{reason}"):
        read_manifest(path)


def test_read_manifest_of_a_plain_folder(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="is not a model archive: it holds no MAR-INF"):
        read_manifest(tmp_path)


def test_read_manifest_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"no archive '.*x\.mar'"):
        read_manifest(tmp_path / "x.mar")


def folders_left(here: Path) -> list[Path]:
    return list(here.glob("handlerkit-*"))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


@pytest.mark.parametrize("archive_format", FORMATS)
def test_worker_of_an_archive(model: Model, tmp_path: Path, temporary: Path, archive_format: str) -> None:
    path = Archive(model, archive_format).save(tmp_path / "store")
    request = Request.json({"a": 1})
    with Worker(path) as worker, Worker(model) as origin:
        assert worker.batch_size == 3
        assert worker.predict(request).response.body == origin.predict(request).response.body
        assert worker.model.handler_file is not None
        assert worker.model.handler_file.is_relative_to(temporary)
    assert folders_left(temporary) == []


def test_closed_worker_of_an_archive_unpacks_it_again(tmp_path: Path, temporary: Path) -> None:
    (tmp_path / "h.py").write_text("def handle(data, context):\n    return data and ['here']\n")
    (tmp_path / "index_to_name.json").write_text('{"0": "coin"}')
    model = Model("m", handler=tmp_path / "h.py", extra_files=tmp_path / "index_to_name.json")
    worker = Worker(Archive(model).save(tmp_path / "store"))
    worker.close()
    assert folders_left(temporary) == []
    run = worker.predict(Request.json(1))
    assert (run.response.text, run.labels) == ("here", {"0": "coin"})
    worker.close()
    assert folders_left(temporary) == []


def test_worker_of_an_archive_that_does_not_load_leaves_nothing(tmp_path: Path, temporary: Path) -> None:
    (tmp_path / "h.py").write_text("raise ValueError('no')\n")
    path = Archive(Model("m", handler=tmp_path / "h.py")).save(tmp_path / "store")
    with pytest.raises(LoadError):
        Worker(path)
    assert folders_left(temporary) == []


def test_unpacked_archive_goes_with_the_process(model: Model, tmp_path: Path, temporary: Path) -> None:
    path = Archive(model).save(tmp_path / "store")
    script = f"import tempfile; tempfile.tempdir = {str(temporary)!r}; from handlerkit.unpack import Unpacked; "
    subprocess.run([sys.executable, "-c", f"{script}kept = Unpacked({str(path)!r}); print(kept.model)"], check=True)
    assert folders_left(temporary) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_unpacking_that_breaks_off_leaves_nothing(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def extract(self: ArchiveReader, name: str, path: Path) -> None:
        real(self, name, path)
        if name == "mirror.py":
            raise error

    real = ArchiveReader.extract
    monkeypatch.setattr(ArchiveReader, "extract", extract)
    archive = Archive(model).save(tmp_path / "store")
    with pytest.raises((KeyboardInterrupt, ArchiveError), match=r"^$|^letters\.mar was not unpacked: No space left"):
        unpack(archive, tmp_path / "new" / "deep" / "folder")
    assert not (tmp_path / "new").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises((KeyboardInterrupt, ArchiveError)):
        unpack(archive, tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []


def test_space_is_checked_before_anything_is_unpacked(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(model).save(tmp_path / "store")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10))
    with pytest.raises(ArchiveError, match=r"and the disk has 10 B free: free some space, or unpack elsewhere"):
        unpack(archive, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_folder_that_is_a_file(model: Model, tmp_path: Path) -> None:
    archive = Archive(model).save(tmp_path / "store")
    (tmp_path / "new").touch()
    with pytest.raises(ArchiveError, match=r"new' is a file: unpack letters\.mar into a new folder"):
        unpack(archive, tmp_path / "new")


@pytest.mark.parametrize("archive_format", FORMATS)
def test_files_are_read_without_unpacking(model: Model, tmp_path: Path, archive_format: str) -> None:
    with open_archive(Archive(model, archive_format).save(tmp_path / "store")) as archive, open_archive(model) as own:
        assert archive.sizes == own.sizes
        for name, size in archive.sizes.items():
            with archive.open(name) as file, own.open(name) as expected:
                assert file.read(3) + file.read() == expected.read()
                assert file.seek(-2, 2) == size - 2
                expected.seek(size - 2)
                assert file.read() == expected.read()
                assert file.seek(1) == 1
                assert file.tell() == 1
        with pytest.raises(KeyError):
            archive.open(MANIFEST)


def test_zip_within_an_archive_is_read_in_place(tmp_path: Path) -> None:
    inner, chance = tmp_path / "net.pt", random.Random(0)
    with zipfile.ZipFile(inner, "w") as made:
        made.writestr("net/data.pkl", b"pickled")
        made.writestr("net/data/0", chance.randbytes(400_000))
    model = Model("m", handler="base_handler", serialized_file=inner)
    with (
        open_archive(Archive(model).save(tmp_path / "store")) as archive,
        archive.open("net.pt") as file,
        zipfile.ZipFile(file) as zipped,
    ):
        assert zipped.read("net/data.pkl") == b"pickled"
        assert zipped.testzip() is None


def test_pipe_among_a_model_s_files(model: Model, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "extra" / "pipe")
    with pytest.raises(ModelError, match=r"^extra_files '.*/pipe' is no file$"):
        open_archive(model)


@pytest.mark.parametrize("given", [".", "..", "../here", "inside/.."])
def test_folder_by_another_word_is_told_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    (tmp_path / "here" / "inside").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    name = tmp_path.name if given == ".." else "here"
    for read in (open_archive, read_manifest, Unpacked):
        with pytest.raises(ArchiveError, match=rf"^{name} is not a model archive: it holds no MAR-INF"):
            read(given)


def test_root_is_told_by_its_name() -> None:
    with pytest.raises(ArchiveError, match=r"^/ (is not a model archive|does not unpack): "):
        read_manifest("/")


@pytest.mark.parametrize(
    ("there", "given", "says"),
    [
        ("mh05.mar", "mh05", "no archive 'mh05'; did you mean mh05.mar?"),
        ("m.tar.gz", "store/../m.mar", "no archive 'store/../m.mar'; did you mean store/../m.tar.gz?"),
        ("other.mar", "mh05", "no archive 'mh05'; looked from here/"),
        (".mar", "..mar", "no archive '..mar'; looked from here/"),
    ],
)
def test_archive_beside_a_name_without_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str, given: str, says: str
) -> None:
    (tmp_path / "here" / "store").mkdir(parents=True)
    (tmp_path / "here" / there).touch()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ArchiveError) as caught:
        open_archive(given)
    assert str(caught.value) == says
