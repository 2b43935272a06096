"""The documents that describe APIs; tests/golden has those of models."""

from __future__ import annotations

import hashlib

from handlerkit.serving.documents import openapi


def test_the_api_is_described_in_torchserves_bytes() -> None:
    document = openapi.api()
    assert len(document) == 23406  # as TorchServe 0.12.0 answered OPTIONS /
    assert hashlib.sha256(document).hexdigest() == "a5d6b9ff9740686f2d23946db2f910aebc0826c77194343798d3635871de7e69"
