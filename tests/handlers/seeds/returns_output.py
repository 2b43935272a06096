import torch

class RNNHandler:
    def initialize(self, context):
        self.model = lambda data: (torch.ones(2), None)

    def handle(self, data, context):
        # Perform inference using packed sequences.
        output, _ = self.model(data)
        # ... handle unpacked sequences ...
        return output
