"""Finds names in a text: persons, places, or whatever a transformers model for token classification knows."""

from __future__ import annotations

from typing import Any

from handler_settings import SHARE, Settings
from request_handler import JSON
from text_requests import Text, TextModelHandler
from torch import Tensor

OUTSIDE = "O"


class TextEntities(TextModelHandler):
    """Serves transformers' models for token classification, such as named-entity recognition, with their tokenizer.

    Request: texts, in the ways that text_requests.py lists.

    Answer, by the Accept header:

        application/json    [{"entity_group": "PER", "score": 0.99, "word": "Ada Lovelace", "start": 0, "end": 12},
                             ...], start and end in characters of the text, as transformers' pipelines answer; a list of
                            those for several texts
        text/plain          the same in lines: PER 0.9900 Ada Lovelace

    Labels are those of index_to_name.json, else of config.json (id2label); "O" is none, and B-PER and I-PER begin and
    go on. A word's label is that of its first token, an entity's score the mean of its words'.

    Settings, in the section `handler:` of model-config.yaml:

        threshold     0.0     the least score of an entity
    """

    MODEL = "AutoModelForTokenClassification"
    FORMS = (JSON, "text/plain")
    SETTINGS = Settings(threshold=(0.0, SHARE))

    def initialize(self, context: Any) -> None:
        super().initialize(context)
        if not self.tokenizer.is_fast:
            raise RuntimeError("this tokenizer does not say where its tokens are: archive tokenizer.json")

    def prepare(self, text: Text) -> Any:
        return self.tokenizer(
            text.text, truncation=self.longest is not None, max_length=self.longest, return_offsets_mapping=True
        )

    def predict(self, inputs: list[Any]) -> list[list[dict[str, Any]]]:
        probabilities = self.logits(inputs).softmax(2).cpu()
        return [self.words(encoded, rows) for encoded, rows in zip(inputs, probabilities)]

    def words(self, encoded: Any, probabilities: Tensor) -> list[dict[str, Any]]:
        """Each word's label, score, and place in the text."""
        words: list[dict[str, Any]] = []
        before = None
        for place, word, row in zip(encoded["offset_mapping"], encoded.word_ids(), probabilities):
            if word is not None and word == before:
                words[-1]["end"] = place[1]
            elif word is not None and place[0] < place[1]:
                score, index = row.max(0)
                words.append(
                    {"label": self.label(int(index)), "score": float(score), "start": place[0], "end": place[1]}
                )
                before = word
        return words

    def answer(self, text: Text, words: list[dict[str, Any]], form: str) -> Any:
        entities = [self.entity(group, text.text) for group in grouped(words)]
        entities = [one for one in entities if one["score"] >= self.settings.threshold]
        if form == JSON:
            return entities
        return "\n".join(f"{one['entity_group']} {one['score']:.4f} {one['word']}" for one in entities)

    def entity(self, words: list[dict[str, Any]], text: str) -> dict[str, Any]:
        start, end = words[0]["start"], words[-1]["end"]
        start += len(text[start:end]) - len(text[start:end].lstrip())  # byte-level tokens hold the space before them
        score = round(sum(word["score"] for word in words) / len(words), 4)
        group = split(words[0]["label"])[1]
        return {"entity_group": group, "score": score, "word": text[start:end], "start": start, "end": end}

    def pack(self, answers: list[Any], form: str) -> tuple[dict[str, str], Any]:
        return super().pack(answers, form) if form == JSON else ({"content-type": form}, "\n\n".join(answers))


def grouped(words: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The words of each entity: those of one kind that follow each other, up to one that begins another."""
    groups: list[list[dict[str, Any]]] = []
    open_ = ""
    for word in words:
        begins, kind = split(word["label"])
        if kind == OUTSIDE:
            open_ = ""
            continue
        if begins or kind != open_:
            groups.append([])
        groups[-1].append(word)
        open_ = kind
    return groups


def split(label: str) -> tuple[bool, str]:
    """`B-PER` -> (True, "PER"), `I-PER` and `PER` -> (False, "PER")."""
    prefix, dash, kind = label.partition("-")
    return (prefix in ("B", "S", "U"), kind) if dash and prefix in tuple("BIESLU") else (False, label)
