"""The process between a RayServe and Ray: it starts a Ray or joins one, deploys an app, and takes it away again.

Run as a script (`python -P driver.py SOCKET`), with nothing but the standard library and ray. Orders come over the unix
socket, a line of JSON each: {"do": NAME, ...}. The answer to each is {"done": VALUE} or {"failed": TEXT}. When the
socket ends, or with SIGTERM, it takes away what it has deployed, and ends.
"""

from __future__ import annotations

import importlib
import json
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from types import ModuleType
from typing import Any

_NAMESPACE = "serve"
#: Bytes of shared memory. Requests that pass through a replica need little of it.
_OBJECT_STORE = 100_000_000
_PROXY_HOSTS = {"0.0.0.0": "", "::": "", "127.0.0.1": "", "localhost": ""}


class Driver:
    """Who speaks to Ray. `start` or `join` come first; an app is deployed under one name, again and again."""

    def __init__(self) -> None:
        self._joined: str | None = None
        self._deployed: str | None = None

    def start(self, folder: str, cpus: int) -> str:
        """Start a Ray on this machine, whose files are in this folder; its version."""
        import ray

        ray.init(
            address="local", num_cpus=cpus, include_dashboard=False, object_store_memory=_OBJECT_STORE,
            _temp_dir=folder, log_to_driver=False, namespace=_NAMESPACE, logging_level="warning",
        )  # fmt: skip
        return str(ray.__version__)

    def join(self, address: str) -> str:
        """Join the Ray at this address; its version."""
        import ray

        self._joined = address
        return str(ray.__version__)

    def deploy(
        self, folder: str, name: str, route: str, http: Mapping[str, Any], options: Mapping[str, Any]
    ) -> list[Any]:
        """Deploy the app in this folder, or a new version of it, and wait until its replicas answer.

        Args:
            route: the path below which it answers.
            http: host and port of the proxies, where Serve does not run yet.
            options: of the deployment.

        Returns the host, "" for this machine, and the port.
        """
        import ray
        from ray import serve

        if self._joined is not None:  # a job of its own, as that has the app's folder
            ray.shutdown()
            ray.init(
                address=self._joined, namespace=_NAMESPACE, log_to_driver=False, logging_level="warning",
                runtime_env={"working_dir": folder},
            )  # fmt: skip
        serve.start(proxy_location="HeadOnly" if self._joined is None else "EveryNode", http_options=dict(http))
        module = _import(folder)
        if self._joined is None:  # the replicas read the folder where it is: weights may be large
            ray.cloudpickle.register_pickle_by_value(module)
        self._deployed = name
        application = module.Models.options(max_constructor_retry_count=1, **options).bind()
        try:
            serve.run(application, name=name, route_prefix=route, blocking=False)
        except RuntimeError as problem:
            raise RuntimeError(_told(name) or str(problem)) from None
        from ray.serve.context import _get_global_client  # no public name tells where Serve listens that runs already

        listens = _get_global_client().http_config
        return [_PROXY_HOSTS.get(listens.host, listens.host), listens.port]

    def leave(self, wait: bool = True) -> None:
        """Take away the app, and Ray if it was started here."""
        with suppress(ImportError):
            import ray
            from ray import serve

            if self._deployed is not None and self._joined is not None:
                serve.delete(self._deployed, _blocking=wait)
            self._deployed = None
            ray.shutdown()


def _told(name: str) -> str:
    """What Serve says of an app's deployments that do not come to serve."""
    from ray import serve

    application = serve.status().applications.get(name)
    return "\n".join(one.message for one in application.deployments.values()) if application is not None else ""


def _import(folder: str) -> ModuleType:
    """deploy/ray_app.py of this app."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "deploy"]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    try:
        importlib.invalidate_caches()
        return importlib.import_module("deploy.ray_app")
    finally:
        sys.path.remove(folder)


def main(path: str) -> None:
    """Do as the owner says."""
    driver = Driver()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        with connection.makefile("rw", encoding="utf-8") as lines:
            try:
                for line in lines:
                    print(json.dumps(_answer(driver, **json.loads(line))), file=lines, flush=True)
            finally:
                driver.leave(wait=False)


def _answer(driver: Driver, do: str, **order: Any) -> dict[str, Any]:
    try:
        return {"done": getattr(driver, do)(**order)}
    except Exception as problem:
        return {"failed": f"{type(problem).__name__}: {problem}"}


if __name__ == "__main__":
    main(sys.argv[1])
