"""Micro-batching: TorchServe's threads, which are not daemons."""

from ts.handler_utils.micro_batching import MicroBatching
from ts.torch_handler.base_handler import BaseHandler


class Handler(BaseHandler):
    def __init__(self):
        super().__init__()
        self.handle = MicroBatching(self, micro_batch_size=1)

    def initialize(self, context):
        self.context = context

    def preprocess(self, data):
        return [row["body"] for row in data]

    def inference(self, data):
        return [2 * value for value in data]

    def postprocess(self, data):
        return data
