"""Says what a text is: the best classes and their scores, from a transformers model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from handler_settings import COUNT, SHARE, Settings, one_of, optional
from request_handler import JSON, Refusal
from text_requests import Text, TextModelHandler
from torch import Tensor


class TextClassifierHf(TextModelHandler):
    """Serves transformers' models for sequence classification, one label or several a text, with their tokenizer.

    Request: texts, in the ways that text_requests.py lists; pairs for models that compare two texts.

    Answer, by the Accept header:

        application/json    {"labels": ["positive", "negative", ...], "scores": [0.87, 0.13, ...]}, the best first; a
                            list of those for several texts
        text/plain          the same in lines: positive 0.8700

    Labels are those of index_to_name.json, else of config.json (id2label).

    Settings, in the section `handler:` of model-config.yaml:

        topk          5       how many classes; fewer where the model has no more
        scores        auto    of the model's output: softmax, sigmoid where several classes may hold, none for what is
                              no probability; auto does as config.json says (problem_type, num_labels), as transformers'
                              pipelines do
        threshold     null    the least score of a class; null: 0.5 where several classes may hold, none otherwise
        max_length    null    tokens after which a text is cut; null for as many as the model takes
    """

    MODEL = "AutoModelForSequenceClassification"
    FORMS = (JSON, "text/plain")
    SETTINGS = Settings(
        topk=(5, COUNT),
        scores=("auto", one_of("auto", "softmax", "sigmoid", "none")),
        threshold=(None, optional(SHARE)),
        max_length=(None, optional(COUNT)),
    )

    def prepare(self, text: Text) -> Mapping[str, list[int]]:
        longest = self.settings.max_length or self.longest
        return self.tokenizer(text.text, text.pair, truncation=longest is not None, max_length=longest)

    def predict(self, inputs: list[Mapping[str, list[int]]]) -> list[Tensor]:
        logits = self.logits(inputs)
        kind = self.kind(logits.shape[1])
        return list({"softmax": lambda: logits.softmax(1), "sigmoid": logits.sigmoid}.get(kind, lambda: logits)())

    def kind(self, classes: int) -> str:
        """softmax, sigmoid or none (transformers/pipelines/text_classification.py, postprocess)."""
        if self.settings.scores != "auto":
            return self.settings.scores
        said = self.config.get("problem_type")
        if said == "regression":
            return "none"
        return "sigmoid" if said == "multi_label_classification" or classes == 1 else "softmax"

    def answer(self, text: Text, scores: Tensor, form: str) -> dict[str, Any] | str:
        if not scores.isfinite().all():
            raise Refusal(500, "The model's scores are not finite.")
        best = torch.topk(scores, min(self.settings.topk, len(scores)))
        least = self.settings.threshold
        if least is None and len(scores) > 1 and self.kind(len(scores)) == "sigmoid":
            least = 0.5
        values = best.values.cpu().double().numpy().round(4).tolist()
        pairs = zip(map(self.label, best.indices.tolist()), values)
        kept = [(label, value) for label, value in pairs if least is None or value >= least]
        if form == JSON:
            return {"labels": [label for label, _ in kept], "scores": [value for _, value in kept]}
        return "\n".join(f"{label} {value:.4f}" for label, value in kept)

    def pack(self, answers: list[Any], form: str) -> tuple[dict[str, str], Any]:
        return super().pack(answers, form) if form == JSON else ({"content-type": form}, "\n\n".join(answers))
