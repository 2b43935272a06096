"""config.properties: the keys TorchServe 0.12 knows (org.pytorch.serve.util.ConfigManager), and their defaults."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


class PropertyError(ValueError):
    """A key of config.properties that TorchServe does not know, or a value of the wrong kind."""


ENVELOPES = ("body", "json", "kserve", "kservev2")

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
    """The keys that decide what a handler is given and what a client gets; sizes in bytes, times in seconds."""

    max_request_size: int = 6553500
    max_response_size: int = 6553500
    default_response_timeout: int = 120
    default_startup_timeout: int = 120
    job_queue_size: int = 100
    decode_input_request: bool = True
    service_envelope: str | None = None
    limit_max_image_pixels: bool = True
    metrics_config: str | None = None
    cors_allowed_origin: str | None = None
    cors_allowed_methods: str | None = None
    cors_allowed_headers: str | None = None

    @classmethod
    def read(cls, properties: Mapping[str, Any] | None) -> Config:
        """Values may be of their own type or the text a file would hold.

        Raises PropertyError for a key TorchServe does not know, and for a value of the wrong kind.
        """
        check_keys(properties or {})
        asked = {**(properties or {}), **_of_environment(properties or {}, cls.__dataclass_fields__)}
        given = {key: value for key, value in asked.items() if key in cls.__dataclass_fields__}
        read = {
            key: _READERS.get(cls.__dataclass_fields__[key].type, _text)(key, value) for key, value in given.items()
        }
        envelope = read.get("service_envelope")
        if envelope and envelope not in ENVELOPES:
            raise PropertyError(f"service_envelope is one of {', '.join(ENVELOPES)}, not {envelope!r}")
        return cls(**read)


def check_keys(properties: Mapping[str, Any]) -> None:
    """Raises PropertyError for a key TorchServe does not know; TorchServe itself ignores it silently."""
    for key in properties:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise PropertyError(f"TorchServe knows no config.properties key {key!r}{hint}")


def _of_environment(properties: Mapping[str, Any], keys: Iterable[str]) -> dict[str, str]:
    """With enable_envvars_config, a variable such as TS_JOB_QUEUE_SIZE stands before the file's job_queue_size."""
    if as_text(properties.get("enable_envvars_config", False)).lower() != "true":
        return {}
    variables = {key: os.environ.get(f"TS_{key.upper()}") for key in keys}
    return {key: value for key, value in variables.items() if value is not None}


def as_text(value: Any) -> str:
    """A value as it stands in the file."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def whole(settings: Mapping[str, Any], key: str, default: int, least: int = 1) -> int:
    """A whole number of model-config.yaml; TorchServe ignores a value of another type, and one that is too small."""
    value = settings.get(key)
    return value if type(value) is int and value >= least else default


def _integer(key: str, value: Any) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise PropertyError(f"{key} is a whole number, not {value!r}") from None


def _boolean(key: str, value: Any) -> bool:
    if as_text(value).lower() not in ("true", "false"):
        raise PropertyError(f"{key} is true or false, not {value!r}")
    return as_text(value).lower() == "true"


def _text(key: str, value: Any) -> str | None:
    """An empty value in the file is none."""
    return None if value is None else str(value) or None


_READERS: dict[Any, Any] = {"int": _integer, "bool": _boolean}
