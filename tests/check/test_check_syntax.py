"""Syntax and standard library of the target's Python."""

from __future__ import annotations

import sys

import pytest
from findings_of import only


def test_a_syntax_error(checked) -> None:
    found = only(checked("import torch\ndef handle(data, context:\n    return data\n"), "syntax_error")
    assert found.where == "handler.py, line 2"
    assert found.effect.startswith("Registering the model answers 500")


@pytest.mark.parametrize(
    "source", ["return 3\n", "def handle(d, c):\n    break\n", "x = 1\0\n", "def handle(d, d): pass\n"]
)
def test_what_only_the_compiler_refuses(checked, source: str) -> None:
    only(checked(source), "syntax_error")


@pytest.mark.parametrize("line", ["%matplotlib inline", "!pip install cv2", "%%time", "torch.load?"])
def test_lines_of_ipython(checked, line: str) -> None:
    found = only(checked(f"import torch\n{line}\n"), "notebook_syntax")
    assert found.where == "handler.py, line 2"


def test_a_file_that_nothing_imports_may_be_anything(checked) -> None:
    assert checked("import torch\n", {"notes.py": "this is no Python\n"}) == []


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("match 3:\n    case 3: pass\n", "pattern matching"),
        ("try:\n    pass\nexcept* ValueError:\n    pass\n", "`except*`"),
        ("def handle(d, c):\n    return list(zip(d, d, strict=True))\n", "zip(strict)"),
        ("from dataclasses import dataclass\n@dataclass(slots=True)\nclass A:\n    x: int\ndef handle(d, c): pass\n",
         "dataclasses.dataclass(slots)"),
        ("from itertools import pairwise\n", "itertools.pairwise"),
        ("import datetime\nnow = datetime.datetime.now(datetime.UTC)\n", "datetime.UTC"),
        ("from typing import Self\n", "typing.Self"),
        ("from enum import StrEnum\n", "enum.StrEnum"),
        ("import hashlib\ndef handle(d, c): return hashlib.file_digest(d, 'md5')\n", "hashlib.file_digest"),
    ],
)  # fmt: skip
def test_newer_than_python_39(checked, source: str, what: str) -> None:
    found = only(checked(source), "newer_python")
    assert found.message.startswith(f"{what} needs Python 3.1")
    assert "torchserve-0.12.0-cpu has 3.9" in found.message
    assert checked(source, target="declared") == []


def test_syntax_in_a_function_that_nothing_calls(checked) -> None:
    """The whole file is parsed."""
    only(checked("def unused(x):\n    match x:\n        case 1: pass\n"), "newer_python")


@pytest.mark.parametrize(
    "source",
    [
        "def unused(x):\n    return list(zip(x, x, strict=True))\n",
        "import sys\nif sys.version_info >= (3, 10):\n    from itertools import pairwise\nelse:\n    pairwise = None\n",
        "try:\n    from itertools import pairwise\nexcept ImportError:\n    pairwise = None\n",
        "import itertools\nif hasattr(itertools, 'pairwise'):\n    pairs = itertools.pairwise\n",
        "if (n := 3) > 2: pass\n",
        "x: dict[str, list[int]] = {}\n",
        "print(f'{1 + 1=}')\n",
        "a = {'x': 1} | {'y': 2}\n",
        "'abc'.removeprefix('a')\n",
        "import zoneinfo, graphlib\n",
        "from functools import cache\n",
        "with (open('/dev/null') as a, open('/dev/null') as b): pass\n",
    ],
)
def test_what_python_39_has(checked, source: str) -> None:
    assert checked(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "def handle(data: list | None, context): pass\n",
        "def handle(data, context) -> list[int] | None: pass\n",
        "def handle(data, context): return isinstance(data, int | float)\n",
        "class A: pass\nclass B: pass\nA.B = 3\ndef handle(data, context): return isinstance(data, A | B)\n",
        "Number = int | float\n",
        "x: int | None = None\n",
        "class A:\n    x: int | None = None\ndef handle(d, c): pass\n",
        "from typing import cast\ndef handle(d, c): return cast(str | None, d)\n",
        "def unused(x: int | str): pass\n",
        "from typing import Optional\ndef handle(d: 'list', c: dict[str, int | str]): pass\n",
    ],
)
def test_unions_that_are_evaluated(checked, source: str) -> None:
    found = only(checked(source), "newer_python")
    assert "needs Python 3.10 where it is evaluated" in found.message
    assert checked(source, target="declared") == []


@pytest.mark.parametrize(
    "source",
    [
        "from __future__ import annotations\ndef handle(data: list | None, context) -> int | None: pass\n",
        "from __future__ import annotations\nclass A:\n    x: int | None = None\ndef handle(d, c): pass\n",
        "def handle(data, context):\n    x: int | None = 3\n    return x\n",
        "def handle(data: 'list | None', context): pass\n",
        "import re\nPATTERN = re.compile('x', re.I | re.M)\n",
        "def handle(data, context): return set(data) | {1} | set()\n",
        "import numpy as np\ndef handle(data, context): return (np.array(data) > 1) | (np.array(data) < 0)\n",
        "def handle(data, context): return isinstance(data, (int, float))\n",
        "from typing import Optional, Union\ndef handle(data: Optional[list], context: Union[int, str]): pass\n",
        "int = 3\nx = int | 4\n",
    ],
)
def test_unions_that_are_not(checked, source: str) -> None:
    assert checked(source) == []


def test_pydantic_evaluates_in_any_case(checked) -> None:
    source = """
        from __future__ import annotations
        from pydantic import BaseModel

        class Row(BaseModel):
            x: int | None = None

        def handle(data, context): pass
    """
    found = checked(source, requirements="pydantic\n")
    assert "newer_python" in [one.name for one in found]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 does not read it either")
def test_quotes_in_f_strings(checked) -> None:
    only(checked("x = {'a': 1}\ny = f'{x['a']}'\n"), "newer_python")


def test_too_much_code(checked) -> None:
    found = only(checked("import data\n", {"data.py": "x = 1\n" * 200_000}), "unreadable_code")
    assert found.severity == "info"
    assert found.where == "data.py"


def test_nested_too_deeply(checked) -> None:
    found = checked(f"x = {'-' * 50_000}1\n")
    assert {one.name for one in found} <= {"unreadable_code", "syntax_error"}
    assert found
