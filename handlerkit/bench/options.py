"""Ways to do a thing, measured: the forms that one answer can be sent in, and the decoders of one picture."""

from __future__ import annotations

import importlib.util
import io
import json
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from handlerkit.bench.results import Option

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_FEWEST_NUMBERS = 1000  # shorter lists are cheap in any form
_TIMES, _SECONDS = 5, 0.5  # each option is timed this often, or for this long
_DEEPEST, _FIRST = 4, 5  # levels of objects and lists around an array; items of a list that are looked into
_QUALITY = 85  # JPEG's


class AnswerArray(NamedTuple):
    """The numbers of an answer: [height, width] or [height, width, channels] where it is a picture. `where` is their
    place in a JSON answer, "" for all of it."""

    array: npt.NDArray[Any]
    where: str = ""


def timed(work: Callable[[], Any]) -> float:
    """The median seconds of `work`, done a few times."""
    taken: list[float] = []
    while len(taken) < _TIMES and sum(taken) < _SECONDS:
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


# --- the answer -----------------------------------------------------------------------------------------------------


def encodings(body: bytes) -> tuple[str, tuple[Option, ...]]:
    """What an answer is, in a few words, and the forms that it can be sent in, each measured from the array or object
    to the bytes. No forms where nothing is known to be in it but bytes or text.

    An array is found in a picture, and in nested JSON lists of numbers. The form it has now is marked if that is
    known.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return _picture(body)
    if not isinstance(value, list | dict):
        return "", ()
    found = find_array(value)
    options = list(_json(value, found, body))
    if found is None:
        return f"JSON {'object' if isinstance(value, dict) else 'list'}", tuple(options)
    at = f" at {found.where}" if found.where else ""
    return f"{_shape(found.array)} in JSON{at}", (*options, *_binary(found.array))


def _picture(body: bytes) -> tuple[str, tuple[Option, ...]]:
    import numpy as np
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(body))
        array = np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return "", ()
    if array.dtype != np.uint8 or image.mode == "P":
        return "", ()
    return f"{_shape(array)}, a {image.format} picture", tuple(_binary(array, image.format or "", len(body)))


def find_array(value: Any, where: str = "", depth: int = 0) -> AnswerArray | None:
    """The largest array of numbers in a JSON value: nested lists of equal lengths, as `.tolist()` makes them."""
    import numpy as np

    if isinstance(value, list) and (array := _array(value)) is not None:
        return AnswerArray(array, where)
    if depth == _DEEPEST or not isinstance(value, dict | list):
        return None
    items = value.items() if isinstance(value, dict) else enumerate(value[:_FIRST])
    inside = [find_array(item, f"{where}[{key!r}]", depth + 1) for key, item in items]
    return max(filter(None, inside), key=lambda found: int(np.size(found.array)), default=None)


def _array(value: list[Any]) -> npt.NDArray[Any] | None:
    """As the smallest type that holds every number exactly, of floats float32 where it does."""
    import numpy as np

    try:
        array = np.array(value)
    except (ValueError, OverflowError):  # lists of different lengths
        return None
    if array.dtype.kind not in "biuf" or array.size < _FEWEST_NUMBERS:
        return None
    if array.dtype.kind == "f":
        narrow = array.astype(np.float32)
        return narrow if np.array_equal(narrow, array, equal_nan=True) else array
    low, high = int(array.min()), int(array.max())
    return array.astype(np.min_scalar_type(high if low >= 0 else min(low, -high - 1)))


def _json(value: Any, found: AnswerArray | None, body: bytes) -> Iterator[Option]:
    """`.tolist()` belongs to the forms that need lists."""
    array = found.array if found else None

    def lists() -> None:
        if array is not None:
            array.tolist()

    def option(name: str, note: str, encode: Callable[[], bytes]) -> Option:
        return Option(name, timed(encode), len(made := encode()), note, made == body)

    def dumped(**how: Any) -> Callable[[], bytes]:
        def encode() -> bytes:
            lists()
            return json.dumps(value, **how).encode()

        return encode

    yield option("JSON, indented", "a list or dict, as TorchServe encodes it", dumped(indent=2))
    yield option("compact JSON", 'json.dumps(answer, separators=(",", ":"))', dumped(separators=(",", ":")))
    if importlib.util.find_spec("orjson"):
        import orjson

        whole = array if found and not found.where else value
        how = orjson.OPT_SERIALIZE_NUMPY
        yield option("orjson", "orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)" if whole is array
                     else "orjson.dumps(answer)", lambda: orjson.dumps(whole, option=how))  # fmt: skip


def _binary(array: npt.NDArray[Any], now: str = "", size: int = 0) -> Iterator[Option]:
    """The array as bytes; as a picture, and run-length, where it is one. `now` is the picture's format as it is, whose
    own settings are not known: it is marked, and has the size it had."""
    from PIL import Image

    yield Option(
        "bytes", timed(array.tobytes), array.nbytes, f"array.tobytes() of {array.dtype}; the client knows the shape"
    )
    picture = array.reshape([length for length in array.shape if length != 1]) if array.ndim > 2 else array
    if _is_picture(picture):
        image = Image.fromarray(picture)

        def saved(kind: str, **how: Any) -> Callable[[], bytes]:
            def save() -> bytes:
                file = io.BytesIO()
                image.save(file, kind, **how)
                return file.getvalue()

            return save

        for level, note in ((6, "PIL's own level"), (1, "compress_level=1")):
            save = saved("PNG", compress_level=level)
            is_now = now == "PNG" and level == 6
            yield Option(f"PNG, level {level}", timed(save), size if is_now else len(save()), note, is_now)
        if image.mode in ("L", "RGB"):
            save = saved("JPEG", quality=_QUALITY)
            made = save()
            lost = _lost(picture, made)
            yield Option(
                f"JPEG, quality {_QUALITY}",
                timed(save),
                len(made),
                f"values differ by up to {lost}",
                now == "JPEG",
                lossy=True,
            )
    if picture.ndim == 2 and array.dtype.kind in "iu":
        yield Option("run-length", timed(lambda: run_length(picture)), len(run_length(picture)),
                     "JSON of [value, count, value, count, ...], row by row")  # fmt: skip


def run_length(array: npt.NDArray[Any]) -> bytes:
    """Compact JSON of [value, count, value, count, ...] of the flattened array."""
    import numpy as np

    flat = array.ravel()
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    counts = np.diff(np.append(starts, flat.size))
    return json.dumps(np.stack([flat[starts], counts], axis=1).ravel().tolist(), separators=(",", ":")).encode()


def _is_picture(array: npt.NDArray[Any]) -> bool:
    shaped = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    return shaped and array.dtype.name == "uint8" and min(array.shape[:2]) > 1


def _lost(array: npt.NDArray[np.uint8], jpeg: bytes) -> int:
    import numpy as np
    from PIL import Image

    back = np.asarray(Image.open(io.BytesIO(jpeg))).astype(np.int16)
    return int(np.abs(back - array.astype(np.int16)).max())


def _shape(array: npt.NDArray[Any]) -> str:
    return f"array {' × '.join(map(str, array.shape))} of {array.dtype}"


# --- the picture of a request ---------------------------------------------------------------------------------------


def decodings(picture: bytes) -> tuple[str, tuple[Option, ...]]:
    """What a picture is, in a few words, and the decoders that there are for it, each measured to RGB pixels. None
    if PIL does not read it."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(picture)) as image:
            kind, (width, height) = image.format or "", image.size
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return "", ()
    return f"{kind} of {width} × {height} pixels", tuple(_decoders(picture, kind, width, height))


def _decoders(picture: bytes, kind: str, width: int, height: int) -> Iterator[Option]:
    from PIL import Image

    yield Option("PIL", timed(lambda: Image.open(io.BytesIO(picture)).convert("RGB")), now=True)
    if kind == "JPEG":
        for part in (2, 4):

            def draft(size: tuple[int, int] = (width // part, height // part)) -> Image.Image:
                image = Image.open(io.BytesIO(picture))
                image.draft("RGB", size)
                return image.convert("RGB")

            smaller = draft()
            note = f'image.draft("RGB", size) before convert: {smaller.width} × {smaller.height} pixels'
            yield Option(f"PIL, draft at 1/{part}", timed(draft), note=note, lossy=True)
    if kind in ("JPEG", "PNG") and importlib.util.find_spec("torchvision"):
        yield _torchvision(picture, kind)
    if importlib.util.find_spec("cv2"):
        import numpy as np

        cv2 = importlib.import_module("cv2")

        data = np.frombuffer(picture, np.uint8)
        work = lambda: cv2.imdecode(data, cv2.IMREAD_COLOR)  # noqa: E731
        yield Option("cv2", timed(work), note="cv2.imdecode: BGR, and it turns by EXIF")


def _torchvision(picture: bytes, kind: str) -> Option:
    import torch
    from torchvision import io as pictures

    data = torch.frombuffer(bytearray(picture), dtype=torch.uint8)
    decode = pictures.decode_jpeg if kind == "JPEG" else pictures.decode_png
    rgb = pictures.ImageReadMode.RGB
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # said in the note
        decode(data, mode=rgb)  # loads the library
        seconds = timed(lambda: decode(data, mode=rgb))
    note = f"torchvision.io.{decode.__name__}: a uint8 tensor [3, height, width]; deprecated in torchvision 0.29"
    return Option("torchvision", seconds, note=note)
