"""Functions that TorchServe calls with other arguments than they take."""

from __future__ import annotations

import pytest
from findings_of import only

BASE = "from ts.torch_handler.base_handler import BaseHandler\n"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("def handle(data):\n    return data\n", "handle"),
        ("def handle(data, context, model):\n    return data\n", "handle"),
        ("def handle(data, context, *, model):\n    return data\n", "handle"),
        ("class H:\n    def initialize(self): pass\n    def handle(self, d, c): return d\n", "initialize"),
        ("class H:\n    def initialize(self, c): pass\n    def handle(self, data): return data\n", "handle"),
        ("class H:\n    def initialize(self, c): pass\n    def handle(data, context): return data\n", "handle"),
    ],
)
def test_other_arguments(checked, source: str, name: str) -> None:
    found = only(checked(source), "signature")
    assert found.message.startswith(f"{name} takes (")
    assert found.fix.startswith(f"Write def {name}(")


def test_a_stage_of_base_handler(checked) -> None:
    source = (
        f"{BASE}class H(BaseHandler):\n    def initialize(self, c): pass\n    def inference(self, a, b): return a\n"
    )
    assert (
        only(checked(source), "signature").message == "inference takes (self, a, b), and is called with (self, data)."
    )


@pytest.mark.parametrize(
    "source",
    [
        "def handle(data, context): return data\n",
        "def handle(*arguments): return arguments[0]\n",
        "def handle(data, context=None, model=None): return data\n",
        "def handle(data, context, **named): return data\n",
        "handle = lambda data, context: data\n",
        "import functools\n@functools.wraps(print)\ndef handle(data): return data\n",
        "class H:\n    def initialize(self, c, extra=1): pass\n    def handle(self, data, c): return data\n",
        "class H:\n    def initialize(self, *a, **k): pass\n    def handle(self, data, ctx, k=3): return data\n",
        "class H:\n    def initialize(self, c): pass\n    @staticmethod\n    def handle(data, context): return data\n",
        f"{BASE}class H(BaseHandler):\n    def initialize(self, c): pass\n    def inference(self, a, *b): return a\n",
        f"{BASE}class H(BaseHandler):\n    def initialize(self, c): pass\n    def inference(self, a, b): return a\n"
        "    def handle(self, data, context): return self.inference(data, context)\n",
    ],
)
def test_arguments_that_fit(checked, source: str) -> None:
    assert checked(source) == []


def test_a_function_that_the_manifest_names(checked) -> None:
    found = only(checked("def serve(data): return data\n\nx = 'class '\n", function="serve"), "signature")
    assert found.message == "serve takes (data), and is called with (data, context)."
