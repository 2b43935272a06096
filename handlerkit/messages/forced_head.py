"""What is between an endpoint's app and its clients, and decides about the head of its answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ForcedHead:
    """What a proxy makes of the head of each answer, whatever the app behind it sends.

    Attributes:
        by: who does it, as a sentence names it.
        own_headers: names, in lower case, of headers that it adds, removes or writes over.
        lower_case: whether it writes all names in lower case.
        http_reasons: whether the reason phrase is HTTP's for the status.
        highest_status: an answer with a status above this one does not reach the client.
    """

    by: str
    own_headers: frozenset[str] = frozenset()
    lower_case: bool = False
    http_reasons: bool = False
    highest_status: int = 999
