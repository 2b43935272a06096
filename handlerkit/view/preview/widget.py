"""The comm between a Preview and its half in the browser: an AnyWidget. Importing it imports ipywidgets."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

import anywidget
import traitlets


def _file(name: str, folder: str = "handlerkit.view.preview") -> str:
    return (resources.files(folder) / name).read_text("utf-8")


#: The modules in browser/, each after those that it imports from.
_MODULES = ("elements", "pixels", "shown", "gestures", "stage", "panel", "preview", "hosts")
#: What links them: without it they are one module, as a notebook and a page without a server take it.
_LINKS = re.compile(r'^import .* from "\./\w+\.js";\n|^export (?!default)', re.MULTILINE)


def script() -> str:
    """The ES module that shows answers."""
    return "\n".join(_LINKS.sub("", _file(f"browser/{name}.js")) for name in _MODULES)


def style() -> str:
    """The style of displays, and that of the preview on top of it."""
    return _file("style.css", "handlerkit.view.html") + _file("browser/layout.css") + _file("browser/controls.css")


class PreviewWidget(anywidget.AnyWidget):
    """What the browser is told; it answers with messages, which Preview reads.

    JupyterLab and Notebook make the model when the comm opens, and browser/hosts.js puts a view in the place of every
    static display that carries the `anchor`. So a saved notebook holds no widget view, and nothing to miss without a
    kernel.
    """

    _esm = script()
    _css = style()
    #: The source of the <img> in the static displays that this widget takes the place of.
    anchor = traitlets.Unicode().tag(sync=True)
    #: What can be sent, by name.
    samples = traitlets.List(traitlets.Unicode()).tag(sync=True)
    #: The last answer, as handlerkit.view.preview.message packs it; "number" counts them.
    answer = traitlets.Dict().tag(sync=True)
    #: The last answer's picture: its digest and its bytes. It stays as it is while the same one is sent.
    picture = traitlets.Dict({"id": "", "data": b""}).tag(sync=True)
    #: Why there is no answer, in a sentence.
    problem = traitlets.Unicode().tag(sync=True)

    def tell(self, **changes: Any) -> None:
        """Sets these traits in one message."""
        with self.hold_sync():
            for name, value in changes.items():
                setattr(self, name, value)
