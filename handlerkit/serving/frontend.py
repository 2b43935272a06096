"""What TorchServe's Java frontend does for one request: from HTTP to the worker's job, and from its answer to HTTP.

Every rule here was observed on TorchServe 0.12.0; tests/golden holds the exchanges that show it.
"""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from itertools import takewhile
from typing import NamedTuple

from . import torchserve_facts as facts
from .config import Config
from .documents import openapi
from .http import Headers, HttpRequest, Response
from .requests import parameters, routes
from .requests.headers import (
    NO_CACHE,
    TOKEN,
    ReadHeader,
    are_valid,
    as_sent,
    cors_headers,
    first_value,
    has_token,
    is_chunked,
    merge,
    read_header,
    reason_of,
)
from .requests.routes import Route, RouteError
from .wire import Buffers, Job, Parameter, Prediction, WorkerResponse, encode_headers, encode_job
from .worker_death import WorkerDied, too_long, unsendable_header, unsendable_reason

#: The Host header of a request that has none, on every endpoint, so that handlers see the same one.
HOST = f"127.0.0.1:{facts.PORT}"
#: The answers to a body above max_request_size, after which the connection stays open, or closes.
TOO_LARGE = Response(413, "Request Entity Too Large", (("content-length", "0"),))
TOO_LARGE_CLOSING = replace(TOO_LARGE, headers=(*TOO_LARGE.headers, ("connection", "close")))
_JSON = (("content-type", "application/json"),)
_CONTINUE = "100-continue"


class QueuedRequest(NamedTuple):
    """A request in the queue: the job for the worker, also as a part of the message to it, and what the answer depends
    on."""

    job: Job
    encoded: Buffers
    request: HttpRequest
    describe: bool
    versioned: bool = False

    @property
    def method(self) -> str:
        """The request's HTTP method."""
        return self.request.method

    @property
    def sequence(self) -> str:
        """The sequence that it belongs to; "" for none."""
        return next((value for name, value in reversed(self.job.headers) if name == facts.SEQUENCE_ID), "")


class RejectedRequest(Exception):
    """The frontend answers the request itself: it never reaches the worker."""

    def __init__(self, response: Response) -> None:
        self.response = response


class _Head(NamedTuple):
    """A request without its body; the headers are those that the worker gets, also as a part of the message to it."""

    route: Route
    headers: Headers
    encoded: bytes
    query: tuple[Parameter, ...]
    content_type: str | None
    names_sequence: bool


class Frontend:
    """The frontend of one registered model.

    Args:
        model, version: as it is registered.
        config: config.properties.
        sequences: whether model-config.yaml has sequenceBatching.
        describe: puts a handler's answer to a describe request into the management API's description.
        is_only: whether the server started with this model alone, which /invocations need not name then.
        from_wire: whether requests are as they came from the network; to others Host and Content-Length are added, as
            HTTP clients do.
    """

    def __init__(
        self,
        model: str,
        version: str,
        config: Config,
        sequences: bool = False,
        describe: Callable[[bytes], bytes] = bytes,
        is_only: bool = False,
        from_wire: bool = False,
    ) -> None:
        self.model = model
        self.version = version
        self.config = config
        self.sequences = sequences
        self._describe = describe
        self._is_only = is_only
        self._from_wire = from_wire
        #: What follows the handler's headers and the request's id in every answer.
        self._added: Headers = (*cors_headers(config), *NO_CACHE)
        #: Cached, since clients send the same head again and again.
        self._head = functools.lru_cache(maxsize=256)(self._read_head)
        self._random = random.Random()

    def receive(self, request: HttpRequest) -> QueuedRequest | Response:
        """The job for the worker, or an answer if the frontend answers the request itself."""
        try:
            return self._receive(request)
        except RejectedRequest as rejected:
            answer = rejected.response
        except (parameters.FormError, RouteError) as problem:
            answer = self.error(problem.status, problem.kind, str(problem))
        return as_sent(answer, request.method)

    def _receive(self, request: HttpRequest) -> QueuedRequest:
        """The job. Raises RejectedRequest, RouteError, and FormError for a query or a body that cannot be decoded."""
        head = self._head(request.method, request.path, request.query, request.headers, len(request.body))
        route, headers, encoded, values = head.route, head.headers, head.encoded, head.query
        if not route.describes:  # a body is read before the model is looked for
            values = (*values, *parameters.from_body(request.body, head.content_type))
        self._check_model(route, values)
        if request.method == "OPTIONS":
            raise RejectedRequest(self._finish(200, "OK", _JSON, openapi.document(self.model), self._new_id()))
        if self.sequences and not head.names_sequence:
            headers = (*headers, (facts.SEQUENCE_ID, f"ts-seq-{self._new_id()}"), (facts.SEQUENCE_START, "true"))
            encoded = encode_headers(headers)
        job = Job(self._new_id(), headers, values)
        return QueuedRequest(job, encode_job(job, encoded), request, route.describes, route.version is not None)

    def _read_head(self, method: str, path: str | None, query: str, headers: Headers, size: int) -> _Head:
        """The head of a request whose body has `size` bytes. Raises as `_receive` does."""
        read = [read_header(name, value) for name, value in headers]
        first = {one.lower: one.value for one in reversed(read)}
        target = HttpRequest(method, path, headers, query).target(self.model)
        if len(f"{method} {target} HTTP/1.1") >= facts.LINE_LIMIT or not are_valid(read):
            raise RejectedRequest(self.error(400, facts.BAD_REQUEST, facts.INVALID_MESSAGE))
        if first.get("expect", _CONTINUE).lower() != _CONTINUE:
            raise RejectedRequest(Response(417, "Expectation Failed", (("content-length", "0"),)))
        if size > self.config.max_request_size:
            closes = is_chunked(headers) or ("expect" not in first and has_token(headers, "connection", "close"))
            raise RejectedRequest(TOO_LARGE_CLOSING if closes else TOO_LARGE)
        route, values = _lead(method, target, query)
        named = facts.SEQUENCE_ID in first and any(one.name == facts.SEQUENCE_ID for one in read)
        passed = _as_map(method, read, first.keys(), size, route, self._from_wire)
        return _Head(route, passed, encode_headers(passed), values, first.get("content-type"), named)

    def _new_id(self) -> str:
        """A random UUID (RFC 9562, 5.4). uuid.uuid4 is slower: it asks the system each time."""
        digits = f"{self._random.getrandbits(128):032x}"
        variant = "89ab"[int(digits[16], 16) % 4]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"

    def respond(
        self, received: QueuedRequest, answer: WorkerResponse, row: int, intermediate: Sequence[WorkerResponse] = ()
    ) -> Response:
        """The answer to one request of a batch: row `row` of the worker's answer, after the intermediate ones.

        Raises WorkerDied if the frontend drops the worker instead of answering.
        """
        if intermediate:
            response = self._stream(received, answer, row, intermediate)
        elif answer.code != 200:
            response = self.failed(received, answer)
        else:
            response = self._answer(received, answer.predictions[row])
        return as_sent(response, received.method)

    def failed(self, received: QueuedRequest, answer: WorkerResponse) -> Response:
        """The error that every request of a batch gets if the worker's overall code is not 200.

        Raises WorkerDied for a message longer than max_response_size.
        """
        self._check_size(answer.message.encode())
        code = 507 if answer.code == 413 else answer.code
        return self.error(code, facts.INTERNAL, answer.message, received.job.request_id)

    def died(self, received: QueuedRequest) -> Response:
        """The error that each request of a batch gets if its worker ended."""
        response = self.error(500, facts.INTERNAL, facts.DIED, received.job.request_id)
        return as_sent(response, received.method)

    def overloaded(self, received: QueuedRequest) -> Response:
        """The error for a request that finds the queue full."""
        version = f' Version {self.version}"' if received.versioned else ""
        message = (
            f'Model "{self.model}"{version} has no worker to serve inference request. Please use scale workers API to '
            "add workers. If this is a sequence inference, please check if it is closed, or expired; or exceeds "
            "maxSequenceJobQueueSize"
        )
        response = self.error(503, facts.UNAVAILABLE, message, received.job.request_id)
        return as_sent(response, received.method)

    def error(self, status: int, kind: str, message: str, request_id: str | None = None) -> Response:
        """An error of the frontend; the body is indented JSON with a newline at its end."""
        body = json.dumps({"code": status, "type": kind, "message": message}, indent=2, ensure_ascii=False) + "\n"
        body = body.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")  # as Gson writes them
        return self._finish(status, reason_of(status), _JSON, body.encode(), request_id or self._new_id())

    def control(self, status: int, content_type: str, body: bytes) -> Response:
        """An answer of the server about itself."""
        return self._finish(status, reason_of(status), (("content-type", content_type),), body, self._new_id())

    def _answer(self, received: QueuedRequest, row: Prediction) -> Response:
        self._check(row)
        head, body = row.headers, row.body
        if head:
            if not received.describe and any(name == facts.STREAM_NEXT for name, _ in head):
                return Response(None)  # taken for the end of a stream that never began: the client gets nothing
            head = merge(head)
        if received.describe:
            body = self._describe(body)
            if first_value(head, "content-type") is None:
                head = (*_JSON, *head)
        answer = self._finish(row.status, row.reason, head, body, received.job.request_id)
        if head and is_chunked(head):  # as the handler asked for, beside its length
            return replace(answer, chunks=(body,) if body else ())
        return answer

    def _stream(
        self, received: QueuedRequest, answer: WorkerResponse, row: int, intermediate: Sequence[WorkerResponse]
    ) -> Response:
        """The first intermediate answer decides the head; each answer becomes a chunk.

        After a failure the connection is cut, since the head has been sent by then.
        """
        chunks: list[tuple[bytes, float]] = []
        complete = answer.code == 200
        for piece in (*intermediate, answer) if complete else intermediate:
            if piece.code != 200:
                return self.failed(received, piece)
            self._check(piece.predictions[row])
            if body := piece.predictions[row].body:  # an empty one is no chunk
                chunks.append((body, piece.elapsed))
        head = self._begin(received, intermediate[0], row)
        if (head.status or 0) >= 400:
            chunks, complete = [], False
        sent = tuple(chunk for chunk, _ in chunks)
        arrivals = tuple(elapsed for _, elapsed in chunks)
        return replace(head, body=b"".join(sent), chunks=sent, complete=complete, arrivals=arrivals)

    def begin(self, received: QueuedRequest, answer: WorkerResponse, row: int) -> Response:
        """The head of a stream, from its first intermediate answer. With a status from 400 on, the head says that the
        connection closes, and so it does. Raises WorkerDied."""
        self._check(answer.predictions[row])
        return as_sent(self._begin(received, answer, row), received.method)

    def chunk(self, answer: WorkerResponse, row: int) -> bytes:
        """A piece of a stream; an empty one is no chunk. Raises WorkerDied."""
        self._check(answer.predictions[row])
        return answer.predictions[row].body

    def _begin(self, received: QueuedRequest, answer: WorkerResponse, row: int) -> Response:
        first = answer.predictions[row]
        head = merge(first.headers, facts.STREAM_OWN_HEADERS)
        head = (*head, (facts.REQUEST_ID, received.job.request_id), *self._added_to(head))
        connection = ("connection", "keep-alive" if first.status < 400 else "close")
        headers = (*head, ("transfer-encoding", "chunked"), connection)
        return Response(first.status, first.reason, headers, chunks=(), complete=False)

    def broken(self, received: QueuedRequest, row: int, intermediate: Sequence[WorkerResponse]) -> Response:
        """A stream whose worker died midway: the intermediate answers up to the first that cannot be written."""
        sent = list(takewhile(self._is_writable, intermediate))
        if not sent:
            return self.died(received)
        return as_sent(self._stream(received, WorkerResponse(500, "", ()), row, sent), received.method)

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
            raise WorkerDied(unsendable_reason(row.reason))
        for name, value in row.headers:
            if not TOKEN.fullmatch(name) or re.search("[\0\v\f]|\r(?!\n)|\n(?![\t ])", value):
                raise WorkerDied(unsendable_header(name, value))

    def _check_size(self, text: bytes) -> None:
        if len(text) > (limit := self.config.max_response_size):
            raise WorkerDied(too_long(len(text), limit))

    def _finish(self, status: int, reason: str, head: Headers, body: bytes, request_id: str) -> Response:
        headers = (
            *head,
            (facts.REQUEST_ID, request_id),
            *self._added_to(head),
            ("content-length", str(len(body))),
            ("connection", "keep-alive" if status < 400 else "close"),
        )
        return Response(status, reason, headers, body)

    def _added_to(self, head: Headers) -> Headers:
        """The frontend's headers, without those that the handler has set itself (Access-Control)."""
        names = {name.lower() for name, _ in head}
        return tuple(pair for pair in self._added if pair[0].lower() not in names) if names else self._added

    def _check_model(self, route: Route, values: Sequence[Parameter]) -> None:
        """Raise RouteError for a model or a version that is not registered, and for a request that names none."""
        model = route.model
        if model is None:
            named = [bytes(value.value).decode(errors="replace") for value in values if value.name == "model_name"]
            if not named and not self._is_only:
                raise RouteError(400, facts.BAD_REQUEST, facts.NO_MODEL_NAME)
            model = named[0] if named else self.model
        if model != self.model:
            raise RouteError(404, facts.MODEL_NOT_FOUND, f"Model not found: {model}")
        if route.version is not None and route.version != self.version:
            message = f"Model version: {route.version} does not exist for model: {model}"
            raise RouteError(404, facts.VERSION_NOT_FOUND, message)


@functools.lru_cache(maxsize=256)
def _lead(method: str, target: str, query: str) -> tuple[Route, tuple[Parameter, ...]]:
    """Where a target leads, and what its query passes on. Raises RouteError and FormError."""
    route = routes.find(method, routes.path_of(target), query)
    reads_query = route.takes_query or route.describes
    values = tuple(parameters.from_query(query, target.partition("?")[0] + "?")) if reads_query else ()
    return route, values if route.takes_query else ()  # a description's query is checked and not passed on


def _as_map(
    method: str, headers: Sequence[ReadHeader], names: Set[str], size: int, route: Route, from_wire: bool
) -> Headers:
    """The headers as the worker gets them: the last of several of one name wins, names keep their casing. `names` are
    theirs in lower case."""
    sent = {} if from_wire or "host" in names else {"Host": HOST}
    for name, lower, value, _, _ in headers:
        if lower == "transfer-encoding":
            if value.lower() != "chunked":
                sent[lower] = value
        elif lower != "expect":
            sent[name] = value
    if "content-length" not in names:
        # HTTP clients send the length of a body; if there is none, the frontend adds its own count
        implied = (
            from_wire
            or is_chunked([(one.name, one.value) for one in headers])
            or (not size and method in ("GET", "HEAD", "DELETE", "OPTIONS"))
        )
        sent["content-length" if implied else "Content-Length"] = str(size)
    sent.update(route.added)
    return tuple(sent.items())
