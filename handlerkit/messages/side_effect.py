"""What a handler did beyond its own files while it ran, as plain data."""

from __future__ import annotations

from typing import Literal, NamedTuple

#: read, write: a file outside model_dir, the environment and the system; network: a connection to a host; process: a
#: program that was started; import: a module that the handler's own code imported.
SideEffectKind = Literal["read", "write", "network", "process", "import"]


class SideEffect(NamedTuple):
    """One thing that a handler did.

    Attributes:
        kind: what kind of thing.
        what: the file's path, "host:port", the program with its arguments, or the module's name.
        where: the line of the handler's code that led to it, such as "handler.py, line 3"; "" if none of the
            model's own did.
        loading: whether it was done while the handler was loaded, and not for a request.
    """

    kind: SideEffectKind
    what: str
    where: str = ""
    loading: bool = False
