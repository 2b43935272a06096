"""What the tests of targets share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from handlerkit.targets import Environment

#: Writes a distribution as pip installs it: its name, version, files by their paths, and what it requires.
Install = Callable[..., Path]


def python(environment: Environment, program: str) -> str:
    """What the program prints there; the last line of its traceback where it fails."""
    done = subprocess.run(
        [str(environment.interpreter), "-I", "-c", program],
        capture_output=True, text=True, cwd="/", check=False,
    )  # fmt: skip
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip().splitlines()[-1]
