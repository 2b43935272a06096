"""What may differ between two answers."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from handlerkit.errors import RequestError
from handlerkit.messages import ForcedHead
from handlerkit.messages.run import MODEL_DIR

#: The head of an endpoint without a proxy.
AS_SENT = ForcedHead("nobody")


def names_of(ignore: str | Collection[str]) -> tuple[str, ...]:
    """One name or several."""
    return (ignore,) if isinstance(ignore, str) else tuple(ignore)


@dataclass(frozen=True)
class MayDiffer:
    """What may differ between an answer and the one that it is compared with.

    Attributes:
        ignore: "reason", headers (by name), and paths of JSON bodies: "body.scores", "body[0].id", "body[*].id" for
            each.
        rtol: relative tolerance for numbers in JSON bodies (as math.isclose).
        levels: how far apart a channel of a picture's pixel may be, of 255; a whole number. A picture is the body, or a
            text of a JSON body in base64.
        pixels: the share of a picture's pixels that may be further apart than that, from 0 to 1.
        iou: the least overlap (intersection over union) at which two boxes of one class are the same; below 1, boxes
            may also come in another order.

    Pictures and boxes are compared by what they show only if `levels`, `pixels` or `iou` lets them differ. All else in
    a body with boxes, such as scores, masks and what is beside the boxes, has to be equal within `rtol`, or named in
    `ignore`; what belongs to a box is compared with what belongs to its counterpart.
    Raises RequestError for a tolerance outside its range.
    """

    ignore: tuple[str, ...] = ()
    rtol: float = 0
    levels: int = 0
    pixels: float = 0
    iou: float = 1

    def __post_init__(self) -> None:
        names = names_of(self.ignore)
        if strange := [one for one in names if not isinstance(one, str)]:
            raise RequestError(f"ignore names headers and paths, not {strange[0]!r}")
        object.__setattr__(self, "ignore", tuple(sorted(set(names))))
        for name, highest in (("rtol", float("inf")), ("levels", 255), ("pixels", 1), ("iou", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
                raise RequestError(
                    f"{name} is a number from 0{'' if name == 'rtol' else f' to {highest}'}, not {value!r}"
                )
        if not isinstance(self.levels, int):
            raise RequestError(f"levels is a whole number from 0 to 255, not {self.levels!r}")


EXACTLY = MayDiffer()


@dataclass
class Tolerance:
    """What may differ between the answers of two Runs, `here` and `there` with the paths of their models' files.

    Attributes:
        may: what the caller lets differ.
        describes: whether the answers are descriptions of the model.
        head: what is forced on the head of the other answer.
        met: the names of what did differ.
    """

    may: MayDiffer = EXACTLY
    here: Mapping[str, str] = field(default_factory=dict)
    there: Mapping[str, str] = field(default_factory=dict)
    describes: bool = False
    head: ForcedHead = AS_SENT
    met: dict[str, None] = field(default_factory=dict)

    def ignores(self, path: str) -> bool:
        """Whether a place of the body may hold anything."""
        return path in self.may.ignore or re.sub(r"\[\d+\]", "[*]", path) in self.may.ignore

    def same_paths(self, ours: str, theirs: str) -> bool:
        """Whether two texts differ in nothing but the paths of the model's files."""
        if without_paths(ours, self.here) != without_paths(theirs, self.there):
            return False
        self.met[f"paths of {MODEL_DIR}"] = None
        return True

    def is_volatile(self, path: str, ours: Any, theirs: Any) -> bool:
        """Whether a value of a description is of one worker, or of one moment."""
        found = _OF_ONE_WORKER.fullmatch(path) if self.describes else None
        if found is None or (found[0].endswith("jobQueueStatus") and _places(ours) != _places(theirs)):
            return False
        self.met[found[0].partition(".")[2]] = None
        return True


#: Places in a description that hold facts of one worker or one server.
_OF_ONE_WORKER = re.compile(
    r"body\[\d+\]\.(?:modelUrl|jobQueueStatus|workers\[\d+\]\.(?:id|startTime|memoryUsage|pid|gpuUsage))"
)


def _places(queue: Any) -> Any:
    """How many jobs the queue of a description holds at most: those that wait, and those that still may."""
    try:
        return queue["remainingCapacity"] + queue["pendingRequests"]
    except (KeyError, TypeError):
        return queue


def without_paths(text: str, paths: Mapping[str, str]) -> str:
    """A text without these paths, as they are or as JSON writes them."""
    for path in sorted(paths, key=len, reverse=True):
        for written in {path, json.dumps(path)[1:-1]}:
            text = text.replace(written, paths[path])
    return text
