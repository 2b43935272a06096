"""A case: an exchange that is to stay as it is, but for what may differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from handlerkit.messages import Exchange, Run
from handlerkit.verify.tolerance import EXACTLY, MayDiffer


@dataclass(frozen=True)
class Case:
    """Requests that are sent together, and the answers that are expected.

    Attributes:
        name: what it is called; in a folder below that of the cases, with the folder's name before it.
        model: the name of the model that answered.
        exchanges: the requests with their answers, in their order.
        may_differ: what may be otherwise in another answer.
        envelope: the one that the model was served with, or None.
        batch_size: the most requests in a batch of the handler.
        secrets: whether it was kept with its secrets; otherwise a placeholder stands for each.
        path: its file.
        files: its file, and those of the bodies beside it.
        redacted: where secrets were, when it was kept.
    """

    name: str
    model: str
    exchanges: tuple[Exchange, ...]
    may_differ: MayDiffer = EXACTLY
    envelope: str | None = None
    batch_size: int = 1
    secrets: bool = False
    path: Path = field(default=Path(), compare=False)
    files: tuple[Path, ...] = field(default=(), compare=False, repr=False)
    redacted: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def is_new(self) -> bool:
        """Whether its requests have no answer yet."""
        return not any(one.response.status for one in self.exchanges)

    @property
    def run(self) -> Run:
        """The exchange as a Run, to look at and to compare with."""
        return Run(self.exchanges, endpoint="kept", model=self.model)
