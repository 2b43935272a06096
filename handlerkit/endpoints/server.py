"""Server: a real TorchServe (JVM and workers) on this machine, as an Endpoint."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from handlerkit.endpoints.config_properties import checked_environment, read_config
from handlerkit.endpoints.http import bearer
from handlerkit.endpoints.http.client import ADDRESS, HttpClient, Outgoing
from handlerkit.endpoints.logs.torchserve_log import last_error, worker_lines
from handlerkit.endpoints.torchserve.diagnosis import Registration, findings, load_findings, warnings
from handlerkit.endpoints.torchserve.model_store import existing, name_of, place, unpacked
from handlerkit.endpoints.torchserve.process import TorchServe, check_owned, failure
from handlerkit.errors import LoadError, ModelError, ServerError, TargetError
from handlerkit.messages import ErrorInfo, Exchange, Finding, Headers, Request, Response, Run, describe_response
from handlerkit.messages.run import MODEL_DIR
from handlerkit.model import Model, PathOrModel
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving.requests.parameters import asks_to_describe
from handlerkit.targets import Environment, Target, find
from handlerkit.targets.lock import Lock
from handlerkit.targets.overlay import has_more
from handlerkit.targets.requirements import lines_of_archive
from handlerkit.unpack import Unpacked, read_manifest

#: Seconds that a client waits after TorchServe itself has given a worker up.
MARGIN = 30
#: Seconds in which an exception reaches the log after Java has answered, on a busy machine.
_LATE_LINES = 3

#: The management API's descriptions; /models/<model>/invoke is the inference API's.
_DESCRIBED = re.compile(r"/models/[^/]+(/(?!invoke/?$)[^/]+)?/?")


class Server:
    """A real TorchServe 0.12 on 127.0.0.1. Use it in a `with` block, or call start() and stop().

    Folders, ports and tokens are its own, and none of its processes outlives this one, however that ends.

    Args:
        paths_or_models: archives (.mar, .tgz, no-archive folders) and Models, one or several.
        config_properties: keys of config.properties except for those that Server sets itself; values may be Python's.
        batch_size, max_batch_delay (ms), response_timeout (s), startup_timeout (s): parameters of the register call;
            None leaves them to model-config.yaml and TorchServe's defaults.
        initial_workers: the workers of each model; a parameter of the register call too.
        token_auth: TorchServe's token authorization. Requests without an Authorization header are sent with the token.
        environment: variables that TorchServe and its workers have beside those of the shell that this process was
            started from; what `os.environ` was given since does not reach them.
        progress: called with a few words on what happens while the server starts.
        target: the environment of the workers, as handlerkit.targets.find takes it: "declared" (this one, but only what
            the target base and the models' requirements files declare), "torchserve-0.12.0-cpu",
            "torchserve-0.12.0-gpu", "here" (this one whole), or the path of a requirements or lock file. There is one
            for all models, as on every TorchServe. A target that installs has TorchServe install the models'
            requirements, and so has install_py_dep_per_model in `config_properties`.

    Raises ConfigError for a key that Server sets itself or TorchServe does not know and for an environment that no
    process can have, ArchiveError for a path that does not exist or an archive that unpack() would refuse, TargetError
    for an unknown target.
    """

    def __init__(
        self,
        paths_or_models: PathOrModel | Iterable[PathOrModel],
        config_properties: Mapping[str, Any] | None = None,
        *,
        batch_size: int | None = None,
        max_batch_delay: int | None = None,
        response_timeout: int | None = None,
        initial_workers: int = 1,
        token_auth: bool = True,
        startup_timeout: int | None = None,
        environment: Mapping[str, str] | None = None,
        progress: Callable[[str], None] | None = None,
        target: str | os.PathLike[str] | Target = "declared",
    ) -> None:
        given = [paths_or_models] if isinstance(paths_or_models, str | os.PathLike | Model) else list(paths_or_models)
        self._sources = [item if isinstance(item, Model) else existing(item) for item in given]
        self._properties = dict(config_properties or {})
        self._variables = checked_environment(environment)
        check_owned(self._properties, self._variables)
        self._config = read_config(self._properties, self._variables)
        parameters = {
            "initial_workers": initial_workers,
            "batch_size": batch_size,
            "max_batch_delay": max_batch_delay,
            "response_timeout": response_timeout,
            "startup_timeout": startup_timeout,
        }
        self._parameters = {key: value for key, value in parameters.items() if value is not None}
        self._token_auth = token_auth
        self._say = progress or (lambda _: None)
        self._target = target if isinstance(target, Target) else find(target)
        if self._target.installs:
            self._properties.setdefault("install_py_dep_per_model", True)
        self._environment: Environment | None = None
        self._held = Lock.free()
        self._process: TorchServe | None = None
        self._client = HttpClient()
        self._names: list[str] = []
        self._registered: dict[str, Registration] = {}
        self._requirements_of: dict[str, list[str]] = {}
        self._paths: dict[str, dict[str, str]] = {}
        self._placed = 0
        self._patience = 0.0
        self._log = ""

    def start(self) -> Server:
        """Start TorchServe and load the models. Returns when their workers wait for requests; at once if it runs.

        Raises LoadError when a model does not load, with the worker's traceback, ServerError when TorchServe does not
        start, and TargetError when the target's environment cannot be made. Nothing is left running then, nor after
        Ctrl-C.
        """
        if not self.running:
            self._start([line for source in self._sources for line in self._requirements(source)])
            with self._stopping():
                for source in self._sources:
                    self._register(source, self._parameters)
        return self

    def stop(self) -> None:
        """End TorchServe and its workers, remove its folder. `log()` stays readable; a second time does nothing."""
        if self._process is not None:
            process, self._process = self._process, None
            self._log = process.log()
            self._client.close()
            process.end()
        self._held.release()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Server: {', '.join(self.models)}>" if self._process else "<Server: stopped>"

    def predict(self, *requests: Request) -> Run:
        """Send the requests a few milliseconds apart, each on a connection of its own, and wait for all answers.

        The Run's findings say why an answer is an error, as far as the answer and the server's log show. If TorchServe
        does not answer within its own time-outs and a margin, the Response's status is None. Describe requests
        (GET /models/<model>?customized=true) go to the management API. Raises RequestError for a request that is not
        HTTP, and ServerError if TorchServe does not run. Ctrl-C stops the server, since a worker's call cannot be
        cancelled.
        """
        process = self._running()
        timeout = self._patience * max(1, len(requests))  # the last one may wait for all the others
        try:
            begin = process.logged()
            sent = [self._outgoing(process, request, timeout) for request in requests]
            responses = [received.response for received in self._client.exchange(*sent)]
        except KeyboardInterrupt:
            self.stop()
            raise
        return Run(
            tuple(
                Exchange(request.addressed(self._default, self.url), response)
                for request, response in zip(requests, responses, strict=True)
            ),
            findings=self._findings(process, begin, requests, responses),
            endpoint=f"TorchServe {self.environment.packages['torchserve']}",
            model=self._default,
            paths={path: name for paths in self._paths.values() for path, name in paths.items()},
            max_response_size=self._config.max_response_size,
            secrets=tuple(filter(None, [process.keys.get("inference")])),
        )

    def register(self, path_or_model: PathOrModel, **parameters: int) -> None:
        """Load one more model, as DELETE and POST /models do: it replaces those of its name.

        `parameters`: batch_size, max_batch_delay and the others of the register call, for this model instead of those
        that the server was made with. A server without models starts again if this one's requirements need another
        environment. Raises LoadError if it does not load; the model that had its name is gone then. Raises TargetError
        if it needs another environment than the registered models.
        """
        source = path_or_model if isinstance(path_or_model, Model) else existing(path_or_model)
        self._running()
        name = source.name if isinstance(source, Model) else read_manifest(source)["model"].get("modelName", "")
        self.unregister(name)
        self._enter_environment(source)
        try:
            self._register(source, self._parameters | parameters)
        except BaseException:  # an interrupt too: TorchServe loads on
            self._manage("DELETE", f"/models/{name}")  # it keeps some of those that it could not load
            self._names = [known for known in self._names if known != name]
            raise

    def unregister(self, name: str) -> None:
        """Remove the models of that name, as DELETE /models/NAME does; their workers end."""
        while name in self._names:
            self._manage("DELETE", f"/models/{name}")
            self._names.remove(name)

    @property
    def environment(self) -> Environment:
        """The environment of the workers, as of the last start. Raises ServerError before the first."""
        if self._environment is None:
            raise ServerError("this server was not started yet: call start(), or use it in a `with` block")
        return self._environment

    @property
    def has_more_packages(self) -> bool:
        """Whether its workers have installed something since it was started; that goes when it stops."""
        return self._process is not None and has_more(self._process.environment)

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended since."""
        return self._process is not None and not self._process.has_ended()

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the registered models, in the order they were given."""
        return tuple(dict.fromkeys(self._names))

    @property
    def url(self) -> str:
        """The inference API's address, such as http://127.0.0.1:40001. Raises ServerError if it does not run."""
        return f"http://{ADDRESS}:{self._running().ports.inference}"

    @property
    def token(self) -> str | None:
        """The inference API's token, for curl -H "Authorization: Bearer TOKEN"; None with token_auth=False."""
        return self._running().keys.get("inference")

    def metrics(self) -> str:
        """The metrics API's page, in Prometheus's text format. Raises ServerError if the server does not run."""
        process = self._running()
        asked = Outgoing(process.ports.metrics, "GET", "/metrics", _bearer(process, "management"), timeout=MARGIN)
        return self._client.exchange(asked)[0].response.text

    def log(self) -> str:
        """TorchServe's console log since the last start, with the workers' lines; also of a stopped server."""
        return self._log if self._process is None else self._process.log()

    def _start(self, requirements: Sequence[str]) -> None:
        """Start TorchServe without models, in an environment with these requirements."""
        self.stop()
        self._names, self._patience = [], float(MARGIN)
        self._environment = self._target.build(requirements, self._say)
        self._held = self._environment.hold()
        with self._stopping():
            self._say("starting TorchServe")
            self._process = TorchServe.start(self._properties, self._token_auth, self._environment, self._variables)

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        """Stop the server after an error."""
        try:
            yield
        except BaseException:
            self.stop()
            raise

    def _requirements(self, source: Model | Path) -> list[str]:
        """What the environment needs for this model: not its requirements, if TorchServe installs them."""
        if str(self._properties.get("install_py_dep_per_model", False)).lower() == "true":
            return [] if self._target.installs else ["pip"]  # which TorchServe calls
        return [line.text for line in lines_of_archive(source)]

    def _enter_environment(self, source: Model | Path) -> None:
        """See that the environment has this model's requirements, and those of the registered models."""
        asked = [line for name in self._names for line in self._requirements_of[name]] + self._requirements(source)
        if self._target.build(asked, self._say) == self._environment:
            return
        if self._names:
            raise TargetError(
                f"{name_of(source)} asks for another environment than the one in which {', '.join(self.models)} runs:"
                " name all the models when the server is made"
            )
        self._start(asked)

    def _running(self) -> TorchServe:
        if self._process is None:
            raise ServerError("this server does not run: call start(), or use it in a `with` block", self._log)
        if self._process.has_ended():
            self.stop()
            raise failure("TorchServe has ended by itself", self._log)
        return self._process

    @property
    def _default(self) -> str:
        return self._names[0] if self._names else ""

    def _outgoing(self, process: TorchServe, request: Request, timeout: float) -> Outgoing:
        target = request.target(self._default)
        path, _, query = target.partition("?")
        described = request.method == "GET" and _DESCRIBED.fullmatch(path) is not None and asks_to_describe(query)
        port = process.ports.management if described else process.ports.inference
        headers = request.headers
        if request.header("authorization") is None:
            headers = _bearer(process, "management" if described else "inference") + headers
        return Outgoing(port, request.method, target, headers, request.body, timeout)

    def _manage(self, method: str, target: str) -> Response:
        """A call of the management API, without a time-out, since loading may take long."""
        process = self._running()
        asked = Outgoing(process.ports.management, method, target, _bearer(process, "management"))
        return self._client.exchange(asked)[0].response

    def _register(self, source: Model | Path, parameters: Mapping[str, int]) -> None:
        """POST /models, synchronously: TorchServe then reports a model that does not load, instead of trying again."""
        process = self._running()
        name = name_of(source)
        self._say(f"loading {name}")
        self._placed += 1
        url = place(self._placed, source, process.folder / "store").name
        before = len(process.log())
        response = self._manage("POST", "/models?" + urlencode({"url": url, "synchronous": "true", **parameters}))
        registered = re.search(r'Model \\"(.+)\\" Version: (.+) registered', response.text)
        if not response.ok or registered is None:
            raise self._load_error(source, url, response, before)
        name, version = registered.groups()
        self._names.append(name)
        (known,) = self._manage("GET", f"/models/{name}/{version}").json()
        # config files and defaults decide these as well, so the server is asked
        self._patience = max(self._patience, known["responseTimeout"] + known["maxBatchDelay"] / 1000 + MARGIN)
        self._requirements_of[name] = self._requirements(source)
        folder = unpacked(process.folder / "tmp", url)
        self._paths[name] = dict.fromkeys((str(folder), str(process.folder / "store" / url)), MODEL_DIR)
        self._registered[name] = Registration.of(name, version, known, folder, self._config, self._undeclared)

    def _findings(
        self, process: TorchServe, begin: int, requests: Sequence[Request], responses: Sequence[Response]
    ) -> tuple[Finding, ...]:
        """Why requests failed, of which the worker's lines are in the log from byte `begin` on; and what was lost or
        changed in the others."""
        found: list[Finding] = []
        asked = [self._model_of(request) for request in requests]
        for name in dict.fromkeys(asked) if self._names else ():
            model = self._registered[name]
            exchanges = [
                pair for pair, one in zip(zip(requests, responses, strict=True), asked, strict=True) if one == name
            ]
            if not all(response.ok for _, response in exchanges):
                found += findings(exchanges, model, self._config, partial(process.log_of_failure, begin))
            found += warnings(exchanges, model, self._config)
        return tuple(dict.fromkeys(found))

    def _model_of(self, request: Request) -> str:
        """The model that a request's path names; the first one if it names none."""
        steps = re.split("[/:]", request.path or "")
        return next((name for name in self._names if name in steps), self._default)

    def _load_error(self, source: Model | Path, url: str, response: Response, before: int) -> LoadError:
        """Why a model did not load, from the log after its first `before` characters."""
        process = self._running()
        log, until = process.settled_log()[before:], time.monotonic() + _LATE_LINES
        while (error := last_error(log, process.folder, url)) is None and facts.NOT_STARTED in response.text:
            if time.monotonic() > until:
                break  # the worker ended without an exception
            log = process.settled_log()[before:]
        lines = tuple(map(str, worker_lines(log, process.folder, url)))
        if error is not None:
            reason = f"{error.type}: {error.message}"
        else:
            reason = "\n".join([describe_response(response), *lines[-20:]])
        found = self._why_not_loaded(source, error, response, log, process.folder / "store" / url)
        return LoadError(
            f"{name_of(source)} does not load: {reason}", response=response, error=error, findings=found, logs=lines
        )

    def _why_not_loaded(
        self, source: Model | Path, error: ErrorInfo | None, response: Response, log: str, staged: Path
    ) -> tuple[Finding, ...]:
        """The cause; TorchServe has removed the files of most models that do not load. `staged`: those of a Model."""
        if isinstance(source, Model):
            return load_findings(error, response, log, source, staged, self._undeclared())
        try:
            archive = Unpacked(source)
        except ModelError as problem:  # the manifest names a file that is not there
            return (Finding("archive", f"{problem}."),)
        with closing(archive):
            return load_findings(error, response, log, archive.model, archive.folder, self._undeclared())

    def _undeclared(self) -> dict[str, str]:
        """Modules that are installed here and not in the workers' environment, with their distributions' names."""
        there = self.environment.modules()
        return {module: name for module, name in find("here").build().modules().items() if module not in there}


def _bearer(process: TorchServe, api: str) -> Headers:
    return (bearer.header(process.keys[api]),) if process.keys else ()
