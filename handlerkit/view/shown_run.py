"""A Run and how it is to be shown."""

from __future__ import annotations

from dataclasses import dataclass, fields

from handlerkit.messages import Geometry, Run


@dataclass(frozen=True, repr=False, eq=False)
class ShownRun(Run):
    """A Run, and what `hk.view` shows it with unless told otherwise: `%request --as` and `--geometry` return it.

    Attributes:
        shown_as: the name of the view to read its answers with; "" for the one that fits.
        geometry: what the handler did to the input image, instead of what its calls say.
    """

    shown_as: str = ""
    geometry: Geometry | None = None

    @classmethod
    def of(cls, run: Run, shown_as: str = "", geometry: Geometry | None = None) -> Run:
        """The Run with these; what is not given stays as it is."""
        if not shown_as and geometry is None:
            return run
        if isinstance(run, cls):
            shown_as, geometry = shown_as or run.shown_as, geometry or run.geometry
        return cls(**{one.name: getattr(run, one.name) for one in fields(Run)}, shown_as=shown_as, geometry=geometry)


def shown_as_of(run: Run) -> str:
    """The view that this Run is to be shown with; "" for the one that fits."""
    return run.shown_as if isinstance(run, ShownRun) else ""


def geometry_of(run: Run) -> Geometry | None:
    """What the handler did to the input image, as this Run is to be shown with, or else as its calls say."""
    if isinstance(run, ShownRun) and run.geometry is not None:
        return run.geometry
    return next((call.geometry for call in run.calls if call.geometry is not None), None)
