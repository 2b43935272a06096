"""What the shell gave this process: what a server that is started from that shell gives its workers.

A notebook changes its own process, its environment and its umask among the rest; a worker of a server sees none of it.
"""

from __future__ import annotations

import os
import re
import sys

_AT_IMPORT = dict(os.environ)
#: What a notebook's process has in its environment and a shell has not.
_FOREIGN = re.compile(
    r"MPLBACKEND|JPY_.*|JUPYTER.*|IPY.*|PYDEVD.*|PYTHON(PATH|STARTUP|INSPECT|BREAKPOINT)|FORCE_COLOR|CLICOLOR(_FORCE)?"
    r"|(LOCAL_)?RANK|WORLD_SIZE"
)


def environment() -> dict[str, str]:
    """The environment that this process was started with, as a shell would have it, with this Python first on PATH."""
    kept = {key: value for key, value in _started_with().items() if not _FOREIGN.fullmatch(key)}
    return kept | {"PATH": os.pathsep.join([os.path.dirname(sys.executable), kept.get("PATH", os.defpath)])}


def set_here() -> frozenset[str]:
    """The names of variables that this process has and the shell has not."""
    return frozenset(os.environ.keys() - environment().keys())


def _started_with() -> dict[str, str]:
    """The variables that this process was started with; where the system does not tell, those that it had when the kit
    was imported. A coverage that measures this process follows its workers by variables of its own, which are added."""
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
