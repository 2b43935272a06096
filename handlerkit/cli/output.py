"""What a command writes of a result: its text, its picture where the terminal shows pictures, and the log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from handlerkit.errors import RequestError

if TYPE_CHECKING:
    from handlerkit.messages import Run
    from handlerkit.view import View


def write(shown: object) -> View:
    """Write what `hk.view` shows of a result; returns it."""
    from handlerkit.cli import terminal_pictures
    from handlerkit.view.displays import view

    made = view(shown)
    print(made.text, flush=True)
    if made.image is not None and (protocol := terminal_pictures.protocol()) is not None:
        print(terminal_pictures.encoded(made.image, protocol), flush=True)
    return made


def write_log(run: Run) -> None:
    """Write what the handler said: prints, log lines and warnings."""
    from handlerkit.formatting import visible
    from handlerkit.serving.torchserve_facts import METRIC

    for line in run.logs:
        if not line.text.startswith(METRIC):
            print(visible(line.text), flush=True)


def picture_file(name: str) -> Path:
    """A file that a picture can be saved to. Raises RequestError if its suffix is no format of pictures, or there is no
    such folder."""
    from PIL import Image

    path = Path(name).expanduser()
    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:  # some formats are only read
        raise RequestError(f"--show writes a picture, such as answer.png, and {name} has no suffix of one")
    if not path.absolute().parent.is_dir():
        raise RequestError(f"there is no folder {path.parent} to write {path.name} into")
    return path


def save_picture(made: View, path: Path) -> None:
    """Write the picture of a result. Raises RequestError if it has none, and if it cannot be written."""
    if made.image is None:
        raise RequestError(f"{path} is not written: the answer has no picture")
    image = made.image
    if path.suffix.lower() in (".jpg", ".jpeg"):
        image = image.convert("RGB")
    image.save(path)
