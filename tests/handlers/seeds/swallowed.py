import logging

logger = logging.getLogger(__name__)

class AdvancedHandler:
    def initialize(self, context):
        pass

    def handle(self, data, context):
        try:
            # Perform inference.
            output = self.model(data)
            return output
        except RuntimeError as e:
            logger.error(f"Inference error: {e}")
            return {"error": "Inference failed"}
        except Exception as e:
            logger.exception(f"Unexpected error: {e}")
            return {"error": "An unexpected error occurred"}
