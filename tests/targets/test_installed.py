"""Targets that uv installs, from a folder with one small wheel: nothing is fetched from anywhere."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from target_cases import python
from waiting import soon

from handlerkit.errors import TargetError
from handlerkit.targets import Target, cached, find, official, remove
from handlerkit.targets.uv import Uv

HERE = sys.version_info[:2]
BUILD = "import sys; from handlerkit.targets import find; print('building', flush=True); find(sys.argv[1]).build()"


@pytest.fixture
def target(tmp_path: Path, wheels: Path) -> Callable[..., Target]:
    """The target of a requirements file that finds what it names in `wheels` alone."""

    def write(*lines: str, python: str = "", name: str = "image.txt") -> Target:
        head = [f"# Python {python}"] if python else []
        text = "\n".join([*head, "--no-index", f"--find-links {wheels}", *lines])
        (tmp_path / name).write_text(text + "\n")
        return find(tmp_path / name)

    return write


@pytest.fixture
def silent_index() -> Iterator[str]:
    """The address of a package index that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple"


def test_environment_holds_what_the_file_names(target: Callable[..., Target]) -> None:
    environment = target("tiny==1.0").build()
    assert environment.packages["tiny"] == "1.0"
    assert environment.modules()["tiny"] == "tiny"
    assert python(environment, "import tiny, sys; print(tiny.NAME, sys.prefix)") == f"tiny {environment.folder}"


def test_packages_of_this_environment_are_not_there(target: Callable[..., Target]) -> None:
    assert "No module named 'torch'" in python(target("tiny").build(), "import torch")


def test_second_time_it_is_there(target: Callable[..., Target], monkeypatch: pytest.MonkeyPatch) -> None:
    first = target("tiny")
    assert first.built() is None
    environment = first.build()
    monkeypatch.setattr(Uv, "find", lambda *_: pytest.fail("uv is asked again"))
    assert target("tiny").build() == environment == target("tiny").built()


def test_progress_says_what_is_going_on(target: Callable[..., Target]) -> None:
    said: list[str] = []
    target("tiny").build(progress=said.append)
    assert said == ["resolving", "installing"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Downloading torch (760.3MiB)", ["downloading torch"]),
        ("Downloading nvidia-cudnn-cu12 (1.2GiB)", ["downloading nvidia-cudnn-cu12"]),
        ("Downloading numpy (16.5MiB)", []),
        (" Downloaded torch", []),
    ],
)
def test_downloads_that_take_a_while_are_named(line: str, said: list[str]) -> None:
    heard: list[str] = []
    Uv("uv", "image.txt", heard.append)._tell(line)
    assert heard == said


def test_environment_of_another_python_is_that_python(target: Callable[..., Target]) -> None:
    others = {one.python for one in Uv.find("image.txt").interpreters()} - {HERE}
    wanted = max((other for other in others if other >= (3, 8)), default=None)
    if wanted is None:
        pytest.skip("no other Python is installed here: with one, this test builds an environment of it")
    environment = target("tiny", python=".".join(map(str, wanted))).build()
    assert python(environment, "import sys, tiny; print(sys.version_info[:2])") == str(wanted)
    assert environment.stands_in == ""


def test_python_that_is_not_to_be_had_has_a_stand_in(
    target: Callable[..., Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    asked = target("tiny", python="3.99")
    environment = asked.build()
    assert environment.stands_in.endswith("stands in for Python 3.99, which is not installed here")
    assert environment.python_version in environment.stands_in
    assert python(environment, "import tiny; print(tiny.NAME)") == "tiny"
    assert asked.built() == asked.build() == environment


def test_pin_without_a_wheel_for_the_stand_in_is_told(
    target: Callable[..., Target], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    with tarfile.open(tmp_path / "wheels" / "sourced-1.0.tar.gz", "w:gz") as archive:
        told = b"Metadata-Version: 2.1\nName: sourced\nVersion: 1.0\n"
        for name, text in (("sourced-1.0/PKG-INFO", told), ("sourced-1.0/pyproject.toml", b"")):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
    with pytest.raises(TargetError, match=r"sourced.* stands in for Python 3\.99, .*: install that one\.$"):
        target("sourced==1.0", python="3.99").build()


@pytest.mark.parametrize("name", ["a.new-b.txt", "declared-x.txt", "ä.txt", "x" * 200 + ".txt"])
def test_any_name_of_a_file_is_one_of_an_environment(target: Callable[..., Target], name: str) -> None:
    environment = target("tiny", name=name).build()
    assert [one.name for one in cached()] == [name]
    assert target("tiny", name=name).build() == environment
    assert remove(name) == (name,)


def test_stand_in_goes_when_the_real_one_is_there(
    target: Callable[..., Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Uv.interpreters
    asked = target("tiny", python=".".join(map(str, HERE)))
    others = [one for one in real(Uv.find("image.txt")) if one.python != HERE and one.python >= (3, 8)]
    if not others:
        pytest.skip("no other Python is installed here, which could stand in")
    with monkeypatch.context() as patched:
        patched.setattr(Uv, "interpreters", lambda _: others)
        patched.setattr(Uv, "download_python", lambda *_: None)
        assert asked.build().stands_in
    assert asked.build().stands_in == ""
    assert asked.built() == asked.build()


def test_local_version_is_taken_from_the_registry_without_it(target: Callable[..., Target]) -> None:
    freeze = target("tiny==1.0")
    wanted = find(_without_index(freeze, "tiny==1.0+cpu"))
    assert wanted.pins == {"tiny": "1.0+cpu"}
    assert "tiny==1.0\n" in wanted._wanted.text  # type: ignore[attr-defined]


def test_local_version_is_kept_where_the_file_names_its_index(target: Callable[..., Target]) -> None:
    with pytest.raises(TargetError, match=r"tiny==1\.0\+cpu"):
        target("tiny==1.0+cpu").build()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("tiny==2.0", r"the environment of image.txt cannot be made: .*tiny==2\.0"),
        ("nobody-has-this", r"nobody-has-this"),
        ("tiny @ file:///nowhere/tiny-1.0-py3-none-any.whl", r"file:///nowhere/tiny-1.0-py3-none-any.whl"),
    ],
)
def test_what_is_not_to_be_had_is_one_sentence(
    target: Callable[..., Target], cache: Path, line: str, told: str
) -> None:
    with pytest.raises(TargetError, match=told) as raised:
        target(line).build()
    assert "\n" not in str(raised.value)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("network", ["refused", "off"])
def test_without_a_network_it_is_told_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    if network == "off":
        monkeypatch.setenv("UV_OFFLINE", "1")
    (tmp_path / "image.txt").write_text("tiny==1.0\n")
    with pytest.raises(TargetError, match=r"registry is not reached, and uv's cache lacks tiny; go online once"):
        find(tmp_path / "image.txt").build()


def test_without_uv_it_is_told_how_to_get_it(target: Callable[..., Target], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(TargetError, match=r"image.txt is made by uv, which is not installed: pip install uv"):
        target("tiny").build()


def test_uv_on_the_path_serves_too(target: Callable[..., Target], monkeypatch: pytest.MonkeyPatch) -> None:
    from uv import find_uv_bin

    monkeypatch.setenv("PATH", f"{os.path.dirname(find_uv_bin())}:{os.environ['PATH']}")
    monkeypatch.setitem(sys.modules, "uv", None)
    assert target("tiny").build().packages["tiny"] == "1.0"


def test_python_of_the_caller_does_not_show(
    target: Callable[..., Target], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "active"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    monkeypatch.setenv("UV_PYTHON", "3.8")
    environment = target("tiny").build()
    assert environment.python_version.startswith(".".join(map(str, HERE)))


def test_project_in_the_working_folder_does_not_count(
    target: Callable[..., Target], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uv.toml").write_text("this is no toml")
    (tmp_path / "pyproject.toml").write_text("[project]\nname='x'\nversion='1'\nrequires-python='<3.2'\n")
    (tmp_path / ".python-version").write_text("3.2")
    monkeypatch.chdir(tmp_path)
    assert target("tiny").build().packages["tiny"] == "1.0"


def test_interrupted_build_leaves_nothing(tmp_path: Path, cache: Path, silent_index: str) -> None:
    process = _building(tmp_path, silent_index)
    (uv,) = _uv_of(process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in said
    assert not uv.is_running() or uv.status() == psutil.STATUS_ZOMBIE
    assert list(cache.iterdir()) == []


def test_killed_build_does_not_hinder_the_next(
    tmp_path: Path, cache: Path, silent_index: str, target: Callable[..., Target]
) -> None:
    process = _building(tmp_path, silent_index)
    orphans = _uv_of(process)
    process.kill()
    process.communicate()
    try:
        environment = target("tiny", name="stuck.txt").build()
        assert python(environment, "import tiny; print(tiny.NAME)") == "tiny"
        assert [path for path in cache.iterdir() if ".new-" in path.name] == []
    finally:
        for orphan in orphans:
            orphan.kill()


def test_two_builds_at_once_end_with_one(target: Callable[..., Target], tmp_path: Path, cache: Path) -> None:
    target("tiny")
    command = [sys.executable, "-c", BUILD, str(tmp_path / "image.txt")]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1
    assert python(target("tiny").build(), "import tiny; print(tiny.NAME)") == "tiny"


def test_lock_file_is_installed_from(tmp_path: Path, wheels: Path) -> None:
    wheel = next(wheels.iterdir())
    (tmp_path / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "a test"\n[[packages]]\nname = "tiny"\nversion = "1.0"\n'
        f'wheels = [{{ name = "{wheel.name}", path = "{wheel}", hashes = {{ sha256 = "{_sha256(wheel)}" }} }}]\n'
    )
    assert find(tmp_path / "pylock.toml").build().packages["tiny"] == "1.0"


@pytest.mark.target
def test_official_image_is_what_its_pins_say() -> None:
    environment = find("torchserve-0.12.0-cpu").build()
    pinned = {name: version for name, version in official.PINS.items() if version}
    assert {name: environment.packages[name] for name in pinned} == pinned
    assert environment.python_version.startswith("3.9.") or environment.stands_in
    program = "import torch, torchvision, numpy, ts; print(torch.__version__.split('+')[0], numpy.__version__)"
    assert python(environment, program) == "2.4.0 1.24.3"


def _without_index(target: Target, line: str) -> Path:
    folder = Path(os.environ["HANDLERKIT_CACHE"]).parent
    (folder / "freeze.txt").write_text(f"{line}\n")
    return folder / "freeze.txt"


def _building(folder: Path, index: str) -> subprocess.Popen[str]:
    """A process in which uv waits for an index."""
    (folder / "stuck.txt").write_text("tiny==1.0\n")
    environment = os.environ | {"UV_DEFAULT_INDEX": index, "UV_CACHE_DIR": str(folder / "uv")}
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD, str(folder / "stuck.txt")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    soon(lambda: any(map(_is_installing, _uv_of(process))))
    return process


def _uv_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [one for one in psutil.Process(process.pid).children(recursive=True) if _is_uv(one)]


def _is_uv(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):  # those that only ask for a version end meanwhile
        return process.name() == "uv" and process.status() != psutil.STATUS_ZOMBIE
    return False


def _is_installing(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return "pip" in process.cmdline()
    return False


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()
