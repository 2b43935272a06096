"""What a handler is given and what a client gets, through Worker and through a real TorchServe: the same, or told here.

    python tests/fuzz/differential.py --exchanges 20000 --seed 1

prints progress, then each difference as a line of JSON as in tests/golden, made as small as it gets. Exit status 1
where there is one.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from strategies import BATCH, ONE, THREE, Draw, invent, program_of

from handlerkit import Model, Request, Response, Server, Worker
from handlerkit.serving.requests.parameters import asks_to_describe

HANDLER = Path(__file__).parents[1] / "handlers" / "does_as_told.py"
#: Seconds; a batch that is not full waits this long, so that requests of one draw share it on a busy machine.
DELAY, TIMEOUT = 0.15, 5
_CORS = {"cors_allowed_origin": "*", "cors_allowed_methods": "GET, POST", "cors_allowed_headers": "x-a"}
_SIZES = {"max_request_size": 4000, "max_response_size": 3000}

#: config.properties, by name, and the share of the exchanges that each gets.
ENVIRONMENTS: dict[str, tuple[int, dict[str, Any]]] = {
    "plain": (10, {}),
    "body": (1, {"service_envelope": "body"}),
    "json": (2, {"service_envelope": "json"}),
    "kserve": (1, {"service_envelope": "kserve"}),
    "kservev2": (2, {"service_envelope": "kservev2"}),
    "limits": (2, {"decode_input_request": False, **_SIZES, **_CORS}),
}


@dataclass(frozen=True)
class Difference:
    """A draw that Worker (`ours`) and TorchServe (`theirs`) answer differently, and in what."""

    environment: str
    draw: Draw
    where: tuple[str, ...]
    ours: tuple[Response, ...]
    theirs: tuple[Response, ...]

    def line(self, number: int) -> str:
        """A line of JSON as in tests/golden, with what TorchServe answered, and beside it what Worker did."""
        single = len(self.draw.requests) == 1
        requests, theirs = [*map(recorded_request, self.draw.requests)], [*map(recorded, self.theirs)]
        config = {
            "server_properties": ENVIRONMENTS[self.environment][1], "server_args": [], "register_params": {},
            "handler": HANDLER.name, "model_yaml": YAML[self.draw.model], "extra_files": None,
            "archive_format": "no-archive", "serialized_file": None, "model_file": None, "requirements": None,
            "envelope": ENVIRONMENTS[self.environment][1].get("service_envelope"),
        }  # fmt: skip
        case = {
            "case": f"fuzz_{self.environment}_{number}", "section": "k_found_by_fuzzing", "model": self.draw.model,
            "handler_source": HANDLER.read_text(), "config": config, "where": self.where,
            **({"request": requests[0]} if single else {"requests": requests, "gap_seconds": 0.005}),
            **({"response": theirs[0]} if single else {"responses": theirs}),
            "ours": [*map(recorded, self.ours)],
        }  # fmt: skip
        return json.dumps(case, ensure_ascii=False)


#: model-config.yaml of each model.
YAML = {
    ONE: f"responseTimeout: {TIMEOUT}\n",
    THREE: f"batchSize: {BATCH}\nmaxBatchDelay: {int(DELAY * 1000)}\nresponseTimeout: {TIMEOUT}\n",
}


class Environment:
    """Both endpoints with one config.properties; use it in a `with` block."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.properties = ENVIRONMENTS[name][1]
        self._models = [self._model(model, folder) for model in (ONE, THREE)]
        self._workers = {model.name: Worker(model, self.properties) for model in self._models}
        self._server = Server(self._models, self.properties, token_auth=False)

    def __enter__(self) -> Environment:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        for worker in self._workers.values():
            worker.close()

    def ours(self, draw: Draw) -> tuple[Response, ...]:
        return self._workers[draw.model].predict(*draw.requests).responses

    def theirs(self, draw: Draw) -> tuple[Response, ...]:
        return self._server.predict(*draw.requests).responses

    def compare(self, draw: Draw, ours: tuple[Response, ...] | None = None) -> Difference | None:
        """Send a draw to both, or to TorchServe alone where Worker's answers are given."""
        ours = self.ours(draw) if ours is None else ours
        theirs = self.theirs(draw)
        where = {
            name
            for request, mine, other in zip(draw.requests, ours, theirs, strict=True)
            for name in differing(request, mine, other)
        }
        return Difference(self.name, draw, tuple(sorted(where)), ours, theirs) if where else None

    def _model(self, name: str, folder: Path) -> Model:
        config = folder / f"{name}-{self.name}.yaml"
        config.write_text(YAML[name])
        return Model(name, handler=HANDLER, config_file=config)


def differing(request: Request, ours: Response, theirs: Response) -> Iterator[str]:
    """The names of what differs in two answers; the request's id is another one each time."""
    if b'"modelUrl"' in ours.body and b'"modelUrl"' in theirs.body:
        ours, theirs = described(ours), described(theirs)
    ours, theirs = without_id(ours), without_id(theirs)
    if ours.status != theirs.status:
        yield "status"
        return
    if ours.reason != theirs.reason:
        yield "reason"
    if ours.headers != theirs.headers:
        yield "headers"
    if ours.body != theirs.body:
        yield "body"
    if ours.chunks != theirs.chunks:
        yield "chunks"
    if ours.complete != theirs.complete:
        yield "complete"


def without_id(response: Response) -> Response:
    number = response.header("x-request-id") or "\0"
    headers = [(name, "<id>" if name.lower() == "x-request-id" else value) for name, value in response.headers]
    body = response.body.replace(number.encode(), b"<id>")
    chunks = response.chunks and tuple(chunk.replace(number.encode(), b"<id>") for chunk in response.chunks)
    return replace(response, headers=tuple(headers), body=body, chunks=chunks)


def described(response: Response) -> Response:
    """What the handler told of the model, in the management API's description; the rest of it is the server's own."""
    return replace(response, body=b"".join(response.body.partition(b'"customizedMetadata"')[1:]), headers=())


# -- making a difference small


def minimised(environment: Environment, found: Difference, patience: float = 5) -> Difference:
    """The same difference with as little as possible in it, after `patience` seconds at the latest."""
    end, candidates = time.monotonic() + patience, _smaller(found.draw)
    while time.monotonic() < end and (smaller := next(candidates, None)) is not None:
        again = environment.compare(smaller)
        if again is not None and set(again.where) <= set(found.where):
            found, candidates = again, _smaller(again.draw)
    return found


def _smaller(draw: Draw) -> Iterator[Draw]:
    if len(draw.requests) > 1:
        for request in draw.requests:
            yield replace(draw, requests=(request,))
    for index, request in enumerate(draw.requests):
        for smaller in _smaller_request(request, draw.model):
            yield replace(draw, requests=(*draw.requests[:index], smaller, *draw.requests[index + 1 :]))


def _smaller_request(request: Request, model: str) -> Iterator[Request]:
    if request.path != f"/predictions/{model}":
        yield replace(request, path=f"/predictions/{model}")
    if request.query:
        yield replace(request, query="")
    if request.method != "POST":
        yield replace(request, method="POST")
    for at, (name, _) in enumerate(request.headers):
        if name != "x-program":
            yield replace(request, headers=request.headers[:at] + request.headers[at + 1 :])
    for program in _smaller_program(program_of(request)):
        headers = [(name, json.dumps(program) if name == "x-program" else value) for name, value in request.headers]
        yield replace(request, headers=tuple(headers))
    for piece in (32, 8, 4, 2, 1):
        for at in range(0, len(request.body) if len(request.body) < 60 * piece else 0, piece):
            yield replace(request, body=request.body[:at] + request.body[at + piece :])
    if len(request.body) >= 60:
        yield replace(request, body=request.body[: len(request.body) // 2])


def _smaller_program(program: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key, value in program.items():
        yield {name: kept for name, kept in program.items() if name != key}
        if isinstance(value, list) and key in ("headers", "stream"):
            for at in range(len(value)):
                yield {**program, key: value[:at] + value[at + 1 :]}
        if key == "stream":
            for at, piece in enumerate(value):
                for smaller in _smaller_program(piece):
                    yield {**program, key: [*value[:at], smaller, *value[at + 1 :]]}


# -- a run


@dataclass
class Tally:
    """How a run went: exchanges with TorchServe, those left out since they would end a worker, differences."""

    exchanges: int = 0
    left_out: int = 0
    deaths: set[str] = field(default_factory=set)
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)
    seconds: float = 0.0


def fuzz(name: str, exchanges: int, seed: int, folder: Path, most: int = 20) -> Tally:
    """At least that many exchanges in one environment. `most` differences are made small, the others are counted."""
    tally = Tally()
    with Environment(name, folder) as environment:
        environment.compare(Draw(ONE, (Request(path=f"/predictions/{ONE}"),)))  # the first of a cold Java is slow
        begun, number = time.monotonic(), 0
        while tally.exchanges < exchanges:
            wanted = min(250, exchanges - tally.exchanges)
            for draw in invent(environment.properties.get("service_envelope"), wanted, seed * 1_000_003 + number):
                _exchange(environment, draw, tally, 1 + exchanges // 400, most)
            number += 1
            tally.seconds = time.monotonic() - begun
            print(f"{name}: {told(tally)}", file=sys.stderr, flush=True)
    return tally


def _has_died(answer: Response) -> bool:
    return answer.status == 500 and (not answer.body or b'"Worker died."' in answer.body)


def told(tally: Tally) -> str:
    rate = tally.exchanges / max(tally.seconds, 0.001)
    return (
        f"{tally.exchanges} exchanges in {tally.seconds:.0f} s ({rate:.0f}/s), {len(tally.deaths)} workers died, "
        f"{tally.left_out} left out, {tally.differing} differ in {len(tally.differences)} ways"
    )


def _exchange(environment: Environment, draw: Draw, tally: Tally, deaths: int, most: int) -> None:
    """TorchServe takes seconds to start another worker, so each way to die is tried once, and not too many of them."""

    def is_one_too_many() -> bool:
        way = json.dumps([program_of(request) for request in draw.requests])
        if len(tally.deaths) >= deaths or way in tally.deaths:
            tally.left_out += 1
            return True
        tally.deaths.add(way)
        return False

    foreseen = any("dies" in row for row in draw.rows)
    if foreseen and is_one_too_many():
        return  # before Worker sees it: some handlers and envelopes remember
    ours = environment.ours(draw)
    if not foreseen and any(map(_has_died, ours)) and is_one_too_many():
        return
    found = environment.compare(draw, ours)
    tally.exchanges += len(draw.requests)
    if found and len(draw.requests) > 1:  # on a busy machine a request may come too late for its batch
        found = environment.compare(draw)
    if found is None:
        return
    tally.differing += 1
    if len(tally.differences) < most:
        small = minimised(environment, found)
        if all((small.draw, small.where) != (known.draw, known.where) for known in tally.differences):
            tally.differences.append(small)
            print(small.line(len(tally.differences)), flush=True)


def recorded_request(request: Request) -> dict[str, Any]:
    port = "management" if asks_to_describe(request.query) and request.method == "GET" else "inference"
    return {
        "method": request.method, "path": request.path, "query": request.query, "port": port,
        "headers": [*map(list, request.headers)], **_body(request.body),
    }  # fmt: skip


def recorded(response: Response) -> dict[str, Any]:
    """An answer as tests/golden/README.md has it."""
    headers = [[name, "<uuid>" if name.lower() == "x-request-id" else value] for name, value in response.headers]
    answer = {"status": response.status, "reason": response.reason, "headers": headers, **_body(response.body)}
    if response.chunks is not None:
        answer["chunks_base64"] = [base64.b64encode(chunk).decode() for chunk in response.chunks]
    return answer if response.complete else {**answer, "complete": False}


def _body(body: bytes) -> dict[str, str]:
    text = body.decode(errors="replace")
    return {
        "body_base64": base64.b64encode(body).decode(),
        "body_text": re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>", text),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare Worker with a real TorchServe on invented exchanges.")
    parser.add_argument("--exchanges", type=int, default=2000, help="how many, in all (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the same exchanges for the same number (%(default)s)")
    parser.add_argument("--environment", choices=ENVIRONMENTS, nargs="+", default=list(ENVIRONMENTS))
    given = parser.parse_args()
    shares = sum(ENVIRONMENTS[name][0] for name in given.environment)
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in given.environment:
            tallies[name] = fuzz(name, given.exchanges * ENVIRONMENTS[name][0] // shares, given.seed, Path(folder))
    for name, tally in tallies.items():
        print(f"{name}: {told(tally)}", file=sys.stderr)
    return 1 if any(tally.differing for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
