"""The OpenAPI documents that the frontend answers with: a model's to OPTIONS on any path of it, so to a browser's
preflight too, and the API's to OPTIONS on / (org.pytorch.serve.openapi.OpenApiUtils).

The handler is not called, and the document is the same for every handler.
"""

from __future__ import annotations

import functools
import json
from typing import Any

from .. import torchserve_facts as facts

Schema = dict[str, Any]


def document(model: str) -> bytes:
    """The document for a model."""
    paths = (f"/prediction/{model}", "/v1/models/{model_name}:predict", "/v2/models/{model_name}/infer")
    post = _operation(
        f"A predict entry point for model: {model}.", model, {"200": {"description": "OK"}, "500": _failure()}
    )
    info = {"title": f"RESTful API for: {model}", "version": "1.0.0"}
    return _written(info, {path: {"post": post} for path in paths})


@functools.cache
def api() -> bytes:
    """The document for the inference API and /metrics."""
    told = "TorchServe is a flexible and easy to use tool for serving deep learning models"
    info = {"title": "TorchServe APIs", "description": told, "version": facts.VERSION}
    predict = _predict("default", "predictions", "model_name")
    paths = {
        "/": {"options": _api_description("apiDescription")},
        "/ping": {"get": _ping()},
        "/v1/models/{model_name}:predict": {"post": predict},
        "/v2/models/{model_name}/infer": {"post": predict},
        "/predictions/{model_name}": {"post": predict},
        "/predictions/{model_name}/{model_version}": {
            "post": _predict("specific", "version_predictions", "model_name", "model_version")
        },
        "/api-description": {"get": {**_api_description("api-description"), "deprecated": True}},
        "/metrics": {"get": _metrics()},
    }
    return _written(info, paths)


def _written(info: Schema, paths: Schema) -> bytes:
    return (json.dumps({"openapi": "3.0.1", "info": info, "paths": paths}, indent=2) + "\n").encode()


def _api_description(name: str) -> Schema:
    members = {"openapi": "string", "info": "object", "paths": "object"}
    schema = _object({key: {"type": kind} for key, kind in members.items()})
    answers = {"200": _answer("A openapi 3.0.1 descriptor", schema), "500": _failure()}
    return _operation("Get openapi description.", name, answers)


def _ping() -> Schema:
    schema = _object({"status": _text("Overall status of the TorchServe.")})
    return _operation(
        "Get TorchServe status.", "ping", {"200": _answer("TorchServe status", schema), "500": _failure()}
    )


def _predict(version: str, name: str, *parameters: str) -> Schema:
    told = {"model_name": "Name of model.", "model_version": "Name of model version."}
    given = [_parameter("path", one, told[one], True) for one in parameters]
    any_type = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
    answers = {
        "200": {"description": "Output data format is defined by each model.", "content": any_type},
        "404": _failure("Model not found or Model Version not found"),
        "500": _failure(),
        "503": _failure("No worker is available to serve request"),
    }
    body = {"description": "Input data format is defined by each model.", "content": any_type, "required": True}
    text = f"Predictions entry point to get inference using {version} model version."
    return _operation(text, name, answers, given, body)


def _metrics() -> Schema:
    members = {
        "# HELP": _text("Help text for TorchServe metric."),
        "# TYPE": _text("Type of TorchServe metric."),
        "metric": _text("TorchServe application metric."),
    }
    kind = "text/plain; version=0.0.4; charset=utf-8"
    answers = {"200": _answer("TorchServe application metrics", _object(members), kind), "500": _failure()}
    given = [_parameter("query", "name[]", "Names of metrics to filter", False)]
    return _operation("Get TorchServe application metrics in prometheus format.", "metrics", answers, given)


def _operation(
    text: str, name: str, answers: Schema, parameters: list[Schema] | None = None, body: Schema | None = None
) -> Schema:
    asks = {} if body is None else {"requestBody": body}
    return {"description": text, "operationId": name, "parameters": parameters or [], **asks, "responses": answers}


def _parameter(place: str, name: str, text: str, required: bool) -> Schema:
    return {"in": place, "name": name, "description": text, "required": required, "schema": {"type": "string"}}


def _failure(text: str = "Internal Server Error") -> Schema:
    members = {"code": {"type": "integer", "description": "Error code."}}
    members.update(type=_text("Error type."), message=_text("Error message."))
    return _answer(text, _object(members))


def _answer(text: str, schema: Schema, kind: str = "application/json") -> Schema:
    return {"description": text, "content": {kind: {"schema": schema}}}


def _object(members: dict[str, Schema]) -> Schema:
    return {"type": "object", "required": [*members], "properties": members}


def _text(told: str) -> Schema:
    return {"type": "string", "description": told}
