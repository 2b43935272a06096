"""Which settings of TorchServe an app can follow: keys of config.properties and of model-config.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from handlerkit.errors import ConfigError, ModelError
from handlerkit.model import Model
from handlerkit.serving.config import Config, PropertyError

#: Keys that an app follows beside those of Config.
_FOLLOWED = {"model_metrics_auto_detect", "number_of_gpu", "default_workers_per_model", "enable_envvars_config"}
_TLS = "an app speaks plain HTTP: put a proxy that speaks TLS before it"
#: Keys that an app must not pass over in silence, and what to do.
_REFUSED = {
    "private_key_file": _TLS,
    "certificate_file": _TLS,
    "keystore": _TLS,
    "keystore_pass": _TLS,
    "keystore_type": _TLS,
    "plugins_path": "plugins are Java",
    "blacklist_env_vars": "its workers have its whole environment: start it without those variables",
    "default_service_handler": "name the handler to the model",
    "ts_header_key_sequence_id": "its header is ts_request_sequence_id",
    "ts_header_key_sequence_start": "its header is ts_request_sequence_start",
    "ts_header_key_sequence_end": "its header is ts_request_sequence_end",
}
#: Settings of a model that change what its handler gets, and that an app does not do.
_NOT_DONE = (
    "parallelType", "parallelLevel", "torchrun", "continuousBatching", "asyncCommunication", "sequenceTimeoutMSec",
)  # fmt: skip


def check_properties(properties: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys that have no effect in an app, as there is nothing that they could change. Raises ConfigError for a key
    that TorchServe does not know, a wrong value, and a key that an app cannot follow."""
    try:
        Config.read(properties, {})
    except PropertyError as problem:
        raise ConfigError(str(problem)) from None
    for key in properties:
        if key in _REFUSED:
            raise ConfigError(f"an app cannot follow {key} of config.properties, so leave it out: {_REFUSED[key]}")
    followed = _FOLLOWED | {field.name for field in fields(Config)}
    return tuple(key for key in properties if key not in followed)


def check_model(model: Model) -> None:
    """Raises ModelError for settings that an app does not do."""
    settings = model.settings()
    for key in _NOT_DONE:
        if settings.get(key):
            raise ModelError(f"an app cannot do {key}, which {model.name} sets in its model-config.yaml: leave it out")


def check_asked(asked: Mapping[str, int]) -> None:
    """Raises ConfigError for a number that a register call cannot give."""
    for key, value in asked.items():
        least = 0 if key == "max_batch_delay" else 1
        if type(value) is not int or value < least:
            raise ConfigError(f"{key} is a whole number from {least} on, not {value!r}")
