"""Reads a handwritten digit in a picture as image_classifier prepares it; the model file of digits.pt for that."""

import torch
from digits_network import DigitsNetwork
from torch import Tensor
from torch.nn import functional as F

#: What image_classifier takes from a pixel's red, green and blue, and then divides them by.
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


class DigitsRGB(DigitsNetwork):
    """Float [N, 3, 224, 224], dark ink on paper -> logits, float [N, 10]."""

    def forward(self, images: Tensor) -> Tensor:
        grey = images.movedim(1, 3).mul(STD.to(images.device)).add(MEAN.to(images.device)).mean(dim=3)
        return super().forward(1 - F.adaptive_avg_pool2d(grey[:, None], 8))
