"""Names that the context does not have."""

from __future__ import annotations

import pytest
from findings_of import only

HANDLER = """
class Handler:
    def initialize(self, context):
        {}

    def handle(self, data, context):
        {}
        return data
"""


@pytest.mark.parametrize(
    ("line", "change"),
    [
        ("self.x = context.model_dir", "context.system_properties.get('model_dir')"),
        ("self.x = context.get_request_headers(0)", "get_request_header?"),
        ("self.context = context\n        self.x = self.context.get_request_headers(0)", "get_request_header?"),
        ("self.x = context.set_response_contenttype(0, 'a')", "set_response_content_type?"),
    ],
)
def test_what_it_does_not_have(checked, line: str, change: str) -> None:
    assert change in only(checked(HANDLER.format("pass", line)), "context_name").fix


@pytest.mark.parametrize(
    "line",
    [
        "self.x = context.get_request_header(0, 'a')",
        "self.x = context.metrics.add_counter('a', 1)",
        "self.x = context.model_yaml_config",
        "self.x = context.model_dir if hasattr(context, 'model_dir') else None",
        "context.mine = 1\n        self.x = context.mine",
        "context = self\n        self.x = context.other",
        "self.x = self.context.other",
        "self.context = self\n        self.x = self.context.other",
    ],
)
def test_what_it_has(checked, line: str) -> None:
    assert checked(HANDLER.format("pass", line)) == []
