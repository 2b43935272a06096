"""The OpenAPI document that the frontend answers OPTIONS with, on any path of a model, so to a browser's preflight too.

The handler is not called, and the document is the same for every handler.
"""

from __future__ import annotations

import json
from typing import Any


def document(model: str) -> bytes:
    """The document for a model (org.pytorch.serve.openapi.OpenApiUtils)."""
    paths = (f"/prediction/{model}", "/v1/models/{model_name}:predict", "/v2/models/{model_name}/infer")
    described = {
        "openapi": "3.0.1",
        "info": {"title": f"RESTful API for: {model}", "version": "1.0.0"},
        "paths": {path: {"post": _operation(model)} for path in paths},
    }
    return (json.dumps(described, indent=2) + "\n").encode()


def _operation(model: str) -> dict[str, Any]:
    members = {
        "code": ("integer", "Error code."),
        "type": ("string", "Error type."),
        "message": ("string", "Error message."),
    }
    schema = {
        "type": "object",
        "required": [*members],
        "properties": {name: {"type": kind, "description": text} for name, (kind, text) in members.items()},
    }
    return {
        "description": f"A predict entry point for model: {model}.",
        "operationId": model,
        "parameters": [],
        "responses": {
            "200": {"description": "OK"},
            "500": {"description": "Internal Server Error", "content": {"application/json": {"schema": schema}}},
        },
    }
