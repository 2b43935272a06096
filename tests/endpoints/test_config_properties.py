"""config.properties as a caller gives it: the kit's own error."""

from __future__ import annotations

import pytest

from handlerkit.endpoints.config_properties import read_config
from handlerkit.errors import ConfigError
from handlerkit.serving.config import Config


def test_what_is_known_is_read() -> None:
    assert read_config({"max_request_size": "12"}) == Config(max_request_size=12)


def test_what_is_not_known_is_the_kits_own_error() -> None:
    with pytest.raises(
        ConfigError, match=r"^TorchServe knows no config.properties key 'max_request_siz'; did you mean"
    ):
        read_config({"max_request_siz": 1})


def test_envelope_that_is_not_known() -> None:
    with pytest.raises(ConfigError, match=r"^service_envelope is one of body, json, kserve, kservev2, not 'jsn'$"):
        read_config({"service_envelope": "jsn"})


def test_envelope_of_the_environment_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TS_SERVICE_ENVELOPE", "jsn")
    with pytest.raises(ConfigError, match="not 'jsn'"):
        read_config({"enable_envvars_config": True})
