"""Models as one HTTP application: requests in, answers to a client, whoever listens for it (listener.py, asgi.py).

What is not for a model's handler is answered here: health, readiness and metrics, which TorchServe has on three ports.
"""

from __future__ import annotations

import asyncio
import functools
import hmac
import itertools
import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from . import torchserve_facts as facts
from .config import Config, property_text
from .documents import openapi
from .frontend import Frontend
from .http import HttpRequest, Response
from .models.machine_metrics import MachineMetrics
from .models.metrics import CONTENT_TYPE, OF_HANDLERS, DeclaredMetric, Metrics
from .models.running_model import Client, RunningModel
from .models.served_model import AnyModel, Shared
from .requests import routes
from .requests.headers import as_sent, content_type_of, first_value
from .requests.parameters import FormError, from_body, from_query
from .workers.processes import Supervisor

#: Seconds that what runs may take to end, when the application stops.
GRACE = 30.0
#: What a client gets for a fault of the server itself.
FAULT = "The server failed at this request; its log says why."
_TICK = 0.02
_LOGGER = logging.getLogger("serving")
_UNAUTHORIZED = "Token Authorization failed. Token either incorrect, expired, or not provided correctly"
_KSERVE = re.compile(r"/v1/models/([^/:]+)")


class Application:
    """Served models, with their workers between `start` and `stop`.

    Args:
        models: what is served.
        config_properties: keys of config.properties.
        token: what a request's Authorization header has to bear; None asks for none. As with TorchServe, /metrics and
            the API's description ask for none; nor does any other OPTIONS, as a browser's preflight cannot bear one.
        any_casing: let handlers find a request's header in any casing, for hosts that write names in lower case.
        has_default: where there is one model alone, /invocations need not name it (as with a TorchServe that started
            with it), and POST / predicts, as SageMaker's adapter asks.
        declared: the metrics of handlers that /metrics shows: what the file metrics_config declares.
        gpus: how many GPUs of the machine /metrics shows.
        rejected: called with each request that gets an error and no worker, and with its answer.

    Raises PropertyError for a key that TorchServe does not know, ValueError for no model, or two of one name.
    """

    def __init__(
        self,
        models: Iterable[AnyModel],
        config_properties: Mapping[str, Any] | None = None,
        *,
        token: str | None = None,
        any_casing: bool = False,
        has_default: bool = True,
        declared: Iterable[DeclaredMetric] = OF_HANDLERS,
        gpus: int = 0,
        rejected: Callable[[HttpRequest, Response], object] = lambda request, response: None,
    ) -> None:
        self.models = tuple(models)
        names = [model.name for model in self.models]
        if not names or len({*names}) < len(names):
            raise ValueError(f"an application serves models of different names, not {names}")
        self.config = Config.read(config_properties)
        detects = property_text((config_properties or {}).get("model_metrics_auto_detect", False)) == "true"
        self._token = token
        self._any_casing = any_casing
        self._is_only = has_default and len(names) == 1
        self._metrics = Metrics(declared, detects)
        self._gpus = gpus
        self._machine: MachineMetrics | None = None
        self._running: dict[str, RunningModel] = {}
        self._supervisor: Supervisor | None = None
        self._rejected = rejected
        only = self.models[0].registered(self.config)
        self._frontend = Frontend(only.name, only.version, self.config)
        self._routes: dict[str, Callable[[HttpRequest], Response]] = {
            "/ping": self._ping,
            "/api-description": self._describe_api,
            "/metrics": self._show_metrics,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
        }

    @property
    def running(self) -> Sequence[RunningModel]:
        """The models with their workers; empty before `start`."""
        return (*self._running.values(),)

    @property
    def given_up(self) -> bool:
        """Whether a model will have no worker any more: whoever runs the application should start it again."""
        return any(running.given_up for running in self._running.values())

    async def start(self) -> None:
        """Start the workers; returns when all have loaded their models. Raises LoadFailed where one does not."""
        self._supervisor = Supervisor()
        numbers = itertools.count(facts.FIRST_WORKER)
        shared = Shared(self.config, self._supervisor, self._metrics, self._any_casing, self._rejected, numbers)
        try:
            for model in self.models:
                self._running[model.name] = RunningModel(model, shared, self._is_only)
            for running in self._running.values():
                running.start()
            await asyncio.gather(*(running.loads for running in self._running.values()))
            if not self.config.disable_system_metrics:
                interval = self.config.metric_time_interval
                self._machine = MachineMetrics(self._metrics, self._supervisor, interval, self._gpus)
                self._machine.start()
        except BaseException:
            await self.stop(0)
            raise

    async def stop(self, grace: float = GRACE) -> None:
        """Let what runs end, for up to `grace` seconds, then end the workers."""
        loop = asyncio.get_running_loop()
        until = loop.time() + grace
        while any(running.busy for running in self._running.values()) and loop.time() < until:
            await asyncio.sleep(_TICK)
        await asyncio.gather(*(running.stop() for running in self._running.values()))
        if self._machine is not None:
            self._machine.stop()
            self._machine = None
        if self._supervisor is not None:
            self._supervisor.close()
            self._supervisor = None

    def receive(self, request: HttpRequest, client: Client) -> None:
        """Answer a request, now or later."""
        try:
            self._receive(request, client)
        except Exception:  # a fault here is no reason to leave a client without an answer
            _LOGGER.exception("no answer to %s %s", request.method, request.path)
            self._answer(request, client, self._frontend.error(500, facts.INTERNAL, FAULT))

    def _receive(self, request: HttpRequest, client: Client) -> None:
        path = request.path or ""
        path = _place(path) if len(path) < facts.LINE_LIMIT else path  # of a longer one the frontend says so
        is_open = request.method == "OPTIONS" or path in ("/metrics", "/api-description")
        if self._token is not None and not is_open and not self._bears(request):
            answer = self._frontend.error(400, facts.INVALID_KEY, _UNAUTHORIZED)
            self._rejected(request, answer)
            self._answer(request, client, answer)
        elif (route := self._routes.get(path)) is not None:
            self._answer(request, client, route(request))
        elif request.method == "GET" and (found := _KSERVE.fullmatch(path)) is not None:
            self._answer(request, client, self._kserve(found[1]))
        elif not path and request.method == "OPTIONS":
            self._answer(request, client, self._describe_api(request))
        elif self._is_only and request.method == "POST" and not path:
            self._running[self.models[0].name].receive(replace(request, path=None), client)
        else:
            self._model_of(request).receive(request, client)

    def refuse(self, status: int, kind: str, message: str) -> Response:
        """An answer of whoever listens, in TorchServe's form."""
        response = self._frontend.error(status, kind, message)
        self._metrics.answered(status)
        return response

    def _answer(self, request: HttpRequest, client: Client, response: Response) -> None:
        self._metrics.answered(response.status or 0)
        client.answer(as_sent(response, request.method))

    def _bears(self, request: HttpRequest) -> bool:
        """Whether the request bears the token."""
        scheme, _, given = (first_value(request.headers, "authorization") or "").partition(" ")
        expected = (self._token or "").encode()
        return (
            hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), expected)
            and scheme.lower() == "bearer"
        )

    def _model_of(self, request: HttpRequest) -> RunningModel:
        """The model that a request names; for one that names none, or one that is not here, the first, whose frontend
        says so."""
        (first, *others) = self._running.values()
        if not others or len(request.path or "") + len(request.query) >= facts.LINE_LIMIT:
            return first
        with suppress(FormError, routes.RouteError):
            model = _model(request.method, request.path or "", request.query)
            if model is not None:
                return self._running.get(model, first)
            values = [*from_query(request.query), *from_body(request.body, content_type_of(request))]
            for value in values:
                if value.name == "model_name":
                    return self._running.get(bytes(value.value).decode(errors="replace"), first)
        return first

    def _ping(self, _: HttpRequest) -> Response:
        healthy = all(running.healthy for running in self._running.values())
        return self._json(200 if healthy else 500, {"status": "Healthy" if healthy else "Unhealthy"})

    def _describe_api(self, _: HttpRequest) -> Response:
        return self._frontend.control(200, "application/json", openapi.api())

    def _live(self, _: HttpRequest) -> Response:
        return self._json(200, {"live": True})

    def _ready(self, _: HttpRequest) -> Response:
        ready = all(running.ready for running in self._running.values())
        return self._json(200 if ready else 503, {"ready": ready})

    def _kserve(self, name: str) -> Response:
        """KServe's readiness of one model."""
        running = self._running.get(name)
        if running is None:
            return self._frontend.error(404, facts.MODEL_NOT_FOUND, f"Model not found: {name}")
        return self._json(200 if running.ready else 503, {"name": name, "ready": running.ready})

    def _show_metrics(self, request: HttpRequest) -> Response:
        return self._frontend.control(200, CONTENT_TYPE, self._metrics.page(request.query))

    def _json(self, status: int, value: Any) -> Response:
        return self._frontend.control(status, "application/json", f"{json.dumps(value, indent=2)}\n".encode())


@functools.lru_cache(maxsize=256)
def _place(path: str) -> str:
    """Where a path leads that may be the application's own: decoded, without slashes at its end."""
    try:
        place = routes.path_of(path).rstrip("/")
    except FormError:  # whoever reads it as a model's path says so
        return path
    return "/ping" if place.startswith("/ping/") else place


@functools.lru_cache(maxsize=256)
def _model(method: str, path: str, query: str) -> str | None:
    """The model that a path names. Raises RouteError and FormError."""
    return routes.find(method, routes.path_of(path), query).model
