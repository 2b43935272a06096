"""uv, which finds Pythons and installs packages: run as a program."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from handlerkit.errors import TargetError
from handlerkit.targets.interpreters import Interpreter
from handlerkit.targets.target import Progress

#: What this process's environment says of its own Python, and would be taken for the target's.
_OWN = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON", "UV_PROJECT", "UV_WORKING_DIR")
#: A line of uv's about a download that takes a while: from 50 MiB on.
_DOWNLOAD = re.compile(r"Downloading (\S+) \((?:([5-9]\d|\d{3,})(?:\.\d+)?MiB|[\d.]+GiB)\)")
_SECONDS_TO_END = 5
#: What uv says of a network that is not there, and of what its cache lacks then.
_NO_NETWORK = re.compile(
    r"dns error|error sending request|Failed to fetch|Connect|timed out|network was disabled", re.IGNORECASE
)
_NOT_CACHED = re.compile(r"(?:Because )?(\S+?)(?:==\S+)? (?:was|were) not found in the cache")


@dataclass(frozen=True)
class Wanted:
    """What is to be installed: the text of requirements or of a pylock.toml, and the pins in it, by canonical name."""

    text: str
    is_lock: bool
    pins: Mapping[str, str]


class Uv:
    """The uv of this environment, else the one on PATH. `target` is the name of what it is asked for."""

    def __init__(self, program: str, target: str, progress: Progress | None) -> None:
        self._program = program
        self._target = target
        self._say: Progress = progress or (lambda _: None)

    @classmethod
    def find(cls, target: str, progress: Progress | None = None) -> Uv:
        """Raises TargetError if uv is not installed."""
        program: str | None
        try:
            from uv import find_uv_bin

            program = find_uv_bin()
        except (ImportError, FileNotFoundError):
            program = shutil.which("uv")
        if program is None:
            raise TargetError(f"the environment of {target} is made by uv, which is not installed: pip install uv")
        return cls(program, target, progress)

    def interpreters(self) -> list[Interpreter]:
        """The CPythons that are installed here, pyenv's and uv's own among them."""
        listed = self._output("python", "list", "--only-installed", "--output-format", "json")
        return [
            Interpreter(Path(one["path"]), one["version"])
            for one in json.loads(listed or "[]")
            if one["implementation"] == "cpython"
            and one["version_parts"]["major"] == 3
            and one.get("variant", "default") == "default"
        ]

    def download_python(self, python: tuple[int, int]) -> None:
        """Have uv download that Python, where its own settings allow it and it is to be had."""
        asked = ".".join(map(str, python))
        self._say(f"looking for Python {asked}")
        self._output("python", "install", "--no-bin", asked)

    def make(self, folder: Path, interpreter: Path, wanted: Wanted, stands_in: str) -> None:
        """Make a venv in `folder` and install there what is wanted.

        Without a network, what uv has in its cache is used. On a Python that stands in for another, the distributions
        that are pinned come as wheels or not at all: building one from its source takes long, and fails in the end.
        Raises TargetError for what is not to be had.
        """
        with tempfile.TemporaryDirectory() as aside:
            file = Path(aside, "pylock.toml" if wanted.is_lock else "requirements.txt")
            file.write_text(wanted.text, encoding="utf-8")
            self._checked("venv", "--clear", "--relocatable", "--python", str(interpreter), str(folder))
            install = ["pip", "install", "--link-mode", "hardlink", "--python", str(folder / "bin" / "python")]
            wheels = [word for pin in wanted.pins for word in ("--only-binary", pin)] if stands_in else []
            self._say("resolving")
            status, said = self._run(*install, *wheels, "-r", str(file))
            if status and _NO_NETWORK.search(said):
                install.append("--offline")
                status, said = self._run(*install, *wheels, "-r", str(file))
            if status:
                raise TargetError(self._why(said) + (f" {stands_in}: install that one." if stands_in else ""))
            if (
                "pip" not in wanted.pins
            ):  # pip freeze leaves it out, and TorchServe calls it for an archive's requirements
                self._run(*install, "pip")

    def _why(self, said: str) -> str:
        """Why uv could not, in one sentence, from what it said."""
        what = f"the environment of {self._target} cannot be made"
        lines = [re.sub(r"^\s*(error|cause|×|╰─▶|├─▶|│)\s*:?\s*", "", line).strip() for line in said.splitlines()]
        if missing := list(dict.fromkeys(_NOT_CACHED.findall(said))):
            return (
                f"{what}: the package registry is not reached, and uv's cache lacks {', '.join(missing)};"
                " go online once, name a mirror in UV_DEFAULT_INDEX (uv does not read pip's settings), or choose"
                " the target declared"
            )
        reasons = [
            line for line in lines if line and not line.startswith(("warning", "Using ", "Resolved", "Download"))
        ]
        return f"{what}: {': '.join(reasons[-3:]) or 'uv ended without a word'}"

    def _checked(self, *arguments: str) -> None:
        status, said = self._run(*arguments)
        if status:
            raise TargetError(self._why(said))

    def _run(self, *arguments: str) -> tuple[int, str]:
        """Its exit status and what it said. Whatever interrupts it ends it."""
        said: list[str] = []
        process = subprocess.Popen(
            [self._program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=_environment(),
            cwd=tempfile.gettempdir(),  # no project's settings
            start_new_session=True,  # Ctrl-C comes to this process alone, which ends it
            encoding="utf-8",
            errors="replace",
        )
        with process:
            try:
                assert process.stderr is not None
                for line in process.stderr:
                    said.append(line)
                    self._tell(line.strip())
                return process.wait(), "".join(said)
            except BaseException:
                _end(process)
                raise

    def _tell(self, line: str) -> None:
        if download := _DOWNLOAD.fullmatch(line):
            self._say(f"downloading {download[1]}")
        elif line.startswith("Prepared "):
            self._say("installing")

    def _output(self, *arguments: str) -> str:
        """What it prints; "" if it fails."""
        done = subprocess.run(
            [self._program, *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, env=_environment(), cwd=tempfile.gettempdir(),
            encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
        return done.stdout if done.returncode == 0 else ""


def _environment() -> dict[str, str]:
    """This process's, with every Python that pyenv has on PATH: pyenv's shims find only the one that is chosen."""
    kept = {key: value for key, value in os.environ.items() if key not in _OWN}
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    folders = [one for one in kept.get("PATH", os.defpath).split(os.pathsep) if Path(one) != pyenv / "shims"]
    folders += sorted(map(str, pyenv.glob("versions/*/bin")))
    folders.append(os.path.dirname(os.path.realpath(sys.executable)))
    return kept | {"PATH": os.pathsep.join(folders), "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
