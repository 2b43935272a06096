"""Worker.reload: what keeps the loaded model, what loads again, and that both answer as a newly loaded handler."""

from __future__ import annotations

import cProfile
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from edits import HEAD, Notebook, handler

from handlerkit.errors import LoadError
from handlerkit.messages import Request
from handlerkit.worker_process.hot_reload.load_trace import LoadRecord

KEPT = [
    pytest.param(handler("[1, self.n]"), "[1,", "[2,", "handle", id="constant"),
    pytest.param(
        handler("self.p") + "    @property\n    def p(self): return 1", "return 1", "return 2", "p", id="property"
    ),
    pytest.param(
        handler("self.f()", "self.f = self.g") + "    def g(self): return 1", "return 1", "return 2", "g",
        id="stored bound method",
    ),
    pytest.param(
        handler(
            "[self.m(torch.ones(1)) is None, self.seen]",
            "self.seen = 0\nself.m = torch.nn.Linear(1, 1)\nself.m.register_forward_hook(self.hook)",
        ) + "    def hook(self, *a): self.seen += 1",
        "+= 1\n", "+= 10\n", "handle", id="counter of calls",
    ),
    pytest.param(
        handler(
            "[self.m(torch.ones(1)) is None, self.seen]",
            "self.seen = 0\nself.m = torch.nn.Linear(1, 1)\nself.m.register_forward_hook(self.hook)",
        ) + "    def hook(self, *a): self.seen += 2",
        "+= 2", "+= 20", "hook", id="forward hook",
    ),
    pytest.param(
        handler("f()", head="import functools\n@functools.lru_cache\ndef f(): return 1\n"), "return 1", "return 2", "f",
        id="lru_cache",
    ),
    pytest.param(
        handler("f()", head="def twice(g):\n    def h(): return g() + g()\n    return h\n@twice\ndef f(): return 1\n"),
        "return 1", "return 2", "f", id="behind a decorator",
    ),
    pytest.param(handler("f(7)", head="f = lambda x: x + 1\n"), "x + 1", "x + 2", "a lambda", id="lambda of a module"),
    pytest.param(
        handler("[self.s(), self.c()]") + "    @staticmethod\n    def s(): return 1\n"
        "    @classmethod\n    def c(cls): return cls.__name__, 1",
        "return 1", "return 2", "s", id="staticmethod",
    ),
    pytest.param(
        handler("asyncio.run(self.a())", head="import asyncio\n") + "    async def a(self): return 1",
        "return 1", "return 2", "a", id="coroutine",
    ),
    pytest.param(
        handler("list(self.g())") + "    def g(self):\n        yield 1\n        yield 2", "yield 2", "yield 3", "g",
        id="generator",
    ),
    pytest.param(
        handler("super().describe_handle() or 1") + "    def describe_handle(self): return 5",
        "return 5", "return 6", "describe_handle", id="overridden method",
    ),
    pytest.param(
        handler("1"), "return [", "k = 1\n        1 / (1 - k)\n        return [", "handle", id="line of an error"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("source", "old", "new", "name"), KEPT)
def test_model_is_kept_where_only_the_request_path_changed(
    notebook: Notebook, source: str, old: str, new: str, name: str
) -> None:
    reload = notebook.load(source).edit(old, new)
    assert str(reload) == f"model kept: only {name} changed"


LOADED_AGAIN = [
    pytest.param(handler("self.x", "self.x = 1"), "self.x = 1", "self.x = 2", "initialize changed", id="initialize"),
    pytest.param(
        handler("self.x", "global X\nX = X + 1\nself.x = X", head="X = 1\n"), "X = 1", "X = 5", "X changed",
        id="global used by initialize",
    ),
    pytest.param(
        handler("self.x", "self.x = self._at()") + "    def _at(self): return 1", "return 1", "return 2",
        "_at changed, which runs while loading", id="method used by initialize",
    ),
    pytest.param(
        handler("self.x", "self.x = self.p") + "    @property\n    def p(self): return 1", "return 1", "return 2",
        "p changed, which runs while loading", id="property used by initialize",
    ),
    pytest.param(
        handler("self.x", "self.x = getattr(self, '_' + 'at')()") + "    def _at(self): return 1",
        "return 1", "return 2", "_at changed, which runs while loading", id="method found by its name",
    ),
    pytest.param(
        handler("self.x", "import threading\nt = threading.Thread(target=self._at)\nt.start()\nt.join()")
        + "    def _at(self): self.x = 1",
        "self.x = 1", "self.x = 2", "_at changed, which runs while loading", id="method that ran in a thread",
    ),
    pytest.param(
        handler("self.x", "m = torch.nn.Linear(1, 1)\nm.register_forward_hook(self.hook)\nm(torch.ones(1))")
        + "    def hook(self, *a): self.x = 1",
        "self.x = 1", "self.x = 2", "hook changed, which runs while loading", id="hook that a warm-up called",
    ),
    pytest.param(
        handler("f()", head="def add(g): return lambda: g() + 1\n@add\ndef f(): return 1\n"), "@add\n", "",
        "the decorators of f changed", id="decorator taken away",
    ),
    pytest.param(
        handler("f()", head="def add(g):\n    g.k = 1\n    return g\n@add\ndef f(): return f.k\n"),
        "g.k = 1", "g.k = 2",
        "add changed, which runs while loading", id="decorator's body",
    ),
    pytest.param(
        handler("self.f()") + "    def f(self, x=1): return x", "x=1", "x=2", "the signature of f changed",
        id="default",
    ),
    pytest.param(
        handler("self.f(y=5)") + "    def f(self, x=1, y=2): return x", "x=1, y=2", "y=2, x=1",
        "the signature of f changed", id="arguments",
    ),
    pytest.param(handler("self.seen", head="").replace("    def init", "    seen = [1]\n    def init", 1),
        "seen = [1]", "seen = [2]", "seen changed", id="class attribute",
    ),
    pytest.param(
        handler("1"), "(BaseHandler)", "(BaseHandler, dict)", "the base classes of Handler changed", id="bases"
    ),
    pytest.param(
        handler("self.s.__name__") + "    def s(self): return 1", "def s(self): return 1",
        "async def s(self): return 1", "the signature of s changed", id="function becomes a coroutine",
    ),
    pytest.param(
        handler("1", "import inspect\nself.x = inspect.getsource(self.s)") + "    def s(self): return 1",
        "return 1", "return 2", "loading may read source code (getsource)", id="source read while loading",
    ),
    pytest.param(
        handler("f(torch.ones(1)).tolist()", head="@torch.jit.script\ndef f(x: torch.Tensor): return x + 1\n"),
        "x + 1", "x + 2", "loading may read source code (script)", id="scripted function",
    ),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:`torch.jit.script")
@pytest.mark.parametrize(("source", "old", "new", "reason"), LOADED_AGAIN)
def test_handler_is_loaded_again_where_loading_depends_on_the_edit(
    notebook: Notebook, source: str, old: str, new: str, reason: str
) -> None:
    assert str(notebook.load(source).edit(old, new)) == f"loaded again: {reason}"


HELPER = {
    "words.py": "LIMIT = 1\nclass Base:\n    def low(self): return LIMIT\ndef f(): return 1\ndef at(): return 2\n"
}
USES = handler(
    "[words.f(), words.LIMIT, self.low(), g()]", "self.at = words.at()", "import words\nfrom words import f as g\n"
)
USES = USES.replace("(BaseHandler)", "(BaseHandler, words.Base)")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("return 1", "return 3", "model kept: only words.f changed"),
        ("return LIMIT", "return -LIMIT", "model kept: only words.low changed"),
        ("LIMIT = 1", "LIMIT = 4", "model kept: only words.LIMIT changed"),
        ("return 2", "return 5", "loaded again: at changed, which runs while loading"),
    ],
)
def test_helper_modules(notebook: Notebook, old: str, new: str, told: str) -> None:
    assert str(notebook.load(USES, HELPER).edit(old, new, "words.py")) == told


def test_helper_that_requests_import_is_imported_anew(notebook: Notebook) -> None:
    source = handler("__import__('late').X", head="")
    notebook.load(source, {"late.py": "X = 1\nprint('imported')\n"})
    assert str(notebook.edit("X = 1", "X = 2", "late.py")) == "model kept: only late.py changed"


def test_unchanged_source_keeps_the_model_and_puts_its_state_back(notebook: Notebook) -> None:
    assert str(notebook.load(handler("self.n")).reload()) == "model kept: nothing changed"
    assert notebook.answers() != ["1", "2"]
    notebook.reload()


STATES = {
    "list": ("[]", "self.s.append(1) or len(self.s)"),
    "nested": ("{'a': {'b': [0]}}", "self.s['a']['b'].append(1) or self.s"),
    "set": ("set()", "self.s.add(len(self.s)) or len(self.s)"),
    "ordered": (
        "collections.OrderedDict(a=1, b=2)",
        "self.s.move_to_end('a') or self.s.update(c=self.n) or list(self.s)",
    ),
    "Counter": ("collections.Counter()", "self.s.update('ab') or dict(self.s)"),
    "deque": ("collections.deque(maxlen=3)", "self.s.append(self.n) or list(self.s)"),
    "defaultdict": ("collections.defaultdict(int)", "self.s.__setitem__(self.n, 1) or dict(self.s)"),
    "bytearray": ("bytearray(b'a')", "self.s.extend(b'b') or self.s.decode()"),
    "array": ("numpy.zeros(3)", "self.s.__iadd__(1).tolist()"),
    "tensor": ("torch.zeros(3)", "self.s.add_(1).tolist()"),
    "bfloat16": ("torch.zeros(3, dtype=torch.bfloat16)", "self.s.add_(1).tolist()"),
    "tensor behind its version": ("torch.zeros(3)", "self.s.data.add_(1).tolist()"),
    "namespace": ("types.SimpleNamespace(x=1)", "[vars(self.s).update(x=self.s.x + 1), self.s.x]"),
    "dice": ("random.Random(3)", "self.s.random()"),
    "torch's dice": ("torch.Generator().manual_seed(1)", "torch.rand(1, generator=self.s).item()"),
    "numpy's dice": ("numpy.random.default_rng(1)", "self.s.random()"),
    "the process's dice": ("torch.manual_seed(4) and None", "torch.rand(1).item()"),
    "attribute that is new": ("None", "[getattr(self, 'late', 0), setattr(self, 'late', 1)]"),
    "attribute of a function": ("setattr(f, 'x', 0)", "[setattr(f, 'x', f.x + 1), f.x]"),
    "closure": ("adder()", "self.s()"),
    "class": ("None", "[setattr(type(self), 'late', getattr(type(self), 'late', 0) + 1), type(self).late]"),
    "code of a function": ("None", "[f(), setattr(f, '__code__', (lambda: self.n).__code__)]"),
    "bases of a class": ("None", "[K().v(), setattr(K, '__bases__', (Other,)) and 0]"),
    "default of a function": ("None", "g()"),
    "set that holds weakly": ("weakref.WeakKeyDictionary()", "len(self.s)"),
    "semaphore": ("threading.Semaphore(3)", "[self.s._value, self.s.acquire(blocking=False)]"),
    "training": ("torch.nn.Dropout().eval()", "[self.s.training, bool(self.s.train())]"),
}
STATE_HEAD = """import collections, numpy, random, threading, types, weakref
def f(): pass
def g(x=[]):
    x.append(1)
    return len(x)
from classes import K, Other
def adder():
    total = 0
    def add():
        nonlocal total
        total += 1
        return total
    return add
"""


@pytest.mark.parametrize(("made", "used"), STATES.values(), ids=STATES)
def test_what_requests_changed_is_put_back(notebook: Notebook, made: str, used: str) -> None:
    classes = "class Base:\n    def v(self): return 1\nclass K(Base): pass\nclass Other:\n    def v(self): return 2\n"
    notebook.load(handler(f"[0, {used}]", f"self.s = {made}", STATE_HEAD), {"classes.py": classes})
    assert str(notebook.edit("[0,", "[1,")) == "model kept: only handle changed"


DOUBTFUL = {
    "generator": (
        "iter([1, 2, 3, 4, 5, 6, 7, 8, 9])",
        "next(self.s)",
        "requests changed self.s",
    ),
    "count": ("itertools.count()", "next(self.s)", "requests may have changed self.s (count)"),
    "view": ("memoryview(bytearray(3))", "self.s[0]", "requests may have changed self.s (memoryview)"),
    "weights": ("torch.nn.Linear(100, 100)", "bool(self.s.weight.data_ptr()) and W(self.s)", "requests changed self.s"),
    "buffers": ("torch.zeros(5000)", "self.s.add_(1)[0].item()", "requests changed self.s"),
    "full cache": ("f(0)", "[f(self.n), f.cache_info().currsize]", "requests changed f"),
}
DOUBTFUL_HEAD = """import functools, itertools
@functools.lru_cache
def f(x): return x
def W(layer):
    with torch.no_grad():
        layer.weight.fill_(1)
"""


@pytest.mark.parametrize(("made", "used", "reason"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_what_cannot_be_put_back_is_loaded_again(notebook: Notebook, made: str, used: str, reason: str) -> None:
    notebook.load(handler(f"[0, {used}]", f"self.s = {made}", DOUBTFUL_HEAD))
    assert str(notebook.edit("[0,", "[1,")) == f"loaded again: {reason}"


def test_doubtful_state_that_no_request_saw_is_kept(notebook: Notebook) -> None:
    notebook.load(handler("[0, next(self.s)]", "self.s = iter([1, 2, 3])"))
    notebook.worker.reload(force=True)
    (notebook.folder / "handler.py").write_text((notebook.folder / "handler.py").read_text().replace("[0,", "[1,"))
    assert notebook.worker.reload().kept


def test_scripted_model_is_kept_and_its_training_flag_seen(notebook: Notebook) -> None:

    with pytest.warns(FutureWarning):
        torch.jit.script(torch.nn.BatchNorm1d(2)).save(notebook.folder / "net.pt")
    source = handler("self.m.training", "self.m = torch.jit.load('net.pt').eval()") + "\n    def f(self): return 1\n"
    notebook.load(source, serialized_file="net.pt")
    assert notebook.edit("return 1", "return 2").kept
    assert not notebook.edit("[self.m.training]", "[bool(self.m.train())]").reason.startswith("requests")
    assert str(notebook.edit("[bool(", "[ bool(")) == "loaded again: requests changed self.m"


def test_function_that_is_new_and_one_that_is_gone(notebook: Notebook) -> None:
    notebook.load(handler("1"))
    reload = notebook.edit(
        "    def handle", "    def more(self, x=2): return super().describe_handle() or x\n    def handle"
    )
    assert str(reload) == "model kept: only more changed"
    assert notebook.edit("return [1]", "return [self.more()]").kept
    assert str(notebook.edit("return [self.more()]", "return [3]")) == "model kept: only handle changed"
    assert str(notebook.edit("    def more(self, x=2): return super().describe_handle() or x\n", "")).startswith(
        "model kept"
    )
    notebook.edit("[3]", "[hasattr(self, 'more')]")
    assert notebook.answers()[0] == "false"


@pytest.mark.parametrize("initialize", ["self.x = hasattr(self, 'more')", "self.x = dir(self)", "self.more"])
def test_function_that_is_new_and_that_loading_may_look_for(notebook: Notebook, initialize: str) -> None:
    notebook.load(handler("1", f"try:\n    {initialize}\nexcept AttributeError:\n    pass"))
    assert not notebook.edit("    def handle", "    def more(self): return 1\n    def handle").kept


def test_override_that_is_new(notebook: Notebook) -> None:
    source = HEAD + (
        "class Handler(BaseHandler):\n    def initialize(self, context): self.context = context\n"
        "    def preprocess(self, data): return data\n    def inference(self, data): return torch.ones(len(data))\n"
    )
    reload = notebook.load(source).edit(
        "    def pre", "    def postprocess(self, output): return [7] * len(output)\n    def pre"
    )
    assert str(reload) == "model kept: only postprocess changed"
    assert notebook.answers() == ["7", "7"]
    assert "postprocess" in notebook.worker.predict(Request()).timings.stages


def test_tracebacks_and_source_are_those_of_the_new_file(notebook: Notebook) -> None:
    notebook.load(handler("1"))
    assert notebook.edit(HEAD, f"# one line more\n{HEAD}").reason == "only comments changed"
    notebook.edit("[1]", "[1 / 0]")
    error = notebook.worker.predict(Request()).call.error
    assert "return [1 / 0]" in error.traceback
    body = "[__import__('inspect').getsource(self.handle)]"
    notebook.edit("[1 / 0]", body)
    assert notebook.answers()[0].endswith(f"return {body} * len(data)\n")


def test_docstrings_follow(notebook: Notebook) -> None:
    notebook.load(handler("1").replace("class Handler(BaseHandler):", 'class Handler(BaseHandler):\n    "old"'))
    assert notebook.edit('"old"', '"new"').kept
    assert notebook.edit("[1]", "[type(self).__doc__]").kept
    assert notebook.answers()[0] == "new"
    assert notebook.edit('"new"', '"newer"').reason == "a docstring changed, and the handler reads them"


def test_fix_after_a_failed_request_keeps_the_model(notebook: Notebook) -> None:
    notebook.load(handler("1"))
    notebook.edit("[1]", "[x for x in data if 1 / 0 or any(1 / 0 for y in data)]")
    notebook.answers()
    assert str(notebook.edit("[x for x in data if 1 / 0 or any(1 / 0 for y in data)]", "[2]")).startswith("model kept")


def test_generator_that_waits_elsewhere_is_loaded_again(notebook: Notebook) -> None:
    source = handler("next(self.keep())") + (
        "    def keep(self):\n        linecache.kept.append(self.numbers())\n        return linecache.kept[-1]\n"
        "    def numbers(self):\n        yield 1\n        yield 2\n"
    )
    notebook.load(f"import linecache\nlinecache.kept = []\n{source}")
    reason = "numbers is still running, or something else holds its code"
    assert str(notebook.edit("yield 1", "yield 3")) == f"loaded again: {reason}"


def test_running_thread_of_the_handler_is_loaded_again(notebook: Notebook) -> None:
    source = handler("1", "import threading\nthreading.Thread(target=self.loop, daemon=True, args=(STOP,)).start()")
    source = source.replace("STOP", "threading.Event()") + "    def loop(self, stop): stop.wait(20)\n"
    notebook.load(source)
    assert str(notebook.reload()) == "loaded again: a thread of the handler is running (loop)"


def test_micro_batching_goes_on_in_its_threads(notebook: Notebook) -> None:
    source = HEAD + (
        "from ts.handler_utils.micro_batching import MicroBatching\nclass Handler(BaseHandler):\n"
        "    def __init__(self):\n        super().__init__()\n        self.handle = MicroBatching(self, 1)\n"
        "    def initialize(self, context): self.context = context\n    def preprocess(self, data): return data\n"
        "    def inference(self, data): return data\n    def postprocess(self, data): return [1] * len(data)\n"
    )
    notebook.load(source, batch_size=2)
    before = {thread.ident for thread in threading.enumerate()}
    reload = notebook.edit("[1]", "[2]")
    assert str(reload) == "model kept: only postprocess changed"
    assert notebook.answers() == ["2", "2"]
    started = {thread.ident for thread in threading.enumerate()} - before
    assert (
        len([thread for thread in threading.enumerate() if thread.ident in started and "removes" not in thread.name])
        <= 3
    )


def test_envelope_begins_anew_and_others_share_the_edit(notebook: Notebook) -> None:
    notebook.load(handler("[1, self.n]"))
    wrapped = notebook.worker.with_envelope("json")
    wrapped.predict(Request.json({"instances": [1]}))
    assert notebook.edit("[1,", "[2,").kept
    notebook.worker.reload()
    assert wrapped.predict(Request.json({"instances": [1]})).response.json() == {"predictions": [[2, 1]]}


FILES: dict[str, tuple[dict[str, Any], Callable[[Path], object], str]] = {
    "weights": (
        {"serialized_file": "net.pt"},
        lambda folder: (folder / "net.pt").write_text("other"),
        "net.pt changed",
    ),
    "weights touched": (
        {"serialized_file": "net.pt"},
        lambda folder: os.utime(folder / "net.pt", (1, 1)),
        "net.pt changed",
    ),
    "config": ({"config_file": "c.yaml"}, lambda folder: (folder / "c.yaml").write_text("a: 2"), "c.yaml changed"),
    "model file": (
        {"model_file": "net.py"},
        lambda folder: (folder / "net.py").write_text("def f(): 1"),
        "net.py changed",
    ),
    "labels": ({}, lambda folder: (folder / "labels.txt").write_text("b"), "labels.txt changed"),
}


@pytest.mark.parametrize(("options", "change", "reason"), FILES.values(), ids=FILES)
def test_other_files_are_loaded_again(
    notebook: Notebook, options: dict[str, Any], change: Callable[[Path], object], reason: str
) -> None:
    for name in ("net.pt", "c.yaml", "net.py"):
        (notebook.folder / name).write_text("a: 1" if name == "c.yaml" else "")
    notebook.load(handler("1"), {"labels.txt": "a"}, **options)
    assert notebook.reload().kept
    change(notebook.folder)
    assert str(notebook.reload()) == f"loaded again: {reason}"


def test_file_written_to_model_dir_is_gone_after_a_reload(notebook: Notebook) -> None:
    notebook.load(
        handler(
            "[self.log.open('a').write('x'), self.log.stat().st_size]",
            "self.log = pathlib.Path('log.txt')",
            "import pathlib\n",
        )
    )
    assert str(notebook.reload()) == "loaded again: log.txt was written to in model_dir"


def test_environment_is_looked_at(notebook: Notebook) -> None:
    notebook.load(handler("__import__('os').environ.setdefault('SHADE', 'blue')"))
    assert str(notebook.reload()) == "loaded again: the environment variable SHADE changed"


def test_what_the_handler_imported_from_others_is_left_alone(notebook: Notebook) -> None:
    import sys

    notebook.load(
        handler("1", "self.path = sys.path", "import sys\nfrom os import environ\nfrom sys import modules, path\n")
    )
    sys.path.append("/nowhere")
    try:
        assert notebook.reload().kept
        assert sys.path[-1] == "/nowhere"
    finally:
        sys.path.remove("/nowhere")


def test_force_loads_in_any_case(notebook: Notebook) -> None:
    before = notebook.load(handler("1")).loaded
    assert str(notebook.worker.reload(force=True)) == "loaded again: as asked"
    assert notebook.loaded is not before


def test_source_that_does_not_compile_does_not_load(notebook: Notebook) -> None:
    notebook.load(handler("1"))
    (notebook.folder / "handler.py").write_text("def handle(:\n")
    with pytest.raises(LoadError, match="Python cannot read the file"):
        notebook.worker.reload()
    (notebook.folder / "handler.py").write_text(handler("5"))
    assert str(notebook.reload()) == "loaded again: no handler was loaded"


def test_worker_in_this_process_loads_again(notebook: Notebook) -> None:
    notebook.load(handler("1"), in_process=True)
    assert str(notebook.worker.reload()) == "loaded again: a worker in the notebook's process always does"


def test_profiler_at_work_hides_what_runs(tmp_path: Path) -> None:
    with cProfile.Profile(), LoadRecord(tmp_path) as record:
        pass
    assert record.codes is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's peak")
def test_deciding_does_not_read_the_weights(notebook: Notebook) -> None:
    weights = notebook.folder / "weights"  # in a file that is mapped, so what is read of them becomes resident
    with weights.open("wb") as file:
        file.truncate(160_000_000)
    source = handler("1", f"self.m = torch.from_file({str(weights)!r}, size=40_000_000)")
    notebook.load(source)
    (notebook.folder / "handler.py").write_text(source.replace("[1]", "[2]"))
    memory = psutil.Process(notebook.loaded.pid).memory_info
    before = memory().rss
    assert notebook.worker.reload().kept
    assert memory().rss - before < 40_000_000
    notebook.edit("[2]", "[self.m.sum().item()]")
    assert memory().rss - before > 150_000_000
