"""The residual U-blocks (RSU) that a U²-Net is made of, after Qin et al., "U²-Net", 2020 (arXiv 2005.09007).

A module of its own: TorchServe wants one class in a model file, and these travel beside it as an extra file.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def convolution(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def enlarged(coarse: Tensor, fine: Tensor) -> Tensor:
    """[N, C, h, w] in the height and width of another."""
    return F.interpolate(coarse, fine.shape[2:], mode="bilinear", align_corners=False)


class Level(nn.Module):
    """A U of this height: what this level makes of its input, joined with what the levels below make of that.

    Each level halves the size for those below it. A dilated one keeps it, and they look twice as far instead.
    """

    def __init__(self, inputs: int, middle: int, outputs: int, height: int, dilated: bool, dilation: int = 1) -> None:
        super().__init__()
        lowest, further = height == 2, 2 * dilation if dilated else 1
        self.halves = not dilated and not lowest
        self.down = convolution(inputs, middle, dilation)
        self.below = (
            convolution(middle, middle, 2 * dilation)
            if lowest
            else Level(middle, middle, middle, height - 1, dilated, further)
        )
        self.up = convolution(2 * middle, outputs, dilation)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.down(x)
        coarse = self.below(F.max_pool2d(fine, 2, ceil_mode=True) if self.halves else fine)
        joined: Tensor = self.up(torch.cat([enlarged(coarse, fine), fine], dim=1))
        return joined


class RSU(nn.Module):
    """A residual U-block: float [N, inputs, H, W] -> [N, outputs, H, W], at several scales at once."""

    def __init__(self, inputs: int, middle: int, outputs: int, height: int, dilated: bool = False) -> None:
        super().__init__()
        self.into = convolution(inputs, outputs)
        self.u = Level(outputs, middle, outputs, height, dilated)

    def forward(self, x: Tensor) -> Tensor:
        local = self.into(x)
        block: Tensor = self.u(local) + local
        return block
