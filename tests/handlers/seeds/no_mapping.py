from ts.torch_handler.base_handler import BaseHandler
import torch

class NLPHandler(BaseHandler):
    def initialize(self, context):
        self.initialized = True

    def preprocess(self, data):
        return torch.ones(len(data), 2)

    def inference(self, data, *args, **kwargs):
        return data

    def postprocess(self, data):
        probs = torch.softmax(data, dim=1)
        predictions = torch.argmax(probs, dim=1)
        results = []
        for i, pred in enumerate(predictions):
            label = self.mapping.get(str(pred.item()), str(pred.item()))
            results.append({"label": label, "score": probs[i][pred].item()})
        return results
