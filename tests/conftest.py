"""Fixtures that tests of several modules share."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture(scope="session")
def handlers() -> Path:
    """The folder of handlers that tests load."""
    return Path(__file__).parent / "handlers"
