"""Pictures in terminals: who shows them, and what they are sent."""

from __future__ import annotations

import base64
import io
import re

import pytest
from PIL import Image

from handlerkit.cli import terminal_pictures
from handlerkit.cli.terminal_pictures import encoded, protocol


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "shows"),
    [
        ({}, None),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"KITTY_WINDOW_ID": "1", "TERM": "xterm-256color"}, "kitty"),
        ({"TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"LC_TERMINAL": "iTerm2"}, "iterm"),
        ({"TERM": "foot"}, "sixel"),
        ({"WT_SESSION": "1"}, "sixel"),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "iTerm.app"}, None),
        ({"TMUX": "x", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "xterm-kitty", "HANDLERKIT_PICTURES": "none"}, None),
        ({"HANDLERKIT_PICTURES": "sixel"}, "sixel"),
    ],
)
def test_the_protocol_of_a_terminal(
    environment: dict[str, str], shows: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    assert protocol(environment) == shows


def test_what_is_no_terminal_gets_no_picture() -> None:
    assert protocol({"TERM": "xterm-kitty"}) is None


def picture(size: tuple[int, int] = (7, 13)) -> Image.Image:
    image = Image.new("RGB", size, (255, 0, 0))
    image.paste((0, 0, 255), (0, 0, size[0] // 2, size[1]))
    return image


def of_png(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_kitty_gets_a_png_in_chunks() -> None:
    noise = Image.effect_noise((300, 300), 90)
    parts = re.findall("\x1b_G([^;]*);([^\x1b]*)\x1b\\\\", encoded(noise, "kitty"))
    assert len(parts) > 2
    assert [head for head, _ in parts] == ["a=T,f=100,m=1", *["m=1"] * (len(parts) - 2), "m=0"]
    assert max(len(chunk) for _, chunk in parts) == 4096
    assert of_png("".join(chunk for _, chunk in parts)).tobytes() == noise.tobytes()


def test_iterm_gets_a_file_that_is_shown_inline() -> None:
    found = re.fullmatch("\x1b\\]1337;File=inline=1;width=7px;height=13px:(.*)\a", encoded(picture(), "iterm"))
    assert found is not None
    assert of_png(found[1]).size == (7, 13)


def test_a_wide_picture_becomes_smaller() -> None:
    assert "width=800px;height=400px" in encoded(picture((1600, 800)), "iterm")


def test_sixels_draw_the_picture() -> None:
    image = picture()
    assert sixel_pixels(encoded(image, "sixel")) == {
        (x, y): ((0, 0, 100) if x < 3 else (100, 0, 0)) for x in range(7) for y in range(13)
    }


def sixel_pixels(text: str) -> dict[tuple[int, int], tuple[int, ...]]:
    """What a terminal draws: percent of red, green and blue by pixel."""
    head = re.fullmatch('\x1bPq"1;1;\\d+;\\d+(.*)\x1b\\\\', text)
    assert head is not None
    colors: dict[int, tuple[int, ...]] = {}
    drawn: dict[tuple[int, int], tuple[int, ...]] = {}
    x = top = color = 0
    for number, levels, count, dots, step in re.findall(r"#(\d+)((?:;\d+){4})?|(?:!(\d+))?([?-~])|([$-])", head[1]):
        if number:
            color = int(number)
            if levels:
                colors[color] = tuple(map(int, levels.split(";")[2:]))
        elif step:
            x, top = 0, top + 6 * (step == "-")
        else:
            wide = int(count or 1)
            rows = [top + bit for bit in range(6) if (ord(dots) - 63) >> bit & 1]
            drawn |= {(x + right, y): colors[color] for right in range(wide) for y in rows}
            x += wide
    return drawn


def test_the_answers_picture_is_drawn_below_its_text(command, archive, monkeypatch: pytest.MonkeyPatch) -> None:
    from cli_runs import MASK

    picture((20, 20)).save("coin.png")
    monkeypatch.setattr(terminal_pictures, "protocol", lambda: "iterm")
    assert "\x1b]1337;File=inline=1" in command("request", archive(MASK), "coin.png", "--as", "segmentation")[1]
