"""Pieces of inputs scored on Ray Data: each actor has a worker of its own. Each machine needs the app and the inputs at
the same paths, as an image and a shared disk have them."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from ..models_file import read
from .results import Result
from .scorer import Scorer

#: Ray kills what an actor has started, and with it what would end the workers and remove their folder.
_ENDS_ITSELF = {"RAY_kill_child_processes_on_worker_exit": "false"}


def score(
    models: str,
    name: str,
    pieces: Sequence[Any],
    done: Collection[str],
    workers: int,
    batch_size: int | None,
    folder: str,
    address: str | None,
) -> Iterator[Result]:
    """The results of what the pieces hold and is not done, in any order. Raises ImportError without Ray.

    Args:
        models, name: the models.json, and which of its models.
        folder: where this package is imported from.
        address: the cluster's; without one, that of the shell, or a Ray of its own.
    """
    import ray
    import ray.data

    if not ray.is_initialized():
        ray.init(address, runtime_env={"env_vars": {"PYTHONPATH": folder, **_ENDS_ITSELF}}, log_to_driver=False)
    gpu = 1 if read(models).named(name).gpu_ids else 0
    rows = [{"piece": pickle.dumps(piece)} for piece in pieces]
    answers = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        _Actor, batch_size=1, compute=ray.data.ActorPoolStrategy(size=workers), num_gpus=gpu,
        fn_constructor_args=(models, name, frozenset(done), batch_size, folder),
    )  # fmt: skip
    for row in answers.iter_rows():
        yield pickle.loads(row["result"])


class _Actor:
    """One worker, behind an event loop in a thread."""

    def __init__(self, models: str, name: str, done: Collection[str], batch_size: int | None, folder: str) -> None:
        path = os.environ.pop("PYTHONPATH", "").split(os.pathsep)  # in its worker's, it would hide the model's modules
        if kept := [one for one in path if one not in ("", folder)]:
            os.environ["PYTHONPATH"] = os.pathsep.join(kept)
        self._done = done
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        contents = read(models)

        async def make() -> Scorer:
            scorer = Scorer(contents.named(name), contents.config(), 1, batch_size)
            await scorer.start()
            return scorer

        self._scorer = self._run(make())

    def __call__(self, batch: Any) -> dict[str, list[bytes]]:
        results: list[bytes] = []
        for piece in batch["piece"]:
            inputs = pickle.loads(piece).read(self._done)
            self._run(self._scorer.score(inputs, lambda result: results.append(pickle.dumps(result))))
        return {"result": results}

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
