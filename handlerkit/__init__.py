"""handlerkit: write, run, measure and export TorchServe handlers from a notebook.

`import handlerkit as hk` imports nothing heavy: each public name loads its module when it is first used (PEP 562).
"""

# With an underscore, so that Tab after `hk.` offers the public names alone.
import importlib as _importlib
import sys as _sys
import types as _types
import typing as _typing

import handlerkit.shell as _shell  # noqa: F401  # it notes the umask, before a notebook changes that

if _typing.TYPE_CHECKING:
    from handlerkit import envelope, errors, view
    from handlerkit.app import App
    from handlerkit.archive import Archive
    from handlerkit.bench.results import Bench
    from handlerkit.cases import Case, CaseReport, cases, keep
    from handlerkit.check import Check, check
    from handlerkit.context import mock_context
    from handlerkit.endpoints.ray_serve import RayServe
    from handlerkit.endpoints.remote import Remote
    from handlerkit.endpoints.server import Server
    from handlerkit.endpoints.worker import Worker
    from handlerkit.endpoints.worker_server import serve
    from handlerkit.messages import Call, Endpoint, Exchange, Finding, Part, Request, Response, Run
    from handlerkit.model import Model
    from handlerkit.notebook.magics import load_ipython_extension, unload_ipython_extension
    from handlerkit.notebook.session import session
    from handlerkit.predictions import Classifications, Detections, SegmentationMap
    from handlerkit.unpack import unpack
    from handlerkit.verify import Report, verify
    from handlerkit.view.diff.comparison import compare

    __version__: str

__all__ = [
    "App",
    "Archive",
    "Bench",
    "Call",
    "Case",
    "CaseReport",
    "Check",
    "Classifications",
    "Detections",
    "Endpoint",
    "Exchange",
    "Finding",
    "Model",
    "Part",
    "RayServe",
    "Remote",
    "Report",
    "Request",
    "Response",
    "Run",
    "SegmentationMap",
    "Server",
    "Worker",
    "__version__",
    "cases",
    "check",
    "compare",
    "envelope",
    "errors",
    "keep",
    "load_ipython_extension",
    "mock_context",
    "serve",
    "session",
    "unload_ipython_extension",
    "unpack",
    "verify",
    "view",
]

#: Where each public name is defined. `envelope`, `errors` and `view` are missing: they are modules of their own.
_HOMES = {
    "App": "app",
    "Archive": "archive",
    "Bench": "bench.results",
    "Call": "messages",
    "Case": "cases",
    "CaseReport": "cases",
    "Check": "check",
    "Classifications": "predictions",
    "Detections": "predictions",
    "Endpoint": "messages",
    "Exchange": "messages",
    "Finding": "messages",
    "Model": "model",
    "Part": "messages",
    "RayServe": "endpoints.ray_serve",
    "Remote": "endpoints.remote",
    "Report": "verify",
    "Request": "messages",
    "Response": "messages",
    "Run": "messages",
    "SegmentationMap": "predictions",
    "Server": "endpoints.server",
    "Worker": "endpoints.worker",
    "cases": "cases",
    "check": "check",
    "compare": "view.diff.comparison",
    "keep": "cases",
    "load_ipython_extension": "notebook.magics",
    "mock_context": "context",
    "serve": "endpoints.worker_server",
    "session": "notebook.session",
    "unload_ipython_extension": "notebook.magics",
    "unpack": "unpack",
    "verify": "verify",
}


if not _typing.TYPE_CHECKING:  # a type checker that saw __getattr__ would accept any name

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            value = version("handlerkit")
        elif name in _HOMES:
            value = getattr(_importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        elif name in __all__:
            value = _importlib.import_module(f"{__name__}.{name}")
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        setattr(_sys.modules[__name__], name, value)
        return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(_types.ModuleType):
    """Keeps `verify` and `check` the functions: importing a submodule binds it to the package under the same name."""

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, _types.ModuleType) and name in _HOMES:
            value = getattr(value, name)
        super().__setattr__(name, value)


_sys.modules[__name__].__class__ = _Package
