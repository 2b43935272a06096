"""README's code, run as it is printed: in an empty folder, with the wheel alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.server  # the notebook proves what it exports

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
RUN_NOTEBOOK = """
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read("readme.ipynb", 4)
NotebookClient(notebook, timeout=120, kernel_name="newcomer").execute()
nbformat.write(notebook, "readme.ipynb")
"""


def blocks(language: str) -> list[str]:
    """The code of the README in this language, below the commands of a checkout."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README[README.index("## Five minutes") :], re.M | re.S)


SCRIPTS = [block for block in blocks("python") if re.search("^import handlerkit", block, re.M)]
CELLS = [block for block in blocks("python") if block not in SCRIPTS]
SCRIPT, TEST = SCRIPTS
COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]


class Newcomer:
    """An empty folder beside an environment that has the wheel, and of everything else what is installed here."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        self._bin = folder / "venv" / "bin"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
            "PATH": f"{self._bin}{os.pathsep}{os.environ['PATH']}",
            "HANDLERKIT_CACHE": str(folder / "cache"),
        }
        venv.create(folder / "venv")
        (site,) = (folder / "venv").glob("lib/python*/site-packages")
        # as a path of this file, that folder is searched, and its own .pth files are not read: the checkout is in one
        (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
        self.run(sys.executable, "-m", "pip", "--python", str(self._bin / "python"), "install", "--no-deps", str(wheel))

    def run(self, *command: str) -> str:
        """What the command prints; it has to succeed."""
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=170, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def python(self, *arguments: str) -> str:
        return self.run(str(self._bin / "python"), *arguments)


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Newcomer:
    return Newcomer(tmp_path_factory.mktemp("readme"), wheel)


@pytest.fixture(scope="module")
def displays(newcomer: Newcomer) -> str:
    """What the cells show, as text: the notebook is run once, and leaves its files to the tests."""
    file = newcomer.folder / "readme.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in CELLS]), file)
    newcomer.python("-m", "ipykernel", "install", "--sys-prefix", "--name", "newcomer")
    newcomer.python("-c", RUN_NOTEBOOK)
    outputs = [output for cell in nbformat.read(file, 4).cells for output in cell.outputs]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    return "\n".join(output.data["text/plain"] for output in outputs if "data" in output)


def test_the_wheel_is_what_answers(newcomer: Newcomer) -> None:
    assert str(newcomer.folder.parent) in newcomer.python("-c", "import handlerkit; print(handlerkit.__file__)")


def test_the_cells(displays: str) -> None:
    assert "class map 384x216\n0 · background in index_to_name.json " in displays
    assert "model_store/coins.mar" in displays
    assert ": 1 identical" in displays


@pytest.mark.usefixtures("displays")
def test_the_script(newcomer: Newcomer) -> None:
    newcomer.python("-c", SCRIPT)


@pytest.mark.usefixtures("displays")
def test_the_unit_test(newcomer: Newcomer) -> None:
    (newcomer.folder / "test_segmenter.py").write_text(TEST)
    assert "1 passed" in newcomer.python("-m", "pytest", "-q", "test_segmenter.py")


@pytest.mark.usefixtures("displays")
@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line(newcomer: Newcomer, command: str) -> None:
    assert newcomer.run("sh", "-c", command)
