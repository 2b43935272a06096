"""Goes on with a text, token by token: a transformers language model, streamed."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import torch
from handler_settings import COUNT, Rule, Settings, is_number, optional
from request_handler import JSON, Refusal, RequestState, failure
from text_requests import ARCHIVE_IT, Text, TextModelHandler
from token_stream import STREAM, Generation, TokenStream
from ts.handler_utils.timer import timed

TEMPERATURE: Rule = ("a number from 0 to 2", lambda value: is_number(value) and 0 <= value <= 2)
TOP_P: Rule = ("a number above 0, at most 1", lambda value: is_number(value) and 0 < value <= 1)
SEED: Rule = ("a whole number from 0 on", lambda value: type(value) is int and 0 <= value < 2**63)


class TextGenerator(TextModelHandler):
    """Serves transformers' causal language models with their tokenizer; texts of a batch grow side by side.

    Request: a prompt, in the ways that text_requests.py lists, and beside it in JSON, if anything:

        {"text": "Once upon a time", "max_new_tokens": 50, "temperature": 0.7, "top_p": 0.9, "top_k": 40, "seed": 1}

    Answer, by the Accept header:

        text/plain          the text that follows, streamed as it comes; characters are not cut
        application/json    {"text": " there was", "tokens": 50, "finish_reason": "length"}, at the end; a list of those
                            for several prompts. finish_reason is eos if the model ended the text itself

    Settings, in the section `handler:` of model-config.yaml: what a request gets that does not ask, and its limits

        max_new_tokens      64      tokens that follow; fewer where the model takes no more
        limit_new_tokens    1024    the most that a request may ask for
        temperature         0       0 takes the likeliest token each time; above, they are drawn at random
        top_p               1       from the likeliest tokens, which have this probability together
        top_k               null    from so many of the likeliest tokens
        seed                null    the same draws each time; null for others each time
    """

    MODEL = "AutoModelForCausalLM"
    FORMS = ("text/plain", JSON)
    SETTINGS = Settings(
        max_new_tokens=(64, COUNT),
        limit_new_tokens=(1024, COUNT),
        temperature=(0, TEMPERATURE),
        top_p=(1, TOP_P),
        top_k=(None, optional(COUNT)),
        seed=(None, optional(SEED)),
    )
    OPTIONS = ("max_new_tokens", "temperature", "top_p", "top_k", "seed")  # of a request

    def initialize(self, context: Any) -> None:
        super().initialize(context)
        if not hasattr(self.model, "generate"):
            file = self.manifest["model"].get("serializedFile") or self.manifest["model"].get("modelFile")
            raise RuntimeError(
                f"{file} has no method `generate`, which this handler calls: {ARCHIVE_IT}, instead of it"
            )

    def prepare(self, text: Text) -> Generation:
        options = self.options(text.options)
        tokens = self.tokenizer(text.text)["input_ids"]
        if not tokens:
            raise Refusal(400, "This prompt has no tokens.")
        room = options["max_new_tokens"] if self.longest is None else self.longest - len(tokens)
        if room < 1:
            most = f"up to {self.longest} with those that follow"
            raise Refusal(413, f"This prompt has {len(tokens)} tokens, and the model takes {most}.")
        options["max_new_tokens"] = min(options["max_new_tokens"], room)
        return Generation(tokens, self.tokenizer, **options)

    def options(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """A request's options, with the settings for what it leaves out. Raises Refusal, which names a wrong one."""
        options = {name: getattr(self.settings, name) for name in self.OPTIONS}
        for name, value in asked.items():
            if name not in options:
                raise Refusal(400, f"There is no option {name!r}, only {', '.join(self.OPTIONS)}.")
            if isinstance(value, (bytes, bytearray)):  # a field of a form
                try:
                    value = json.loads(value)
                except ValueError:
                    value = value.decode(errors="replace")
            words, fits = self.SETTINGS.settings[name][1]
            if not fits(value):
                raise Refusal(400, f"{name} is {words}, not {value!r}.")
            options[name] = value
        most = self.settings.limit_new_tokens
        if "max_new_tokens" in asked and options["max_new_tokens"] > most:
            raise Refusal(400, f"max_new_tokens is at most {most}, not {options['max_new_tokens']}.")
        return options

    @timed
    def inference(self, requests: list[RequestState]) -> list[RequestState]:
        for request in requests:
            if request.form != JSON and len(request.inputs) > 1:
                request.refusal = Refusal(400, "A stream has one prompt; ask for application/json for several.")
        stream = TokenStream(self, requests)
        generations = [one for request in requests if request.refusal is None for one in request.inputs]
        try:
            self.generate(generations, stream)
        except Exception as problem:
            if stream.sent:
                raise  # the client sees a stream that breaks off
            for request in requests:
                request.refusal = request.refusal or failure(problem, self.said(request.items))
        for request in requests:
            request.predictions = request.inputs
        return requests

    def generate(self, generations: list[Generation], stream: TokenStream) -> None:
        """Let the texts of a batch grow until each has ended."""
        if not generations:
            return
        config = copy.deepcopy(self.model.generation_config)
        config.do_sample, config.num_beams = False, 1  # each draws its own tokens: `choose`
        config.temperature = config.top_p = config.top_k = None
        config.max_length, config.max_new_tokens = None, max(one.max_new_tokens for one in generations)
        if config.eos_token_id is None:
            config.eos_token_id = self.tokenizer.eos_token_id
        config.pad_token_id = self.tokenizer.pad_token_id or 0
        prompts = [one.prompt for one in generations]
        stream.begin(generations, config.eos_token_id)

        with torch.inference_mode():
            self.model.generate(
                input_ids=self.padded(prompts, "input_ids", left=True),
                attention_mask=self.padded([[1] * len(one) for one in prompts], "attention_mask", left=True),
                generation_config=config,
                logits_processor=[stream.choose],
                stopping_criteria=[stream.ended],
                streamer=stream,
            )

    def answer(self, text: Text, generation: Generation, form: str) -> dict[str, Any] | str:
        rest = generation.text(final=True)
        if form != JSON:
            return rest
        return {"text": rest, "tokens": len(generation.tokens), "finish_reason": generation.finish_reason}

    def pack(self, answers: list[Any], form: str) -> tuple[dict[str, str], Any]:
        headers, body = super().pack(answers, form)
        return (headers if form == JSON else {"content-type": STREAM}), body
