"""One fact about a handler, an archive or an answer, with what to change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Finding:
    """One fact about a handler or an archive, in plain words.

    Attributes:
        name: the key of the rule that found it.
        message: what happened, or what is wrong.
        where: the place in the source, such as "handler.py, line 3"; empty if there is none.
        effect: what TorchServe logs, answers or does about it.
        fix: what to change.
        severity: "error": it fails; "warning": something is lost or changed without an error, or may fail;
            "info": no fault, for information.
    """

    name: str
    message: str
    where: str = ""
    effect: str = ""
    fix: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        return " ".join(filter(None, [self.message, self.where and f"({self.where})", self.fix]))
