"""Raises where it is asked to; its own frame then holds the handler and the context."""


class Handler:
    def initialize(self, context):
        self.context = context

    def handle(self, data, context):
        if context.get_request_header(0, "X-Do") == "raise":
            raise ValueError("asked to")
        return ["ok"] * len(data)
