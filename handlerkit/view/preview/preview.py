"""The live display of a model: samples to choose, their answers to play with, the wire beside them.

What is played with happens in the browser (browser/), with no call to the kernel; a sample that is chosen or dropped
there is sent through `predict`. What a saved notebook keeps is the static display of the first answer.
"""

from __future__ import annotations

import base64
import itertools
import json
import secrets
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handlerkit.errors import HandlerkitError, RequestError
from handlerkit.formatting import visible
from handlerkit.messages import Request, Run
from handlerkit.messages.part import guess_type
from handlerkit.view import draw
from handlerkit.view.html import elements
from handlerkit.view.output import View
from handlerkit.view.preview.message import Message, message
from handlerkit.view.preview.still import still, thumbnail
from handlerkit.view.render import run_view

if TYPE_CHECKING:
    from PIL import Image

    from handlerkit.view.preview.widget import PreviewWidget

_FALLBACK_WIDTH = 480  # pixels of the picture for what shows no html
_GIF = base64.b64decode("R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==")  # a transparent pixel
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style></head>
<body class="hk-page"><main><h1>{title}</h1><div id="preview"></div></main>
<script type="application/json" id="answers">{answers}</script>
<script type="module">
{script}
showPage(document.getElementById("preview"), JSON.parse(document.getElementById("answers").textContent));
</script></body></html>
"""


class Preview:
    """An interactive display. It asks for the first sample at once, for the others when they are chosen.

    Attributes:
        run: the last Run, None before the first.
        answers: the last answer of each sample that was sent, by its name; `before`: those before them.
    """

    def __init__(
        self,
        requests: Iterable[Request],
        predict: Callable[[Request], Run],
        *,
        wrap: Callable[[Request], Request] = lambda request: request,
        title: str = "preview",
    ) -> None:
        """
        Args:
            requests: what can be sent; each is chosen by its label.
            predict: sends one of them.
            wrap: makes the request that carries an uploaded file, for a model that is served with an envelope.
            title: of a saved page.

        Raises what `predict` raises for the first one.
        """
        self.run: Run | None = None
        self.answers: dict[str, Message] = {}
        self.before: dict[str, Message] = {}
        self._samples: dict[str, Request] = {}
        self._predict = predict
        self._wrap = wrap
        self._title = title
        #: Tells which static displays the widget takes the place of. A data URI, since nbval takes any two for equal.
        self._anchor = elements.data_uri("gif", _GIF + secrets.token_bytes(8))
        self._static: View | None = None
        self._widget: PreviewWidget | None = None
        self._parts: list[bytes] = []
        for request in requests:
            self._add(request)
        self._current = next(iter(self._samples), "")
        if self._current:
            self.ask(self._current)

    @property
    def samples(self) -> tuple[str, ...]:
        """The names of what can be sent."""
        return tuple(self._samples)

    def ask(self, name: str) -> Run:
        """Send the sample of that name, and show its answer. Raises RequestError if there is none of that name."""
        if name not in self._samples:
            raise RequestError(f"there is no sample {name!r}: choose one of {', '.join(self._samples)}")
        again = self.answers.get(name) if name == self._current else None
        self._current = name
        self.run = run = self._predict(self._samples[name])
        answer = message(run, run.exchanges[0], name, again)
        if name in self.answers:
            self.before[name] = self.answers[name]
        self.answers[name] = answer
        if self._widget is not None:
            self._widget.tell(**self._told(self._widget))
        return run

    def add(self, name: str, data: bytes) -> str:
        """Add a file as a sample; its name there, which is another one if that is taken."""
        return self._add(self._wrap(Request(body=data, headers=(("Content-Type", guess_type(name)),), label=name)))

    def _add(self, request: Request) -> str:
        plain = visible(request.label or "sample")
        names = itertools.chain([plain], (f"{plain} ({number})" for number in itertools.count(2)))
        name = next(name for name in names if name not in self._samples)
        self._samples[name] = request
        return name

    def again(self) -> None:
        """Send the current sample again, as after the handler was loaded again; a failure is told in the display."""
        if self._current and self._widget is not None:
            self._attempt(lambda: self.ask(self._current))

    def save(self, file: str | Path) -> Path:
        """Write one page that works offline, with the same interactions, for the answers held.

        Raises RequestError if there is no answer yet, or the file cannot be written.
        """
        from handlerkit.view.preview.widget import script, style

        if not self.answers:
            raise RequestError("there is no answer to save yet: name a sample, or choose one")
        answers = [
            {
                "answer": {**one.facts, "number": number},
                "picture": one.picture,
                "thumb": thumbnail(self._samples[name]) if len(self.answers) > 1 else b"",
                "before": before.facts if (before := self.before.get(name)) and _alike(before, one) else None,
            }
            for number, (name, one) in enumerate(self.answers.items(), start=1)
        ]
        packed = json.dumps(_without_bytes(answers), allow_nan=False).replace("<", "\\u003c")
        page = _PAGE.format(
            title=elements.escape(visible(self._title)),
            style=style(),
            script=script().replace("</script", "<\\/script"),
            answers=packed,
        )
        try:
            path = Path(file).expanduser()
            path.write_text(page, "utf-8")
        except OSError as problem:
            raise RequestError(f"cannot write {str(file)!r}: {problem.strerror}") from None
        return path

    def close(self) -> None:
        """Let go of the browser's half: the static display of the first answer stays."""
        if self._widget is not None:
            self._widget.close()
            self._widget = None

    # --- what a notebook shows --------------------------------------------------------------------------------------

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Text, html and a picture of the first answer; the html carries the anchor that the widget looks for.

        JupyterLab and Notebook prefer a widget view to html, and show "model not found" for a saved one, so they get
        none; if models without a view are not made, the view is added.
        """
        shown = self._still()
        bundle: dict[str, Any] = {"text/plain": shown.text, "text/html": self._anchored(shown.html)}
        if shown.image is not None and (picture := _fallback(shown.image, elements.MAX_HTML - len(shown.html))):
            bundle["image/png"] = picture
        widget = self._opened()
        if _needs_view():
            bundle["application/vnd.jupyter.widget-view+json"] = {
                "version_major": 2,
                "version_minor": 0,
                "model_id": widget.model_id,
            }
        wanted = set(include or bundle) - set(exclude or ())
        return {kind: data for kind, data in bundle.items() if kind in wanted}

    def __repr__(self) -> str:
        return self._still().text

    def _still(self) -> View:
        if self._static is None and self.run is not None:
            shown = run_view(self.run)
            page = still(self.answers[self._current].facts, shown.image, several=len(self._samples) > 1)
            self._static = View(shown.text, page, shown.image)
        return self._static or View("no sample yet", elements.page('<div class="hk-soft">no sample yet</div>'))

    def _anchored(self, page: str) -> str:
        """The page, and what the widget finds it by."""
        anchor = f'<img class="hk-anchor" alt="" width="0" height="0" src="{self._anchor}">'
        return f'<div class="hk-still">{page}{anchor}</div>'

    def _opened(self) -> PreviewWidget:
        """The widget, which opens its comm when the display is first shown."""
        if self._widget is None:
            from handlerkit.view.preview.widget import PreviewWidget

            self._widget = PreviewWidget(anchor=self._anchor, **self._told(None))
            self._widget.on_msg(self._heard)
        return self._widget

    def _told(self, widget: PreviewWidget | None) -> dict[str, Any]:
        """The traits after an answer; the picture is left out if the browser has it."""
        state: dict[str, Any] = {"samples": list(self._samples), "problem": ""}
        if (last := self.answers.get(self._current)) is not None:
            number = widget.answer.get("number", 0) + 1 if widget else 1
            state["answer"] = {**last.facts, "number": number}
            if widget is None or widget.picture["id"] != last.facts["picture"]:
                state["picture"] = {"id": last.facts["picture"], "data": last.picture}
        return state

    # --- what the browser asks --------------------------------------------------------------------------------------

    def _heard(self, widget: Any, content: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        """{"ask": name}, {"thumbs": [name, ...]}, which is answered with a JPEG of each as a buffer, or
        {"upload": name, "part": 0, "parts": 3} with a piece of the file as one."""
        if "thumbs" in content:
            widget.send(content, [thumbnail(self._samples[name]) for name in content["thumbs"]])
        elif "ask" in content:
            self._attempt(lambda: self.ask(content["ask"]))
        elif "upload" in content:
            if content["part"] == 0:
                self._parts.clear()
            self._parts.append(bytes(buffers[0]))
            if len(self._parts) == content["parts"]:
                data = b"".join(self._parts)
                self._parts.clear()
                self._attempt(lambda: self.ask(self.add(content["upload"], data)))

    def _attempt(self, ask: Callable[[], Run]) -> None:
        """A failure is told in the display: there is no cell below it that could show one."""
        try:
            ask()
        except HandlerkitError as problem:
            if self._widget is not None:
                self._widget.problem = ""  # the same one twice is told twice
                self._widget.tell(samples=list(self._samples), problem=visible(str(problem)))


def _needs_view() -> bool:
    """Colab and VS Code make a widget's model only for a widget view in an output, and fall back to html by
    themselves."""
    if "google.colab.output" in sys.modules:
        return True
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "__vsc_ipynb_file__" in shell.user_ns


def _fallback(image: Image.Image, room: int) -> str:
    """A small PNG in base64 for what shows no html, as LaTeX; "" if it would be larger than that."""
    buffer = BytesIO()
    draw.rgb(draw.fit(image, _FALLBACK_WIDTH, _FALLBACK_WIDTH)).quantize(64).save(buffer, "PNG")
    packed = base64.b64encode(buffer.getvalue()).decode()
    return packed if len(packed) <= room else ""


def _alike(one: Message, other: Message) -> bool:
    """Whether both are drawn on the same picture."""
    return bool(one.facts["picture"] == other.facts["picture"])


def _without_bytes(value: Any) -> Any:
    """The same as JSON carries it: bytes as {"base64": ...}."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: _without_bytes(each) for key, each in value.items()}
    return [_without_bytes(each) for each in value] if isinstance(value, list | tuple) else value
