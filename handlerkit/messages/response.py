"""What the client gets back, in words."""

from __future__ import annotations

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
