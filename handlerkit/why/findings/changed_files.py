"""What a worker says of files that changed on disk since it read them."""

from __future__ import annotations

from collections.abc import Sequence

from handlerkit.messages import Finding

_SERVER = "A server keeps the files that it registered."


def read_again(names: Sequence[str], kept: bool, reason: str) -> Finding:
    """They were read again before the request; `reason` is why the loaded model was kept, or was not."""
    done = "the loaded model was kept" if kept else "the handler was loaded again"
    message = f"{_listed(names)} changed on disk, so {done} ({reason}) before this request."
    return Finding("files_changed", message, "", _SERVER, "Worker.follows_files = False keeps what is loaded.", "info")


def gone(names: Sequence[str]) -> Finding:
    """They are not there any more."""
    message = f"{_listed(names)} {_are(names)} no longer on disk; the handler that was loaded before answers."
    return Finding("files_gone", message, "", _SERVER, "Write it again before the next load or export.", "warning")


def missing(sentence: str) -> Finding:
    """A worker that died is to be loaded again, and a file of the model is not there any more."""
    effect = "A server has its own copy of the archive, and loads that again."
    return Finding("file_gone", f"A file of the model is missing: {sentence}.", "", effect, "Put it back.")


def unfinished(names: Sequence[str]) -> Finding:
    """A program is writing them."""
    message = f"{_listed(names)} {_are(names)} still being written; the handler that was loaded before answers."
    return Finding(
        "files_unfinished", message, "", _SERVER, "Send the request again when the file is whole.", "warning"
    )


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _listed(names: Sequence[str]) -> str:
    shown = list(names) if len(names) <= 3 else [*names[:2], f"{len(names) - 2} more files"]
    return f"{', '.join(shown[:-1])}{' and ' * (len(shown) > 1)}{shown[-1]}"
