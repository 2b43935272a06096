"""What a notebook shows: `hk.view(run)` is the display of a Run, and `hk.view.draw` draws arrays.

- views: how responses are read, drawn, compared and previewed; a new view is added there. `hk.view.register` adds one
  from outside: it takes a Source, and returns a class of `handlerkit.predictions` or a picture.
- displays: what draws each type that is shown; a new type is added there. output: the View that each of them makes.
- render: the display of a Run. shown_run: a Run and how it is to be shown. cases, checks, reports, servers, diff,
  benchmark: the displays of the other types. html: their parts.
- decode: what a view is given. draw: pictures of arrays. contents: what views say of a response.
- preview: the live display. live: streamed answers while they come.

It may import cases, verify, bench, check, endpoints and below, but neither notebook nor cli. Importing this imports
neither numpy nor PIL: they load with the first picture.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from handlerkit.messages import Geometry
from handlerkit.view import draw
from handlerkit.view.decode.source import Source
from handlerkit.view.displays import view
from handlerkit.view.output import View
from handlerkit.view.views import VIEWS
from handlerkit.view.views.spec import ViewSpec

__all__ = ["Geometry", "Source", "View", "ViewSpec", "bundle", "draw", "names", "read", "register"]

register = VIEWS.register
names = VIEWS.names
read = VIEWS.read


def bundle(shown: object, include: Any = None, exclude: Any = None) -> dict[str, str]:
    """Text and html of what `hk.view` shows, for IPython's mimebundle_formatter."""
    return view(shown)._repr_mimebundle_(include, exclude)


class _CallableModule(ModuleType):
    """Lets the module be called, since `hk.view` is both the function and the drawing module's home."""

    def __call__(self, shown: object, **options: Any) -> View:
        """The display of a Run, a LoadError, a Report, a Check or a comparison; options as of displays.view."""
        return view(shown, **options)


sys.modules[__name__].__class__ = _CallableModule
