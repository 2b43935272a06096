"""Sound: a player."""

from __future__ import annotations

import base64
import io
import wave
from dataclasses import dataclass

from handlerkit.formatting import byte_size, duration
from handlerkit.view.contents.drawings import Drawing
from handlerkit.view.decode.response import DecodedResponse
from handlerkit.view.decode.source import Source
from handlerkit.view.html import elements
from handlerkit.view.views.spec import ViewSpec

#: Bytes of a sound that goes into a display, and so into the saved notebook: half a minute of speech as WAV.
PLAYED = 1_000_000
_OF_TYPE = {"mpeg": "MP3", "mp3": "MP3", "x-wav": "WAV", "vnd.wave": "WAV", "x-flac": "FLAC"}


@dataclass(frozen=True)
class Sound:
    """A file of sound, its format, such as "WAV", and what is known of it."""

    data: bytes
    format: str
    said: str = ""


def _read(source: Source) -> Sound | None:
    body = source.response.body
    kind, _, subtype = (source.response.content_type or "").partition(";")[0].strip().lower().partition("/")
    if body[:4] == b"RIFF" and body[8:12] == b"WAVE":
        return Sound(body, "WAV", _wave(body))
    begins = {b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3"}
    found = next((name for begin, name in begins.items() if body.startswith(begin)), None)
    if found is None and kind == "audio" and body:
        found = _OF_TYPE.get(subtype, subtype.upper())
    return Sound(body, found) if found and "\0" not in found else None


def _wave(body: bytes) -> str:
    """`16000 Hz, 1 channel, 1.2 s`; "" for a form of WAV that is not plain samples."""
    try:
        with wave.open(io.BytesIO(body)) as file:
            rate, channels, frames = file.getframerate(), file.getnchannels(), file.getnframes()
    except (wave.Error, EOFError):
        return ""
    seconds = duration(frames / rate) if rate else ""
    return f"{rate} Hz, {channels} channel{'s' * (channels != 1)}, {seconds}"


def _draw(content: Sound, answer: DecodedResponse) -> Drawing:
    fact = ", ".join(filter(None, [content.format, content.said, byte_size(len(content.data))]))
    if len(content.data) > PLAYED:
        fact += f"; above {byte_size(PLAYED)} it is not played here: write run.response.body to a file"
        return Drawing((fact,))
    kind = {"MP3": "mpeg"}.get(content.format, content.format.lower())
    uri = elements.escape(f"data:audio/{kind};base64,{base64.b64encode(content.data).decode()}")
    return Drawing((fact,), html=f'<audio class="hk-audio" controls preload="metadata" src="{uri}"></audio>')


AUDIO = ViewSpec("audio", _read, Sound, _draw)
