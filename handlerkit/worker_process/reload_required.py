"""Why a loaded handler cannot be kept."""

from __future__ import annotations


class ReloadRequired(Exception):
    """The loaded model cannot be kept. Text: why, as half a sentence."""
