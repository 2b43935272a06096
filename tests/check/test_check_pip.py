"""The requirements file, as pip reads it where TorchServe installs it."""

from __future__ import annotations

from importlib.metadata import metadata, version
from pathlib import Path

import pytest
from made import OFFICIAL, OWN, archive, assert_quiet, found, model

from handlerkit.messages import Finding

HANDLER = OWN.format(load="self.model = None")


def checked(
    folder: Path, text: str, files: dict[str, str | bytes] | None = None, target: str = OFFICIAL
) -> dict[str, Finding]:
    made = model(folder, {"r.txt": text, **(files or {})}, HANDLER, requirements_file="r.txt")
    return found(made, target)


@pytest.mark.parametrize(
    ("line", "told", "change"),
    [
        ("pip install numpy", "is no requirement", "without the command"),
        ("conda install numpy", "is no requirement", "without the command"),
        ("tqdm=4.66", "is no requirement", "tqdm==4.66"),
        ("tqdm=4.66=py39_0", "is no requirement", "tqdm==4.66"),
        ("tqdm, requests", "is no requirement", "one distribution a line"),
        ("tqdm requests", "is no requirement", "one distribution a line"),
        ("tqdm>>4", "is no requirement", "name==version"),
        ("tqdm 4.66", "is no requirement", "one distribution a line"),
        ("--extra-index https://x", "is no option", "--extra-index-url"),
        ("-r more.txt", "is not in the archive", "more.txt"),
        ("--constraint=limits.txt", "is not in the archive", "limits.txt"),
    ],
)
def test_what_pip_does_not_read(tmp_path: Path, line: str, told: str, change: str) -> None:
    one = checked(tmp_path, f"# what it needs\n{line}\n")["requirement"]
    assert told in one.message
    assert change in one.fix
    assert (one.where, one.severity) == ("r.txt, line 2", "error")


@pytest.mark.parametrize(
    "line",
    [
        "numpy @ file:///croot/numpy_1/work",
        "/home/me/wheels/tool-1.0-py3-none-any.whl",
        "file:///home/me/tool",
        "-e /home/me/tool",
        "C:\\tools\\tool-1.0-py3-none-any.whl",
        "~/tool",
    ],
)
def test_what_lies_on_one_machine(tmp_path: Path, line: str) -> None:
    assert "on one machine" in checked(tmp_path, line)["local_requirement"].message


@pytest.mark.parametrize(
    "line", ["./tool-1.0-py3-none-any.whl", "tool-1.0-py3-none-any.whl", "-e .", "tool @ file:tool.whl"]
)
def test_what_pip_looks_for_where_the_server_was_started(tmp_path: Path, line: str) -> None:
    one = checked(tmp_path, line, {"tool-1.0-py3-none-any.whl": b""})["local_requirement"]
    assert "where the server was started" in one.message
    assert "--find-links ." in one.fix


@pytest.mark.parametrize(("name", "right"), [("sklearn", "scikit-learn"), ("PIL", "pillow"), ("cv2", "opencv-python")])
def test_names_of_modules(tmp_path: Path, name: str, right: str) -> None:
    assert right in checked(tmp_path, f"{name}\n")["requirement_name"].fix


def test_another_version_than_the_targets(tmp_path: Path) -> None:
    one = checked(tmp_path, "numpy>=2,<2.1\n")["requirement_pin"]
    assert "1.24.3" in one.message
    assert "in the target's place" in one.effect
    assert one.severity == "warning"


def test_pins_that_contradict_each_other(tmp_path: Path) -> None:
    assert "r.txt, line 1" in checked(tmp_path, "tqdm==4.66.0\ntqdm==4.65.0\n")["requirement_conflict"].message


def test_a_version_that_the_targets_python_cannot_have(tmp_path: Path) -> None:
    one = checked(tmp_path, f"matplotlib=={version('matplotlib')}\n")["requirement_python"]
    assert "3.9" in one.message


def test_files_that_are_included_count(tmp_path: Path) -> None:
    said = {"modelName": "it", "handler": "handler.py", "requirementsFile": "r.txt"}
    files = {"handler.py": HANDLER, "r.txt": "-r more/all.txt\n", "more/all.txt": "-r rest.txt\n"}
    path = archive(tmp_path / "it.mar", said, {**files, "more/rest.txt": "sklearn\n"})
    assert found(path, OFFICIAL)["requirement_name"].where == "more/rest.txt, line 1"


HONEST = """
# what the handler needs; it is not much
--index-url https://pypi.org/simple
--extra-index-url=https://download.pytorch.org/whl/cpu
--find-links .
--no-binary :none:
-c limits.txt
tqdm[notebook]>=4.60,<5 ; python_version < "3.12"  # shows how far it is
requests == 2.32.0 \\
    --hash=sha256:58cd2187c01e70e6e26505bca751777aa9f2ee0b7f4300988b709f44e013003f
regex==2024.5.15
other @ https://example.org/other-1.0-py3-none-any.whl
numpy==1.24.3
sklearn==0.0 ; python_version >= "3.12"
"""


def test_what_pip_reads_gets_no_word(tmp_path: Path) -> None:
    files = {"r.txt": HONEST, "limits.txt": "tqdm<4.70\n", "wheel-1.0-py3-none-any.whl": b""}
    assert_quiet(model(tmp_path, files, HANDLER, requirements_file="r.txt"), OFFICIAL)


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbftqdm\r\n", "tqdm==4.66.0\r\n".encode("utf-16"), b"\n\n#\n"])
def test_encodings_and_empty_files(tmp_path: Path, content: bytes) -> None:
    assert_quiet(model(tmp_path, {"r.txt": content}, HANDLER, requirements_file="r.txt"), OFFICIAL)


@pytest.mark.parametrize(
    "line",
    [
        "https://x.org/torch-2.4.0%2Bcpu-cp311-cp311-linux_x86_64.whl",
        "tool @ https://x.org/tool-1.0-cp39-cp39-macosx_11_0_arm64.whl",
        "https://x.org/tool-1.0-cp312-abi3-manylinux2014_x86_64.whl",
    ],
)
def test_a_wheel_for_another_python_or_system(tmp_path: Path, line: str) -> None:
    assert checked(tmp_path, line)["requirement_wheel"].severity == "error"


@pytest.mark.parametrize(
    "wheel",
    ["tool-1.0-py3-none-any.whl", "tool-1.0-py2.py3-none-any.whl", "tool-1.0-cp39-cp39-manylinux_2_17_x86_64.whl",
     "tool-1.0-cp37-abi3-linux_x86_64.whl", "tool-1.0-py38-none-any.whl"],
)  # fmt: skip
def test_a_wheel_for_the_target(tmp_path: Path, wheel: str) -> None:
    assert checked(tmp_path, f"https://x.org/{wheel}") == {}


def test_a_build_that_no_index_has(tmp_path: Path) -> None:
    one = checked(tmp_path, "torchaudio==2.4.0+cu121\n")["requirement"]
    assert "torchaudio==2.4.0+cu121 is a build that PyPI does not have" in one.message
    assert one.fix.startswith("Write torchaudio==2.4.0, or a line --extra-index-url")


def test_a_build_of_another_index(tmp_path: Path) -> None:
    text = "--extra-index-url https://x.org/cu121\ntqdm==4.66.1+cu121\n"
    assert checked(tmp_path, text) == {}


@pytest.mark.parametrize(
    "line", ["clip @ git+https://x.org/clip.git", "git+https://x.org/clip.git", "-e git+https://x/y"]
)
def test_what_git_fetches(tmp_path: Path, line: str) -> None:
    one = checked(tmp_path, f"{line}\n")["requirement_git"]
    assert one.severity == "warning"
    assert one.message.startswith("pip needs git to fetch")


def test_a_module_whose_version_here_the_targets_python_cannot_have(tmp_path: Path) -> None:
    one = found(model(tmp_path, {}, f"import scipy\n{HANDLER}"), OFFICIAL)["missing_module"]
    wanted = metadata("scipy")["Requires-Python"]
    assert one.message.endswith(f"here it comes with scipy {version('scipy')}, which is for Python {wanted}.")
    assert one.fix == "Add scipy, in a version that runs on Python 3.9, to requirements.txt (--requirements-file)."


def test_a_line_that_does_not_count_there(tmp_path: Path) -> None:
    made = model(tmp_path, {"r.txt": 'pytest; python_version >= "3.10"\n'}, f"import pytest\n{HANDLER}",
                 requirements_file="r.txt")  # fmt: skip
    one = found(made, OFFICIAL)["missing_module"]
    assert one.message.startswith('The requirements name pytest only where python_version >= "3.10", which does not')


def test_a_requirements_file_that_is_an_extra_file(tmp_path: Path) -> None:
    one = found(model(tmp_path, {"requirements.txt": "pytest\n"}, f"import pytest\n{HANDLER}"))["missing_module"]
    assert one.fix.startswith("Give requirements.txt as the requirements file (--requirements-file)")
