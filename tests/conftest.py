"""Fixtures that tests of several modules share."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # what a shell starts in the background ignores Ctrl-C, and the tests press it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def handlers() -> Path:
    """The folder of handlers that tests load."""
    return Path(__file__).parent / "handlers"
