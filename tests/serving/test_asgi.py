"""An application behind an ASGI server: names of headers come and go in lower case."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from serving_apps import Connection, request, uvicorn, written

from handlerkit.serving.application import Application
from handlerkit.serving.asgi import Asgi, asgi

pytestmark = pytest.mark.timeout(120)

LOOKS = """\
import json, time
from ts.handler_utils.utils import send_intermediate_predict_response

def handle(data, context):
    if data is None:
        return
    headers = context.get_all_request_header(0)
    if headers.get("X-Stream"):
        context.set_response_status(int(headers["X-Stream"]), "", 0)
        send_intermediate_predict_response(["one"], context.request_ids, "", 200, context)
        time.sleep(0.5)
        return ["two"]
    if headers.get("X-Late"):
        time.sleep(0.5)
    context.set_response_header(0, "X-Reply", "yes")
    context.set_response_status(201, "Made", 0)
    found = [context.get_request_header(0, "Content-Type"), headers["CONTENT-TYPE"], "Content-Type" in headers,
             headers.get("X-Missing", "none"), sorted(headers)]
    return [json.dumps([found, type(data[0]["body"]).__name__])]
"""


def with_app(folder: Path, do: Callable[[Asgi, Any], Awaitable[None]], **asked: Any) -> None:
    """Run something with an ASGI app, which is started and stopped as a server does it."""

    async def main() -> None:
        app = asgi(lambda: Application([written(folder / "m", LOOKS)], any_casing=True, **asked))
        told: asyncio.Queue[Any] = asyncio.Queue()
        said: asyncio.Queue[Any] = asyncio.Queue()
        life = asyncio.create_task(app({"type": "lifespan"}, told.get, said.put))
        await told.put({"type": "lifespan.startup"})
        assert (await said.get())["type"] == "lifespan.startup.complete"
        await do(app, told)
        await told.put({"type": "lifespan.shutdown"})
        assert (await said.get())["type"] == "lifespan.shutdown.complete"
        await life

    asyncio.run(main())


async def ask(app: Asgi, *bodies: bytes, method: str = "POST", path: str = "/predictions/m", **more: Any) -> list[Any]:
    """The messages of an exchange, each with its time."""
    loop = asyncio.get_running_loop()
    pieces = [*bodies] or [b""]
    messages: list[Any] = more.pop("said", [])

    async def receive() -> Any:
        body = pieces.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        messages.append({**message, "at": loop.time()})

    headers = [(b"content-type", b"application/json"), *more.pop("headers", ())]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers, **more}
    await app(scope, receive, send)
    return messages


def test_it_is_a_plain_function() -> None:
    assert inspect.iscoroutinefunction(asgi(lambda: None))  # type: ignore[arg-type, return-value]


def test_an_application_behind_a_server(tmp_path: Path) -> None:
    async def do(app: Asgi, _: Any) -> None:
        head, body = await ask(app, b"[1,", b"2]")
        assert head["status"] == 201
        headers = dict(head["headers"])
        assert headers[b"x-reply"] == b"yes"
        assert headers[b"content-length"] == str(len(body["body"])).encode()
        assert b"connection" not in headers
        assert b'["application/json", "application/json", true, "none"' in body["body"]
        assert body["body"].endswith(b'"list"]')

        head, one, two, end = await ask(app, b"1", headers=[(b"x-stream", b"200")])
        assert (one["body"], two["body"], end["body"]) == (b"one", b"two", b"")
        assert two["at"] - one["at"] > 0.3
        assert b"transfer-encoding" not in dict(head["headers"])

        said: list[Any] = []
        with pytest.raises(ConnectionAbortedError):
            await ask(app, b"1", said=said, headers=[(b"x-stream", b"503")])
        assert [(one["type"], one["status"]) for one in said] == [("http.response.start", 503)]

        head, body = await ask(app, b"x", method="HEAD")
        assert (head["status"], body["body"]) == (201, b"")
        head, _ = await ask(app, b"x" * 1001)
        assert head["status"] == 413
        head, _ = await ask(app, path="/ping", method="GET")
        assert head["status"] == 200
        head, _ = await ask(app, b"1", path="/mounted/predictions/m", root_path="/mounted")
        assert head["status"] == 201

    with_app(tmp_path, do, config_properties={"max_request_size": 1000})


def test_a_start_that_fails_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        app = asgi(lambda: Application([written(tmp_path / "m", "import no_such_module")]))
        said: asyncio.Queue[Any] = asyncio.Queue()

        async def startup() -> Any:
            return {"type": "lifespan.startup"}

        await app({"type": "lifespan"}, startup, said.put)
        assert (await said.get())["type"] == "lifespan.startup.failed"

    asyncio.run(main())


def test_an_answer_that_ends_early_behind_uvicorn(tmp_path: Path) -> None:
    model = written(tmp_path / "m", LOOKS, settings={"clientTimeoutInMills": 300})
    with uvicorn(tmp_path, [model]) as port:
        with Connection(port) as connection:
            connection.send(request("POST", "/predictions/m", (("X-Stream", "404"),), b"1"))
            answer = connection.receive()
            assert (answer.status, answer.chunks, answer.complete) == (404, (), False)
            assert connection.is_closed()
        with Connection(port) as connection:  # later than the client waits
            connection.send(request("POST", "/predictions/m", (("X-Late", "1"),), b"1"))
            answer = connection.receive()
            assert (answer.status, answer.body) == (500, b"Internal Server Error")
