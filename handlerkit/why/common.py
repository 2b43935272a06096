"""Causes that a load and a call share."""

from __future__ import annotations

import builtins
import sys

from handlerkit.messages import Finding
from handlerkit.why.evidence import FAILED, LOAD, Evidence


def missing_import(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, ImportError):
        return None
    name = seen.error.name or ""
    root = name.partition(".")[0]
    served = (LOAD if seen.loading else FAILED) + (
        " The log ends in \"No module named 'ts.torch_handler...'\"; the line above it is the real one."
        if seen.loading
        else ""
    )
    if not isinstance(seen.error, ModuleNotFoundError):
        return Finding(
            "import",
            f"An import fails: {seen.error}.",
            seen.where,
            served,
            "Correct the name, or the version installed.",
        )
    if hint := _right_import(name):
        return Finding("import", f"There is no module {name!r}.", seen.where, served, hint)
    if root in sys.modules:
        what = f"The notebook has a module {root!r}, but the archive does not hold it."
        change = f"Let it travel: %%module {root}.py, or --extra-files {root}.py."
        return Finding("notebook_only", what, seen.where, served, change)
    what = f"There is no module {name!r}, neither installed nor in the archive."
    change = f"Install it and name it in the requirements file, or let it travel as an extra file ({root}.py)."
    return Finding("import", what, seen.where, served, change)


def _right_import(name: str) -> str | None:
    """Where the handler classes are for those who write an import that never existed."""
    if name.split(".")[0] == "torchserve" or name == "ts.model_handler":
        return "Import TorchServe as ts: from ts.torch_handler.base_handler import BaseHandler."
    return None


def missing_name(seen: Evidence) -> Finding | None:
    main = sys.modules.get("__main__")
    if not isinstance(seen.error, NameError) or not seen.error.name:
        return None
    served = LOAD if seen.loading else FAILED
    if hasattr(main, seen.error.name) and not hasattr(builtins, seen.error.name):
        what = f"{seen.error.name!r} is defined in the notebook, not in the handler's file."
        return Finding(
            "notebook_name", what, seen.where, served, "Define or import it in the %%handler cell or in a %%module."
        )
    what = f"The name {seen.error.name!r} is not defined in the handler's file."
    return Finding("name", what, seen.where, served, "Import or define it there.")


def signature(seen: Evidence) -> Finding | None:
    if not isinstance(seen.error, TypeError) or "positional argument" not in str(seen.error):
        return None
    trace = seen.info.frames if seen.info else ()
    if seen.frame is not None and trace and trace[-1].file in seen.files:
        return None  # raised inside the handler, so its own call is wrong
    what = f"The handler's method has the wrong parameters: {seen.error}."
    return Finding(
        "signature",
        what,
        "",
        LOAD if seen.loading else FAILED,
        "Write handle(self, data, context) and initialize(self, context).",
    )
