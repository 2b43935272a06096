"""config.properties and the environment, as given to an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlerkit import shell
from handlerkit.envelope import ENVELOPES
from handlerkit.errors import ConfigError
from handlerkit.serving.config import Config, PropertyError, reads_environment
from handlerkit.serving.torchserve_facts import WORKER_VARIABLES


def read_config(properties: Mapping[str, Any] | None, environment: Mapping[str, str] | None = None) -> Config:
    """What these properties set, with these variables beside the shell's. Raises ConfigError for a key or an envelope
    that TorchServe does not know, and for a value of the wrong type."""
    try:
        reads = reads_environment(properties or {})
        config = Config.read(properties, shell.environment() | dict(environment or {}) if reads else {})
    except PropertyError as problem:
        raise ConfigError(str(problem)) from None
    if (envelope := config.service_envelope) and envelope not in ENVELOPES:
        raise ConfigError(f"service_envelope is one of {', '.join(ENVELOPES)}, not {envelope!r}")
    return config


def checked_environment(environment: Mapping[str, str] | None) -> dict[str, str]:
    """A copy of the variables that a worker is given. Raises ConfigError for one that no process can have, and for one
    that TorchServe sets itself; TS_DECODE_INPUT_REQUEST and its like are keys of config.properties, which
    enable_envvars_config reads here."""
    for name, value in (environment or {}).items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise ConfigError(f"{name!r} cannot name a variable of the environment")
        if name in WORKER_VARIABLES:
            raise ConfigError(f"TorchServe sets {name} itself for its workers: leave it out of the environment")
        if not isinstance(value, str) or "\0" in value:
            raise ConfigError(f"the variable {name} is text, such as {str(value)!r}, not {value!r}")
    return dict(environment or {})
