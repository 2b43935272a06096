"""What the client gets back, in words and figures."""

from __future__ import annotations

from collections.abc import Sequence

from handlerkit.serving.http import Response


def describe_response(response: Response) -> str:
    """`200`, `503 Prediction failed`, `no answer`: an answer in a word or two."""
    if response.status is None:
        return "no answer"
    if response.status >= 400 and response.content_type == "application/json":
        try:
            return f"{response.status} {response.json()['message']}"
        except (ValueError, KeyError, TypeError):
            pass
    return f"{response.status} {response.reason}".rstrip() + ("" if response.complete else ", broken off")


def chunk_rate(arrivals: Sequence[float]) -> float | None:
    """Chunks a second of a stream behind its first, which has waited for the prompt; None for a single one, or all at
    once. `arrivals`: seconds from the request to each."""
    seconds = arrivals[-1] - arrivals[0]
    return (len(arrivals) - 1) / seconds if seconds > 0 else None
