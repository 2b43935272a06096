import numpy as np
import torch

from PIL import Image
from torchvision.transforms import Compose
from ts.torch_handler.base_handler import BaseHandler

class U2Net(BaseHandler):
    image_processing = Compose(

    def _norm_pred(self, d):
        ma = torch.max(d)
        mi = torch.min(d)
        dn = (d - mi) / (ma - mi)
        return dn
