"""What tests of findings share."""

from __future__ import annotations

from handlerkit.messages import Finding


def only(found: list[Finding], name: str) -> Finding:
    """The only finding, which is of this rule."""
    assert [finding.name for finding in found] == [name]
    return found[0]
