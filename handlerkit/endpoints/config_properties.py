"""config.properties as an endpoint's caller gives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlerkit.envelope import ENVELOPES
from handlerkit.errors import ConfigError
from handlerkit.serving.config import Config, PropertyError


def read_config(properties: Mapping[str, Any] | None) -> Config:
    """What these properties set. Raises ConfigError for a key or an envelope that TorchServe does not know, and for a
    value of the wrong type."""
    try:
        config = Config.read(properties)
    except PropertyError as problem:
        raise ConfigError(str(problem)) from None
    if (envelope := config.service_envelope) and envelope not in ENVELOPES:
        raise ConfigError(f"service_envelope is one of {', '.join(ENVELOPES)}, not {envelope!r}")
    return config
