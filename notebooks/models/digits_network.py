"""Reads a handwritten digit; the model file of digits.pt."""

import torch
from torch import Tensor, nn


class DigitsNetwork(nn.Module):
    """Float [N, 1, 8, 8] in 0..1, ink 1 -> logits, float [N, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv2d(1, 16, 3, padding=1)
        self.wide = nn.Conv2d(16, 32, 3, padding=1, stride=2)
        self.classes = nn.Linear(32 * 4 * 4, 10)

    def forward(self, digits: Tensor) -> Tensor:
        strokes = torch.relu(self.wide(torch.relu(self.near(digits))))
        logits: Tensor = self.classes(strokes.flatten(1))
        return logits
