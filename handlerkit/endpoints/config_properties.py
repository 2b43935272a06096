"""config.properties as an endpoint's caller gives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlerkit.errors import ConfigError
from handlerkit.serving.config import Config, PropertyError


def read_config(properties: Mapping[str, Any] | None) -> Config:
    """What these properties set. Raises ConfigError for a key TorchServe does not know, and for a value of the wrong
    kind."""
    try:
        return Config.read(properties)
    except PropertyError as problem:
        raise ConfigError(str(problem)) from None
