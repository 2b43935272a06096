class ImageClassificationHandler:
    def initialize(self, context):
        self.manifest = context.manifest
        properties = context.system_properties
        self.model_dir = properties.get("model_dir")
        # Load the model here.  Error handling is crucial.
        try:
            self.model = torch.load(os.path.join(self.model_dir, "model.pt"))
            self.model.eval()
            self.initialized = True
        except Exception as e:
            print(f"Error loading model: {e}")
            raise

    def handle(self, data, context):
        return data
