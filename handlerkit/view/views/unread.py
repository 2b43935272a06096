"""Bytes that are nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from handlerkit.formatting import byte_size
from handlerkit.view.contents.drawings import Drawing
from handlerkit.view.decode.response import DecodedResponse
from handlerkit.view.decode.source import Source
from handlerkit.view.views.spec import ViewSpec


@dataclass(frozen=True)
class Unread:
    """Bytes that no view reads."""

    data: bytes


def _read(source: Source) -> Unread:
    return Unread(source.response.body)


def _draw(content: Unread, answer: DecodedResponse) -> Drawing:
    data = content.data
    return Drawing((f"{byte_size(len(data))}: {data[:24].hex(' ')}{' …' if len(data) > 24 else ''}",))


BYTES = ViewSpec("bytes", _read, Unread, _draw, errors=True)
