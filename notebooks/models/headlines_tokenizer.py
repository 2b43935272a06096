"""Cuts headlines into the pieces of a list, longest first; an extra file of the archive, as its list is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

PADDING, UNKNOWN = 0, 1


class Tokenizer:
    """The pieces of a file, one a line; the first two lines stand for padding and for what no piece covers.

    "_" begins a word: with the pieces "_tele" and "scope", "telescope" has two tokens.
    """

    def __init__(self, file: str | Path) -> None:
        self.pieces = Path(file).read_text(encoding="utf-8").splitlines()
        self.index = {piece: number for number, piece in enumerate(self.pieces) if number > UNKNOWN}
        self.longest = max(map(len, self.index))

    def __call__(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """N texts as the network takes them: input_ids, int64 [N, L], and attention_mask, bool [N, L]."""
        rows = [torch.tensor(self.tokens(text) or [UNKNOWN]) for text in texts]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PADDING)
        return {"input_ids": ids, "attention_mask": ids != PADDING}

    def tokens(self, text: str) -> list[int]:
        """The numbers of a text's pieces."""
        found = []
        for word in words(text):
            while word:
                lengths = range(min(self.longest, len(word)), 0, -1)
                length = next((one for one in lengths if word[:one] in self.index), 0)
                found.append(self.index[word[:length]] if length else UNKNOWN)
                word = word[max(length, 1) :]
        return found


def words(text: str) -> list[str]:
    """ "A fly's brain" -> ["_a", "_fly", "_s", "_brain"]"""
    return [f"_{word}" for word in re.findall(r"\w+", text.lower())]
