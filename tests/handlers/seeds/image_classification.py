from torchserve.model_handler import ModelHandler

class ImageClassificationHandler(ModelHandler):
    def __init__(self):
        super().__init__()
        self.initialized = False

    def initialize(self, context):
        self.manifest = context.manifest
        properties = context.system_properties
        self.model_dir = properties.get("model_dir")

    def handle(self, data):
        return data
