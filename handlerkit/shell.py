"""The environment and the umask of the shell, which a server that is started there hands on to its workers.

A notebook changes those of its own process; a worker of a server sees nothing of that.
"""

from __future__ import annotations

import os
import re
import sys

_AT_IMPORT = dict(os.environ)
#: Variables that a notebook's process has and a shell does not.
_FOREIGN = re.compile(
    r"MPLBACKEND|JPY_.*|JUPYTER.*|IPY.*|PYDEVD.*|PYTHON(PATH|STARTUP|INSPECT|BREAKPOINT)|FORCE_COLOR|CLICOLOR(_FORCE)?"
    r"|(LOCAL_)?RANK|WORLD_SIZE"
)


def environment() -> dict[str, str]:
    """The environment that this process was started with, as a shell would have it, with this Python first on PATH."""
    kept = {key: value for key, value in _started_with().items() if not _FOREIGN.fullmatch(key)}
    return kept | {"PATH": os.pathsep.join([os.path.dirname(sys.executable), kept.get("PATH", os.defpath)])}


def set_here() -> frozenset[str]:
    """The names of the variables that this process has and the shell does not."""
    return frozenset(os.environ.keys() - environment().keys())


def _started_with() -> dict[str, str]:
    """The variables that this process was started with, or those that it had when the kit was imported, if the system
    does not say. The variables by which coverage measures this process's workers, too, are added."""
    added = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_PROCESS_")}
    try:
        with open("/proc/self/environ", "rb") as file:
            pairs = [pair.partition(b"=") for pair in file.read().split(b"\0") if pair]
    except OSError:
        return _AT_IMPORT | added
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs} | added


def _umask() -> int:
    os.umask(mask := os.umask(0o77))
    return mask


#: The umask that this process had when the kit was imported.
UMASK = _umask()
