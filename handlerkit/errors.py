"""Every error the kit raises.

    HandlerkitError
    ├── ModelError      the files and names of a Model do not fit together
    ├── RequestError    a Request cannot be built, or not sent as it is
    ├── CaseError       a case cannot be kept, or not read as it is
    ├── ConfigError     a config.properties key or value that TorchServe does not know
    ├── ArchiveError    an archive cannot be written or read
    │   └── CheckError  it is not written, for an error that was found
    ├── LoadError       a handler does not load; .response is what registering it would answer
    ├── TargetError     a target is not known, or its environment cannot be made
    ├── ResponseError   Run.raise_for_status() met an answer that is not a success
    ├── ServerError     a server did not start, or did not answer
    └── WorkerError     no worker process can be started

What a client of TorchServe would see as an error is never raised: it is a Response in a Run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlerkit.formatting import visible

if TYPE_CHECKING:
    from handlerkit.messages import ErrorInfo, Finding, Response, Run


class HandlerkitError(Exception):
    """Base of every error the kit raises; its text says what was wrong and what to do."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied whole, also where a subclass is made with keyword arguments."""
        return _made, (type(self), self.args), vars(self)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback through the kit's own code."""
        return [visible(f"{type(self).__name__}: {self}")]


def _made(kind: type[HandlerkitError], args: tuple[Any, ...]) -> HandlerkitError:
    return kind.__new__(kind, *args)


class ModelError(HandlerkitError, ValueError):
    """The files and names of a Model do not fit together."""


class RequestError(HandlerkitError, ValueError):
    """A Request cannot be built from what was given, or not sent as it is."""


class CaseError(HandlerkitError, ValueError):
    """A case cannot be kept, or not read as it is."""


class ConfigError(HandlerkitError, ValueError):
    """A config.properties key or value that TorchServe does not know."""


class ArchiveError(HandlerkitError):
    """An archive cannot be written or read."""


class CheckError(ArchiveError):
    """An archive or app is not written, for an error that was found in it."""


class LoadError(HandlerkitError):
    """A handler does not load.

    Attributes:
        response: what TorchServe's management API answers to registering this model.
        error: the exception the handler raised, as plain data; None if there was none.
        findings: what went wrong and what to change, in plain words.
        logs: what the worker logged while it tried.
        reported: the worker tells the frontend that it failed, instead of dying of it.
    """

    def __init__(
        self,
        message: str,
        *,
        response: Response,
        error: ErrorInfo | None = None,
        findings: tuple[Finding, ...] = (),
        logs: tuple[str, ...] = (),
        reported: bool = False,
    ) -> None:
        super().__init__(message)
        self.reported = reported
        self.response = response
        self.error = error
        self.findings = findings
        self.logs = logs

    def __str__(self) -> str:
        return "\n".join([str(self.args[0]), *map(str, self.findings)])

    def _render_traceback_(self) -> list[str]:
        """The handler's own traceback, then the cause in plain words."""
        trace = self.error.traceback.rstrip().split("\n") if self.error else []
        return [visible(line) for line in (*trace, "", f"{type(self).__name__}: {self}")]


class TargetError(HandlerkitError):
    """A target is not known, or its environment cannot be made."""


class ResponseError(HandlerkitError):
    """`Run.raise_for_status()` met an answer that is not a success; `.run` is the Run."""

    def __init__(self, message: str, run: Run) -> None:
        super().__init__(message)
        self.run = run


class ServerError(HandlerkitError):
    """A server did not start, or did not answer; `.log` is the end of a real TorchServe's log."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class WorkerError(HandlerkitError):
    """No worker process can be started, for lack of memory, space or file descriptors."""
