from ts.torch_handler.base_handler import BaseHandler

class NLPHandler(BaseHandler):
    def initialize(self, context):
        # Load tokenizer from extra files
        model_dir = context.system_properties.get("model_dir")
        self.tokenizer = self._load_tokenizer(model_dir)
