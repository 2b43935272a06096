"""config.properties: the keys that TorchServe 0.12 knows (org.pytorch.serve.util.ConfigManager), and their values."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import torchserve_facts as facts


class PropertyError(ValueError):
    """A key of config.properties that TorchServe does not know, or a value of the wrong type."""


_KEYS = frozenset(
    """
    allowed_urls async_logging blacklist_env_vars certificate_file cors_allowed_headers cors_allowed_methods
    cors_allowed_origin cpp_log_config cpu_launcher_args cpu_launcher_enable decode_input_request
    default_response_timeout default_service_handler default_startup_timeout default_workers_per_model
    disable_system_metrics disable_token_authorization enable_envvars_config enable_grpc_ssl enable_metrics_api
    enable_model_api grpc_inference_address grpc_inference_max_connection_age_grace_ms
    grpc_inference_max_connection_age_ms grpc_inference_port grpc_management_address
    grpc_management_max_connection_age_grace_ms grpc_management_max_connection_age_ms grpc_management_port
    inference_address initial_distribution_port initial_worker_port install_py_dep_per_model ipex_enable
    ipex_gpu_enable job_queue_size keystore keystore_pass keystore_type limit_max_image_pixels load_models
    management_address max_request_size max_response_size metric_time_interval metrics_address metrics_config
    metrics_mode model_metrics_auto_detect model_server_home model_snapshot model_store models
    netty_client_threads number_of_gpu number_of_netty_threads plugins_path prefer_direct_buffer
    private_key_file service_envelope system_metrics_cmd token_expiration_min ts_header_key_sequence_end
    ts_header_key_sequence_id ts_header_key_sequence_start ts_open_inference_protocol
    unregister_model_timeout use_env_allowed_urls use_native_io vmargs workflow_store
    """.split()
)


@dataclass(frozen=True)
class Config:
    """The keys that decide what a handler and a client get. Sizes are in bytes, times in seconds."""

    max_request_size: int = facts.MAX_REQUEST_SIZE
    max_response_size: int = facts.MAX_RESPONSE_SIZE
    default_response_timeout: int = facts.RESPONSE_TIMEOUT
    default_startup_timeout: int = facts.STARTUP_TIMEOUT
    job_queue_size: int = facts.JOB_QUEUE_SIZE
    decode_input_request: bool = True
    service_envelope: str | None = None
    limit_max_image_pixels: bool = True
    metrics_config: str | None = None
    disable_system_metrics: bool = False
    metric_time_interval: int = facts.METRIC_INTERVAL
    cors_allowed_origin: str | None = None
    cors_allowed_methods: str | None = None
    cors_allowed_headers: str | None = None

    @classmethod
    def read(cls, properties: Mapping[str, Any] | None, environment: Mapping[str, str] | None = None) -> Config:
        """What these properties set. A value has its own type, or is the text that a file would hold. `environment`:
        that of TorchServe's process; this one's if it is None.

        Raises PropertyError for a key that TorchServe does not know, a value of the wrong type, and one too small.
        """
        check_keys(properties or {})
        variables = os.environ if environment is None else environment
        asked = {**(properties or {}), **_from_environment(properties or {}, cls.__dataclass_fields__, variables)}
        given = {key: value for key, value in asked.items() if key in cls.__dataclass_fields__}
        read = {
            key: _READERS.get(cls.__dataclass_fields__[key].type, _text)(key, value) for key, value in given.items()
        }
        found = cls(**read)
        if found.metric_time_interval < 1:  # Java's scheduler takes none either
            raise PropertyError(f"metric_time_interval is a second or more, not {found.metric_time_interval}")
        return found


def check_keys(properties: Mapping[str, Any]) -> None:
    """Raise PropertyError for a key that TorchServe does not know; TorchServe itself ignores it without a word."""
    for key in properties:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise PropertyError(f"TorchServe knows no config.properties key {key!r}{hint}")


def reads_environment(properties: Mapping[str, Any]) -> bool:
    """Whether variables of the environment override these properties."""
    return property_text(properties.get("enable_envvars_config", False)).lower() == "true"


def _from_environment(
    properties: Mapping[str, Any], keys: Iterable[str], environment: Mapping[str, str]
) -> dict[str, str]:
    """With enable_envvars_config, a variable such as TS_JOB_QUEUE_SIZE overrides the file's job_queue_size."""
    if not reads_environment(properties):
        return {}
    return {key: environment[name] for key in keys if (name := variable(key)) in environment}


def variable(key: str) -> str:
    """The environment variable for a key of config.properties."""
    return f"TS_{key.upper()}"


def property_text(value: Any) -> str:
    """A value as the file holds it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def whole_number(settings: Mapping[str, Any], key: str) -> int:
    """A whole number of model-config.yaml, or its default: TorchServe ignores another type and too small a value."""
    value = settings.get(key)
    return value if type(value) is int and value >= facts.LEAST[key] else facts.DEFAULTS.get(key, 0)


def _integer(key: str, value: Any) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise PropertyError(f"{key} is a whole number, not {value!r}") from None


def _boolean(key: str, value: Any) -> bool:
    if (text := property_text(value).lower()) not in ("true", "false"):
        raise PropertyError(f"{key} is true or false, not {value!r}")
    return text == "true"


def _text(key: str, value: Any) -> str | None:
    """An empty value in the file means none."""
    return None if value is None else str(value) or None


_READERS: dict[Any, Any] = {"int": _integer, "bool": _boolean}
