"""Quiet faults of a handler: told once for a load, silenced by a comment, and never where there is none."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from why_cases import CLASS, Case, body, start

from handlerkit.endpoints.worker import Worker
from handlerkit.messages import Request, Run
from handlerkit.model import Model

UNTYPED = body("return [{'label': 'cat'}] * len(data)")
ASKS = Request.json(1, headers={"Accept": "application/json"})
WRITES = body("open(f'{context.system_properties[\"model_dir\"]}/a.txt', 'w').close(); return ['ok']")
STAGES = "    def preprocess(self, data): return data\n    def postprocess(self, data): return data\n"
TWO = (Request.json([1]), Request.json([1, 2]))
BATCH = {"batch_size": 2}


def names(run: Run) -> list[str]:
    assert run.ok, run.findings
    return [finding.name for finding in run.findings]


def answered(source: str, folder: Path, *requests: Request, **case: object) -> list[str]:
    with start(Case("", "", source, "", **case), folder) as worker:  # type: ignore[arg-type]
        return names(worker.predict(*requests))


@pytest.mark.parametrize("in_process", [True, False], ids=["here", "process"])
@pytest.mark.parametrize(
    ("source", "name"), [(UNTYPED, "untyped_json"), (WRITES, "written_in_model_dir")], ids=["answer", "file"]
)
def test_fault_is_told_once_until_the_handler_changes(source: str, name: str, in_process: bool, tmp_path: Path) -> None:
    with start(Case("", "", source, "", worker={"in_process": in_process}), tmp_path) as worker:
        assert [names(worker.predict(ASKS)) for _ in range(3)] == [[name], [], []]
        (tmp_path / "h.py").write_text(source.replace("'ok'", "'fine'").replace("'cat'", "'dog'"))
        changed = worker.predict(ASKS)
        assert name in names(changed)


def test_worker_is_asked_nothing_more_once_a_fault_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with start(Case("", "", UNTYPED, ""), tmp_path) as worker:
        worker.predict(ASKS)
        monkeypatch.setattr("handlerkit.why.explain", lambda evidence: pytest.fail("asked again"))
        worker.predict(ASKS)


@pytest.mark.parametrize("comment", ["untyped_json", "untyped_json, other", "other,untyped_json"])
def test_comment_silences_a_warning(comment: str, tmp_path: Path) -> None:
    assert answered(f"{UNTYPED}# handlerkit: ignore={comment}\n", tmp_path, ASKS) == []


def test_comment_silences_no_other_warning(tmp_path: Path) -> None:
    assert answered(f"# handlerkit: ignore=unused_stage\n{UNTYPED}", tmp_path, ASKS) == ["untyped_json"]


def test_comment_silences_warnings_about_requests_too(tmp_path: Path) -> None:
    source = body("return ['x']") + "# handlerkit: ignore=query_dropped\n"
    assert answered(source, tmp_path, Request.json(1, query="a=1")) == []


def test_comment_silences_no_cause(tmp_path: Path) -> None:
    source = body("return [1 / 0]") + "# handlerkit: ignore=exception\n"
    with start(Case("", "", source, ""), tmp_path) as worker:
        run = worker.predict(Request.json(1))
    assert [finding.name for finding in run.findings] == ["exception"]


def test_unused_stage_is_told_beside_a_failure(tmp_path: Path) -> None:
    source = CLASS + "return self.postprocess(data[0]['body']['x'])\n" + STAGES
    with start(Case("", "", source, ""), tmp_path) as worker:
        run = worker.predict(Request.json(1))
    assert [(finding.name, finding.severity) for finding in run.findings][1] == ("unused_stage", "warning")


@pytest.mark.parametrize(
    "statement",
    [
        "return self.postprocess(self.preprocess(data))",
        "return [getattr(self, name) and 'x' for name in ('preprocess',)]; self.postprocess",
        "return super().handle(data, context)",
    ],
)
def test_stages_that_are_called_somehow(statement: str, tmp_path: Path) -> None:
    base = "class Base:\n    def handle(self, data, context): return ['x']\n"
    source = "import base\n" + (CLASS + statement + "\n" + STAGES).replace("class H:", "class H(base.Base):")
    assert answered(source, tmp_path, Request.json(1), extra={"base.py": base}) == []


def test_content_type_of_every_row(tmp_path: Path) -> None:
    source = body("[context.set_response_content_type(i, 'a/b') for i in range(len(data))]; return ['x'] * len(data)")
    assert answered(source, tmp_path, *TWO, worker=BATCH) == []


def test_content_type_of_the_one_row_that_has_one(tmp_path: Path) -> None:
    """The index is that of a row, and not a 0 for all."""
    source = body(
        "[context.set_response_content_type(i, 'a/b') for i, row in enumerate(data) if len(row['body']) == 1]; "
        "return ['x'] * len(data)"
    )
    assert answered(source, tmp_path, *TWO, worker=BATCH) == []


@pytest.mark.parametrize(
    ("accept", "told"),
    [
        ("application/json, text/plain, */*", True),
        ("Application/JSON;q=0.9, text/html;q=0.8", True),
        ("text/html, application/json;q=0.5", False),
        ("application/json;q=0", False),
    ],
)
def test_client_that_asks_for_json_before_all_else(accept: str, told: bool, tmp_path: Path) -> None:
    request = Request.json(1, headers={"Accept": accept})
    assert answered(UNTYPED, tmp_path, request) == ["untyped_json"] * told


@pytest.mark.parametrize("answer", ["'text'", "{'label': 'cat'}"])
def test_client_that_asks_for_no_json_gets_what_it_gets(answer: str, tmp_path: Path) -> None:
    assert answered(body(f"return [{answer}]"), tmp_path, Request.json(1, headers={"Accept": "*/*"})) == []


def test_file_that_the_handler_reads_again(tmp_path: Path) -> None:
    path = "f'{context.system_properties[\"model_dir\"]}/a.txt'"
    source = "from pathlib import Path\n" + body(f"Path({path}).write_text('x'); return [Path({path}).read_text()]")
    assert answered(source, tmp_path, Request.json(1)) == []


def test_file_that_the_handler_removes_again(tmp_path: Path) -> None:
    path = "f'{context.system_properties[\"model_dir\"]}/a.txt'"
    source = "import os\n" + body(f"open({path}, 'w').close(); os.remove({path}); return ['x']")
    assert answered(source, tmp_path, Request.json(1)) == []


@pytest.mark.parametrize("in_process", [True, False], ids=["here", "process"])
@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("torch.save({}, os.path.join(folder, 'out.pt'))", "out.pt"),  # which C code opens
        ("os.makedirs(os.path.join(folder, 'results'), exist_ok=True)", "results"),
        ("torch.jit.script(torch.nn.ReLU()).save('net.pt')", "net.pt"),
    ],
)
def test_what_other_code_than_open_writes_in_model_dir(
    statement: str, name: str, in_process: bool, tmp_path: Path
) -> None:
    source = "import os, torch\n" + body(f"folder = context.system_properties['model_dir']; {statement}; return ['ok']")
    with start(Case("", "", source, "", worker={"in_process": in_process}), tmp_path) as worker:
        first = worker.predict(Request()).findings
        again = worker.predict(Request()).findings
    assert [found.name for found in first] == ["written_in_model_dir"]
    assert first[0].where.startswith("h.py, line 5")
    assert "folder = context" in first[0].where
    assert f"The handler wrote {name} into model_dir" in first[0].message
    assert again == ()


def test_file_that_is_read_again_is_no_result(tmp_path: Path) -> None:
    source = "import torch\n" + body("torch.save({}, 'out.pt'); torch.load('out.pt'); return ['ok']")
    assert answered(source, tmp_path, Request()) == []


@pytest.mark.parametrize(
    "answer",
    [
        "[{'label': 1, 'score': 0.7}]",
        "{'class_id': '1', 'box': [1, 2, 3, 4]}",
        "{'boxes': [[1, 2, 3, 4]], 'labels': [1], 'scores': [0.9]}",
        "{'predictions': [{'class': 0}, {'class': 1}]}",
    ],
)
def test_class_numbers_of_boxes_and_rows(answer: str, tmp_path: Path) -> None:
    labels = {"index_to_name.json": '{"0": "cat", "1": "dog"}'}
    assert answered(body(f"return [{answer}]"), tmp_path, Request.json(1), extra=labels) == ["labels_unused"]


@pytest.mark.parametrize(
    "answer",
    [
        "{'cat': 0.7}", "{'7': 0.7}", "[1]", "[{'label': 7}]", "[{'label': 1, 'name': 'dog'}]", "[{'label': 'dog'}]",
        "{'classes': 1}", "{'class': 1.5}",
    ],
)  # fmt: skip
def test_labels_that_the_answer_holds_or_does_not_mean(answer: str, tmp_path: Path) -> None:
    labels = {"index_to_name.json": '{"0": "cat", "1": "dog"}'}
    assert answered(body(f"return [{answer}]"), tmp_path, Request.json(1), extra=labels) == []


def png(mode: str, *values: int) -> bytes:
    """A picture of 8x8 pixels with these values."""
    out = io.BytesIO()
    image = Image.new(mode, (8, 8))
    image.putdata([values[at % len(values)] for at in range(64)])
    image.save(out, "PNG")
    return out.getvalue()


MASK = "[[0, 1] * 4] * 8"
LABELS = {"index_to_name.json": '{"0": "cat", "1": "dog"}'}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (MASK, True),
        (f"{{'mask': {MASK}, 'size': [8, 8]}}", True),
        (repr(png("L", 0, 1)), True),
        (repr(png("P", 0, 1)), True),
        (f"{{'mask': {MASK}, 'labels': {{'0': 'cat', '1': 'dog'}}}}", False),
        ("[[0, 255] * 4] * 8", False),
        ("[[0.0, 1.0] * 4] * 8", False),
        ("[[0, 0, 1, 1]]", False),  # a box
        ("[[0, 0] * 4] * 8", False),
        (repr(png("L", 0, 255)), False),
        (repr(png("L", *range(64))), False),
        (repr(b"\x89PNG\r\n\x1a\n" + b"\0" * 30), False),
    ],
)
def test_map_of_class_numbers(answer: str, told: bool, tmp_path: Path) -> None:
    found = answered(body(f"return [{answer}]"), tmp_path, Request.json(1), extra=LABELS)
    assert found == ["labels_unused"] * told


@pytest.mark.parametrize(
    ("loop", "after"),
    [
        ("self.seen = 0", "self.seen"),  # not of the row
        ("self.total = getattr(self, 'total', 0); self.total = self.total + len(row['body'])", "self.total"),
        ("self.size = len(row['body']); self.report()", "0"),  # read for each row
        ("self.sizes.append(len(row['body']))", "self.sizes[0]"),
    ],
)
def test_self_that_holds_nothing_of_one_row(loop: str, after: str, tmp_path: Path) -> None:
    source = (
        "class H:\n    def initialize(self, context): self.sizes = []\n"
        "    def report(self): return self.size\n"
        f"    def handle(self, data, context):\n        for row in data:\n            {loop}\n"
        f"        return [{after}] * len(data)\n"
    )
    assert answered(source, tmp_path, *TWO, worker=BATCH) == []


def test_shared_self_is_no_fault_for_one_request(tmp_path: Path) -> None:
    source = (
        "class H:\n    def initialize(self, context): pass\n    def handle(self, data, context):\n"
        "        for row in data:\n            self.size = len(row['body'])\n        return [self.size] * len(data)\n"
    )
    with start(Case("", "", source, "", worker=BATCH), tmp_path) as worker:
        told = [names(worker.predict(*batch)) for batch in (TWO[:1], TWO, TWO)]
    assert told == [["batch_waits"], ["shared_in_self"], []]


def test_that_a_batch_waits_and_a_metric_is_dropped_is_told_once(tmp_path: Path) -> None:
    source = (
        "class H:\n    def initialize(self, context): pass\n    def handle(self, data, context):\n"
        "        context.metrics.add_counter('Cats', 1)\n        return ['x'] * len(data)\n"
    )
    with start(Case("", "", source, "", worker=BATCH), tmp_path) as worker:
        assert [names(worker.predict(Request())) for _ in range(3)] == [["batch_waits", "metric_dropped"], [], []]


def test_nothing_is_told_again_until_the_code_changes(tmp_path: Path) -> None:
    source = (
        "class H:\n    def initialize(self, context): pass\n    def handle(self, data, context):\n"
        "        for row in data:\n            self.size = len(row['body'])\n        return [self.size] * len(data)\n"
    )
    with start(Case("", "", source, "", worker={"in_process": False}), tmp_path) as worker:
        told = [names(worker.predict(*TWO))]
        worker.reload(batch_size=2)
        told.append(names(worker.predict(*TWO)))
        worker.reload(batch_size=1)
        worker.reload(force=True)
        worker.reload(batch_size=2)
        told.append(names(worker.predict(*TWO)))
        (tmp_path / "h.py").write_text(source.replace("len(row['body'])", "1 + len(row['body'])"))
        worker.reload()
        told.append(names(worker.predict(*TWO)))
    assert told == [[], ["shared_in_self"], [], ["shared_in_self"]]


@pytest.mark.parametrize(
    ("handler", "option", "told"),
    [
        ("from ts.torch_handler.base_handler import BaseHandler\nclass H(BaseHandler): pass\n", "full_graph", True),
        ("from ts.torch_handler.base_handler import BaseHandler\nclass H(BaseHandler): pass\n", "fullgraph", False),
        (body("return ['x']"), "full_graph", False),
        (
            "# handlerkit: ignore=config_pt2\nfrom ts.torch_handler.base_handler import BaseHandler\n"
            "class H(BaseHandler): pass\n",
            "full_graph",
            False,
        ),
    ],
)
def test_option_of_pt2_that_nobody_knows(handler: str, option: str, told: bool, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\nclass Net(nn.Module):\n    def forward(self, x):\n        return x\n"
    )
    (tmp_path / "model-config.yaml").write_text(
        f"pt2:\n  compile:\n    enable: true\n    backend: eager\n    {option}: true\n"
    )
    (tmp_path / "h.py").write_text(handler)
    import torch

    torch.save({}, tmp_path / "w.pt")
    model = Model(
        "m", handler=tmp_path / "h.py", model_file=tmp_path / "net.py", serialized_file=tmp_path / "w.pt",
        config_file=tmp_path / "model-config.yaml",
    )  # fmt: skip
    with Worker(model, in_process=True) as worker:
        found = [finding for finding in worker.load_findings if finding.name == "config_pt2"]
    assert [finding.fix for finding in found] == ["Did you mean fullgraph?"] * told
