import numpy as np

from PIL import Image
from ts.torch_handler.base_handler import BaseHandler

class U2Net(BaseHandler):
    def initialize(self, context):
        self.initialized = True

    def basic_cutout(self, img, mask):
        u2net_mask = Image.fromarray(mask).resize(img.size, Image.LANCZOS)
        mask = u2net_mask.convert("L")
        result = img.copy().convert("RGBA")
        return result.putalpha(mask)

    def postprocess(self, image, output):
        mask = np.zeros((4, 4), np.uint8)
        return [self.basic_cutout(image, mask).tobytes()]

    def handle(self, data, context):
        return self.postprocess(Image.new("RGB", (4, 4)), None)
