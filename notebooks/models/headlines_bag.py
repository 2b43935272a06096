"""Tells a headline's section from its words and pairs of words; the model file of headlines_bag.pt."""

from torch import Tensor, nn

ENTRIES = 1500


class HeadlinesBag(nn.Module):
    """Indexes into source_vocab.pt, int64 [L], of texts that begin at offsets, int64 [N] -> logits, float [N, 4].

    text_classifier calls it so; its explanations look for the layer named `embedding`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(ENTRIES, 24)
        self.classes = nn.Linear(24, 4)

    def forward(self, indexes: Tensor, offsets: Tensor) -> Tensor:
        logits: Tensor = self.classes(self.embedding(indexes, offsets))
        return logits
