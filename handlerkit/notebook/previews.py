"""What %preview shows: the live preview of each model, which runs again when its handler is loaded again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handlerkit import envelope as envelopes
from handlerkit.messages import Request, Run
from handlerkit.notebook.models import SessionModels
from handlerkit.notebook.requests import display, to_requests
from handlerkit.notebook.session_model import envelope_of
from handlerkit.view.preview.preview import Preview
from handlerkit.view.shown_run import ShownRun, hint_of, shown_as_of

#: What the display of a first answer says of the preview, which nobody looks for.
_OFFER = "%preview opens this answer to play with: thresholds, classes, zoom, values under the pointer, other samples"


@dataclass(frozen=True)
class Saved:
    """A page that was written, and the samples whose answers it holds."""

    path: Path
    samples: tuple[str, ...]

    def __repr__(self) -> str:
        return f"{self.path}: the answers to {', '.join(self.samples)}"


class Previews:
    """At most one live preview a model: each holds pictures, here and in the browser.

    Args:
        offered: %preview is known, and is not named any more.
    """

    def __init__(self, *, offered: bool = False) -> None:
        self._live: dict[str, Preview] = {}
        self._is_known = offered

    def offer(self, run: Run) -> Run:
        """The Run; the first one about an image has a display that names %preview, unless there was a preview."""
        if self._is_known or not run.ok or len(run.exchanges) != 1 or hint_of(run):
            return run
        if not any((one.content_type or "").startswith("image/") for one in (run.request, run.response)):
            return run
        self._is_known = True
        return ShownRun.of(run, hint=_OFFER)

    def show(
        self,
        models: SessionModels,
        what: Sequence[Any],
        envelope: str | None,
        shown_as: str,
        geometry: str,
        save: str | Path | None,
    ) -> Preview | Saved:
        """The preview of the current model, or the page that it is saved as, as of Session.preview."""
        self._is_known = True
        model = models.current
        name, live = model.name, self._live.get(model.name)
        if save is not None and live is not None and not what:
            return _saved(live, save, every=False)
        last = model.last if not what else None
        shown = display(shown_as or (shown_as_of(last) if last else ""), geometry)
        envelope = envelope or envelope_of(last)

        def wrap(request: Request) -> Request:
            return envelopes.wrap(envelope, request) if envelope else request

        def predict(request: Request) -> Run:
            now = models.by_name.get(name, model)  # %model may have started it again
            with now.lend() as worker:
                run = (worker.with_envelope(envelope) if envelope else worker).predict(request)
            now.last = ShownRun.of(run, **shown, colors=now.colors)
            return now.last

        samples = dict.fromkeys(last.requests) if last else map(wrap, to_requests(what))
        preview = Preview(samples, predict, wrap=wrap, title=name)
        return self._open(name, preview) if save is None else _saved(preview, save, every=True)

    def _open(self, model: str, preview: Preview) -> Preview:
        """Let this one replace the model's last, which shows its static display from now on."""
        self.close(model)
        self._live[model] = preview
        return preview

    def again(self, model: str) -> None:
        """Send the model's current sample again."""
        if (preview := self._live.get(model)) is not None:
            preview.again()

    def close(self, model: str) -> None:
        if (preview := self._live.pop(model, None)) is not None:
            preview.close()

    def close_all(self) -> None:
        for model in list(self._live):
            self.close(model)


def _saved(preview: Preview, file: str | Path, every: bool) -> Saved:
    """Write the preview's answers as a page, after asking for every sample's if `every`."""
    for name in preview.samples if every else ():
        if name not in preview.answers:
            preview.ask(name)
    return Saved(preview.save(file), tuple(preview.answers))
