"""Stages of other names than BaseHandler's, one within another."""


class Handler:
    def initialize(self, context):
        self.context = context

    def handle(self, data, context):
        return self._answer(self.look(data))

    def look(self, data):
        return [self.one(row) for row in data]

    def one(self, row):
        return row.get("body")

    def _answer(self, found):
        return found
