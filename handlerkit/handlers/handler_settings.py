"""What the section `handler:` of model-config.yaml may say."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

# What a setting has to be, in words and as a test.
Rule = tuple[str, Callable[[Any], bool]]
COUNT: Rule = ("a whole number from 1 on", lambda value: type(value) is int and value >= 1)
SHARE: Rule = ("a number from 0 to 1", lambda value: is_number(value) and 0 <= value <= 1)
CHANNELS: Rule = (
    "a list of one or three numbers",
    lambda value: isinstance(value, list) and len(value) in (1, 3) and all(map(is_number, value)),
)
SIZE: Rule = (
    "the shorter side in pixels, [height, width], or null",
    lambda value: (
        value is None or COUNT[1](value) or (isinstance(value, list) and len(value) == 2 and all(map(COUNT[1], value)))
    ),
)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def one_of(*names: Any) -> Rule:
    return f"one of {', '.join(map(str, names))}", lambda value: value in names


def optional(rule: Rule) -> Rule:
    words, fits = rule
    return f"{words}, or null", lambda value: value is None or fits(value)


class Settings:
    """The settings that the section `handler:` of model-config.yaml may hold: the default and the rule of each."""

    def __init__(self, **settings: tuple[Any, Rule]) -> None:
        self.settings = {**settings, "max_response_size": (6553500, COUNT)}

    def read(self, config: dict[str, Any], **defaults: Any) -> SimpleNamespace:
        """What model-config.yaml says, with the defaults of what it leaves out; those given here come first.

        Raises RuntimeError, with the name of a wrong setting.
        """
        given = config.get("handler") or {}
        if not isinstance(given, dict):
            raise wrong_setting(f"it holds settings by name, not {given!r}")
        for name in given.keys() - {"profile"}:  # which is BaseHandler's own
            if name not in self.settings:
                raise wrong_setting(f"there is no setting {name!r}, only {', '.join(self.settings)}")
            words, fits = self.settings[name][1]
            if not fits(given[name]):
                raise wrong_setting(f"{name} is {words}, not {given[name]!r}")
        own = {name: default for name, (default, _) in self.settings.items()}
        return SimpleNamespace(**{**own, **defaults, **{name: given[name] for name in own if name in given}})


def wrong_setting(what: str) -> RuntimeError:
    """A RuntimeError is what a worker reports; after any other it starts again and again."""
    return RuntimeError(f"model-config.yaml, section handler: {what}")
