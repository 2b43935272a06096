"""Runs the code in the request header x-py, whose `out` is the answer; `kept` outlives the call."""

kept = {}


def handle(data, context):
    if data is None:
        return None
    names = {"data": data, "context": context, "kept": kept, "out": ["ok"] * len(data)}
    exec(context.get_request_header(0, "x-py") or "", globals(), names)
    return names["out"]
