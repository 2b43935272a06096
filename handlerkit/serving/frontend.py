"""The Java half of TorchServe, as far as one request sees it: HTTP to worker message, worker message to HTTP.

The rules were probed on TorchServe 0.12.0; tests/golden holds the exchanges that show each of them.
"""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import NamedTuple

from handlerkit.serving import openapi, parameters
from handlerkit.serving.config import Config
from handlerkit.serving.headers import (
    NO_CACHE,
    TOKEN,
    as_sent,
    content_type_of,
    cors,
    first,
    merge,
    readable,
    reason_of,
)
from handlerkit.serving.http import Headers, HttpRequest, Response
from handlerkit.serving.wire import Job, Parameter, Prediction, WorkerResponse
from handlerkit.serving.worker_death import WorkerDied, too_long

#: The Host header of a request that names none, on every endpoint, so that handlers see the same one.
HOST = "127.0.0.1:8080"

#: The answer to a body above max_request_size; the connection stays open.
TOO_LARGE = Response(413, "Request Entity Too Large", (("content-length", "0"),))

_LINE_LIMIT = 4096


#: What a request belongs to where its model batches by sequence; the frontend begins one for a request without.
_SEQUENCE_ID, _SEQUENCE_START = "ts_request_sequence_id", "ts_request_sequence_start"


class QueuedRequest(NamedTuple):
    """A request the frontend queues: the job for the worker, and what its answer depends on."""

    job: Job
    request: HttpRequest
    describe: bool
    versioned: bool = False

    @property
    def method(self) -> str:
        """The request's."""
        return self.request.method


class RejectedRequest(Exception):
    """The frontend answers a request by itself; the worker is never asked."""

    def __init__(self, response: Response) -> None:
        self.response = response


class _Route(NamedTuple):
    """Where a path leads. `model` None: a parameter names it. `added`: the headers that tell the worker of it."""

    model: str | None
    version: str | None
    takes_query: bool
    added: Headers


class _Head(NamedTuple):
    """All that a request says but its body: its headers are as the worker gets them."""

    route: _Route
    headers: Headers
    query: tuple[Parameter, ...]
    content_type: str | None
    describe: bool
    names_sequence: bool


class Frontend:
    """What the frontend does for one registered model.

    `sequences`: its config file says sequenceBatching. `describe`: puts what the handler answered to a describe request
    into the management API's description. `is_only`: the server started with this model alone, so /invocations need not
    name it; POST / predicts, as SageMaker's adapter asks.
    """

    def __init__(
        self,
        model: str,
        version: str,
        config: Config,
        sequences: bool = False,
        describe: Callable[[bytes], bytes] = bytes,
        is_only: bool = False,
    ) -> None:
        self.model = model
        self.version = version
        self.config = config
        self.sequences = sequences
        self._describe = describe
        self._is_only = is_only
        #: What every answer has after the handler's headers and the request's id.
        self._added: Headers = (*cors(config), *NO_CACHE)
        #: Clients send the same head again and again, so what it leads to is remembered.
        self._head = functools.lru_cache(maxsize=256)(self._read_head)
        self._random = random.Random()

    def receive(self, request: HttpRequest) -> QueuedRequest | Response:
        """The job for the worker, or the frontend's own answer where the worker is never asked."""
        try:
            return self._receive(request)
        except RejectedRequest as refused:
            answer = refused.response
        except parameters.FormError as problem:
            answer = self.error(problem.status, problem.kind, str(problem))
        return as_sent(answer, request.method)

    def _receive(self, request: HttpRequest) -> QueuedRequest:
        """Raises RejectedRequest, and FormError for a query or a body that cannot be decoded."""
        head = self._head(request.method, request.path, request.query, request.headers, len(request.body))
        route, headers, values = head.route, head.headers, head.query
        if not head.describe:  # a body is read before the model is looked for
            values = (*values, *parameters.of_body(request.body, head.content_type))
        self._know(route, values)
        if request.method == "OPTIONS":
            head_of_json = (("content-type", "application/json"),)
            raise RejectedRequest(self._finish(200, "OK", head_of_json, openapi.document(self.model), self._new_id()))
        if self.sequences and not head.names_sequence:
            headers = (*headers, (_SEQUENCE_ID, f"ts-seq-{self._new_id()}"), (_SEQUENCE_START, "true"))
        job = Job(self._new_id(), headers, values)
        return QueuedRequest(job, request, head.describe, route.version is not None)

    def _read_head(self, method: str, path: str | None, query: str, headers: Headers, size: int) -> _Head:
        """What the head of a request with a body of `size` bytes leads to. Raises RejectedRequest and FormError."""
        request = HttpRequest(method, path, headers, query)
        target = request.target(self.model)
        if len(f"{method} {target} HTTP/1.1") > _LINE_LIMIT or not readable(request):
            raise RejectedRequest(self.error(400, "BadRequestException", "Invalid HTTP message."))
        expected = first(headers, "expect")
        if expected is not None and expected.strip().lower() != "100-continue":
            raise RejectedRequest(Response(417, "Expectation Failed", (("content-length", "0"),)))
        if size > self.config.max_request_size:
            raise RejectedRequest(TOO_LARGE)
        plain = target.partition("?")[0].partition("#")[0]
        route = self._route(method, parameters.unescape(target, 0, len(plain), plus="+"), query)
        describe = ("describe", "True") in route.added
        values = tuple(parameters.of_query(query, plain + "?")) if route.takes_query or describe else ()
        named = any(name.lower() == _SEQUENCE_ID for name, _ in headers)
        values = values if route.takes_query else ()  # that of a description is read, and not passed on
        return _Head(route, _as_map(method, headers, size, route), values, content_type_of(request), describe, named)

    def _new_id(self) -> str:
        """A random UUID (RFC 9562, 5.4); uuid.uuid4 asks the system for each."""
        digits = f"{self._random.getrandbits(128):032x}"
        variant = "89ab"[int(digits[16], 16) % 4]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"

    def respond(
        self, received: QueuedRequest, answer: WorkerResponse, row: int, before: Sequence[WorkerResponse] = ()
    ) -> Response:
        """The answer to one request of a batch. `before`: the intermediate answers, for a streamed one.

        Raises WorkerDied where the frontend would drop the worker instead of answering.
        """
        if before:
            response = self._streamed(received, answer, row, before)
        elif answer.code != 200:
            response = self.failed(received, answer)
        else:
            response = self._whole(received, answer.predictions[row])
        return as_sent(response, received.method)

    def failed(self, received: QueuedRequest, answer: WorkerResponse) -> Response:
        """An overall code that is not 200: every request of the batch gets the same error.

        Raises WorkerDied for a message that is longer than max_response_size.
        """
        self._check_size(answer.message.encode())
        code = 507 if answer.code == 413 else answer.code
        return self.error(code, "InternalServerException", answer.message, received.job.request_id)

    def died(self, received: QueuedRequest) -> Response:
        """The worker is gone: what each request of its batch gets."""
        response = self.error(500, "InternalServerException", "Worker died.", received.job.request_id)
        return as_sent(response, received.method)

    def overloaded(self, received: QueuedRequest) -> Response:
        """The queue is full."""
        version = f' Version {self.version}"' if received.versioned else ""
        message = (
            f'Model "{self.model}"{version} has no worker to serve inference request. Please use scale workers API to '
            "add workers. If this is a sequence inference, please check if it is closed, or expired; or exceeds "
            "maxSequenceJobQueueSize"
        )
        response = self.error(503, "ServiceUnavailableException", message, received.job.request_id)
        return as_sent(response, received.method)

    def error(self, status: int, kind: str, message: str, request_id: str | None = None) -> Response:
        """The frontend's error body: pretty JSON and a line end."""
        body = json.dumps({"code": status, "type": kind, "message": message}, indent=2, ensure_ascii=False) + "\n"
        body = body.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")  # as Gson writes them
        head = (("content-type", "application/json"),)
        return self._finish(status, reason_of(status), head, body.encode(), request_id or self._new_id())

    def control(self, status: int, content_type: str, body: bytes) -> Response:
        """An answer of the server about itself."""
        return self._finish(status, reason_of(status), (("content-type", content_type),), body, self._new_id())

    def _whole(self, received: QueuedRequest, row: Prediction) -> Response:
        self._check(row)
        head, body = row.headers, row.body
        if head:
            if not received.describe and any(name == "ts_stream_next" for name, _ in head):
                return Response(None)  # taken for the end of a stream that never began: the client waits for ever
            head = merge(head)
        if received.describe:
            body = self._describe(body)
            if first(head, "content-type") is None:
                head = (("content-type", "application/json"), *head)
        return self._finish(row.status, row.reason, head, body, received.job.request_id)

    def _streamed(
        self, received: QueuedRequest, answer: WorkerResponse, row: int, before: Sequence[WorkerResponse]
    ) -> Response:
        """The first intermediate answer decides the head; each later one is a chunk, and so is the last.

        A failure after the first chunk cannot be told any more: the connection is cut.
        """
        chunks: list[tuple[bytes, float]] = []
        complete = answer.code == 200
        for piece in (*before, answer) if complete else before:
            if piece.code != 200:
                return self.failed(received, piece)
            self._check(piece.predictions[row])
            if body := piece.predictions[row].body:  # an empty one is no chunk
                chunks.append((body, piece.after))
        head = self._begin(received, before[0], row)
        if (head.status or 0) >= 400:
            chunks, complete = [], False
        sent = tuple(chunk for chunk, _ in chunks)
        arrivals = tuple(after for _, after in chunks)
        return replace(head, body=b"".join(sent), chunks=sent, complete=complete, arrivals=arrivals)

    def begin(self, received: QueuedRequest, answer: WorkerResponse, row: int) -> Response:
        """The head of a stream, by its first intermediate answer. With a status from 400 on, the head says that the
        connection closes, and so it does. Raises WorkerDied."""
        self._check(answer.predictions[row])
        return as_sent(self._begin(received, answer, row), received.method)

    def chunk(self, answer: WorkerResponse, row: int) -> bytes:
        """A piece of a stream; an empty one is no chunk. Raises WorkerDied."""
        self._check(answer.predictions[row])
        return answer.predictions[row].body

    def _begin(self, received: QueuedRequest, answer: WorkerResponse, row: int) -> Response:
        first = answer.predictions[row]
        head = merge(first.headers)
        head = (*head, ("x-request-id", received.job.request_id), *self._added_to(head))
        connection = ("connection", "keep-alive" if first.status < 400 else "close")
        headers = (*head, ("transfer-encoding", "chunked"), connection)
        return Response(first.status, first.reason, headers, chunks=(), complete=False)

    def broken(self, received: QueuedRequest, row: int, before: Sequence[WorkerResponse]) -> Response:
        """A stream whose worker died half-way: what came before the answer that cannot be written or never came."""
        sent = list(takewhile(self._is_writable, before))
        if not sent:
            return self.died(received)
        return as_sent(self._streamed(received, WorkerResponse(500, "", ()), row, sent), received.method)

    def _is_writable(self, answer: WorkerResponse) -> bool:
        try:
            for row in answer.predictions:
                self._check(row)
        except WorkerDied:
            return False
        return True

    def _check(self, row: Prediction) -> None:
        self._check_size(row.body)
        if row.reason and (not row.reason.isascii() or re.search(r"[\r\n]", row.reason)):
            raise WorkerDied(f"header: The reason phrase {row.reason!r} is not one line of ASCII.")
        for name, value in row.headers:
            if not TOKEN.fullmatch(name) or re.search("[\0\v\f\r\n]", value):
                raise WorkerDied(f"header: {name!r}: {value!r} is not an HTTP header.")

    def _check_size(self, text: bytes) -> None:
        if len(text) > (limit := self.config.max_response_size):
            raise WorkerDied(too_long(len(text), limit))

    def _finish(self, status: int, reason: str, head: Headers, body: bytes, request_id: str) -> Response:
        headers = (
            *head,
            ("x-request-id", request_id),
            *self._added_to(head),
            ("content-length", str(len(body))),
            ("connection", "keep-alive" if status < 400 else "close"),
        )
        return Response(status, reason, headers, body)

    def _added_to(self, head: Headers) -> Headers:
        """A handler's own Access-Control headers stay."""
        names = {name.lower() for name, _ in head}
        return tuple(pair for pair in self._added if pair[0].lower() not in names) if names else self._added

    def _route(self, method: str, path: str, query: str) -> _Route:
        """Path to model and version (the inference API, and describe of the management API). Raises RejectedRequest."""
        steps = path.rstrip("/").split("/")[1:]  # what %2F stands for divides, too

        def explain(asked: bool) -> tuple[str, str]:
            return "explain", str(asked)

        begin, size, last = steps[:1], len(steps), steps[-1] if steps else ""
        if begin in (["predictions"], ["explanations"]) and size > 1:
            added = (("url_path", "/".join(steps[3:])), explain(begin == ["explanations"]))
            return _Route(steps[1], steps[2] if size > 2 else None, False, added)
        if steps[:2] == ["v1", "models"] and size == 3 and (":predict" in last or ":explain" in last):
            return _Route(last.partition(":")[0], None, False, (explain(":predict" not in last),))
        if steps[:2] == ["v2", "models"] and size == 4 and last in ("infer", "explain"):
            return _Route(steps[2].partition(":")[0], None, False, (explain(last == "explain"),))
        if begin == ["models"] and size == 3 and last == "invoke":
            return _Route(steps[1], None, True, ())
        if begin == ["models"] and size in (2, 3) and method == "GET" and parameters.asks_to_describe(query):
            return _Route(steps[1], steps[2] if size > 2 else None, False, (("describe", "True"),))
        if steps == ["invocations"]:
            return _Route(None, None, True, ())
        if size in (2, 3) and last == "predict":
            return _Route(steps[0], steps[1] if size > 2 else None, True, ())
        if not steps and self._is_only and method == "POST":
            return _Route(self.model, None, False, (("url_path", ""), explain(False)))
        if not steps and method != "OPTIONS":
            message = "Requested method is not allowed, please refer to API document."
            raise RejectedRequest(self.error(405, "MethodNotAllowedException", message))
        message = "Requested resource is not found, please refer to API document."
        raise RejectedRequest(self.error(404, "ResourceNotFoundException", message))

    def _know(self, route: _Route, values: Sequence[Parameter]) -> None:
        """Raises RejectedRequest for a model or a version that is not registered. The parameter model_name stays a
        parameter; a server that started with one model needs none."""
        model = route.model
        if model is None:
            named = [bytes(value.value).decode(errors="replace") for value in values if value.name == "model_name"]
            if not named and not self._is_only:
                raise RejectedRequest(self.error(400, "BadRequestException", "Parameter model_name is required."))
            model = named[0] if named else self.model
        if model != self.model:
            raise RejectedRequest(self.error(404, "ModelNotFoundException", f"Model not found: {model}"))
        if route.version is not None and route.version != self.version:
            message = f"Model version: {route.version} does not exist for model: {model}"
            raise RejectedRequest(self.error(404, "ModelVersionNotFoundException", message))


def _as_map(method: str, headers: Headers, size: int, route: _Route) -> Headers:
    """A map: the last of a repeated header wins, names keep their casing, values are read as latin-1."""
    names = {name.lower() for name, _ in headers}
    sent = {} if "host" in names else {"Host": HOST}
    chunked = False
    for name, value in headers:
        if name.lower() == "transfer-encoding":
            chunked = chunked or value.lower() == "chunked"
        elif name.lower() != "expect":
            sent[name] = value.strip().encode().decode("latin-1")
    if "content-length" not in names:
        # an HTTP client names the length of what it sends; without, the frontend adds its own count
        implied = chunked or (not size and method in ("GET", "HEAD", "DELETE", "OPTIONS"))
        sent["content-length" if implied else "Content-Length"] = str(size)
    sent.update(route.added)
    return tuple(sent.items())
