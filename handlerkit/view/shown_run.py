"""A Run and how it is to be shown."""

from __future__ import annotations

from dataclasses import dataclass, fields

from handlerkit.messages import Geometry, Run
from handlerkit.view.decode.colors import ClassColors


@dataclass(frozen=True, repr=False, eq=False)
class ShownRun(Run):
    """A Run, and what `hk.view` shows it with unless told otherwise: a session returns it.

    Attributes:
        shown_as: the name of the view to read its answers with; "" for the one that fits.
        geometry: what the handler did to the input image, instead of what its calls say.
        colors: those of the classes in the session's other displays of this model; None for its own.
        hint: what its display says last: what can be done with it, or who answered.
    """

    shown_as: str = ""
    geometry: Geometry | None = None
    colors: ClassColors | None = None
    hint: str = ""

    @classmethod
    def of(
        cls,
        run: Run,
        shown_as: str = "",
        geometry: Geometry | None = None,
        colors: ClassColors | None = None,
        hint: str = "",
    ) -> Run:
        """The Run with these; what is not given stays as it is."""
        if not (shown_as or geometry or colors or hint):
            return run
        if isinstance(run, cls):
            shown_as, geometry = shown_as or run.shown_as, geometry or run.geometry
            colors, hint = colors or run.colors, hint or run.hint
        said = {one.name: getattr(run, one.name) for one in fields(Run)}
        return cls(**said, shown_as=shown_as, geometry=geometry, colors=colors, hint=hint)


def shown_as_of(run: Run) -> str:
    """The view that this Run is to be shown with; "" for the one that fits."""
    return run.shown_as if isinstance(run, ShownRun) else ""


def geometry_of(run: Run) -> Geometry | None:
    """What the handler did to the input image, as this Run is to be shown with, or else as its calls say."""
    if isinstance(run, ShownRun) and run.geometry is not None:
        return run.geometry
    return next((call.geometry for call in run.calls if call.geometry is not None), None)


def colors_of(*runs: Run) -> ClassColors:
    """The colors that the first of these Runs is to be shown with that has some, else new ones."""
    known = (run.colors for run in runs if isinstance(run, ShownRun))
    return next((colors for colors in known if colors is not None), None) or ClassColors()


def hint_of(run: Run) -> str:
    """What its display says last; "" for nothing."""
    return run.hint if isinstance(run, ShownRun) else ""
