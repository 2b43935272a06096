"""pytest fixtures for the unit tests of handlers; installing handlerkit makes them known to pytest.

A handler is tested as TorchServe would call it, or one method of it with a context:

    def test_it_answers(handler_worker):
        worker = handler_worker("handler.py", serialized_file="model.pt")
        assert worker.predict(hk.Request.file("coins.png")).raise_for_status().response.json()["coins"] == 24

    def test_preprocess(mock_context):
        handler = MyHandler()
        handler.initialize(mock_context(model_dir="model"))
        assert handler.preprocess([{"body": b"..."}]).shape == (1, 3, 224, 224)

Each fixture is a function that makes what its name says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ts.context import Context

    from handlerkit.endpoints.worker import Worker

#: What Worker takes; every other keyword of `handler_worker` is Model's.
_WORKER_OPTIONS = frozenset(
    {"config_properties", "batch_size", "max_batch_delay", "response_timeout", "gpu_id", "environment", "in_process"}
)


@pytest.fixture
def mock_context() -> Callable[..., Context]:
    """`handlerkit.mock_context`: makes a real ts.context.Context."""
    from handlerkit.context import mock_context

    return mock_context


@pytest.fixture
def handler_worker() -> Iterator[Callable[..., Worker]]:
    """Makes a Worker of a handler's file and the keywords of Model and Worker; closed after the test.

    The model is called "model" unless `name` says otherwise.
    """
    from handlerkit.endpoints.worker import Worker
    from handlerkit.model import Model

    made: list[Worker] = []

    def make(handler: str, /, name: str = "model", **options: Any) -> Worker:
        registered = {key: options.pop(key) for key in _WORKER_OPTIONS & options.keys()}
        made.append(Worker(Model(name, handler=handler, **options), **registered))
        return made[-1]

    yield make
    for worker in made:
        worker.close()
