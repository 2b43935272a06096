"""The ready-made handlers, around any network."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ready_made_pictures import OFFICIAL

from handlerkit import Endpoint, Model, Request, Server, Worker
from handlerkit.model import READY_MADE_FOLDER

sys.path.append(str(READY_MADE_FOLDER))  # what the handlers share imports each other as in an archive

COINS = Path(__file__).parents[2] / "notebooks" / "models"


class Served:
    """A model of one endpoint, asked in a line."""

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        self.endpoint = endpoint
        self.path = f"/predictions/{name}"

    def __call__(self, *bodies: bytes | Request, accept: str = "") -> Any:
        """The response, or the responses of several, sent together."""
        headers = (("Accept", accept),) if accept else ()
        requests = [body if isinstance(body, Request) else Request(body=body, headers=headers) for body in bodies]
        responses = self.endpoint.predict(*(replace(one, path=one.path or self.path) for one in requests)).responses
        return responses[0] if len(responses) == 1 else responses

    def json(self, *bodies: bytes | Request) -> Any:
        """The answer of a single request."""
        response = self(*bodies)
        assert response.status == 200, response.text
        return response.json()


@pytest.fixture(scope="session")
def official() -> Iterator[Server]:
    """A TorchServe with the official image's packages, to register models with."""
    with Server([], target=OFFICIAL) as server:
        yield server


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Callable[..., Served]]:
    """Serves a ready-made handler: with the coins' weights, a TorchScript module, or the source of a model file.

    A Worker does, or the official image's TorchServe in tests that are marked with `everywhere`.
    """
    server = request.getfixturevalue("official") if getattr(request, "param", "worker") == OFFICIAL else None
    started = ExitStack()

    def start(
        handler: str,
        network: Any,
        config: dict[str, Any] | None = None,
        *,
        labels: bool = True,
        extra: Sequence[Path] = (),
        **options: Any,
    ) -> Served:
        folder = tmp_path_factory.mktemp("model")
        files: dict[str, Any] = {"extra_files": [*extra, *([COINS / "index_to_name.json"] if labels else [])]}
        if isinstance(network, Path):
            files["serialized_file"] = network
        elif isinstance(network, str):
            files["model_file"] = folder / "network.py"
            files["model_file"].write_text("import torch\nfrom torch import nn\n\ntorch.manual_seed(0)\n" + network)
        else:
            network.save(folder / "network.pt")
            files["serialized_file"] = folder / "network.pt"
        if config is not None:
            files["config_file"] = folder / "model-config.yaml"
            files["config_file"].write_text(json.dumps(config))
        model = Model(folder.name, handler=f"handlerkit:{handler}", **files)
        if server is None:
            return Served(started.enter_context(Worker(model, **options)), model.name)
        server.register(model, **options)
        started.callback(server.unregister, model.name)
        return Served(server, model.name)

    with started:
        yield start
