import torch
from ts.torch_handler.base_handler import BaseHandler

class ImageClassificationHandler(BaseHandler):
    def initialize(self, context):
        self.initialized = True

    def preprocess(self, data):
        return torch.ones(1, 2)

    def inference(self, data):
        return data

    def postprocess(self, data):
        # Transform the output data (e.g., probabilities to class labels).
        probabilities = data.softmax(dim=1)
        # ...convert probabilities to class labels...
        return {"class": predicted_class, "probability": probability}
