"""What a notebook shows: `hk.view(run)` is the display of a Run, and `hk.view.draw` draws arrays.

Importing this imports neither numpy nor PIL: they load with the first picture.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from handlerkit.view import draw, render
from handlerkit.view.render import View

__all__ = ["View", "bundle", "draw"]


def bundle(shown: object, include: Any = None, exclude: Any = None) -> dict[str, str]:
    """Text and html of a Run, LoadError, Report or Envelopes, for IPython's mimebundle_formatter."""
    return render.view(shown)._repr_mimebundle_(include, exclude)


class _CallableModule(ModuleType):
    """Lets the module be called, since `hk.view` is both the function and the drawing module's home."""

    def __call__(self, shown: object) -> View:
        """The display of a Run, a LoadError, a Report or Envelopes; TypeError for anything else."""
        return render.view(shown)


sys.modules[__name__].__class__ = _CallableModule
