from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from handlerkit.endpoints.logs import set_level


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    level, disabled = logging.root.level, logging.root.manager.disable
    set_level(logging.WARNING, 0)
    yield
    set_level(level, disabled)


def test_loggers_follow_the_level() -> None:
    logger = logging.getLogger("handlerkit.test.follows")
    before = logger.isEnabledFor(logging.INFO)
    set_level(logging.INFO, 0)
    assert (before, logger.isEnabledFor(logging.INFO), logging.root.isEnabledFor(logging.INFO)) == (False, True, True)


def test_logger_that_is_made_in_between() -> None:
    set_level(logging.INFO, 0)
    logger = logging.getLogger("handlerkit.test.made_in_between")
    assert logger.isEnabledFor(logging.INFO)
    set_level(logging.WARNING, 0)
    assert not logger.isEnabledFor(logging.INFO)


def test_logger_that_takes_a_placeholders_place() -> None:
    """It makes the number of names no larger."""
    logging.getLogger("handlerkit.test.parent.child")
    set_level(logging.INFO, 0)
    logger = logging.getLogger("handlerkit.test.parent")
    assert logger.isEnabledFor(logging.INFO)
    set_level(logging.WARNING, 0)
    assert not logger.isEnabledFor(logging.INFO)


def test_logging_that_is_disabled() -> None:
    set_level(logging.INFO, logging.CRITICAL)
    assert not logging.getLogger("handlerkit.test.disabled").isEnabledFor(logging.CRITICAL)
