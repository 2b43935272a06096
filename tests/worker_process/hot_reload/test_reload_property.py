"""Handlers edited at random: after each reload a worker answers, logs and fails as one that is newly loaded."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from handlerkit.endpoints.worker import Worker
from handlerkit.messages import Request, Run
from handlerkit.model import Model

#: Each {hole} is a number that an edit may change. `lines` moves everything, `docs` is a docstring.
HANDLER = '''
{lines}
import collections, functools, io, random, re, sqlite3, threading, warnings
import numpy, pandas, PIL.Image, tokenizers, torch, transformers
from sklearn import linear_model
import words

SEEN = []
{module_level}
READ = {read_level}
COLOR = ({color}, 0, 0)
shorten = lambda value: value % {in_lambda}

def doubled(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args) + {in_decorator}
    return inner

@functools.lru_cache
def cached(value):
    SEEN.append(value)
    return value + {in_cached}

class Handler(words.Base, words.Mixin):
    """{docs}"""
    kept = {{"calls": 0}}
    limit = {class_level}

    def initialize(self, context):
        global started
        started = {in_initialize}
        random.seed(5)
        self.calls = 0
        self.recent = collections.deque(maxlen=3)
        self.point = words.Point(1)
        self.stored = self._stored
        self.bound = functools.partial(self._stored, 10)
        self.small = torch.zeros(2)
        self.model = torch.nn.Linear(1, 1)
        torch.nn.init.constant_(self.model.weight, 2.0)
        torch.nn.init.constant_(self.model.bias, 1.0)
        self.model.register_forward_hook(self._hook)
        self.warm = self._at_load(None)
        vocabulary = {{word: number for number, word in enumerate(["[UNK]", "[PAD]", "a", "b", "c"])}}
        backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, "[UNK]"))
        backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        self.tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]"
        )
        self.image = PIL.Image.new("RGB", (4, 4), "red")
        self.frame = pandas.DataFrame({{"a": [1, 2], "b": ["x", "y"]}})
        self.regression = linear_model.LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
        self.file = io.BytesIO(b"abcdef")
        self.text = io.StringIO("a\\nb")
        self.scanner = re.Scanner([("[a-z]+", lambda scanner, token: token), (" ", None)])
        self.base = sqlite3.connect(":memory:", check_same_thread=False)
        self.lock = threading.Lock()
        self.wide = torch.nn.Linear(200, 200)
        torch.nn.init.ones_(self.wide.weight)
        self.array = numpy.arange(4.0)

    def _at_load(self, values):
        if values is not None:
            return list(value + {in_unreached} for value in values)  # code of its own, as a list's is not from 3.12 on
        return {at_load} + READ

    def _stored(self, value):
        """{docs} stored"""
        return value + {in_stored}

    def _hook(self, module, inputs, output):
        self.calls += {in_hook}
        return output

    @property
    def scale(self):
        return {in_property} + self.limit

    @staticmethod
    def fixed(value):
        return value * {in_static}

    @classmethod
    def counted(cls):
        cls.kept["calls"] += {in_class_method}
        return cls.kept["calls"]

    @doubled
    def decorated(self, value):
        return value + {in_decorated}

    def steps(self):
        for number in range(3):
            yield number + {in_generator}
{added}
    def libraries(self, texts):
        cut = {in_tokenizer} + 1
        if {changes_weights}:
            self.wide.weight.data[{changes_weights}] += 1
        if {changes_base}:
            self.base.execute("create table if not exists t (x)")
            self.base.execute("insert into t values (?)", ({changes_base},))
        if {adds_token}:
            self.tokenizer.add_tokens([f"z{adds_token}"])
        if {changes_frame}:
            self.frame["c"] = {changes_frame}
        if {changes_image}:
            self.image.putpixel((0, 0), ({changes_image}, 0, 0))
        self.array += {in_array}
        return {{
            "ids": self.tokenizer(texts, padding=True, truncation=True, max_length=cut)["input_ids"],
            "told": str(self.tokenizer.backend_tokenizer.truncation), "size": len(self.tokenizer),
            "wide": self.wide.weight[:4].sum(1).round().tolist() if {changes_weights} else 0,
            "pixel": self.image.getpixel((0, 0)), "columns": [*self.frame.columns],
            "predicted": self.regression.predict([[{in_regression}]]).tolist(),
            "read": (self.file.read({in_file}) + b"!").decode(),
            "line": [self.text.readline(), self.text.write("z")][0],
            "scanned": self.scanner.scan("a b")[0], "free": self.lock.acquire(blocking=False),
            "tables": self.base.execute("select count(*) from sqlite_master").fetchone()[0],
            "array": self.array.tolist(), "color": COLOR, "unreached": self._at_load([1]),
        }}

    def preprocess(self, data):
        print("rows", len(data), {in_print})
        warnings.warn("careful {in_warning}")
        self.context.metrics.add_counter("Rows", {in_metric}, 0)
        texts = [row.get("body") for row in data]
        if any("boom" in str(text) for text in texts):
            self.last = {in_failure}
            raise ValueError("boom {in_failure}")
        return texts

    def inference(self, texts):
        self.totals["all"] += len(texts)
        self.recent.append(len(SEEN))
        self.small += {in_tensor}
        started_here = started
        return [float(self.model(torch.ones(1)).detach()) for _ in texts]

    def postprocess(self, outputs):
        def nested(value):
            return value + {in_nested} + len(outputs)
        return [{{
            "constant": {in_postprocess}, "nested": nested(1), "lambda": shorten(17), "cached": cached(1),
            "point": self.point.move(), "described": self.described(), "stored": [self.stored(1), self.bound()],
            "scale": self.scale, "fixed": self.fixed(2), "counted": self.counted(), "decorated": self.decorated(1),
            "steps": list(self.steps()), "calls": self.calls, "recent": list(self.recent), "totals": dict(self.totals),
            "small": self.small.tolist(), "started": started, "warm": self.warm, "seen": len(SEEN),
            "random": random.random(), "words": words.greet(3), "counts": words.COUNTS, "output": output,
            "added": {call_added}, "libraries": self.libraries(["a b c", "b"]),
        }} for output in outputs]
'''
WORDS = """
{lines}
import collections
from ts.torch_handler.base_handler import BaseHandler

class Point:
    __slots__ = ("x", "y")
    def __init__(self, x):
        self.x = x
    def move(self):
        self.x += {in_slots}
        self.y = getattr(self, "y", 0) + 1
        return self.x, self.y

class Mixin:
    def described(self):
        return "mixin", {in_mixin}

class Base(BaseHandler):
    totals = collections.Counter()
    def described(self):
        return "base", {in_base}, super().described()

COUNTS = {{"greeted": {helper_level}}}

def _inner(value):
    return value * {in_helper}

def greet(value):
    COUNTS["greeted"] += 1
    return _inner(value)
"""
HOLES = sorted({*re.findall(r"(?<!\{)\{(\w+)\}", HANDLER + WORDS)} - {"call_added"})
#: Holes that loading depends on: changing them loads again. Requests change what cannot be put back while one of
#: CHANGES is not 0; changing any of the rest keeps the model.
LOADS = {"class_level", "in_initialize", "at_load", "read_level"}
CHANGES = {"changes_weights", "changes_base", "adds_token", "changes_frame", "changes_image"}
REQUESTS = [Request.text("a"), Request.text("boom"), Request.text("b"), Request.text("c")]

_TIMED = re.compile(r"(Time\.[A-Za-z]+|inference at):\s*[\d.]+|,timestamp:\d+|#hostname:\S+")
Numbers = Mapping[str, int]


def write(folder: Path, numbers: Numbers) -> None:
    added = f"\n    def _added(self):\n        return {numbers['added']}\n" if numbers["added"] else ""
    holes = {
        **numbers,
        "lines": "# a comment\n" * numbers["lines"],
        "color": numbers["color"] * 60,
        "docs": f"Version {numbers['docs']}.",
        "module_level": f"LEVEL = {numbers['module_level']}",
        "in_lambda": numbers["in_lambda"] + 1,
        "added": added,
        "call_added": "self._added()" if added else "None",
    }
    (folder / "handler.py").write_text(HANDLER.format(**holes))
    (folder / "words.py").write_text(WORDS.format(**holes))


def told(run: Run) -> tuple[object, ...]:
    """All of a run but for times, what carries them, and quiet faults, which are told once for the same code."""
    logs = [_TIMED.sub("", line.text) for line in run.call.logs]
    traceback = run.call.error.traceback if run.call.error else None
    causes = [finding for finding in run.findings if finding.severity == "error"]
    return run.response.status, run.response.text, logs, traceback, causes


rarely = st.sampled_from([0] * 12 + [1, 2, 3])
first = st.fixed_dictionaries({name: rarely if name in CHANGES else st.integers(0, 3) for name in HOLES})
edit = st.dictionaries(st.sampled_from(HOLES), st.integers(0, 3), max_size=3)


@pytest.mark.timeout(600)  # each fresh worker imports the handler's libraries again
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(first, st.lists(edit, min_size=1, max_size=4))
@example(dict.fromkeys(HOLES, 1) | dict.fromkeys(CHANGES, 0), [{name: 2} for name in HOLES if name not in CHANGES])
@example(dict.fromkeys(HOLES, 1) | dict.fromkeys(CHANGES, 0), [{name: 0} for name in CHANGES])
def test_reloaded_worker_is_as_one_that_is_loaded_anew(numbers: Numbers, edits: list[Numbers]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, numbers)
        model = Model("m", handler=folder / "handler.py", extra_files=folder / "words.py")
        with Worker(model) as worker:
            for change in edits:
                for request in REQUESTS:
                    worker.predict(request)
                spoilt = any(numbers[name] for name in CHANGES)
                changed = {hole for hole, number in change.items() if number != numbers[hole]}
                numbers = {**numbers, **change}
                write(folder, numbers)
                reload = worker.reload()
                assert reload.kept == (not changed & LOADS and not spoilt), (reload, changed)
            answers = [told(worker.predict(request)) for request in REQUESTS]  # first: loading seeds the dice
            with Worker(model) as fresh:
                assert answers == [told(fresh.predict(request)) for request in REQUESTS]
