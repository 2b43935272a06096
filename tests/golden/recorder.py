"""Put into an archive as sitecustomize.py: writes down what a worker hands to its handler, and how each call ends."""

import base64
import itertools
import json
import os
import re

import ts.service

numbers = itertools.count()
_PLAIN = (dict, list, str, int, float, bool, type(None))


def value(given):
    if isinstance(given, (bytes, bytearray)):
        return {"type": type(given).__name__, "base64": base64.b64encode(given).decode()}
    told = given if isinstance(given, _PLAIN) else repr(given)
    return {"type": type(given).__name__, "value": told}


def rows(data):
    if not isinstance(data, list):
        return {"__data__": value(data)}
    return [
        {name: value(inner) for name, inner in row.items()} if isinstance(row, dict) else {"__row__": value(row)}
        for row in data
    ]


def seen(stage, data, context):
    count = len(context.request_ids)
    properties = {**context.system_properties, "model_dir": "<model_dir>"}
    return {
        "stage": stage,
        "data": json.loads(json.dumps(rows(data), default=repr)),
        "request_headers": [context.get_all_request_header(index) for index in range(count)],
        "system_properties": properties,
        "model_name": context.model_name,
        "model_yaml_config": json.loads(json.dumps(context.model_yaml_config, default=repr)),
        "request_ids": {str(index): f"<request-id-{index}>" for index in range(count)},
    }


def tell(number, told):
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>", json.dumps({"call": number, **told}))
    with open(os.environ["GOLDEN_SAW"], "a") as file:
        file.write(text + "\n")


def watched(stage, entry):
    def call(data, context):
        number = next(numbers)
        tell(number, seen(stage, data, context))
        try:
            returned = entry(data, context)
        except BaseException as error:
            tell(number, {"raised": f"{type(error).__name__}: {error}"})
            raise
        tell(number, {"returned_type": type(returned).__name__})
        return returned

    return call


def predict(service, batch):
    """On the first call the entry point is known, with its envelope where it has one."""
    if not hasattr(service, "_watched"):
        envelope = getattr(service._entry_point, "__self__", None)
        if hasattr(envelope, "_handle_fn"):
            envelope._handle_fn = watched("handler", envelope._handle_fn)
            service._entry_point = watched("envelope", service._entry_point)
        else:
            service._entry_point = watched("handler", service._entry_point)
        service._watched = True
    return original(service, batch)


original, ts.service.Service.predict = ts.service.Service.predict, predict
