"""Texts that grow token by token, and the pieces that their clients are sent. It travels beside text_generator.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from request_handler import JSON, RequestHandler, RequestState
from torch import Tensor
from ts.handler_utils.utils import send_intermediate_predict_response

STREAM = "text/plain; charset=utf-8"


@dataclass
class Generation:
    """One text that grows."""

    prompt: list[int]
    tokenizer: Any
    max_new_tokens: int
    temperature: float
    top_p: float
    top_k: int | None
    seed: int | None
    tokens: list[int] = field(default_factory=list)
    finish_reason: str = ""
    given: int = 0  # tokens whose text was given
    known: int = 0  # tokens before which the text does not depend on the next ones

    def __post_init__(self) -> None:
        self.draws = torch.Generator()
        if self.seed is None:
            self.draws.seed()
        else:
            self.draws.manual_seed(self.seed)

    def choose(self, scores: Tensor) -> int:
        """The next token, of scores [tokens]."""
        if self.temperature == 0:
            return int(scores.argmax())
        values, indexes = (scores.float().cpu() / self.temperature).sort(descending=True, stable=True)
        probabilities = values[: self.top_k].softmax(0)
        # the likeliest ones, up to the one that reaches top_p
        probabilities[1:][probabilities.cumsum(0)[:-1] >= self.top_p] = 0
        return int(indexes[torch.multinomial(probabilities, 1, generator=self.draws)])

    def take(self, token: int, ends: bool) -> None:
        """The next token, unless the text has ended."""
        if self.finish_reason:
            return
        if ends:
            self.finish_reason = "eos"
            return
        self.tokens.append(token)
        if len(self.tokens) == self.max_new_tokens:
            self.finish_reason = "length"

    def text(self, final: bool = False) -> str:
        """What the text grew by since it was last asked for, in whole characters; at the end what is left.

        Tokens are read from some tokens back, since the text of one may depend on those before it.
        """
        before = self.decode(self.tokens[self.known : self.given])
        now = self.decode(self.tokens[self.known :])
        if now.endswith("\N{REPLACEMENT CHARACTER}"):  # the bytes of a character that has not ended
            if not final:
                return ""
            now = now.rstrip("\N{REPLACEMENT CHARACTER}")
        if len(now) <= len(before):
            return ""
        self.known, self.given = self.given, len(self.tokens)
        return now[len(before) :]

    def decode(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)


class TokenStream:
    """The texts of a batch while transformers' `generate` lets them grow: what it asks for each next token and hands
    each to (a LogitsProcessor, a StoppingCriteria and a BaseStreamer), and what sends their clients the pieces.

    Nothing is streamed in a batch with a refused request, whose answer TorchServe would cut: it closes a stream with a
    status from 400 on behind the head. Its texts are answered when they have ended.
    """

    def __init__(self, handler: RequestHandler, requests: list[RequestState]) -> None:
        self.handler, self.requests = handler, requests
        #: Whether a client has got something.
        self.sent = False
        # an envelope may make several rows of a request
        rows = len(requests) == len(handler.context.request_ids)
        self.possible = rows and all(one.refusal is None for one in requests)

    def begin(self, generations: list[Generation], ends: int | Sequence[int] | None) -> None:
        """The texts, and the tokens that end one."""
        self.generations, self.prompt = generations, max(len(one.prompt) for one in generations)
        self.ends = {ends} if isinstance(ends, int) else set(ends or ())

    def choose(self, tokens: Tensor, scores: Tensor) -> Tensor:
        """Scores [N, tokens] in which each text's own choice is the likeliest."""
        chosen = [one.choose(row) for one, row in zip(self.generations, scores)]
        only = torch.full_like(scores, -torch.inf)
        only[range(len(chosen)), chosen] = 0
        return only

    def ended(self, tokens: Tensor, scores: Any, **others: Any) -> Tensor:
        """Which texts are as long as they may be."""
        count = tokens.shape[1] - self.prompt
        return torch.tensor([count >= one.max_new_tokens for one in self.generations], device=tokens.device)

    def put(self, tokens: Tensor) -> None:
        """First the prompts [N, L], then a token each [N]."""
        if tokens.dim() == 1:
            for one, token in zip(self.generations, tokens.tolist()):
                one.take(token, token in self.ends)
            self.send()

    def end(self) -> None:
        """The last piece is what the handler returns."""

    def send(self) -> None:
        """Send each client what its text grew by."""
        if not self.possible:
            return
        pieces = [one.inputs[0].text() if one.form != JSON else "" for one in self.requests]
        if not any(pieces):
            return
        if not self.sent:  # the first piece carries every response's head
            self.sent = True
            for request in self.requests:
                self.handler.set_headers(request.row, {"content-type": JSON if request.form == JSON else STREAM})
        context = self.handler.context
        send_intermediate_predict_response(pieces, context.request_ids, "Intermediate Prediction success", 200, context)
