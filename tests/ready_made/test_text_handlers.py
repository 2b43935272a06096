"""text_classifier_hf and text_entities, through a worker, around small random models."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import text_models
import torch
from conftest import Served

from handlerkit import Model, Part, Request, Worker, check
from handlerkit.check.requirements import requirements
from handlerkit.errors import LoadError

GOOD, BAD = text_models.SENTENCES[:2]
LABELS = {0: "good", 1: "bad", 2: "dull"}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_models.classifier(tmp_path_factory.mktemp("classifier"), id2label=LABELS)


@pytest.fixture(scope="module")
def serve_texts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Serves a folder that save_pretrained wrote, with the settings of a handler."""
    with ExitStack() as started:

        def start(handler: str, folder: Path, settings: dict[str, Any] | None = None, **options: Any) -> Served:
            config = tmp_path_factory.mktemp("config") / "model-config.yaml"
            config.write_text(json.dumps({"handler": settings or {}}))
            model = Model("m", handler=f"handlerkit:{handler}", extra_files=[folder], config_file=config)
            return Served(started.enter_context(Worker(model, **options)), "m")

        yield start


def expected(folder: Path, *texts: str) -> torch.Tensor:
    """The probabilities that transformers itself gives."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder)(*([text] for text in texts), return_tensors="pt")
    with torch.inference_mode():
        return AutoModelForSequenceClassification.from_pretrained(folder)(**tokens).logits[0].softmax(0)


@pytest.fixture(scope="module")
def served(serve_texts: Callable[..., Served], classifier: Path) -> Served:
    return serve_texts("text_classifier_hf", classifier, batch_size=8)


def test_labels_of_the_config_and_the_models_own_scores(served: Served, classifier: Path) -> None:
    answer = served.json(Request.text(GOOD))
    scores = expected(classifier, GOOD)
    assert answer["labels"] == [LABELS[index] for index in scores.argsort(descending=True).tolist()]
    assert answer["scores"] == pytest.approx(scores.sort(descending=True).values.tolist(), abs=1e-4)


WAYS = {
    "text": Request.text(GOOD),
    "bytes": Request(body=GOOD.encode()),
    "a JSON text": Request.json(GOOD),
    "an object": Request.json({"text": GOOD}),
    "inputs, as hubs take them": Request.json({"inputs": GOOD, "parameters": {"top_k": 1}}),
    "JSON without its type": Request(body=json.dumps({"text": GOOD}).encode()),
    "a form": Request.form({"text": GOOD}),
    "a part": Request.multipart(Part("data", GOOD)),
    "the Open Inference Protocol": Request.json({"id": "1", "inputs": [{"name": "x", "shape": [1], "data": [GOOD]}]}),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_send_a_text(served: Served, way: str) -> None:
    assert served.json(WAYS[way]) == served.json(Request.text(GOOD))


def test_texts_of_a_batch_and_of_a_request_are_answered_each_by_itself(served: Served) -> None:
    alone = [served.json(Request.text(text)) for text in (GOOD, BAD)]
    together = served(Request.text(GOOD), Request.json([GOOD, BAD]), Request.json({"text": "  "}), Request.text(BAD))
    assert [response.status for response in together] == [200, 200, 400, 200]
    assert [together[0].json(), together[3].json()] == alone
    assert together[1].json() == alone


def test_pairs(served: Served, classifier: Path) -> None:
    answer = served.json(Request.json({"text": GOOD, "text_pair": BAD}))
    assert answer["scores"][0] == pytest.approx(float(expected(classifier, GOOD, BAD).max()), abs=1e-4)


def test_lines(served: Served) -> None:
    answer = served.json(Request.text(GOOD))
    response = served(Request.text(GOOD, headers={"Accept": "text/plain"}))
    lines = [f"{label} {score:.4f}" for label, score in zip(answer["labels"], answer["scores"], strict=True)]
    assert (response.content_type, response.text.splitlines()) == ("text/plain", lines)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (Request.json({"x": 1}), "body holds none of text, prompt, inputs"),
        (Request.json([GOOD, 1]), "body[1] is no text, but '1'."),
        (Request.text(""), "body is empty."),
        (Request(body=b"\xff\xfe"), "body is no text in UTF-8."),
        (Request("GET", path="/explanations/m"), "This model has no explanations"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_text_is_refused_in_a_sentence(served: Served, request_: Request, sentence: str) -> None:
    response = served(request_)
    assert response.status in (400, 501)
    assert response.json()["message"].startswith(sentence)


def test_long_texts_are_cut_to_what_the_model_takes(served: Served) -> None:
    assert served.json(Request.text(f"{GOOD} " * 100))["labels"]


def test_several_labels_may_hold(serve_texts: Callable[..., Served], tmp_path: Path) -> None:
    folder = text_models.classifier(tmp_path, id2label=LABELS, problem_type="multi_label_classification")
    answer = serve_texts("text_classifier_hf", folder).json(Request.text(GOOD))
    with_all = serve_texts("text_classifier_hf", folder, {"threshold": 0.0}).json(Request.text(GOOD))
    pairs = list(zip(with_all["labels"], with_all["scores"], strict=True))
    assert len(pairs) == 3
    assert sum(with_all["scores"]) != pytest.approx(1, abs=0.01)
    assert list(zip(answer["labels"], answer["scores"], strict=True)) == [pair for pair in pairs if pair[1] >= 0.5]


def test_torchscript_with_its_tokenizer(tmp_path: Path, classifier: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(classifier, attn_implementation="eager").eval()
    model.config.return_dict = False
    tokens = torch.ones(1, 4, dtype=torch.long)
    with warnings.catch_warnings(action="ignore"):  # transformers' code is not written to be traced
        torch.jit.trace(model, (tokens, tokens)).save(tmp_path / "model.pt")
    files = [file for file in classifier.iterdir() if file.suffix == ".json"]
    scripted = Model(
        "m", handler="handlerkit:text_classifier_hf", serialized_file=tmp_path / "model.pt", extra_files=files
    )
    with Worker(scripted) as worker:
        answer = worker.predict(Request.text(GOOD)).raise_for_status().response.json()
    assert answer["scores"][0] == pytest.approx(float(expected(classifier, GOOD).max()), abs=1e-4)


def test_onnx_with_its_tokenizer(tmp_path: Path, classifier: Path) -> None:
    from onnx_files import FLOAT, WHOLE, constant, node, save

    nodes = [  # the score of a class is the number of tokens that the text has
        node("ReduceSum", ["attention_mask"], "count", keepdims=1),
        node("Cast", ["count"], "tokens", to=FLOAT),
        constant("ids", [[0, 1, 0]], WHOLE),
        node("Cast", ["ids"], "weights", to=FLOAT),
        node("Mul", ["tokens", "weights"], "logits"),
        node("Identity", ["input_ids"], "beside"),
    ]
    inputs = {name: (WHOLE, ["N", "L"]) for name in ("input_ids", "attention_mask")}
    file = save(tmp_path / "model.onnx", nodes, inputs, {"logits": FLOAT, "beside": WHOLE})
    config = tmp_path / "model-config.yaml"
    config.write_text('{"handler": {"scores": "none"}}')
    files = [file for file in classifier.iterdir() if file.suffix == ".json"]
    model = Model(
        "m", handler="handlerkit:text_classifier_hf", serialized_file=file, extra_files=files, config_file=config
    )
    with Worker(model, batch_size=2) as worker:
        first, second = (one.json() for one in worker.predict(Request.text(GOOD), Request.text(BAD)).responses)
    assert first["labels"][0] == second["labels"][0] == LABELS[1]
    assert first["scores"][0] > second["scores"][0] > 2  # GOOD is longer


def test_archive_without_the_tokenizer_says_what_to_put_into_it(classifier: Path) -> None:
    files = [classifier / "config.json", classifier / "model.safetensors"]
    with pytest.raises(LoadError) as caught:
        Worker(Model("m", handler="handlerkit:text_classifier_hf", extra_files=files))
    assert "there is no tokenizer: put what save_pretrained wrote into the archive" in str(caught.value.error)


def test_requirements_auto_names_transformers(classifier: Path) -> None:
    model = Model("m", handler="handlerkit:text_classifier_hf", extra_files=[classifier])
    assert [line.partition("==")[0] for line in requirements(model)] == ["transformers"]
    assert [(one.name, one.where.partition(",")[0]) for one in check(model).findings] == [
        ("missing_module", "text_requests.py")
    ]


def test_entities_lie_where_their_words_are(serve_texts: Callable[..., Served], tmp_path: Path) -> None:
    served = serve_texts("text_entities", text_models.entities(tmp_path), batch_size=4)
    text = text_models.SENTENCES[2]
    answer = served.json(Request.text(text))
    assert answer
    assert all(text[one["start"] : one["end"]] == one["word"] for one in answer)
    assert {one["entity_group"] for one in answer} <= {"PER", "LOC"}
    assert served.json(Request.json([text, text])) == [answer, answer]
    lines = served(Request.text(text, headers={"Accept": "text/plain"})).text.splitlines()
    assert lines[0] == f"{answer[0]['entity_group']} {answer[0]['score']:.4f} {answer[0]['word']}"


@pytest.mark.parametrize(
    ("labels", "groups"),
    [
        ("B-PER I-PER O", [["B-PER", "I-PER"]]),
        ("B-PER B-PER I-PER", [["B-PER"], ["B-PER", "I-PER"]]),
        ("I-PER I-LOC", [["I-PER"], ["I-LOC"]]),
        ("PER PER O PER", [["PER", "PER"], ["PER"]]),
        ("PART-OF O", [["PART-OF"]]),
        ("O O", []),
    ],
)
def test_words_of_one_entity(labels: str, groups: list[list[str]]) -> None:
    from text_entities import grouped

    found = grouped([{"label": label} for label in labels.split()])
    assert [[word["label"] for word in group] for group in found] == groups
