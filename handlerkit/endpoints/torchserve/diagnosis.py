"""Why a real TorchServe answered with an error: out of the answer, and of what its workers logged meanwhile."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handlerkit import shell, why
from handlerkit.endpoints.logs.logged_error import ParseFailure, exception_from_log, parse_failure
from handlerkit.endpoints.logs.torchserve_log import calls
from handlerkit.errors import ArchiveError
from handlerkit.messages import ErrorInfo, Finding, LogLine, Request, Response
from handlerkit.messages.rows import decode_predict
from handlerkit.model import Model
from handlerkit.serving import torchserve_facts as facts
from handlerkit.serving import wire
from handlerkit.serving.config import Config
from handlerkit.serving.frontend import Frontend, QueuedRequest
from handlerkit.serving.wire import Prediction, WorkerResponse
from handlerkit.serving.worker_death import WorkerDeath, exited, timed_out, too_long, too_slow
from handlerkit.unpack import read_manifest
from handlerkit.why.findings import frontend, registration

#: What TorchServe logs of a worker that took too long, and of one whose answer is too long.
_LATE, _TOO_LONG = "Backend worker did not respond in given time", r"Message size exceed limit: (\d+)"


@dataclass(frozen=True)
class Registration:
    """A model as a server holds it: its files are in `folder`. `undeclared` tells which modules are installed here, and
    not where it runs, with their distribution's name; it is asked where a call failed. `reported` has the names of the
    warnings that calls have led to."""

    setup: why.Setup
    folder: Path
    undeclared: Callable[[], Mapping[str, str]] = dict
    reported: set[str] = field(default_factory=set, compare=False)

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
        return cls(setup, folder, undeclared, set(why.read_code(folder.glob("*.py")).silenced))

    @property
    def source(self) -> why.CodeFiles:
        """Its own code."""
        return why.CodeFiles(tuple(file.name for file in self.folder.glob("*.py")), self.folder)


def load_findings(
    error: ErrorInfo | None, response: Response, log: str, model: Model, folder: Path, undeclared: Mapping[str, str]
) -> tuple[Finding, ...]:
    """Why a model whose files are in `folder` does not load: the exception, or what the log tells of the worker.
    `response`: of the management API."""
    if (wrong := registration.unusable_config(model)) is not None:
        return (wrong.finding,)
    if error is None and facts.NOT_STARTED not in response.text:
        return ()  # it was no worker's doing
    classes = _classes(model)
    raised = death = None
    if error is None and _LATE in log:
        death = timed_out("The handler did not load within the startup timeout.")
    elif error is None:
        death = exited("The worker process ended while it loaded the model.")
    else:
        raised = exception_from_log(error)
        if isinstance(raised, AttributeError) and (own := classes.get(type(raised.obj).__name__)) is not None:
            raised.obj = own()
    setup = why.Setup(model.name, model.version, model.handler)
    notebook = why.Notebook(undeclared=undeclared, environment=shell.set_here())
    logs = [LogLine("WARN", line.partition(" - ")[2]) for line in log.splitlines() if "error: " in line]
    attempt = why.Attempt(setup, loading=True, death=death, notebook=notebook, logs=logs)
    files = tuple(entry.name for entry in model.entries() if entry.name.endswith(".py"))
    return why.explain(why.Evidence(attempt, why.CodeFiles(files, folder, tuple(classes.values())), raised, error))


def _classes(model: Model) -> dict[str, type]:
    """A class for each name of one that the handler's file defines, which the loader counts; two names of one are two.
    None of them has anything of the handler's own."""
    try:
        body = ast.parse(model.handler_file.read_bytes()).body if model.handler_file else []
    except (OSError, SyntaxError, ValueError, RecursionError):
        return {}
    names = {node.name: node.name for node in body if isinstance(node, ast.ClassDef)}
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in names:
            names |= {target.id: node.value.id for target in node.targets if isinstance(target, ast.Name)}
    return {name: type(own, (), {}) for name, own in names.items()}


def findings(
    exchanges: Iterable[tuple[Request, Response]],
    model: Registration,
    config: Config,
    log: Callable[[], str],
) -> tuple[Finding, ...]:
    """The causes of the errors among answers to requests that were sent together to one model. Those that failed alike
    are taken for one batch, or for as many as the log tells of. `log`: the console's text since then; it is asked for
    where a worker failed."""
    found: list[Finding] = []
    exchanges = list(exchanges)
    alike: dict[tuple[str, str], list[tuple[Request, Response]]] = {}
    for request, response in exchanges:
        if response.ok or response.status is None:
            continue
        kind, message = frontend.error_body(response)
        if response.header(facts.REQUEST_ID) is None or kind not in ("", facts.INTERNAL):
            found += frontend.rejected(request, response, model.setup, config.max_request_size)
        else:
            alike.setdefault((kind, message), []).append((request, response))
    for (kind, message), failed in alike.items():
        batches = _batches(kind, message, failed, model, log() if kind else "")
        for batch, text, logs in batches:
            causes = _of_a_call(kind, message, batch, model, config, text, logs)
            # how many requests met in a batch is known of none but those that were all there were
            found += causes if len(batch) == len(exchanges) else why.without_batch_waits(causes)
    return tuple(dict.fromkeys(found))


def _batches(
    kind: str, message: str, failed: Sequence[tuple[Request, Response]], model: Registration, log: str
) -> list[tuple[Sequence[tuple[Request, Response]], str, Sequence[LogLine]]]:
    """The calls among which requests that failed alike were spread: the requests of each, the log, and the call's
    lines."""
    found = _calls(log, model)
    everything = [line for lines in found for line in lines]
    if not kind:
        return [(failed, log, everything)]
    died = (
        message == facts.DIED
    )  # what a dying worker writes to stderr is in no certain order, and tells no calls apart
    answer = None if died else WorkerResponse(failed[0][1].status or 0, message, ())
    failures = [lines for lines in found if _failed(parse_failure(answer, lines, uncaught=False))]
    if len(failures) < 2:
        return [(failed, log, failures[0] if failures and not died else everything)]
    size = model.setup.batch_size
    batches = [failed[at : at + size] for at in range(0, len(failed), size)]
    if len(batches) != len(failures):  # which requests met in a batch is not known
        batches = [failed] * len(failures)
    return [(batch, log, lines) for batch, lines in zip(batches, failures, strict=True)]


def _failed(cause: ParseFailure) -> bool:
    """Whether a call failed of it: a body that is no JSON is logged with a traceback, too, and only left undecoded."""
    frames = cause.info.frames if cause.info is not None else ()
    if any(frame.function == "_retrieve_input_data" for frame in frames):
        return False
    return cause.error is not None or bool(cause.logged)


def _of_a_call(
    kind: str,
    message: str,
    failed: Sequence[tuple[Request, Response]],
    model: Registration,
    config: Config,
    log: str,
    logs: Sequence[LogLine],
) -> tuple[Finding, ...]:
    responses = [response for _, response in failed]
    frontend = Frontend(model.setup.model, model.setup.version, config)
    received = [one for request, _ in failed if isinstance(one := frontend.receive(request), QueuedRequest)]
    jobs = [one.job for one in received]
    handed = decode_predict(wire.encode_predict(jobs), config.decode_input_request) if jobs else []
    rows = [one.row for one in handed]
    answer: WorkerResponse | None = None
    if not kind:  # the handler's own status
        answer = WorkerResponse(200, facts.SUCCEEDED, tuple(map(_row, responses)))
    elif message != facts.DIED:
        answer = WorkerResponse(responses[0].status or 0, message, ())
    cause = parse_failure(answer, logs)
    death = _death(log, model.setup) if answer is None and cause.death is None else cause.death
    attempt = why.Attempt(
        model.setup, death=death, notebook=why.Notebook(undeclared=model.undeclared(), environment=shell.set_here()),
        envelope=config.service_envelope, requests=[one.request for one in received], jobs=jobs,
        describe=any(one.describe for one in received), answer=answer, responses=responses, logs=logs,
        raised=cause.error is not None, bodies=tuple(map(why.kind_of_body, rows)),
    )  # fmt: skip
    return why.explain(
        why.Evidence(attempt, model.source, cause.error, cause.info, rows, logged=cause.logged, earlier=cause.earlier)
    )


def warnings(exchanges: Iterable[tuple[Request, Response]], model: Registration, config: Config) -> tuple[Finding, ...]:
    """What was lost or changed in answers that are a success, as far as requests, answers and the model's code show it:
    each request is looked at for itself, since nothing tells which of them met in a batch, and no log is read."""
    found: list[Finding] = []
    frontend = Frontend(model.setup.model, model.setup.version, config)
    for request, response in exchanges:
        if not response.ok or response.chunks is not None:
            continue
        received = frontend.receive(request)
        if not isinstance(received, QueuedRequest) or received.describe:
            continue
        jobs = [received.job]
        rows = [one.row for one in decode_predict(wire.encode_predict(jobs), config.decode_input_request)]
        setup = model.setup._replace(declares_metrics=True)
        attempt = why.Attempt(
            setup, envelope=config.service_envelope, requests=[received.request], jobs=jobs,
            answer=WorkerResponse(200, facts.SUCCEEDED, (_row(response),)), responses=[response],
            bodies=tuple(map(why.kind_of_body, rows)), first="first" not in model.reported,
            reported=frozenset({*model.reported, "batch_waits"}),
        )  # fmt: skip
        model.reported.add("first")
        if why.may_explain(attempt):
            found += why.explain(why.Evidence(attempt, model.source, rows=rows))
    model.reported.update(one.name for one in found)
    return tuple(dict.fromkeys(found))


def _calls(log: str, model: Registration) -> list[tuple[LogLine, ...]]:
    """What the model's workers logged in each call."""
    store = model.folder.parent if model.folder.is_symlink() else model.folder
    return calls(log, store.parents[2], model.folder.name, f"{model.setup.model}_{model.setup.version}")


def _death(log: str, setup: why.Setup) -> WorkerDeath:
    """Why a worker with no known exception died, as far as TorchServe says so."""
    if _LATE in log:
        return too_slow(setup.response_timeout)
    if (size := re.search(_TOO_LONG, log)) is not None:
        return too_long(int(size[1]), setup.max_response_size)
    return exited("The worker process ended, or TorchServe ended it for an answer that it cannot pass on.")


def _row(response: Response) -> Prediction:
    return Prediction("", response.content_type or "", response.status or 0, response.reason, (), response.body)
