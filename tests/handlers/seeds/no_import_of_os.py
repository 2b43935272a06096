import torch

class ImageClassificationHandler:
    def initialize(self, context):
        self.model_dir = context.system_properties.get("model_dir")
        self.model = torch.load(os.path.join(self.model_dir, "model.pt"))

    def handle(self, data, context):
        return data
