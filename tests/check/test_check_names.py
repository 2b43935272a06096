"""Names that nothing defines."""

from __future__ import annotations

import sys

import pytest
from findings_of import only


@pytest.mark.parametrize(
    ("source", "name", "line"),
    [
        ("def handle(data, context):\n    return np.array(data)\n", "np", 2),
        ("def handle(data, context):\n    return [model(x) for x in data]\n", "model", 2),
        ("class H:\n    def initialize(self, c): self.x = LABELS\n    def handle(self, d, c): return d\n", "LABELS", 2),
        (
            "def handle(data, context):\n    return helper(data)\ndef helper(x):\n    return threshold * x\n",
            "threshold",
            4,
        ),
        ("x: Tensor = 3\n", "Tensor", 1),
        ("def handle(data: Tensor, context): pass\n", "Tensor", 1),
        ("def handle(data, context):\n    def inner(): return gone\n    return inner()\n", "gone", 2),
        ("def handle(data, context):\n    return (lambda x: gone)(3)\n", "gone", 2),
        ("x = gone\n", "gone", 1),
        ("@decorate\ndef handle(data, context): pass\n", "decorate", 1),
        ("def handle(data, context, n=SIZE): pass\n", "SIZE", 1),
    ],
)
def test_what_only_the_notebook_has(checked, source: str, name: str, line: int) -> None:
    found = only(checked(source), "undefined_name")
    assert found.severity == "error"
    assert found.message == f"{name!r} is defined nowhere in handler.py."
    assert found.where == f"handler.py, line {line}"


@pytest.mark.parametrize("name", ["display", "get_ipython"])
def test_builtins_of_ipython(checked, name: str) -> None:
    found = only(checked(f"def handle(data, context):\n    {name}()\n    return data\n"), "undefined_name")
    assert found.message == f"{name!r} is there in notebooks alone."


def test_builtins_of_a_newer_python(checked) -> None:
    source = "def handle(data, context):\n    raise ExceptionGroup('x', [])\n"
    assert only(checked(source), "newer_python").message.startswith("ExceptionGroup needs Python 3.11")
    assert checked(source, target="declared") == []


@pytest.mark.parametrize(
    "source",
    [
        "def unused():\n    return gone\n",
        "try:\n    unicode\nexcept NameError:\n    unicode = str\n",
        "def handle(data, context):\n    try:\n        get_ipython()\n    except NameError:\n        pass\n",
        "def load():\n    global model\n    model = 1\ndef handle(data, context):\n    load()\n    return model\n",
        "from math import *\ndef handle(data, context): return sin(3)\n",
        "globals()['x'] = 1\ndef handle(data, context): return x\n",
        "def handle(data, context):\n    return __file__, __name__, [x for x in data if (y := x)], y\n",
        "class A:\n    x = 1\n    y = x\ndef handle(data, context):\n    return A.y\n",
        "class A:\n    def f(self): return __class__\ndef handle(data, context): return A().f()\n",
        "def handle(data, context):\n    import os as system\n    return system.name\n",
        "def handle(data, context):\n    for a, (b, *c) in data: pass\n    return a, b, c\n",
        "def handle(data, context):\n    with open('/dev/null') as f, open('/dev/null') as g: return f, g\n",
        "def handle(data, context):\n    try: pass\n    except OSError as problem: return problem\n    return data\n",
        "def handle(data, *rest, **named):\n    return rest, named, lambda a, *b, c=1, **d: (a, b, c, d)\n",
        "def handle(data, context):\n    x: Gone = 3\n    return x\n",
        "from __future__ import annotations\ndef handle(data: Gone, context) -> Gone: pass\n",
        "def handle(data: 'Gone', context): pass\n",
        "def outer():\n    n = 0\n    def inner():\n        nonlocal n\n        n = 1\n    return inner\nx = outer()\n",
        "def handle(data, context):\n    del data[0]\n    return exit\n",
        "match = 3\ndef handle(data, context): return match\n",
    ],
)
def test_names_that_are_defined(checked, source: str) -> None:
    assert checked(source) == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 does not read it")
def test_parameters_of_types(checked) -> None:
    source = """
        def first[T](rows: list[T]) -> T:
            return rows[0]

        class Box[S]:
            x: S

        def handle(data, context):
            return [first(data)]
    """
    assert checked(source, target="declared") == []


def test_names_that_another_module_puts_there(checked) -> None:
    source = """
        import helper
        helper.SIZE = 3

        def handle(data, context):
            return helper.size()
    """
    assert checked(source, {"helper.py": "def size():\n    return SIZE\n"}) == []


def test_names_in_a_helper(checked) -> None:
    source = "import helper\ndef handle(data, context):\n    return helper.read(data)\n"
    found = only(checked(source, {"helper.py": "def read(data):\n    return torch.load(data)\n"}), "undefined_name")
    assert found.where == "helper.py, line 2"
    assert found.message == "'torch' is defined nowhere in helper.py."
