import torch

class ImageClassificationHandler:
    def initialize(self, context):
        self.model = torch.nn.Identity()

    def handle(self, data):
        # Perform inference.
        with torch.no_grad():
            output = self.model(data)
            # ...post-processing of model output...
            return output
