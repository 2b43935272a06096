"""What a notebook shows: `hk.view(run)` is the display of a Run, and `hk.view.draw` draws arrays.

`hk.view.register` adds a view of answers; what one is given is a Source, what it gives stands in
`handlerkit.predictions` and `handlerkit.view.decode.contents`. Importing this imports neither numpy nor PIL: they load
with the first picture.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from handlerkit.messages import Geometry
from handlerkit.view import draw, render
from handlerkit.view.benchmark import report as _measured  # noqa: F401  # and a Bench
from handlerkit.view.decode.source import Source
from handlerkit.view.decode.views import VIEWS, read
from handlerkit.view.diff import comparison as _compare  # noqa: F401  # and a Comparison
from handlerkit.view.html import checks as _checks  # noqa: F401  # teaches render.view to show a Check
from handlerkit.view.html import reports as _reports  # noqa: F401  # and a LoadError, a Report, Envelopes
from handlerkit.view.render import View

__all__ = ["Geometry", "Source", "View", "bundle", "draw", "names", "read", "register"]

register = VIEWS.register
names = VIEWS.names


def bundle(shown: object, include: Any = None, exclude: Any = None) -> dict[str, str]:
    """Text and html of what `hk.view` shows, for IPython's mimebundle_formatter."""
    return render.view(shown)._repr_mimebundle_(include, exclude)


class _CallableModule(ModuleType):
    """Lets the module be called, since `hk.view` is both the function and the drawing module's home."""

    def __call__(self, shown: object, **options: Any) -> View:
        """The display of a Run, a LoadError, a Report, a Check or a comparison; options as of render.view."""
        return render.view(shown, **options)


sys.modules[__name__].__class__ = _CallableModule
