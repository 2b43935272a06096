from ts.torch_handler.base_handler import BaseHandler

class MyHandler(BaseHandler):
    def initialize(self, context):
        self.initialized = True

    def handle(self, data, context):
        self.context = context
        metrics = self.context.metrics
        output = ["x"] * len(data)
        # Record timing metric
        metrics.add_time("HandlerTime", duration_ms, None, "ms")
        return output
