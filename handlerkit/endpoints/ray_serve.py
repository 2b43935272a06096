"""RayServe: the app of some models on Ray Serve, as an Endpoint."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from importlib import util
from pathlib import Path
from typing import Any

from handlerkit.app import App
from handlerkit.endpoints.app_server import patience
from handlerkit.endpoints.config_properties import checked_environment
from handlerkit.endpoints.http.client import ADDRESS
from handlerkit.endpoints.ports import free_ports
from handlerkit.endpoints.ray_cluster.cluster import Cluster, ha_proxy
from handlerkit.endpoints.recording import Recording
from handlerkit.endpoints.remote import Remote
from handlerkit.errors import ConfigError, ServerError
from handlerkit.messages import ForcedHead, Request, Run
from handlerkit.messages.run import MODEL_DIR
from handlerkit.model import PathOrModel
from handlerkit.targets import Environment, Target, find
from handlerkit.targets.lock import Lock
from handlerkit.targets.requirements import lines_of_archive


class RayServe:
    """The app of these models (`handlerkit.App`) on Ray Serve. Use it in a `with` block, or call start() and stop().

    Without `address`, Ray is started on this machine, in processes of its own, for this alone; none of them outlives
    this one, however that ends. With it, the app is deployed on a Ray that runs, and taken away again. That needs what
    the app's requirements.txt names; and where its proxies listen, this machine has to reach them.

    Args:
        paths_or_models: archives and Models, one or several.
        config_properties, batch_size, max_batch_delay (ms), response_timeout (s), initial_workers: as of App. Each
            replica has its own queue, batches and `initial_workers` workers of each model.
        num_replicas: how many replicas there are.
        autoscaling_config: lets Ray choose their number, such as {"min_replicas": 1, "max_replicas": 4}.
        ray_actor_options: what a replica asks for: num_cpus (1), num_gpus, memory, resources, runtime_env ...
        address: of a Ray that runs, as ray.init takes it: "auto", "HOST:PORT", "ray://HOST:10001".
        port: where Serve listens, if this starts it; 0 takes a free one.
        ha_proxy: use Ray's HAProxy and its settings for throughput, by the two variables that Ray documents for it,
            with a Ray of this machine: several times faster, and slower to start and to stop.
        environment: variables of the replicas and their workers, beside the shell's.
        progress: called with a few words on what happens while it starts.
        target: the environment of the workers on a Ray of this machine, as of handlerkit.Server.

    Attributes:
        forces: what Ray's proxy does to the head of each answer; `verify` names it.

    Raises ConfigError for a key that TorchServe does not know or an app cannot follow, and for options that do not go
    together; ServerError if Ray is not installed; further as App.
    """

    forces = ForcedHead(
        "Ray Serve's proxy",
        own_headers=frozenset({"date", "server", "x-request-id", "connection", "transfer-encoding"}),
        lower_case=True,
        http_reasons=True,
        highest_status=599,
    )

    def __init__(
        self,
        paths_or_models: PathOrModel | Iterable[PathOrModel],
        config_properties: Mapping[str, Any] | None = None,
        *,
        batch_size: int | None = None,
        max_batch_delay: int | None = None,
        response_timeout: int | None = None,
        initial_workers: int | None = None,
        num_replicas: int = 1,
        autoscaling_config: Mapping[str, Any] | None = None,
        ray_actor_options: Mapping[str, Any] | None = None,
        address: str | None = None,
        port: int = 0,
        ha_proxy: bool = False,
        environment: Mapping[str, str] | None = None,
        progress: Callable[[str], None] | None = None,
        target: str | os.PathLike[str] | Target = "declared",
    ) -> None:
        if util.find_spec("ray") is None:
            raise ServerError("RayServe needs Ray, which is not installed: pip install 'handlerkit[ray]'")
        self._target = target if isinstance(target, Target) else find(target)
        self._registration: dict[str, Any] = {
            "batch_size": batch_size, "max_batch_delay": max_batch_delay, "response_timeout": response_timeout,
            "initial_workers": initial_workers,
        }  # fmt: skip
        self._properties = dict(config_properties or {})
        self._app = self._make(paths_or_models)
        self._variables = checked_environment(environment)
        self._replicas = _replicas(num_replicas, autoscaling_config)
        self._actor = {"num_cpus": 1} | dict(ray_actor_options or {})
        if address is not None and ha_proxy:
            raise ConfigError("ha_proxy is for a Ray of this machine: one that runs has been started with it, or not")
        self._address = address
        self._port = port
        self._ha_proxy = ha_proxy
        self._say = progress or (lambda _: None)
        self._environment: Environment | None = None
        self._held = Lock.free()
        self._cluster: Cluster | None = None
        self._remote: Remote | None = None
        self._deployed: list[Path] = []
        self._log = ""

    def start(self) -> RayServe:
        """Start Ray or join it, deploy the app, and wait until its replicas answer; at once if it runs.

        Raises ServerError, with the end of the log, when Ray does not start or a model does not load, TargetError when
        the target's environment cannot be made. Nothing is left running then, nor after Ctrl-C.
        """
        if not self.running:
            self.stop()
            try:
                self._start()
                self._deploy()
            except BaseException:
                self.stop()
                raise
        return self

    def redeploy(self, paths_or_models: PathOrModel | Iterable[PathOrModel] | None = None) -> None:
        """Deploy these models instead, or the same with their files as they are now.

        Ray replaces its replicas one after the other; with two or more, clients notice nothing. Raises ServerError if
        the new ones do not come to serve, and as App.
        """
        self._running()
        if paths_or_models is not None:
            self._app = self._make(paths_or_models)
        self._deploy()

    def stop(self) -> None:
        """Take the app away, and end a Ray that was started for it. `log()` stays readable; a second time does
        nothing."""
        if self._remote is not None:
            self._remote.close()
            self._remote = None
        if self._cluster is not None:
            cluster, self._cluster = self._cluster, None
            self._log = cluster.log()
            cluster.leave()
        self._deployed = []
        self._held.release()

    def __enter__(self) -> RayServe:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<RayServe: {', '.join(self.models)}>" if self._cluster else "<RayServe: stopped>"

    def predict(self, *requests: Request) -> Run:
        """Send the requests a few milliseconds apart, each on a connection of its own, and wait for all answers.

        A request without an answer has a Response whose status is None; the Run's findings say why. Raises RequestError
        for a request that is not HTTP, and ServerError if Ray does not run.
        """
        cluster, remote = self._running()
        run = remote.predict(*requests)
        return replace(run, endpoint=f"Ray Serve {cluster.version}", paths=self._paths())

    def recording(self) -> AbstractContextManager[Recording | None]:
        """Keep what the replicas' workers are handed in this block; not on a Ray that was joined, whose machines are
        others. Raises ServerError if Ray does not run."""
        cluster, _ = self._running()
        return cluster.recorded.recording() if self._address is None else nullcontext()

    @property
    def environment(self) -> Environment | None:
        """The environment of the workers, as of the last start; None on a Ray that was joined."""
        return self._environment

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended since."""
        return self._cluster is not None and not self._cluster.has_ended()

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models."""
        return tuple(model.name for model in self._app.models)

    @property
    def url(self) -> str:
        """Where the app answers, such as http://127.0.0.1:40001. Raises ServerError if it does not run."""
        return self._running()[1].url

    def log(self) -> str:
        """What Ray's processes and the replicas wrote since the last start; of a Ray elsewhere, what is told here."""
        return self._log if self._cluster is None else self._cluster.log()

    def _make(self, given: PathOrModel | Iterable[PathOrModel]) -> App:
        app = App(given, self._properties, **self._registration, target=self._target)
        if self._target.installs and any(lines_of_archive(model) for model in app.models):
            raise ConfigError(
                f"the target {self._target.name} leaves the models' requirements to TorchServe, which does not run "
                "here: take the target declared, or a requirements file that has them too"
            )
        return app

    def _start(self) -> None:
        if self._address is not None:
            self._say(f"joining Ray at {self._address}")
            self._cluster = Cluster.join(self._address, self._variables)
            return
        lines = [line.text for model in self._app.models for line in lines_of_archive(model)]
        self._environment = self._target.build(lines, self._say)
        self._held = self._environment.hold()
        self._say("starting Ray")
        variables = self._variables if not self._ha_proxy else ha_proxy() | self._variables
        self._cluster = Cluster.start(self._cpus(), variables)

    def _deploy(self) -> None:
        assert self._cluster is not None
        cluster, count = self._cluster, len(self._deployed)
        folder = self._app.save(cluster.folder / f"app-{count}")
        if self._environment is not None:
            _set_python(folder, self._environment)
        self._deployed.append(folder)
        self._say(f"loading {', '.join(self.models)}")
        name = self.models[0] if self._address is None else f"{self.models[0]}-{cluster.folder.name}"
        route = "/" if self._address is None else f"/{name}"
        failed_before = len(_load_failures(cluster.log()))
        try:
            host, port = cluster.ask(
                "deploy", folder=str(folder), name=name, route=route, http={"host": ADDRESS, "port": self._free()},
                options=self._options(),
            )  # fmt: skip
        except ServerError as problem:
            raise _why(cluster.log(), failed_before) or problem from None
        if self._remote is not None:
            self._remote.close()
        url = f"http://{host or self._host()}:{port}{route}"
        self._remote = Remote(url, model=self.models[0], timeout=patience(folder))
        for old in self._deployed[:-2]:  # replicas of the version before may still be answering
            shutil.rmtree(old, ignore_errors=True)

    def _options(self) -> dict[str, Any]:
        runtime = dict(self._actor.get("runtime_env") or {})
        if self._variables:
            runtime["env_vars"] = {**runtime.get("env_vars", {}), **self._variables}
        return {**self._replicas, "ray_actor_options": self._actor | ({"runtime_env": runtime} if runtime else {})}

    def _free(self) -> int:
        if not self._port:
            (self._port,) = free_ports(1)
        return self._port

    def _host(self) -> str:
        """This machine, or the one that a Ray's address names."""
        host = (self._address or "").removeprefix("ray://").rpartition(":")[0]
        return host or ADDRESS

    def _cpus(self) -> int:
        """What its Ray has to give away: those of this machine, or more if the replicas ask for more; one replica more
        is there while it is replaced."""
        most = (self._replicas.get("autoscaling_config") or {}).get("max_replicas", self._replicas.get("num_replicas"))
        asked = (int(most or 1) + 1) * float(self._actor["num_cpus"])
        return max(os.cpu_count() or 1, math.ceil(asked))

    def _paths(self) -> dict[str, str]:
        if self._address is not None:
            return {}
        folders = (folder / "model" / name for folder in self._deployed for name in self.models)
        return {str(folder): MODEL_DIR for folder in folders}

    def _running(self) -> tuple[Cluster, Remote]:
        if self._cluster is None or self._remote is None:
            raise ServerError("this RayServe does not run: call start(), or use it in a `with` block", self._log)
        if self._cluster.has_ended():
            failure = self._cluster.failure("it has ended by itself")
            self.stop()
            raise failure
        return self._cluster, self._remote


#: How a replica logs that a model does not load: a sentence, and the end of its worker's log.
_NOT_LOADED = re.compile(r"^ERROR .* -- (.+ does not load): (.+\n(?:.|\n)*?)(?=^[A-Z]+ \d{4}-|\Z)", re.MULTILINE)


def _load_failures(log: str) -> list[tuple[str, str]]:
    """What did not load, and why."""
    return _NOT_LOADED.findall(log)


def _why(log: str, known: int) -> ServerError | None:
    """The error of a model that did not load, beyond those failures that were known; None if there was none."""
    failures = _load_failures(log)[known:]
    if not failures:
        return None
    what, message = failures[-1]
    lines = message.rstrip().splitlines()
    return ServerError(f"{what} on Ray Serve: {lines[-1]}; the end of its log:\n" + "\n".join(lines), log)


def _replicas(count: int, autoscaling: Mapping[str, Any] | None) -> dict[str, Any]:
    if not isinstance(count, int) or count < 1:
        raise ConfigError(f"num_replicas is a whole number from 1 on, not {count!r}")
    if autoscaling is None:
        return {"num_replicas": count}
    if count != 1:
        raise ConfigError("num_replicas and autoscaling_config say two things: leave one out")
    return {"autoscaling_config": dict(autoscaling)}


def _set_python(folder: Path, environment: Environment) -> None:
    """Have the workers run in that environment."""
    file = folder / "models.json"
    said = json.loads(file.read_text(encoding="utf-8"))
    for model in said["models"]:
        model["python"] = str(environment.interpreter)
    file.write_text(json.dumps(said, indent=2), encoding="utf-8")
