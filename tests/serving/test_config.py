"""config.properties: keys, kinds of values, defaults."""

from __future__ import annotations

import pytest

from handlerkit.serving.config import Config, PropertyError, check_keys, property_text


def test_nothing_given_is_torchserves_defaults() -> None:
    assert Config.read(None) == Config.read({}) == Config()
    assert (Config().max_response_size, Config().default_response_timeout) == (6553500, 120)


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [
        ("max_request_size", "1000", 1000),
        ("max_response_size", 7, 7),
        ("decode_input_request", "false", False),
        ("decode_input_request", "True", True),
        ("limit_max_image_pixels", False, False),
        ("service_envelope", "json", "json"),
        ("service_envelope", "", None),
        ("service_envelope", None, None),
        ("cors_allowed_origin", "*", "*"),
    ],
)
def test_value_of_its_own_kind_or_as_text(key: str, given: object, value: object) -> None:
    assert getattr(Config.read({key: given}), key) == value


@pytest.mark.parametrize(
    ("key", "given", "words"),
    [
        ("metric_time_interval", 0, "metric_time_interval is a second or more, not 0"),
        ("max_request_size", "big", "max_request_size is a whole number, not 'big'"),
        ("decode_input_request", "no", "decode_input_request is true or false, not 'no'"),
        ("decode_input_request", 1, "true or false, not 1"),
        ("max_request_siz", 1, "no config.properties key 'max_request_siz'; did you mean max_request_size?"),
        ("zzzzzz", 1, "no config.properties key 'zzzzzz'$"),
    ],
)
def test_what_is_refused(key: str, given: object, words: str) -> None:
    with pytest.raises(PropertyError, match=words):
        Config.read({key: given})


def test_key_that_a_worker_does_not_need_is_known() -> None:
    assert Config.read({"number_of_netty_threads": 2}) == Config()


def test_check_keys_looks_at_names_only() -> None:
    check_keys({"max_request_size": "anything"})


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false"), (3, "3"), ("x", "x")])
def test_property_text(value: object, text: str) -> None:
    assert property_text(value) == text


def test_environment_counts_only_where_it_is_let() -> None:
    environment = {"TS_DECODE_INPUT_REQUEST": "false"}
    assert Config.read({}, environment).decode_input_request
    assert not Config.read({"enable_envvars_config": True}, environment).decode_input_request


def test_environment_comes_before_the_file() -> None:
    environment = {"TS_JOB_QUEUE_SIZE": "7"}
    assert Config.read({"enable_envvars_config": "true", "job_queue_size": 3}, environment).job_queue_size == 7
