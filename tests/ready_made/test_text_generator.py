"""text_generator, through a worker: streams, their batches, options and limits; and how pieces are decoded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import text_models
import torch
from conftest import Served
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, trainers
from transformers import PreTrainedTokenizerFast

from handlerkit import Model, Request, Worker
from handlerkit.errors import LoadError
from handlerkit.messages import Response

PROMPT = text_models.SENTENCES[0]
TOKENIZER = text_models.text_bytes()


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    return text_models.generator(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    config = folder.with_name("model-config.yaml")
    config.write_text('{"handler": {"max_new_tokens": 6, "limit_new_tokens": 8}}')
    model = Model("m", handler="handlerkit:text_generator", extra_files=[folder], config_file=config)
    with Worker(model, batch_size=4) as worker:
        yield Served(worker, "m")


def asks(text: str = PROMPT, accept: str = "", **options: Any) -> Request:
    headers = {"Accept": accept} if accept else {}
    return Request.json({"text": text, **options}, headers=headers)


def continued(folder: Path, text: str, tokens: int) -> str:
    """What transformers' own greedy search answers."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer(text, return_tensors="pt")
    made = AutoModelForCausalLM.from_pretrained(folder).generate(**prompt, max_new_tokens=tokens, do_sample=False)
    return tokenizer.decode(made[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)


def whole(response: Response) -> str:
    assert response.status == 200, response.text
    return response.text


def test_streams_what_greedy_search_answers(served: Served, folder: Path) -> None:
    response = served(Request.text(PROMPT))
    assert response.content_type == "text/plain; charset=utf-8"
    assert response.chunks is not None
    assert len(response.chunks) > 1
    assert whole(response) == continued(folder, PROMPT, 6).rstrip("\ufffd")


def test_batch_of_streams_has_the_texts_of_each_alone(served: Served) -> None:
    requests = [Request.text(PROMPT), asks("Ada", max_new_tokens=3), asks("what a", max_new_tokens=8)]
    alone = [whole(served(request)) for request in requests]
    assert [whole(response) for response in served(*requests)] == alone


def test_whole_answer_beside_a_stream(served: Served) -> None:
    stream, json = served(asks(), asks(accept="application/json"))
    assert whole(stream) == json.json()["text"]
    assert json.json()["tokens"] <= 6
    assert json.json()["finish_reason"] in ("length", "eos")


def test_several_prompts_are_a_list(served: Served) -> None:
    request = Request.json([PROMPT, "Ada"], headers={"Accept": "application/json"})
    answers = served.json(request)
    assert [one["text"] for one in answers] == [whole(served(asks(text))) for text in (PROMPT, "Ada")]
    refused = served(Request.json([PROMPT, "Ada"]))
    assert (refused.status, refused.json()["message"]) == (
        400,
        "A stream has one prompt; ask for application/json for several.",
    )


def test_draws_of_a_seed_are_the_same_beside_any_others(served: Served) -> None:
    drawn = asks(temperature=1.5, top_k=50, top_p=0.95, seed=7)
    first = whole(served(drawn))
    assert whole(served(Request.text("Ada"), drawn, asks(temperature=1))[1]) == first
    others = {whole(served(asks(temperature=1.5, seed=seed))) for seed in range(3)}
    assert len(others) > 1


def test_options_in_a_form(served: Served) -> None:
    assert whole(served(Request.form({"text": PROMPT, "max_new_tokens": "2"}))) == whole(served(asks(max_new_tokens=2)))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"max_new_tokens": 9}, "max_new_tokens is at most 8, not 9."),
        ({"max_new_tokens": 0}, "max_new_tokens is a whole number from 1 on, not 0."),
        ({"temperature": 3}, "temperature is a number from 0 to 2, not 3."),
        ({"top_p": 0}, "top_p is a number above 0, at most 1, not 0."),
        ({"beams": 2}, "There is no option 'beams', only max_new_tokens, temperature, top_p, top_k, seed."),
        ({"text": "long " * 100}, "This prompt has "),
    ],
)
def test_wrong_options_are_refused_and_the_others_of_the_batch_answered(
    served: Served, options: dict[str, Any], sentence: str
) -> None:
    refused, other = served(asks(**options), asks())
    assert refused.status in (400, 413)
    assert refused.json()["message"].startswith(sentence)
    assert whole(other) == whole(served(asks()))


# ---- The pieces of a text


def generation(tokens: list[int], **options: Any) -> Any:
    from token_stream import Generation

    wanted = {"max_new_tokens": len(tokens) + 1, "temperature": 0, "top_p": 1, "top_k": None, "seed": None, **options}
    return Generation([0], TOKENIZER, **wanted)


def pieces(tokens: list[int]) -> list[str]:
    one, found = generation(tokens), []
    for token in tokens:
        one.take(token, False)
        found.append(one.text())
    return [*found, one.text(final=True)]


@given(st.text())
def test_characters_come_whole_and_each_once(text: str) -> None:
    found = pieces(TOKENIZER(text)["input_ids"])
    assert "".join(found) == TOKENIZER.decode(TOKENIZER(text)["input_ids"])
    assert all("\ufffd" not in piece for piece in found) or "\ufffd" in text


def test_character_of_several_tokens_waits_for_its_last_byte() -> None:
    tokens = TOKENIZER("a🐙")["input_ids"]
    assert len(tokens) > 2
    assert pieces(tokens) == ["a", *[""] * (len(tokens) - 2), "🐙", ""]
    assert "".join(pieces(tokens[:-1])) == "a"


def test_ends_at_the_end_token_or_the_length() -> None:
    ended = generation([])
    ended.take(5, True)
    ended.take(6, False)
    assert (ended.tokens, ended.finish_reason) == ([], "eos")
    full = generation([], max_new_tokens=1)
    full.take(5, False)
    full.take(6, False)
    assert (full.tokens, full.finish_reason) == ([5], "length")


@pytest.mark.parametrize(
    ("options", "drawn"), [({"top_k": 1}, {2}), ({"top_p": 0.6}, {2}), ({"top_p": 0.7}, {0, 2}), ({}, {0, 1, 2})]
)
def test_draws_from_the_likeliest(options: dict[str, Any], drawn: set[int]) -> None:
    one = generation([], temperature=1, seed=0, **options)
    scores = torch.tensor([0.3, 0.09, 0.61]).log()
    assert {one.choose(scores) for _ in range(200)} == drawn


def test_weights_that_cannot_generate_are_refused_at_load(tmp_path: Path) -> None:
    folder = text_models.generator(tmp_path / "saved", "gpt2")
    torch.jit.script(torch.nn.Identity()).save(tmp_path / "model.pt")
    files = [file for file in folder.iterdir() if file.suffix == ".json"]
    model = Model("m", handler="handlerkit:text_generator", serialized_file=tmp_path / "model.pt", extra_files=files)
    with pytest.raises(LoadError) as caught:
        Worker(model)
    assert "model.pt has no method `generate`, which this handler calls: put what" in str(caught.value.error)


@pytest.mark.parametrize("longest", [{}, {"model_max_length": 64}])
def test_a_prompt_without_tokens_is_refused_in_a_sentence(longest: dict[str, int]) -> None:
    from request_handler import Refusal
    from text_generator import TextGenerator
    from text_requests import Text

    latin = Tokenizer(models.BPE())  # it drops what it does not know
    latin.train_from_iterator(["abc"], trainers.BpeTrainer(show_progress=False))
    handler = TextGenerator()
    handler.settings, handler.config = TextGenerator.SETTINGS.read({}), {}
    handler.tokenizer = PreTrainedTokenizerFast(tokenizer_object=latin, **longest)
    assert handler.prepare(Text("abc")).prompt
    with pytest.raises(Refusal, match=r"^This prompt has no tokens\.$"):
        handler.prepare(Text("東京"))
