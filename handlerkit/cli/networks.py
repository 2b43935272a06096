"""Stand-ins for the networks of new projects: a few lines that answer as theirs do, without weights."""

from __future__ import annotations

_HEAD = '''"""A stand-in for the network: put yours in its place, and name its weights in handlerkit.toml."""

import torch
from torch import nn


'''

#: By the ready-made handler that they are for.
NETWORKS = {
    "classifier": '''class Network(nn.Module):
    """[N, 3, H, W] -> [N, 3]: which color there is most of."""

    def forward(self, images):
        return images.mean(dim=(2, 3))
''',
    "detection_boxes": '''class Network(nn.Module):
    """[N, 3, H, W] -> [N, 1, 8]: one box around all that is not white, with the score of each color."""

    def forward(self, images):
        return torch.stack([self.row(image) for image in images])[:, None]

    def row(self, image):
        inside = (image.amin(0) < 0.5).nonzero().float()
        if not len(inside):
            return torch.zeros(8)
        (top, left), (bottom, right) = inside.amin(0), inside.amax(0) + 1
        box = torch.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top])
        y, x = (inside[len(inside) // 2]).long().tolist()
        return torch.cat([box, torch.ones(1), image[:, y, x]])
''',
    "segmentation_overlay": '''class Network(nn.Module):
    """[N, 3, H, W] -> [N, 2, H, W]: what is not bright is of class 1."""

    def forward(self, images):
        darkest = images.amin(1, keepdim=True)
        return torch.cat([darkest, -darkest], 1)
''',
    "background_cutout": '''class Network(nn.Module):
    """[N, 3, H, W] -> [N, 1, H, W]: what is not bright is in front."""

    def forward(self, images):
        return -images.amin(1, keepdim=True)
''',
}
#: The names of the classes.
LABELS = {
    "classifier": ["red", "green", "blue"],
    "detection_boxes": ["red", "green", "blue"],
    "segmentation_overlay": ["background", "shape"],
}


def network(handler: str) -> str:
    """The text of network.py."""
    code = NETWORKS[handler]
    return (_HEAD if "torch." in code else _HEAD.replace("import torch\n", "", 1)) + code
