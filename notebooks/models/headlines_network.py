"""Tells a headline's section from its tokens; the model file of headlines.pt."""

import torch
from torch import Tensor, nn

PIECES = 1200


class HeadlinesNetwork(nn.Module):
    """input_ids, int64 [N, L], and attention_mask, 1 for tokens and 0 for padding, [N, L] -> logits, float [N, 4].

    Those are the names that transformers' tokenizers give their tensors.
    """

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(PIECES, 48)
        self.weight = nn.Linear(48, 1)
        self.classes = nn.Linear(48, 4)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        tokens = self.embedding(input_ids)
        attention = self.weight(tokens)[..., 0].masked_fill(attention_mask == 0, -torch.inf).softmax(dim=1)
        logits: Tensor = self.classes((attention[..., None] * tokens).sum(dim=1))
        return logits
