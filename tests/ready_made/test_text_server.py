"""The handlers of texts on a real TorchServe: the same bytes as a worker's, for a batch and for streams."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import text_models

from handlerkit import Model, Request, Server, Worker, verify

pytestmark = pytest.mark.server

PROMPT, OTHER = text_models.SENTENCES[:2]
BATCHES = {
    "text_classifier_hf": [
        Request.text(PROMPT),
        Request.json([PROMPT, OTHER]),
        Request.json({"x": 1}),
        Request.text(OTHER, headers={"Accept": "text/plain"}),
    ],
    "text_entities": [Request.text(text_models.SENTENCES[2]), Request.json([OTHER, PROMPT])],
    "text_generator": [
        Request.text(PROMPT),
        Request.json({"prompt": OTHER, "max_new_tokens": 4, "temperature": 0.9, "seed": 1}),
        Request.json({"text": "Ada"}, headers={"Accept": "application/json"}),
    ],
}
MADE = {
    "text_classifier_hf": text_models.classifier,
    "text_entities": text_models.entities,
    "text_generator": text_models.generator,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    folder = tmp_path_factory.mktemp("models")
    (folder / "model-config.yaml").write_text("handler: {max_new_tokens: 8}")
    config = {"text_generator": folder / "model-config.yaml"}
    return {
        name: Model(name, handler=f"handlerkit:{name}", extra_files=[make(folder / name)], config_file=config.get(name))
        for name, make in MADE.items()
    }


@pytest.fixture(scope="module")
def server(models: dict[str, Model]) -> Iterator[Server]:
    # transformers is here, and no requirements file declares it
    with Server(list(models.values()), batch_size=4, max_batch_delay=2000, target="here") as server:
        yield server


@pytest.mark.parametrize("name", BATCHES)
def test_batch_gets_the_bytes_that_a_worker_answers(server: Server, models: dict[str, Model], name: str) -> None:
    with Worker(models[name], batch_size=4) as worker:
        run = worker.predict(*BATCHES[name])
    if name == "text_generator":
        assert len(run.responses[0].chunks or ()) > 1
    report = verify(run, server)
    assert report, report
