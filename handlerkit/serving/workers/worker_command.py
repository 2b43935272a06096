"""What TorchServe starts a worker with: its command line and its environment (org.pytorch.serve.wlm.WorkerLifeCycle,
org.pytorch.serve.util.messages.EnvironmentUtils)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import util

from .. import torchserve_facts as facts
from ..config import Config


def command_line(socket_name: str, config: Config) -> tuple[str, ...]:
    """TorchServe's worker script and its options, for a Python to run. Raises ModuleNotFoundError."""
    script = worker_script()
    metrics = config.metrics_config or os.path.join(os.path.dirname(script), "configs", "metrics.yaml")
    return script, "--sock-type", "unix", "--sock-name", socket_name, "--metrics-config", metrics


def worker_script() -> str:
    """TorchServe's worker script; ts itself need not be imported. Raises ModuleNotFoundError."""
    spec = util.find_spec("ts")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the workers need TorchServe's Python code: pip install torchserve==0.12.*")
    return os.path.join(os.path.dirname(spec.origin), "model_service_worker.py")


def environment(outer: Mapping[str, str], handler: str, model_dir: str, config: Config, logs: str) -> dict[str, str]:
    """A worker's environment: the server's, which is `outer`, and what TorchServe adds. `logs` is their folder."""
    file, colon, _ = handler.partition(":")
    path = [os.path.dirname(file) or file] if colon else []
    path += [outer["PYTHONPATH"]] if "PYTHONPATH" in outer else []
    path += [os.path.realpath(model_dir)]
    path += [os.path.dirname(os.path.abspath(model_dir))] if os.path.islink(model_dir) else []
    return {
        **outer,
        facts.DECODE_INPUT: str(config.decode_input_request).lower(),
        "TS_IPEX_ENABLE": "false",
        "TS_IPEX_GPU_ENABLE": "false",
        **dict.fromkeys(facts.LOG_VARIABLES, logs),
        "PYTHONPATH": os.pathsep.join([*path, ""]),
    }
