import base64

from ts.torch_handler.base_handler import BaseHandler

class U2Net(BaseHandler):
    def load_images(self, data):
        images = []
        for row in data:
            image = row.get("data") or row.get("body")
            if isinstance(image, str):
                image = base64.b64decode(image)
            image =
        return images
