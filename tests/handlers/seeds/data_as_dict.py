from ts.torch_handler.base_handler import BaseHandler

class ImageClassificationHandler(BaseHandler):
    def initialize(self, context):
        self.initialized = True

    def preprocess(self, data):
        # Transform the input data (e.g., image preprocessing).
        image = data["body"]
        # ...image preprocessing steps (resize, normalization)...
        return image.unsqueeze(0)
