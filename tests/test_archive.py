"""Archives: the same as torch-model-archiver's, whole or not there at all, and read back by anyone."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import shutil
import tarfile
import tempfile
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_archiver.model_archiver_config import ModelArchiverConfig
from model_archiver.model_packaging import generate_model_archive

from handlerkit import archive
from handlerkit.archive import Archive
from handlerkit.endpoints.server import Server
from handlerkit.errors import ArchiveError
from handlerkit.messages import Request
from handlerkit.model import Model
from handlerkit.unpack import open_archive, read_manifest

FORMATS = ("default", "zip-store", "tgz", "no-archive")
MANIFEST = "MAR-INF/MANIFEST.json"
NOISE = random.Random(0).randbytes(700_000)


def contents(path: Path) -> dict[str, bytes]:
    """Every file of an archive, in its order, by the standard library's own readers."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}
    if path.suffix == ".mar":
        with zipfile.ZipFile(path) as zipped:
            assert zipped.testzip() is None
            return {name: zipped.read(name) for name in zipped.namelist()}
    with tarfile.open(path) as tarred:
        assert all(info.isfile() for info in tarred)
        return {info.name: tarred.extractfile(info).read() for info in tarred}  # type: ignore[union-attr]


def without_date(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files, the manifest's second line (createdOn) blanked."""
    return {
        name: b"\n".join(body.split(b"\n")[:1] + body.split(b"\n")[2:]) if name.endswith(MANIFEST) else body
        for name, body in files.items()
    }


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with everything a model can name; it is the current one."""
    folder = tmp_path / "inputs"
    (folder / "extra" / "sub" / "deep").mkdir(parents=True)
    (folder / "extra" / "__pycache__").mkdir()
    (folder / "extra" / ".git").mkdir()
    for name in ("extra/a.txt", "extra/.dot", "extra/sub/b.txt", "extra/sub/deep/ü.txt", "extra/__pycache__/x.pyc"):
        (folder / name).write_text(name)
    (folder / "extra" / ".git" / "config").write_text("dropped")
    (folder / "handler.py").write_text("def go(data, context):\n    return data\n" * 20)
    (folder / "net.py").write_text("class Net: pass\n")
    (folder / "weights.pt").write_bytes(NOISE)
    (folder / "requirements.txt").write_text("pyyaml\n")
    (folder / "model-config.yaml").write_text("minWorkers: 1\n")
    (folder / "index_to_name.json").write_text(json.dumps({"0": "coin"}))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def model(inputs: Path) -> Model:
    return Model("coins", handler="handler.py", serialized_file="weights.pt", extra_files=["extra"])


WORDS: dict[str, dict[str, Any]] = {
    "everything": {
        "handler": "handler.py",
        "serialized_file": "weights.pt",
        "model_file": "net.py",
        "extra_files": "extra,index_to_name.json",
        "requirements_file": "requirements.txt",
        "config_file": "model-config.yaml",
        "runtime": "python3",
    },
    "function": {"handler": "handler:go", "extra_files": "extra/*.txt,extra/sub"},
    "module": {"handler": "handler", "version": ""},
    "default_handler": {"handler": "image_classifier", "serialized_file": "weights.pt"},
    "default_handler_alone": {"handler": "base_handler"},
}


@pytest.mark.parametrize("archive_format", FORMATS)
@pytest.mark.parametrize("case", WORDS)
def test_files_and_manifest_are_torch_model_archivers(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, archive_format: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    words = {"version": "1.0"} | WORDS[case]
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    generate_model_archive(
        ModelArchiverConfig(model_name="m", export_path=str(theirs), archive_format=archive_format, **words)
    )
    path = Archive(Model("m", **words), archive_format).save(ours)
    assert [file.name for file in ours.iterdir()] == [file.name for file in theirs.iterdir()] == [path.name]
    assert without_date(contents(path)) == without_date(contents(theirs / path.name))


@pytest.mark.parametrize("archive_format", ["default", "zip-store"])
def test_zip_entries_are_as_the_server_can_read_them(model: Model, tmp_path: Path, archive_format: str) -> None:
    with zipfile.ZipFile(Archive(model, archive_format).save(tmp_path / "store")) as zipped:
        entries = zipped.infolist()
    assert [entry.filename for entry in entries[-1:]] == [MANIFEST]
    assert [entry.external_attr >> 16 for entry in entries] == [0o100644] * (len(entries) - 1) + [0o600]
    assert not any(entry.flag_bits & 0x08 for entry in entries), "Java refuses stored entries with a data descriptor"


@pytest.mark.server
def test_server_loads_every_format(tmp_path: Path) -> None:
    handler = tmp_path / "handler.py"
    handler.write_text(
        "def go(data, context):\n    return data and [open('weights.pt', 'rb').read(5).decode() for row in data]\n"
    )
    (tmp_path / "weights.pt").write_bytes(b"hello" + NOISE)
    paths = [
        Archive(
            Model(f"m{place}", handler=f"{tmp_path}/handler:go", serialized_file=tmp_path / "weights.pt"),
            archive_format,
        ).save(tmp_path / "store")
        for place, archive_format in enumerate(FORMATS)
    ]
    with Server(paths) as server:
        requests = [Request(path=f"/predictions/m{place}") for place in range(len(FORMATS))]
        answers = [server.predict(request).response.text for request in requests]
    assert answers == ["hello"] * len(FORMATS)


def methods(path: Path) -> dict[str, int]:
    with zipfile.ZipFile(path) as zipped:
        return {entry.filename: entry.compress_type for entry in zipped.infolist()}


def test_default_stores_weights_and_deflates_text(model: Model, tmp_path: Path) -> None:
    found = methods(Archive(model).save(tmp_path / "store"))
    assert found["weights.pt"] == zipfile.ZIP_STORED
    assert found["handler.py"] == zipfile.ZIP_DEFLATED


def test_default_deflates_weights_that_shrink(model: Model, inputs: Path, tmp_path: Path) -> None:
    (inputs / "weights.pt").write_bytes(NOISE[:300_000] + bytes(1_000_000))
    path = Archive(model).save(tmp_path / "store")
    assert methods(path)["weights.pt"] == zipfile.ZIP_DEFLATED
    assert path.stat().st_size < 400_000


def test_default_is_not_misled_by_the_ends_of_a_file(model: Model, inputs: Path, tmp_path: Path) -> None:
    (inputs / "weights.pt").write_bytes(bytes(65_536) + NOISE * 2 + bytes(65_536))
    assert methods(Archive(model).save(tmp_path / "store"))["weights.pt"] == zipfile.ZIP_STORED


def test_zip_store_stores_all(model: Model, tmp_path: Path) -> None:
    assert set(methods(Archive(model, "zip-store").save(tmp_path / "store")).values()) == {zipfile.ZIP_STORED}


@pytest.mark.parametrize("archive_format", FORMATS)
def test_same_inputs_give_the_same_files_in_the_same_order(model: Model, tmp_path: Path, archive_format: str) -> None:
    first = contents(Archive(model, archive_format).save(tmp_path / "one"))
    second = contents(Archive(model, archive_format).save(tmp_path / "two"))
    assert list(first) == list(second)
    assert without_date(first) == without_date(second)


@pytest.mark.parametrize("archive_format", ["default", "tgz"])
def test_same_inputs_at_the_same_moment_give_the_same_bytes(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive_format: str
) -> None:
    monkeypatch.setattr(archive.time, "time", lambda: 1.7e9)
    monkeypatch.setattr(Model, "manifest", lambda _: {"createdOn": "then"})
    one, two = (Archive(model, archive_format).save(tmp_path / folder) for folder in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_entries_carry_the_files_times(model: Model, inputs: Path, tmp_path: Path) -> None:
    os.utime(inputs / "handler.py", (0, 0))  # before the year in which a zip's time begins
    with zipfile.ZipFile(Archive(model).save(tmp_path / "store")) as zipped:
        assert zipped.getinfo("handler.py").date_time == (1980, 1, 1, 0, 0, 0)
    with tarfile.open(Archive(model, "tgz").save(tmp_path / "store")) as tarred:
        assert tarred.getmember("coins/handler.py").mtime == 0


def test_entries_larger_than_a_zip32_get_a_zip64_header(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 500_000)
    path = Archive(model).save(tmp_path / "store")
    assert contents(path)["weights.pt"] == NOISE
    with zipfile.ZipFile(path) as zipped:
        start = zipped.getinfo("weights.pt").header_offset
        sizes = [zipped.getinfo(name).extract_version for name in ("weights.pt", "handler.py")]
    assert sizes == [zipfile.ZIP64_VERSION, zipfile.DEFAULT_VERSION]
    header = path.read_bytes()[start : start + 30]
    assert header[14:18] == zipfile.zlib.crc32(NOISE).to_bytes(4, "little")  # type: ignore[attr-defined]
    assert header[18:26] == b"\xff" * 8, "the sizes are in the ZIP64 field"
    with open_archive(path) as reader:
        assert reader.open("weights.pt").read() == NOISE


@pytest.mark.parametrize("archive_format", FORMATS)
def test_missing_folders_are_created(model: Model, tmp_path: Path, archive_format: str) -> None:
    path = Archive(model, archive_format).save(tmp_path / "new" / "store")
    assert path.parent == tmp_path / "new" / "store"
    assert path.exists()


@pytest.mark.parametrize("archive_format", FORMATS)
def test_existing_archive_is_kept_without_force(model: Model, tmp_path: Path, archive_format: str) -> None:
    path = Archive(model, archive_format).save(tmp_path)
    before = contents(path)
    with pytest.raises(ArchiveError, match="already exists: replace it with force=True"):
        Archive(model, archive_format).save(tmp_path)
    assert contents(path) == before


@pytest.mark.parametrize("archive_format", FORMATS)
def test_force_replaces_the_archive_and_leaves_nothing_else(model: Model, tmp_path: Path, archive_format: str) -> None:
    store = tmp_path / "store"
    Archive(model, archive_format).save(store)
    other = Model("coins", "2.0", handler="handler.py")
    path = Archive(other, archive_format).save(store, force=True)
    assert read_manifest(path)["model"]["modelVersion"] == "2.0"
    assert not any(name.endswith("weights.pt") for name in contents(path))
    assert list(store.iterdir()) == [path]


def test_force_does_not_remove_a_folder_that_is_no_export(model: Model, tmp_path: Path) -> None:
    (tmp_path / "coins").mkdir()
    (tmp_path / "coins" / "thesis.txt").write_text("years")
    with pytest.raises(ArchiveError, match="coins is a folder and no exported model"):
        Archive(model, "no-archive").save(tmp_path, force=True)
    assert (tmp_path / "coins" / "thesis.txt").read_text() == "years"


def test_force_does_not_remove_the_models_own_files(model: Model, tmp_path: Path) -> None:
    path = Archive(model, "no-archive").save(tmp_path)
    again = Model("coins", handler=path / "handler.py")
    with pytest.raises(ArchiveError, match="holds, one of the model's own files"):
        Archive(again, "no-archive").save(tmp_path, force=True)
    assert (path / "handler.py").is_file()


def test_force_does_not_pack_the_older_archive_into_the_new_one(model: Model, inputs: Path) -> None:
    Archive(model).save(inputs / "extra")
    with pytest.raises(ArchiveError, match=r"coins\.mar is, or holds, one of the model's own files"):
        Archive(model).save(inputs / "extra", force=True)


def test_force_does_not_remove_a_folder_for_a_file(model: Model, tmp_path: Path) -> None:
    (tmp_path / "coins.mar").mkdir()
    with pytest.raises(ArchiveError, match=r"coins\.mar is a folder"):
        Archive(model).save(tmp_path, force=True)


class Stop(BaseException):
    """In the place of Ctrl-C."""


@pytest.mark.parametrize("error", [Stop, OSError])
@pytest.mark.parametrize("archive_format", FORMATS)
def test_interrupted_export_leaves_the_old_archive_alone(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive_format: str, error: type[BaseException]
) -> None:
    store = tmp_path / "store"
    path = Archive(model, archive_format).save(store)
    before = contents(path)

    def interrupt(done: int, total: int) -> None:
        raise error

    monkeypatch.setattr(archive.time, "monotonic", iter(range(1000)).__next__)  # every block is told
    with pytest.raises((Stop, ArchiveError)):
        Archive(model, archive_format).save(store, force=True, progress=interrupt)
    assert list(store.iterdir()) == [path]
    assert contents(path) == before


@pytest.mark.parametrize("archive_format", FORMATS)
def test_disk_that_fills_up_is_one_sentence_and_leaves_nothing(
    model: Model, tmp_path: Path, archive_format: str
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))  # fails in the middle of a block, as a full disk does
    try:
        with pytest.raises(ArchiveError, match="was not written: File too large"):
            Archive(model, archive_format).save(tmp_path / "store")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "store").iterdir()) == []


def test_failed_swap_of_a_folder_puts_the_old_one_back(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    path = Archive(model, "no-archive").save(store)
    real, before = os.replace, contents(path)

    def replace(source: Path, target: Path) -> None:
        if source.name.endswith(".part"):
            raise PermissionError(errno.EACCES, "Permission denied")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(ArchiveError, match="Permission denied"):
        Archive(model, "no-archive").save(store, force=True)
    assert list(store.iterdir()) == [path]
    assert contents(path) == before


@pytest.mark.parametrize("archive_format", ["default", "zip-store", "no-archive"])
def test_space_is_checked_before_anything_is_written(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive_format: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 600_000))
    with pytest.raises(ArchiveError, match=r"needs 700\.\d KB and the disk has 600 KB free: free some space"):
        Archive(model, archive_format).save(tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.parametrize("archive_format", FORMATS)
@pytest.mark.parametrize("size", [0, 1_000_000])
def test_source_that_changes_meanwhile_is_noticed(
    model: Model, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive_format: str, size: int
) -> None:
    def change(self: archive._MemberReader, *arguments: Any) -> None:
        real(self, *arguments)
        if self._member.name == "weights.pt":
            os.truncate(inputs / "weights.pt", size)

    real = archive._MemberReader.__init__
    monkeypatch.setattr(archive._MemberReader, "__init__", change)
    with pytest.raises(ArchiveError, match=r"^weights\.pt changed while it was exported"):
        Archive(model, archive_format).save(tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []


def test_source_that_vanished_is_named(model: Model, inputs: Path, tmp_path: Path) -> None:
    (inputs / "weights.pt").unlink()
    with pytest.raises(ArchiveError, match=r"^cannot read weights\.pt: No such file"):
        Archive(model).save(tmp_path / "store")


def test_pipe_among_the_extra_files_is_refused(model: Model, inputs: Path, tmp_path: Path) -> None:
    os.mkfifo(inputs / "extra" / "pipe")
    with pytest.raises(ArchiveError, match="pipe is neither a file nor a folder"):
        Archive(model).save(tmp_path / "store")


def test_name_that_is_not_text_is_refused(model: Model, inputs: Path, tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(inputs / "extra") + b"/\xff.txt")).touch()
    with pytest.raises(ArchiveError, match="rename the file"):
        Archive(model).save(tmp_path / "store")


def test_target_folder_that_is_a_file(model: Model, inputs: Path) -> None:
    with pytest.raises(ArchiveError, match=r"coins\.mar was not written"):
        Archive(model).save(inputs / "handler.py")


def test_unknown_format_names_the_known_ones(model: Model) -> None:
    with pytest.raises(ArchiveError, match="default, zip-store, tgz, no-archive, not 'rar'"):
        Archive(model, "rar")


@pytest.mark.parametrize("archive_format", FORMATS)
def test_progress_ends_with_everything_done(model: Model, tmp_path: Path, archive_format: str) -> None:
    told: list[tuple[int, int]] = []
    Archive(model, archive_format).save(tmp_path, progress=lambda done, total: told.append((done, total)))
    total = sum(entry.source.stat().st_size for entry in model.entries())
    assert told[-1] == (total, total)


def test_progress_is_told_no_more_often_than_every_50_ms(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(step / 50 for step in range(1000))  # 20 ms from one look to the next
    monkeypatch.setattr(archive.time, "monotonic", clock.__next__)
    told: list[int] = []
    meter = archive._Meter(lambda done, total: told.append(done), 30, lambda: None)
    for _ in range(30):
        meter.add(1)
    assert told == list(range(3, 31, 3))


def test_memory_does_not_grow_with_the_weights(model: Model, inputs: Path, tmp_path: Path) -> None:
    with open(inputs / "weights.pt", "wb") as file:
        for _ in range(40):
            file.write(NOISE)
    tracemalloc.start()
    try:
        Archive(model).save(tmp_path / "store")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_nothing_is_staged_elsewhere(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    Archive(model).save(tmp_path / "store")
    assert not (tmp_path / "nowhere").exists()


@st.composite
def trees(draw: st.DrawFn) -> dict[str, bytes]:
    """Relative paths and contents; no path is another's folder."""
    letters = st.characters(codec="utf-8", exclude_characters="/\\\0", exclude_categories=("Cc", "Zl", "Zp"))
    part = st.text(letters, min_size=1, max_size=20).filter(lambda name: not name.startswith(".") and name != "MAR-INF")
    bodies = st.binary(max_size=200) | st.integers(0, len(NOISE)).map(lambda size: NOISE[:size])
    found: dict[str, bytes] = {}
    for folder in draw(st.lists(part, max_size=3, unique=True)):
        found |= {f"d-{folder}/f-{name}": draw(bodies) for name in draw(st.lists(part, max_size=3, unique=True))}
    return found | {f"f-{name}": draw(bodies) for name in draw(st.lists(part, max_size=3, unique=True))}


@pytest.mark.parametrize("archive_format", FORMATS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees())
def test_any_files_come_back_as_they_were(tmp_path: Path, archive_format: str, tree: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as here:
        extra = Path(here, "extra")
        extra.mkdir()
        for name, body in tree.items():
            (extra / name).parent.mkdir(exist_ok=True)
            (extra / name).write_bytes(body)
        path = Archive(Model("m", handler="base_handler", extra_files=[extra]), archive_format).save(here)
        prefix = "m/" if archive_format == "tgz" else ""
        read = contents(path)
        del read[prefix + MANIFEST]
        assert read == {prefix + name: body for name, body in tree.items()}
