"""What a view consists of, and the list of all views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, overload

from handlerkit.formatting import plain
from handlerkit.messages import Exchange, Geometry, Response
from handlerkit.predictions import Labels
from handlerkit.view.contents.changes import Changes
from handlerkit.view.contents.marks import Marks
from handlerkit.view.decode.colors import ClassColors
from handlerkit.view.decode.response import DecodedResponse, Picture, Placed
from handlerkit.view.decode.source import Source

if TYPE_CHECKING:
    from handlerkit.view.contents.drawings import Drawing

R = TypeVar("R", bound=Callable[[Source], Any])


def _unplaced(content: Any, source: Source) -> Placed:
    return Placed(content)


def _uncompared(before: Any, after: Any, answer: DecodedResponse) -> Changes:
    return Changes()


def _unmarked(content: Any, answer: DecodedResponse) -> Marks | None:
    return None


@dataclass(frozen=True)
class ViewSpec:
    """A view: how it reads a response, and how the content is shown.

    Attributes:
        name: what `--as` takes.
        read: returns the content of a Source; None for a response of another kind.
        content: the type that it draws; None for a view that reads a type which another one draws.
        draw: the drawing of a content, for cells and comparisons.
        asked: used instead of `read` if the user asks for this view by name; it may take responses that could also be
            something else.
        errors: whether it reads error responses, too.
        place: where the content lies on the request's image; by default nowhere.
        changes: what changed from one content to another; by default the bytes alone are compared.
        marks: what the live preview draws of a content; by default it shows the drawing.
        shows_request: whether the drawing holds the text that was sent.
    """

    name: str
    read: Callable[[Source], Any]
    content: type | None = None
    draw: Callable[[Any, DecodedResponse], Drawing] | None = None
    asked: Callable[[Source], Any] | None = None
    errors: bool = False
    place: Callable[[Any, Source], Placed] = _unplaced
    changes: Callable[[Any, Any, DecodedResponse], Changes] = _uncompared
    marks: Callable[[Any, DecodedResponse], Marks | None] = _unmarked
    shows_request: bool = False


@dataclass
class Views:
    """All views.

    Attributes:
        specs: in the order in which they are tried.
        fallback: the view that reads any bytes.
    """

    specs: list[ViewSpec]
    fallback: ViewSpec

    @overload
    def register(self, view: str) -> Callable[[R], R]: ...
    @overload
    def register(self, view: ViewSpec) -> None: ...
    def register(self, view: str | ViewSpec) -> Callable[[R], R] | None:
        """Add a view, which is tried before the others; it replaces one of the same name::

            @hk.view.register("spectrum")
            def spectrum(source):                  # a handlerkit.view.Source
                if source.response.content_type == "audio/x-spectrum":
                    return a_pil_image             # or Detections, Classifications, ... of handlerkit.predictions

        It returns None for a response of another kind. `--as NAME` asks for it. A ViewSpec instead of a name brings its
        own drawing.
        """
        if isinstance(view, ViewSpec):
            self.specs[:] = [view, *(spec for spec in self.specs if spec.name != view.name)]
            return None

        def add(reader: R) -> R:
            replaced = next((spec for spec in self.specs if spec.name == view), ViewSpec(view, reader))
            self.register(replace(replaced, read=reader, asked=None, errors=False))
            return reader

        return add

    def names(self) -> list[str]:
        """The names that `--as` takes."""
        return [spec.name for spec in self.specs]

    def read(
        self,
        exchange: Exchange,
        labels: Labels = None,
        geometry: Geometry | None = None,
        shown_as: str = "",
        colors: ClassColors | None = None,
    ) -> DecodedResponse:
        """Read the response of an exchange.

        Args:
            labels: index_to_name.json of the model.
            geometry: what the handler did to the input image, if known.
            shown_as: the name of the view to read it with; "" for the first that it fits.
            colors: those of the classes in other displays, which this one shares.

        If a view fails, or is asked for and does not fit, that is noted and the next one is tried.
        Raises ValueError if there is no view of that name.
        """
        colors = colors or ClassColors()
        source = Source(exchange, labels, geometry, lambda part: self.read(part, labels, geometry, "", colors))
        notes = _broken_off(exchange.response)
        tried = [spec for spec in self.specs if exchange.response.ok or spec.errors]
        if shown_as:
            if (chosen := next((spec for spec in self.specs if spec.name == shown_as), None)) is None:
                raise ValueError(f"there is no view {shown_as!r}: choose one of {', '.join(self.names())}")
            tried = [replace(chosen, read=chosen.asked or chosen.read), *tried]
        for spec in tried:
            try:
                found = self._found(spec.read(source))
            except Exception as problem:
                notes += (f"not shown as {spec.name}: {type(problem).__name__}: {plain(str(problem))}",)
                continue
            if found is not None:
                return _decoded(source, colors, spec.name, *found, notes)
            if shown_as and spec is tried[0]:
                notes += (f"not shown as {shown_as}: the answer is of another kind",)
        return _decoded(source, colors, self.fallback.name, self.fallback.read(source), self.fallback, notes)

    def _found(self, content: Any) -> tuple[Any, ViewSpec] | None:
        """A content and the view that draws its type; None for no content. Raises TypeError if no view does."""
        if content is None:
            return None
        for spec in (*self.specs, self.fallback):
            if spec.content is not None and isinstance(content, spec.content):
                return content, spec
        from PIL import Image

        if isinstance(content, Image.Image):
            return self._found(Picture(content, f"{content.width}x{content.height}", content.size))
        raise TypeError(f"there is no drawing of a {type(content).__name__}")


def _broken_off(response: Response) -> tuple[str, ...]:
    """What to tell of an answer that ended before its end."""
    broken = response.status is not None and not response.complete
    return ("broken off: this is all that the client got",) if broken else ()


def _decoded(
    source: Source, colors: ClassColors, name: str, content: Any, spec: ViewSpec, notes: tuple[str, ...]
) -> DecodedResponse:
    placed = spec.place(content, source)
    return DecodedResponse(
        placed.content,
        placed.input_image,
        placed.region,
        notes + placed.notes,
        view=name,
        spec=spec,
        body=source.response.body,
        labels=source.labels,
        colors=colors,
    )
