"""The catalogue of causes: a real handler for each rule, sent through Worker."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from handlerkit import why
from handlerkit.endpoints.worker import Worker
from handlerkit.errors import LoadError
from handlerkit.messages import Finding, Request
from handlerkit.model import Model
from handlerkit.why import calling, loading

CLASS = "class H:\n    def initialize(self, context): pass\n    def handle(self, data, context):\n        "
BASE = "from ts.torch_handler.base_handler import BaseHandler\nclass H(BaseHandler): pass\n"
NET = Path(__file__).parent / "golden" / "nets"


@dataclass(frozen=True)
class Case:
    """A handler's source, what is sent to it, and what the finding says."""

    rule: str
    name: str
    source: str
    what: str
    where: str = ""
    change: str = ""
    request: Request = field(default_factory=lambda: Request.json({"a": 1}))
    model: dict[str, Any] = field(default_factory=dict)
    worker: dict[str, Any] = field(default_factory=dict)


def body(statement: str) -> str:
    """A handler whose handle, in line 4, is that statement."""
    return CLASS + statement + "\n"


LOADING = [
    Case(
        "died",
        "worker_exit",
        "import os\nos._exit(5)\n",
        "ended with status 5",
        change="os._exit",
        worker={"process": True},
    ),
    Case("class_count", "class_count", "class A: pass\nclass B: pass\n", "defines 2 classes (A, B)", change="%%module"),
    Case(
        "class_count",
        "class_count",
        "from json import JSONDecoder\n",
        "defines no class",
        change="handle(data, context)",
    ),
    Case(
        "missing_import",
        "import",
        "import a_module_nobody_has\n",
        "no module 'a_module_nobody_has'",
        "h.py, line 1, in <module>: import a_module_nobody_has",
        "requirements",
    ),
    Case(
        "missing_import",
        "import",
        "from torchserve.handler import BaseHandler\n",
        "no module 'torchserve",
        "h.py, line 1",
        "from ts.torch_handler.base_handler import BaseHandler",
    ),
    Case("missing_import", "import", "from json import lads\n", "cannot import name 'lads'", "h.py, line 1", "name"),
    Case(
        "missing_import",
        "notebook_only",
        "\nimport only_the_notebook\n",
        "The notebook has a module 'only_the_notebook'",
        "h.py, line 2",
        "%%module only_the_notebook.py",
    ),
    Case("syntax", "syntax", "def handle(data, context):\n    return [\n", "cannot read the file", "h.py, line 2"),
    Case(
        "no_method",
        "no_method",
        "class H:\n    def initialize(self, context): pass\n",
        "no method handle",
        change="handle(self, data, context)",
    ),
    Case(
        "no_method",
        "no_method",
        "class H:\n    def handle(self, data, context): pass\n",
        "no method initialize",
        change="initialize(self, context)",
    ),
    Case("weights", "weights", BASE, "names no serialized_file", change="--serialized-file"),
    Case(
        "weights",
        "weights",
        BASE,
        "needs the model's class",
        change="--model-file",
        model={"serialized_file": NET / "cls.pth"},
    ),
    Case(
        "weights",
        "weights",
        BASE,
        "weights_only=True",
        change="state_dict",
        model={"serialized_file": NET / "full.pth", "model_file": "net.py"},
    ),
    Case(
        "signature",
        "signature",
        "def handle(data): return data\n",
        "takes 1 positional argument but 2 were given",
        change="handle(self, data, context)",
    ),
    Case(
        "none_at_load",
        "none_at_load",
        "def handle(data, context):\n    return [len(row) for row in data]\n",
        "called once with data=None",
        "h.py, line 2, in handle",
        "if data is None: return None",
    ),
    Case(
        "missing_name",
        "notebook_name",
        "print(A_NOTEBOOK_NAME)\n",
        "'A_NOTEBOOK_NAME' is defined in the notebook",
        "h.py, line 1",
    ),
    Case("missing_name", "name", "x = 1\nprint(nowhere)\n", "'nowhere' is not defined", "h.py, line 2"),
    Case("not_enough_memory", "memory", "raise MemoryError\n", "not enough memory", "h.py, line 1"),
    Case(
        "not_enough_memory",
        "memory",
        "raise RuntimeError('CUDA out of memory')\n",
        "CUDA out of memory",
        "h.py, line 1",
    ),
    Case(
        "any_exception", "load", "\n\nopen('nothing.txt')\n", "FileNotFoundError", "h.py, line 3", "Correct that line"
    ),
]

CALLING = [
    Case(
        "logged", "not_a_list", body("return {'a': 1}"), "returned a dict", change="answer]", worker={"process": True}
    ),
    Case("logged", "wrong_length", body("return [1, 2]"), "2 element(s) for 1", worker={"process": True}),
    Case("logged", "not_serialisable", body("return [{'a': {1}}]"), "set", change="sorted", worker={"process": True}),
    Case(
        "died",
        "worker_exit",
        body("raise SystemExit(3)"),
        "SystemExit: 3, which ends the worker",
        "h.py, line 4, in handle: raise SystemExit(3)",
        "Raise an Exception",
    ),
    Case(
        "died",
        "worker_timeout",
        body("import time; time.sleep(0.01)"),
        "longer than the response_timeout of 0 s",
        change="response_timeout",
        worker={"response_timeout": 0},
    ),
    Case(
        "died",
        "worker_size",
        body("return ['x' * 11] * len(data)"),
        "11 bytes; max_response_size is 10",
        change="bytes",
        worker={"config_properties": {"max_response_size": 10}},
    ),
    Case(
        "died",
        "worker_header",
        body("context.set_response_header(0, 'a b', 'c'); return ['x']"),
        "'a b'",
        change="plain ASCII",
    ),
    Case(
        "died",
        "worker_header",
        body("context.set_response_content_type(0, 'für'); return ['x']"),
        "cannot read",
        change="plain ASCII",
    ),
    Case("died", "worker_encode", body("a = []; a.append(a); return [a]"), "Circular reference", change="cycle"),
    Case("out_of_memory", "memory", body("raise MemoryError"), "out of memory", "h.py, line 4", "smaller"),
    Case(
        "out_of_memory", "memory", body("raise ValueError('CUDA is fine')"), "any error that says CUDA", "h.py, line 4"
    ),
    Case(
        "prediction_exception",
        "prediction_exception",
        "from ts.utils.util import PredictionException\n" + body("raise PredictionException('big', 413)"),
        "code 413",
        "h.py, line 5",
        "set_response_status",
    ),
    Case(
        "missing_import",
        "import",
        body("import a_module_nobody_has"),
        "no module 'a_module_nobody_has'",
        "h.py, line 4",
    ),
    Case("missing_name", "notebook_name", body("return [A_NOTEBOOK_NAME]"), "defined in the notebook", "h.py, line 4"),
    Case("missing_name", "name", body("return [nowhere]"), "'nowhere' is not defined", "h.py, line 4"),
    Case(
        "signature",
        "signature",
        "class H:\n    def initialize(self, context): pass\n    def handle(self, data): return data\n",
        "takes 2 positional arguments but 3 were given",
        change="handle(self, data, context)",
    ),
    Case(
        "data_as_dict",
        "data_is_a_list",
        body("return [data['body']]"),
        "data is a list",
        "h.py, line 4",
        "for row in data",
    ),
    Case(
        "data_as_dict",
        "row_key",
        body("return [row['data'] for row in data]"),
        "no 'data', it has 'body'",
        "h.py, line 4",
        "row.get('data') or row.get('body')",
    ),
    Case(
        "none_value",
        "empty_form",
        body("return [row.get('body').decode() for row in data]"),
        "row is empty",
        "h.py, line 4",
        "Content-Type: application/json",
        request=Request.curl("curl h/predictions/m -d '{\"a\": 1}'"),
    ),
    Case(
        "none_value",
        "none_value",
        body("x = [].sort(); return [x[0]]"),
        "None where one was expected",
        "h.py, line 4",
        "in place",
    ),
    Case(
        "none_value",
        "none_value",
        "from PIL import Image\n" + body("return [Image.new('RGB', (1, 1)).putalpha(9).size]"),
        "putalpha",
        "h.py, line 5",
    ),
    Case(
        "any_exception",
        "exception",
        body("return [1 / 0]"),
        "ZeroDivisionError: division by zero",
        "h.py, line 4, in handle: return [1 / 0]",
        "set_response_status",
    ),
    Case("not_a_list", "not_a_list", body("return {'a': 1}"), "returned a dict", change="return [answer]"),
    Case("not_a_list", "not_a_list", body("return (1,)"), "returned a tuple", change="list(...)"),
    Case("not_a_list", "not_a_list", body("pass"), "returned a NoneType", change="return is missing"),
    Case(
        "not_a_list",
        "not_a_list",
        CLASS.replace("    def handle", "    async def handle") + "return [1]\n",
        "returned a coroutine",
        change="does not await",
    ),
    Case("wrong_length", "wrong_length", body("return [1, 2]"), "2 element(s) for 1 request(s)", change="[[...]]"),
    Case(
        "not_serialisable",
        "not_serialisable",
        "import numpy\n" + body("return [{'box': [numpy.float32(1)]}]"),
        "a float32, at row 0['box'][0]",
        change="float(value)",
    ),
    Case(
        "not_serialisable", "not_serialisable", body("return [{'a': {1, 2}}]"), "a set, at row 0['a']", change="sorted"
    ),
    Case("not_serialisable", "not_serialisable", body("return [{(1, 2): 3}]"), "row 0, as a key"),
]


def ids(cases: list[Case]) -> list[str]:
    return [f"{case.rule}: {case.what[:30]}" for case in cases]


@pytest.fixture
def fired(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the rules that gave a finding."""
    names: list[str] = []

    def watched(rule: Any) -> Any:
        def rule_that_tells(seen: why.Evidence) -> Finding | None:
            found: Finding | None = rule(seen)
            names.extend([rule.__name__] if found else [])
            return found

        return rule_that_tells

    for catalogue in ("LOAD_RULES", "CALL_RULES"):
        monkeypatch.setattr(why, catalogue, tuple(map(watched, getattr(why, catalogue))))
    return names


@pytest.fixture(autouse=True)
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the notebook has and the archive does not."""
    module = types.ModuleType("only_the_notebook")
    module.__file__ = str(Path(__file__).with_name("only_the_notebook.py"))
    monkeypatch.setitem(sys.modules, "only_the_notebook", module)
    monkeypatch.setattr(sys.modules["__main__"], "A_NOTEBOOK_NAME", 1, raising=False)


def start(case: Case, folder: Path) -> Worker:
    (folder / "h.py").write_text(case.source)
    (folder / "net.py").write_text("import torch\nclass Cls(torch.nn.Module): pass\n")
    files = {option: folder / file if isinstance(file, str) else file for option, file in case.model.items()}
    return Worker(Model("m", handler=folder / "h.py", **files), **case.worker)


def check(case: Case, findings: tuple[Finding, ...], fired: list[str]) -> None:
    (found,) = findings
    assert fired == [case.rule]
    assert found.name == case.name
    assert case.what in found.what
    assert found.where.startswith(case.where)
    assert bool(found.where) == bool(case.where)
    assert case.change in found.change
    assert all(text.endswith(".") for text in (found.what, found.change or ".", found.served)), found


@pytest.mark.parametrize("case", LOADING, ids=ids(LOADING))
def test_why_it_does_not_load(case: Case, tmp_path: Path, fired: list[str]) -> None:
    with pytest.raises(LoadError) as raised:
        start(case, tmp_path)
    check(case, raised.value.findings, fired)


@pytest.mark.parametrize("case", CALLING, ids=ids(CALLING))
def test_why_a_call_fails(case: Case, tmp_path: Path, fired: list[str]) -> None:
    with start(case, tmp_path) as worker:
        run = worker.predict(case.request)
    assert not run.ok
    check(case, run.findings, fired)


def test_good_answer_has_no_finding(tmp_path: Path, fired: list[str]) -> None:
    with start(Case("", "", body("return [1]"), ""), tmp_path) as worker:
        assert worker.predict(Request()).findings == ()
    assert fired == []


def test_every_rule_has_a_case() -> None:
    assert {rule.__name__ for rule in loading.LOAD_RULES} == {case.rule for case in LOADING}
    assert {rule.__name__ for rule in calling.CALL_RULES} == {case.rule for case in CALLING}
