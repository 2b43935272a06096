"""BaseHandler's three stages, each taking some milliseconds."""

import time


class Handler:
    def initialize(self, context):
        self.context = context

    def preprocess(self, data):
        time.sleep(0.002)
        return [row.get("body") for row in data]

    def inference(self, data):
        time.sleep(0.004)
        return data

    def postprocess(self, data):
        return data

    def handle(self, data, context):
        return self.postprocess(self.inference(self.preprocess(data)))
