"""What TorchServe's frontend answers itself, without the worker, and what it does with its queue."""

from __future__ import annotations

import difflib

from handlerkit.messages import Finding, HttpRequest, Response
from handlerkit.serving import torchserve_facts as facts
from handlerkit.why.effects import NOTHING
from handlerkit.why.evidence import Setup

_ALONE = "The worker is not called, and nothing is logged."
_ROUTES = ("predictions", "explanations", "invocations", "v1", "v2", "models")


def rejected(request: HttpRequest, response: Response, setup: Setup, max_request_size: int) -> tuple[Finding, ...]:
    """Why the frontend answered this request itself; nothing for an answer that is a success."""
    if response.ok:
        return ()
    effect = f"The client gets {response.status} {response.reason}. {_ALONE}"
    name, message, fix = _reason(request, response, setup, max_request_size)
    return (Finding(name, message, "", effect, fix),)


def _reason(request: HttpRequest, response: Response, setup: Setup, limit: int) -> tuple[str, str, str]:
    """The finding's name, what happened, what to change."""
    target = request.target(setup.model)
    if response.status == 413:
        message = f"The body has {len(request.body)} bytes; max_request_size allows {limit}."
        return "too_large", message, "Send less, such as a JPEG instead of numbers, or raise max_request_size."
    if response.status == 417:
        return "expect", "The header Expect asks for something the server cannot do.", "Leave the header Expect out."
    kind, text = error_body(response)
    if kind == facts.MODEL_NOT_FOUND:
        asked = text.removeprefix("Model not found: ")
        message = f"There is no model {asked!r}; this one is called {setup.model!r}."
        near = bool(difflib.get_close_matches(asked.lower(), [setup.model.lower()], 1))
        question = f"Did you mean /predictions/{setup.model}?" if near else f"Send it to /predictions/{setup.model}."
        return "unknown_model", message, question
    if kind == facts.VERSION_NOT_FOUND:
        message = f"{text.rstrip('.')}; the version served is {setup.version}."
        fix = f"Send it to /predictions/{setup.model}, or to /predictions/{setup.model}/{setup.version}."
        return "unknown_version", message, fix
    if kind == facts.METHOD_NOT_ALLOWED:
        return "method", f"{request.method} is not allowed at {target}.", f"Send it to /predictions/{setup.model}."
    if kind == facts.RESOURCE_NOT_FOUND:
        return "unknown_route", f"The inference API has no {target!r}.", _nearest(request, setup)
    if text == facts.NO_MODEL_NAME:
        message = "The path /invocations names no model, and the request has no parameter model_name."
        return "model_name", message, f"Add ?model_name={setup.model}, or send it to /predictions/{setup.model}."
    if text == facts.INVALID_MESSAGE:
        return _unreadable(request, target)
    if kind == facts.UNAVAILABLE:
        message = f"No worker takes requests to {setup.model}: it has none, or its queue is full."
        fix = "Give it a worker (initial_workers=1), send fewer at once, or raise job_queue_size."
        return "unavailable", message, fix
    if kind == facts.INVALID_KEY:
        message = "Token authorization is on, and the token in the request is missing, wrong or has expired."
        fix = "Send Authorization: Bearer TOKEN to hk.serve; to a Server send no such header, and it adds its own."
        return "token", message, fix
    if kind == facts.FORM_ERROR or "IllegalArgument" in kind or "IndexOutOfBounds" in kind:
        message = f"The frontend cannot read the form: {text}."
        fix = "Let an HTTP library write form and Content-Type together, or send the bytes as a plain body."
        return "form", message, fix
    message = f"TorchServe's frontend answered itself: {text or response.reason}."
    return "frontend", message, "Correct the request."


def error_body(response: Response) -> tuple[str, str]:
    """The type and message of an error that the frontend wrote; empty if the answer is none."""
    try:
        body = response.json()
        return str(body["type"]), str(body["message"])
    except (ValueError, KeyError, TypeError):
        return "", ""


def _nearest(request: HttpRequest, setup: Setup) -> str:
    """The nearest of the routes that there are."""
    model, path = setup.model, request.path or ""
    first, *rest = path.strip("/").split("/")
    if first == "models" and request.method != "GET":
        return "Describe requests are GET /models/MODEL?customized=true; the rest of /models is the management API's."
    near = difflib.get_close_matches(first, _ROUTES, 1)
    forms = {
        "predictions": f"/predictions/{model}",
        "explanations": f"/explanations/{model}",
        "invocations": f"/invocations?model_name={model}",
        "v1": f"/v1/models/{model}:predict",
        "v2": f"/v2/models/{model}/infer",
        "models": f"/models/{model}/invoke",
    }
    route = forms[near[0]] if near else forms["predictions"]
    return f"Did you mean {route}?" if near and (near[0] != first or rest != [model]) else f"Send it to {route}."


def _unreadable(request: HttpRequest, target: str) -> tuple[str, str, str]:
    line = len(f"{request.method} {target} HTTP/1.1")
    head = sum(len(name) + len(value) + 4 for name, value in request.headers)
    if line > facts.LINE_LIMIT:
        message = f"The first line of the request, with path and query, has {line} characters; "
        message += f"{facts.LINE_LIMIT} are allowed."
        return "line_too_long", message, "Send the query's values in the body."
    if head > facts.HEAD_LIMIT:
        message = f"All headers together have {head} bytes; {facts.HEAD_LIMIT} are allowed."
        return "header_too_long", message, "Send less in headers and cookies; large values belong in the body."
    length = request.header("content-length")
    if length is not None and not length.strip().isdecimal():
        return "not_http", f"The header Content-Length is {length!r}, which is no number.", "Let the client set it."
    return "not_http", "The name of a header is not valid HTTP.", "Use names of letters, digits and hyphens only."


def staged_again() -> Finding:
    """The worker's folder was removed by something else."""
    message = (
        "The worker's folder with the model's files was removed from outside, so they were copied and loaded again."
    )
    fix = "Exclude the folders hk-* in the temporary folder from whatever removes old files there."
    return Finding("staged_again", message, "", NOTHING, fix, "warning")


def queue_full(size: int) -> Finding:
    """Too many jobs wait for the worker."""
    return Finding(
        "queue_full",
        f"The queue is full: it holds {size} request(s), and the worker is busy.",
        effect="The client gets 503 'has no worker to serve inference request'.",
        fix="Send fewer at once, or raise job_queue_size.",
    )


def no_worker() -> Finding:
    """The worker died and does not load again."""
    return Finding(
        "no_worker",
        "The worker fails to load each time it is restarted: the request waits, and the client gets no answer.",
        effect="TorchServe restarts the worker again and again, with longer and longer pauses.",
        fix="Correct what keeps the handler from loading.",
    )


def client_timeout(seconds: float) -> Finding:
    """The answer came later than clientTimeoutInMills."""
    return Finding(
        "client_timeout",
        f"The call took longer than the model's clientTimeoutInMills ({seconds * 1000:.0f}); the answer was dropped.",
        effect="The client gets no answer at all, and its connection stays open.",
        fix="Raise clientTimeoutInMills in model-config.yaml, or make the handler faster.",
    )
