"""A small U²-Net, a U of U-blocks, that tells what stands in front; the model file of u2net.pt."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from u2net_blocks import RSU, enlarged

MIDDLE, WIDTH = 8, 16


class U2Net(nn.Module):
    """Float [N, 3, H, W] -> maps in 0..1, float [N, 1, H, W] each: the fused one, then that of each stage it fuses."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(
            [
                RSU(3, MIDDLE, WIDTH, height=6),
                RSU(WIDTH, MIDDLE, WIDTH, height=5),
                RSU(WIDTH, MIDDLE, WIDTH, height=4),
                RSU(WIDTH, MIDDLE, WIDTH, height=4, dilated=True),
            ]
        )
        self.decoders = nn.ModuleList([RSU(2 * WIDTH, MIDDLE, WIDTH, height) for height in (4, 5, 6)])
        self.sides = nn.ModuleList([nn.Conv2d(WIDTH, 1, 3, padding=1) for _ in range(4)])
        self.fuse = nn.Conv2d(4, 1, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        encoded: list[Tensor] = []
        x = images
        for encoder in self.encoders:
            x = encoder(F.max_pool2d(x, 2, ceil_mode=True) if encoded else x)
            encoded.append(x)
        decoded = [x]
        for decoder, fine in zip(self.decoders, reversed(encoded[:-1])):
            x = decoder(torch.cat([enlarged(x, fine), fine], dim=1))
            decoded.append(x)
        maps = [enlarged(side(one), images) for side, one in zip(self.sides, decoded)]
        return tuple(one.sigmoid() for one in (self.fuse(torch.cat(maps, dim=1)), *reversed(maps)))
