"""A TorchServe worker whose handlers find a request's header whatever the casing of its name.

Run as a script in front of TorchServe's own (`python any_casing.py .../model_service_worker.py --sock-type ...`), where
the host of an app writes all names in lower case, as Ray Serve and uvicorn do: a handler that asks for Content-Type
would find nothing. What it gets is a dict like TorchServe's, with the names as they came.
"""

from __future__ import annotations

import os
import runpy
import sys
from typing import Any


class AnyCasing(dict):  # type: ignore[type-arg]
    """A dict that looks for another casing of a name that it does not have."""

    def __missing__(self, name: Any) -> Any:
        if isinstance(name, str):
            for key, value in self.items():
                if isinstance(key, str) and key.lower() == name.lower():
                    return value
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        try:
            self[name]
        except KeyError:
            return False
        return True

    def get(self, name: Any, default: Any = None) -> Any:
        """The value of a name, in any casing."""
        try:
            return self[name]
        except KeyError:
            return default


def main() -> None:
    """Become the worker that the command line names."""
    where = os.path.dirname(os.path.abspath(__file__))  # Python looks here first, and these are no modules of its own
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != where]
    from ts.context import RequestProcessor

    made = RequestProcessor.__init__

    def make(self: Any, request_header: dict[str, Any]) -> None:
        made(self, AnyCasing(request_header))

    RequestProcessor.__init__ = make  # type: ignore[method-assign]
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
