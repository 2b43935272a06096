"""The ready-made handlers on a real TorchServe: the same bytes as a worker's, for odd requests sent together."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from ready_made_pictures import DISCS, OFFICIAL, PNG, file_of

from handlerkit import Model, Part, Request, Server, Worker

pytestmark = pytest.mark.server

COINS = Path(__file__).parents[2] / "notebooks" / "models"
NETWORKS = {
    "segmentation_overlay": "coins_segmenter.pt",
    "detection_boxes": "coins_detector.pt",
    "background_cutout": "coins_segmenter.pt",
    "classifier": None,
}
CLASSIFIER = (
    "from torchvision.models import ResNet\nfrom torchvision.models.resnet import BasicBlock\nimport torch\n\n\n"
)
CLASSIFIER += "class Net(ResNet):\n    def __init__(self):\n        torch.manual_seed(0)\n"
CLASSIFIER += "        super().__init__(BasicBlock, [1, 1, 1, 1], num_classes=3)\n"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    folder = tmp_path_factory.mktemp("models")
    (folder / "network.py").write_text(CLASSIFIER)
    return {
        name: Model(
            name,
            handler=f"handlerkit:{name}",
            serialized_file=weights and COINS / weights,
            model_file=None if weights else folder / "network.py",
            extra_files=[COINS / "index_to_name.json"],
        )
        for name, weights in NETWORKS.items()
    }


@pytest.fixture(scope="module", params=["declared", pytest.param(OFFICIAL, marks=pytest.mark.target)])
def server(models: dict[str, Model], request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(list(models.values()), batch_size=8, max_batch_delay=300, target=request.param) as server:
        yield server


def requests(name: str) -> list[Request]:
    path = f"/predictions/{name}"
    text = base64.b64encode(PNG).decode()
    return [
        Request(body=PNG, path=path, headers=(("ACCEPT", "image/*, */*;q=0.1"),)),
        Request(body=b"\x89PNG\r\n\x1a\n broken", path=path),
        Request.json({"image": text}, path=path),
        Request.json(DISCS.tolist(), path=path),
        Request.multipart(Part("a", PNG, "a.png"), Part("b", file_of(DISCS, "JPEG"), "b.jpg"), path=path),
        Request(body=file_of(DISCS.astype("<u2") << 8), path=path, headers=(("Accept", "text/html"),)),
        Request(body=b"", path=path),
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_odd_requests_get_the_bytes_that_a_worker_answers(server: Server, models: dict[str, Model], name: str) -> None:
    there = server.predict(*requests(name)).responses
    with Worker(models[name], batch_size=8) as worker:
        here = worker.predict(*requests(name)).responses
    assert [response.status for response in there] == [200, 400, 200, 200, 200, 406, 400]
    assert [(one.status, one.reason, one.content_type) for one in there] == [
        (one.status, one.reason, one.content_type) for one in here
    ]
    assert [one.body for one in there] == [one.body for one in here]
