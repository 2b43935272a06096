"""Tells the language of a sentence, byte by byte; the model file of languages.pt."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


class LanguagesNetwork(nn.Module):
    """Sentences as packed UTF-8 bytes, int64, and the state after what went before, float [1, N, 48] or None ->
    logits after each byte, packed float [..., 5]; and the state after the last one, float [1, N, 48].
    """

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(256, 24)
        self.recurrent = nn.GRU(24, 48)
        self.classes = nn.Linear(48, 5)

    def forward(self, sentences: PackedSequence, state: Tensor | None = None) -> tuple[PackedSequence, Tensor]:
        letters, *order = sentences
        states, last = self.recurrent(PackedSequence(self.embedding(letters), *order), state)
        return PackedSequence(self.classes(states.data), *order), last
