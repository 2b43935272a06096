"""config.properties: the keys TorchServe 0.12 knows (org.pytorch.serve.util.ConfigManager), and their defaults."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from handlerkit import shell
from handlerkit.errors import ConfigError

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

#: Variables that its workers have whatever the shell says.
_SET_BY_TORCHSERVE = {
    "PYTHONPATH", "LOG_LOCATION", "METRICS_LOCATION", "TS_DECODE_INPUT_REQUEST", "TS_IPEX_ENABLE", "TS_IPEX_GPU_ENABLE",
}  # fmt: skip


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
    def read(cls, properties: Mapping[str, Any] | None, environment: Mapping[str, str] | None = None) -> Config:
        """Values may be of their own type or the text a file would hold. `environment`: variables beside the shell's.

        Raises ConfigError for a key TorchServe does not know, and for a value of the wrong kind.
        """
        check_keys(properties or {})
        asked = {**(properties or {}), **_of_environment(properties or {}, cls.__dataclass_fields__, environment or {})}
        given = {key: value for key, value in asked.items() if key in cls.__dataclass_fields__}
        read = {
            key: _READERS.get(cls.__dataclass_fields__[key].type, _text)(key, value) for key, value in given.items()
        }
        envelope = read.get("service_envelope")
        if envelope and envelope not in ENVELOPES:
            raise ConfigError(f"service_envelope is one of {', '.join(ENVELOPES)}, not {envelope!r}")
        return cls(**read)


def check_keys(properties: Mapping[str, Any]) -> None:
    """Raises ConfigError for a key TorchServe does not know; TorchServe itself ignores it silently."""
    for key in properties:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"TorchServe knows no config.properties key {key!r}{hint}")


def checked_environment(environment: Mapping[str, str] | None) -> dict[str, str]:
    """A copy of the variables that a worker is given. Raises ConfigError for what no process can have, and for a
    variable that TorchServe sets itself."""
    for name, value in (environment or {}).items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise ConfigError(f"{name!r} cannot name a variable of the environment")
        if name in _SET_BY_TORCHSERVE:
            raise ConfigError(f"TorchServe sets {name} itself for its workers: leave it out of the environment")
        if not isinstance(value, str) or "\0" in value:
            raise ConfigError(f"the variable {name} is text, such as {str(value)!r}, not {value!r}")
    return dict(environment or {})


def _of_environment(
    properties: Mapping[str, Any], keys: Iterable[str], environment: Mapping[str, str]
) -> dict[str, str]:
    """With enable_envvars_config, a variable such as TS_JOB_QUEUE_SIZE stands before the file's job_queue_size."""
    if as_text(properties.get("enable_envvars_config", False)).lower() != "true":
        return {}
    variables = shell.environment() | dict(environment)
    return {key: variables[name] for key in keys if (name := f"TS_{key.upper()}") in variables}


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
        raise ConfigError(f"{key} is a whole number, not {value!r}") from None


def _boolean(key: str, value: Any) -> bool:
    if as_text(value).lower() not in ("true", "false"):
        raise ConfigError(f"{key} is true or false, not {value!r}")
    return as_text(value).lower() == "true"


def _text(key: str, value: Any) -> str | None:
    """An empty value in the file is none."""
    return None if value is None else str(value) or None


_READERS: dict[Any, Any] = {"int": _integer, "bool": _boolean}
