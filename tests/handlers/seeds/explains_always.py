import torch
from ts.torch_handler.base_handler import BaseHandler

class U2Net(BaseHandler):
    def initialize(self, context):
        self.initialized = True

    def preprocess(self, data):
        return torch.ones(1, 2)

    def inference(self, data):
        return data

    def handle(self, data, context):
        self.context = context
        data_preprocess = self.preprocess(data)
        if not self._is_explain():
            output = self.inference(data_preprocess)
        output = self.explain_handle(data_preprocess, data)
        return output
