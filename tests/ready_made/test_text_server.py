"""The handlers of texts on a real TorchServe: the same bytes as a worker's, for a batch and for streams."""

from __future__ import annotations

from pathlib import Path

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


@pytest.mark.timeout(500)  # three processes import transformers
@pytest.mark.parametrize("name", BATCHES)
def test_batch_gets_the_bytes_that_a_worker_answers(name: str, tmp_path: Path) -> None:
    config = tmp_path / "model-config.yaml"
    config.write_text("handler: {max_new_tokens: 8}" if name == "text_generator" else "handler: {}")
    folder = MADE[name](tmp_path / "saved")
    model = Model(name, handler=f"handlerkit:{name}", extra_files=[folder], config_file=config)
    with Worker(model, batch_size=4) as worker:
        run = worker.predict(*BATCHES[name])
    if name == "text_generator":
        assert len(run.responses[0].chunks or ()) > 1
    # transformers is here, and no requirements file declares it
    with Server(model, batch_size=4, max_batch_delay=2000, target="here") as server:
        report = verify(run, server)
    assert report, report
