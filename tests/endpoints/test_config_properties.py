"""config.properties as a caller gives it: the kit's own error."""

from __future__ import annotations

import pytest

from handlerkit.endpoints.config_properties import checked_environment, read_config
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


def test_envelope_of_the_environment_is_looked_at_too() -> None:
    with pytest.raises(ConfigError, match="not 'jsn'"):
        read_config({"enable_envvars_config": True}, {"TS_SERVICE_ENVELOPE": "jsn"})


def test_environment_is_the_shells_and_not_the_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TS_JOB_QUEUE_SIZE", "7")
    assert read_config({"enable_envvars_config": True}).job_queue_size == 100
    monkeypatch.setattr("handlerkit.shell.environment", lambda: {"TS_JOB_QUEUE_SIZE": "8"})
    assert read_config({"enable_envvars_config": True}).job_queue_size == 8


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"": "1"}, "'' cannot name a variable of the environment"),
        ({"A=B": "1"}, "'A=B' cannot name a variable of the environment"),
        ({"A": 1}, "the variable A is text, such as '1', not 1"),
        ({"A": "\0"}, r"the variable A is text, such as '\\x00', not '\\x00'"),
        ({"PYTHONPATH": "/x"}, "TorchServe sets PYTHONPATH itself for its workers: leave it out of the environment"),
    ],
)
def test_environment_that_no_worker_can_have(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        checked_environment(environment)


def test_environment_is_copied() -> None:
    given = {"A": "1"}
    assert checked_environment(given) == given
    assert checked_environment(given) is not given
    assert checked_environment(None) == {}
