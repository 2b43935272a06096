"""Why a real TorchServe answered with an error: out of the answer, and of what its workers logged meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handlerkit import why
from handlerkit.endpoints.logs.logged_error import exception_from_log, parse_failure
from handlerkit.endpoints.logs.torchserve_log import worker_lines
from handlerkit.errors import ArchiveError
from handlerkit.messages import ErrorInfo, Finding, LogLine, Request, Response
from handlerkit.messages.rows import decode_predict
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving import wire
from handlerkit.serving.config import Config
from handlerkit.serving.frontend import Frontend, QueuedRequest
from handlerkit.serving.wire import Prediction, WorkerResponse
from handlerkit.serving.worker_death import too_long
from handlerkit.unpack import read_manifest
from handlerkit.worker_process.outcome import late

#: What TorchServe logs of a worker that took too long, and of one whose answer is too long.
_LATE, _TOO_LONG = "Backend worker did not respond in given time", r"Message size exceed limit: (\d+)"


@dataclass(frozen=True)
class Registration:
    """A model as a server holds it: its files are in `folder`. `undeclared` tells which modules are installed here, and
    not where it runs, with their distribution's name; it is asked where a call failed."""

    setup: why.Setup
    folder: Path
    undeclared: Callable[[], Mapping[str, str]] = dict

    @classmethod
    def of(
        cls,
        name: str,
        version: str,
        known: Mapping[str, Any],
        folder: Path,
        config: Config,
        undeclared: Callable[[], Mapping[str, str]],
    ) -> Registration:
        """Of a model of that name; `known` is the management API's description of it."""
        try:
            handler = str(read_manifest(folder)["model"]["handler"])
        except (ArchiveError, KeyError):
            handler = ""
        setup = why.Setup(
            name, version, handler, known["batchSize"], known["maxBatchDelay"], known["responseTimeout"], None,
            config.max_response_size, config.decode_input_request,
        )  # fmt: skip
        return cls(setup, folder, undeclared)


def load_findings(error: ErrorInfo | None, files: Iterable[str], undeclared: Mapping[str, str]) -> tuple[Finding, ...]:
    """The cause of an exception that a model with these files raised while it was loaded."""
    if error is None:
        return ()
    seen = why.Evidence(
        error=exception_from_log(error),
        info=error,
        loading=True,
        files=tuple(files),
        remote=True,
        undeclared=undeclared,
    )
    return why.explain(seen)


def findings(
    exchanges: Iterable[tuple[Request, Response]],
    model: Registration,
    config: Config,
    log: Callable[[], str],
) -> tuple[Finding, ...]:
    """The causes of the errors among answers to requests that were sent together to one model. Those that failed alike
    are taken for one batch. `log`: the console's text since then; it is asked for where a worker failed."""
    found: list[Finding] = []
    alike: dict[tuple[str, str], list[tuple[Request, Response]]] = {}
    for request, response in exchanges:
        if response.ok or response.status is None:
            continue
        kind, message = why.told(response)
        if response.header(facts.REQUEST_ID) is None or kind not in ("", facts.INTERNAL):
            found += why.rejected(request, response, model.setup, config.max_request_size)
        else:
            alike.setdefault((kind, message), []).append((request, response))
    for (kind, message), failed in alike.items():
        found += _of_a_call(kind, message, failed, model, config, log() if kind else "")
    return tuple(dict.fromkeys(found))


def _of_a_call(
    kind: str,
    message: str,
    failed: Sequence[tuple[Request, Response]],
    model: Registration,
    config: Config,
    log: str,
) -> tuple[Finding, ...]:
    responses = [response for _, response in failed]
    frontend = Frontend(model.setup.model, model.setup.version, config)
    received = [one for request, _ in failed if isinstance(one := frontend.receive(request), QueuedRequest)]
    jobs = [one.job for one in received]
    rows = decode_predict(wire.encode_predict(jobs), config.decode_input_request)[1] if jobs else []
    files = tuple(file.name for file in model.folder.glob("*.py"))
    seen = why.Evidence(
        setup=model.setup, files=files, folder=model.folder, envelope=config.service_envelope, jobs=jobs, rows=rows,
        requests=[one.request for one in received], responses=responses, logs=_of_workers(log, model.folder),
        describe=any(one.describe for one in received), remote=True,
        undeclared=model.undeclared(),
    )  # fmt: skip
    if not kind:  # the handler's own status
        seen.answer = WorkerResponse(200, "Prediction success", tuple(map(_row, responses)))
        return why.explain(seen)
    seen.answer = None if message == facts.DIED else WorkerResponse(responses[0].status or 0, message, ())
    cause = parse_failure(seen.answer, seen.logs)
    seen.error, seen.info, seen.logged, seen.died = cause.error, cause.info, cause.logged, cause.died
    if seen.answer is None and not seen.died:
        seen.died = _death(log, model.setup)
    return why.explain(seen)


def _of_workers(log: str, model_dir: Path) -> tuple[LogLine, ...]:
    """The workers' lines; not those that tell of each call's beginning, which may stand amid those of another call."""
    store = model_dir.parent if model_dir.is_symlink() else model_dir
    lines = worker_lines(log, store.parents[2], model_dir.name)
    return tuple(line for line in lines if not line.text.startswith(facts.CALL_BEGINS))


def _death(log: str, setup: why.Setup) -> str:
    """How TorchServe says that a worker died of whom no exception is known."""
    if _LATE in log:
        return late(setup.response_timeout)
    if (size := re.search(_TOO_LONG, log)) is not None:
        return too_long(int(size[1]), setup.max_response_size)
    return "exit: The worker process ended, or TorchServe ended it for an answer that it cannot pass on."


def _row(response: Response) -> Prediction:
    return Prediction("", "", response.status or 0, response.reason, (), response.body)
