"""Answers each request's body; tells in headers how many rows the call had, and which this one was."""


def handle(data, context):
    if data is None:  # the worker's call while it loads
        return None
    if context.get_request_header(0, "describe") == "True":
        return [{"answers": "what it was sent"}]
    for row in range(len(data)):
        context.set_response_header(row, "X-Rows", str(len(data)))
        context.set_response_header(row, "X-Row", str(row))
        if status := context.get_request_header(row, "X-Status"):
            context.set_response_status(int(status), "As Asked", row)
    return [row["body"] for row in data]
