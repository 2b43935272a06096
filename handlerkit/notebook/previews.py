"""What %preview shows: the live preview of each model, which runs again when its handler is loaded again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from handlerkit.view.preview.preview import Preview


@dataclass(frozen=True)
class Saved:
    """A page that was written, and the samples whose answers it holds."""

    path: Path
    samples: tuple[str, ...]

    def __repr__(self) -> str:
        return f"{self.path}: the answers to {', '.join(self.samples)}"


class Previews:
    """At most one live preview a model: each holds pictures, here and in the browser."""

    def __init__(self) -> None:
        self._live: dict[str, Preview] = {}

    def open(self, model: str, preview: Preview) -> Preview:
        """Put this one in the place of the model's last, which shows its static display from now on."""
        self.close(model)
        self._live[model] = preview
        return preview

    def of(self, model: str) -> Preview | None:
        return self._live.get(model)

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


def saved(preview: Preview, file: str | Path, every: bool) -> Saved:
    """Write the preview's answers as a page, after asking for every sample's where that is wanted."""
    for name in preview.samples if every else ():
        if name not in preview.answers:
            preview.ask(name)
    return Saved(preview.save(file), tuple(preview.answers))
