"""What goes wrong without an error: a real handler for each rule, answered with a success."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from why_cases import BASE, CLASS, Case, body, check, start

from handlerkit.messages import Part, Request
from handlerkit.view.displays import view
from handlerkit.why import warnings

JSON = {"config_properties": {"service_envelope": "json"}}
V2 = {"config_properties": {"service_envelope": "kservev2"}}
TWO = Request.json({"instances": [1, 2]})
INPUT = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
ROWS = body("return [str(row) for row in data]")
STREAM = "from ts.handler_utils.utils import send_intermediate_predict_response as send\n"
IDIOM = body("return [str(row.get('data') or row.get('body')) for row in data]")
DESCRIBES = BASE.replace(" pass", "\n    def initialize(self, context): pass\n    preprocess = inference = list\n") + (
    "    postprocess = list\n"
)
EXPLAINS = (
    "from ts.torch_handler.base_handler import BaseHandler\n"
    "class H(BaseHandler):\n"
    "    def initialize(self, context): pass\n"
    "    def preprocess(self, data): return data\n"
    "    def inference(self, data): return data\n"
    "    def postprocess(self, data): return ['predicted'] * len(data)\n"
    "    def explain_handle(self, prepared, data): return ['explained'] * len(data)\n"
)

SHARED = (
    "class H:\n    def initialize(self, context): pass\n"
    "    def handle(self, data, context): return self.postprocess(self.preprocess(data))\n"
    "    def preprocess(self, data):\n"
    "        for row in data:\n            self.size = len(row['body'])\n        return data\n"
    "    def postprocess(self, data): return [self.size for _ in data]\n"
)

WARNINGS = [
    Case(
        "empty_form",
        "empty_form",
        ROWS,
        "gets an empty row {}",
        fix="Content-Type: application/json",
        request=Request.curl("curl h/predictions/m -d '{\"a\": 1}'"),
    ),
    Case(
        "empty_form",
        "empty_form",
        ROWS,
        "the boundary is not that of the body",
        fix="-F",
        request=Request(body=b"--a\r\n", headers={"Content-Type": "multipart/form-data; boundary=b"}),
    ),
    Case(
        "json_as_form",
        "json_as_form",
        ROWS,
        "is JSON, sent as a form",
        fix="Content-Type: application/json",
        request=Request.curl('curl h/predictions/m -d \'{"a": "x=1&y=2"}\''),
    ),
    Case(
        "undecoded",
        "undecoded",
        ROWS,
        "JSON of type 'Application/JSON'",
        fix="Content-Type: application/json",
        request=Request.json(1, headers={"Content-Type": "Application/JSON"}),
    ),
    Case(
        "undecoded",
        "undecoded",
        ROWS,
        "text of type 'Text/Plain'",
        request=Request.text("a", headers={"Content-Type": "Text/Plain"}),
        fix="text/plain",
    ),
    Case("undecoded", "undecoded", ROWS, "JSON without a Content-Type", fix="json", request=Request(body=b"[1]")),
    Case(
        "undecoded",
        "undecoded",
        ROWS,
        "has the Content-Type of JSON and is not JSON (Expecting",
        fix="Send JSON",
        request=Request(body=b"{a: 1}", headers={"Content-Type": "application/json"}),
    ),
    Case(
        "undecoded",
        "undecoded",
        ROWS,
        "is empty, but its Content-Type says JSON",
        request=Request(headers={"Content-Type": "application/json"}),
        fix="Send JSON",
    ),
    Case(
        "undecoded",
        "undecoded",
        ROWS,
        "not in UTF-8",
        request=Request(body="é".encode("latin-1"), headers={"Content-Type": "text/plain"}),
        fix="UTF-8",
    ),
    Case(
        "undecoded",
        "undecoded",
        ROWS,
        "The field 'a' of the request was sent as application/json but without a filename",
        fix="-F 'a=@file;type=application/json'",
        request=Request.multipart(Part("a", "[1]", content_type="application/json")),
    ),
    Case(
        "foreign_charset",
        "charset",
        ROWS,
        "charset=latin1; TorchServe ignores that",
        fix="UTF-8",
        request=Request(body="é".encode(), headers={"Content-Type": "text/plain; charset=latin1"}),
    ),
    Case(
        "content_encoding",
        "content_encoding",
        ROWS,
        "is compressed (gzip)",
        fix="gzip.decompress",
        request=Request(
            body=gzip.compress(b"[1]"), headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}
        ),
    ),
    Case(
        "two_content_types",
        "two_content_types",
        ROWS,
        "its body is read as 'application/json', its headers show 'text/plain'",
        fix="Send one",
        request=Request.json(1).with_headers({"content-type": "text/plain"}),
    ),
    Case(
        "query_dropped",
        "query_dropped",
        ROWS,
        "does not get the query of the request ('a', 'b')",
        fix="/models/m/invoke",
        request=Request.json(1, query="a=1&b"),
    ),
    Case(
        "twice_the_name",
        "twice_the_name",
        ROWS,
        "The request has 2 fields 'a'",
        fix="JSON list",
        request=Request.form([("a", 1), ("a", 2)]),
    ),
    Case(
        "header_overwritten",
        "header_overwritten",
        ROWS,
        "The header explain: True of the request is overwritten",
        fix="/explanations/MODEL",
        request=Request.json(1, headers={"explain": "True"}),
    ),
    Case(
        "header_overwritten",
        "header_hides_field",
        ROWS,
        "The header 'body' of the request has the name of a field",
        fix="another name",
        request=Request.json(1, headers={"body": "x"}),
    ),
    Case(
        "falsy_falls_through",
        "falls_through",
        IDIOM,
        "'data' of the request is empty or zero, so `or` goes on to 'body', and the handler gets None",
        "h.py, line 4: ",
        'row["data"] if "data" in row else row.get("body")',
        request=Request.multipart(Part("data", "0", "a.json", "application/json")),
    ),
    Case(
        "falsy_falls_through",
        "falls_through",
        body("return [str(value) for value in data]"),
        "the handler gets None",
        fix="row",
        request=Request.form({"data": ""}),
        worker={"config_properties": {"service_envelope": "body"}},
    ),
    Case(
        "header_casing",
        "header_casing",
        body("return [str(context.get_request_header(0, 'x-key'))]"),
        "asked for the header 'x-key' and got None: the client sent 'X-Key'",
        "h.py, line 4, in handle",
        "name.lower()",
        request=Request.json(1, headers={"X-Key": "1"}),
    ),
    Case(
        "explain_is_text",
        "explain_is_text",
        body("return ['explained' if context.get_request_header(0, 'explain') else 'predicted']"),
        "explain is the text 'False'",
        "h.py, line 4, in handle",
        '== "True"',
    ),
    Case(
        "explain_is_text",
        "explain_is_text",
        body("asked = context.get_request_header(0, 'explain')\n        if asked: return ['explained']"),
        "explain is the text 'False'",
        "h.py, line 4, in handle",
        '== "True"',
    ),
    Case(
        "describe_header",
        "describe_header",
        DESCRIBES,
        "answered with describe_handle() and predicted nothing",
        fix="no header of that name",
        request=Request.json(1, headers={"describe": "True"}),
    ),
    Case(
        "first_row_decides",
        "first_row_decides",
        EXPLAINS,
        "Request 2 asked for an explanation, but the header of request 1 decided",
        fix="of each row",
        request=(Request.json(1), Request.json(1, path="/explanations/m")),
        worker={"batch_size": 2},
    ),
    Case(
        "status_of_row_0",
        "status_of_row_0",
        body("[context.set_response_status(201 + i, 'x') for i in range(2)]; return ['a', 'b']"),
        "was called 2 times without an index",
        "h.py, line 4",
        "counted from 0",
        request=(Request.json(1), Request.json(2)),
        worker={"batch_size": 2},
    ),
    Case(
        "debug_lost",
        "debug_lost",
        "import logging\nlog = logging.getLogger(__name__)\n" + body("log.debug('seen'); return ['x']"),
        "logs at level DEBUG",
        "h.py, line 6: log.debug",
        ".info(",
    ),
    Case(
        "pickled_tensor",
        "pickled_tensor",
        "import torch\n" + body("return [torch.ones(2)]"),
        "torch.save's file",
        "h.py, line 5",
        "tensor.tolist()",
    ),
    Case(
        "not_json",
        "not_json",
        body("return [{'a': float('nan')}]"),
        "The answer holds NaN",
        "h.py, line 4",
        "math.isnan",
    ),
    Case("not_json", "not_json", body("return [-float('inf')]"), "holds -Infinity", "h.py, line 4", "None"),
    Case(
        "near_the_limit",
        "near_the_limit",
        body("return ['x' * 95]"),
        "has 95 of the 100 bytes",
        "h.py, line 4",
        "max_response_size",
        worker={"config_properties": {"max_response_size": 100}},
    ),
    Case(
        "body_dropped",
        "body_dropped",
        body("context.set_response_status(204, '', 0); return ['gone']"),
        "the row's 4 B are not sent",
        "h.py, line 4",
        "Answer with 200",
    ),
    Case(
        "odd_status",
        "odd_status",
        body("context.set_response_status(1, 'x', 0); return ['x']"),
        "set the status 1, which HTTP does not have",
        "h.py, line 4",
        "set_response_status(code, phrase, index)",
    ),
    Case(
        "header_in_vain",
        "header_in_vain",
        body("context.set_response_header(0, 'Cache-Control', 'max-age=60'); return ['x']"),
        "Cache-Control: max-age=60 is not sent",
        "h.py, line 4",
        "another name",
    ),
    Case(
        "header_twice",
        "header_twice",
        CLASS + "context.set_response_header(0, 'Content-Type', 'text/html')\n"
        "        context.set_response_content_type(0, 'text/plain')\n        return ['x']\n",
        "set Content-Type and content-type, which are one header",
        "h.py, line 4",
        "once",
    ),
    Case(
        "header_letters",
        "header_letters",
        body("context.set_response_header(0, 'x-name', '\\u732b'); return ['x']"),
        "is sent as '?'",
        "h.py, line 4",
        "quote",
    ),
    Case(
        "late_head",
        "late_head",
        STREAM
        + body("send(['x'], context.request_ids, '', 200, context); context.set_response_status(201, '', 0)")
        + "        return ['x']\n",
        "after the first piece of the stream",
        "h.py, line 5",
        "before the first",
    ),
    Case(
        "metric_dropped",
        "metric_dropped",
        body("context.metrics.add_counter('Cats', 1); return ['x']"),
        "drops the metric Cats: a metric has to be declared, and this one is not",
        "h.py, line 4",
        "model_metrics_auto_detect=true",
    ),
    Case(
        "metric_failed",
        "metric_failed",
        body("context.metrics.add_counter('Dogs', -1); return ['x']"),
        "The metric Dogs was not counted",
        "h.py, line 4",
        "no negative number",
    ),
    Case(
        "cut_or_filled",
        "envelope_length",
        body("return [1]"),
        "1 element(s) for 2 instance(s), and the json envelope left the last ones without an answer",
        "h.py, line 4",
        "one element for each",
        request=TWO,
        worker=JSON,
    ),
    Case(
        "cut_or_filled",
        "envelope_length",
        body("return [1, 2, 3]"),
        "dropped those at the end",
        "h.py, line 4",
        "one element for each",
        request=TWO,
        worker=JSON,
    ),
    Case(
        "cut_or_filled",
        "envelope_letters",
        body("return 'cat'"),
        "one letter for each instance",
        "h.py, line 4",
        "[answer]",
        request=TWO,
        worker=JSON,
    ),
    Case(
        "flattened",
        "envelope_shape",
        body("return [[[1, 2], [3, 4]]]"),
        "the shape [4]; the handler returned [2, 2]",
        "h.py, line 4",
        "back into shape",
        request=Request.json({"inputs": [INPUT]}),
        worker=V2,
    ),
    Case(
        "batch_waits",
        "batch_waits",
        body("return ['x'] * len(data)"),
        "holds 1 of 4 requests, so the server waits 100 ms",
        fix="max_batch_delay",
        worker={"batch_size": 4},
    ),
    Case(
        "timeout_not_in_force",
        "timeout_set_aside",
        body("return ['x']"),
        "registered with a response_timeout of 0 s, but 120 s is in force",
        fix="responseTimeout: 0",
        model={"config_file": "model-config.yaml"},
        extra={"model-config.yaml": "batchSize: 1\n"},
        worker={"response_timeout": 0},
    ),
    Case(
        "first_letter",
        "envelope_input",
        body("return [row['data'] for row in data]"),
        "the envelope takes its first element, the letter 't'",
        fix='"data": ["text"]',
        request=Request.json({"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": "text"}]}),
        worker=V2,
    ),
    Case(
        "content_type_of_row_0",
        "content_type_of_row_0",
        body("context.set_response_content_type(0, 'text/html'); return ['<p>'] * len(data)"),
        "text/html was set for request 1 alone: the other request",
        "h.py, line 4",
        "for index in range(len(data))",
        request=(Request.json(1), Request.json(2)),
        worker={"batch_size": 2},
    ),
    Case(
        "content_type_of_row_0",
        "content_type_of_row_0",
        body("context.set_response_header(0, 'Content-Type', 'text/html'); return ['<p>'] * len(data)"),
        "text/html was set for request 1 alone: the other request",
        "h.py, line 4",
        request=(Request.json(1), Request.json(2)),
        worker={"batch_size": 2},
    ),
    Case(
        "untyped_json",
        "untyped_json",
        body("return [{'label': 'cat'}] * len(data)"),
        "asked for application/json (its Accept header)",
        "h.py, line 4",
        "context.set_response_content_type(index",
        request=Request.json(1, headers={"Accept": "application/json, */*"}),
    ),
    Case(
        "labels_unused",
        "labels_unused",
        body("return [{'1': 0.75, '0': 0.25}]"),
        "the classes' numbers in place of their names ('1' for 'dog')",
        "h.py, line 4",
        "load_label_mapping",
        extra={"index_to_name.json": '{"0": "cat", "1": ["n1", "dog"]}'},
    ),
    Case(
        "written_in_model_dir",
        "written_in_model_dir",
        body("open(f'{context.system_properties[\"model_dir\"]}/result.txt', 'w').close(); return ['ok']"),
        "The handler wrote result.txt into model_dir",
        "h.py, line 4",
        "Answer with the bytes",
    ),
    Case(
        "unused_stage",
        "unused_stage",
        CLASS + "return self.postprocess(data)\n    def preprocess(self, data): return data\n"
        "    def postprocess(self, data): return data\n",
        "H has a handle of its own, which never calls preprocess",
        "h.py, line 3, in handle",
        "self.preprocess(...)",
    ),
    Case(
        "shared_in_self",
        "shared_in_self",
        SHARED,
        "self.size is set for each row of the batch, and postprocess reads it",
        "h.py, line 6, in preprocess",
        "self.size = []",
        request=(Request.json([1]), Request.json([1, 2])),
        worker={"batch_size": 2},
    ),
    Case(
        "shared_in_self",
        "shared_in_self",
        SHARED.replace(
            "        for row in data:\n            self.size = len(row['body'])\n        return data\n",
            "        return [self.read(row) for row in data]\n    def read(self, row):\n"
            "        value = row['body']\n        self.size = len(value)\n        return value\n",
        ),
        "self.size is set for each row of the batch, and postprocess reads it",
        "h.py, line 8, in read",
        "append to it",
        request=(Request.json([1]), Request.json([1, 2])),
        worker={"batch_size": 2},
    ),
]


@pytest.mark.parametrize("case", WARNINGS, ids=str)
def test_warning(case: Case, tmp_path: Path, fired: list[str]) -> None:
    requests = case.request if isinstance(case.request, tuple) else (case.request,)
    with start(case, tmp_path) as worker:
        run = worker.predict(*requests)
    assert run.ok
    assert fired == [case.rule]
    (found,) = run.findings
    check(case, found)
    assert found.severity == "warning"


def test_kservev2_answers_with_the_id_of_a_request_that_failed(tmp_path: Path) -> None:
    source = body("return [data[0]['data'][0]]")
    with start(Case("", "", source, "", worker=V2), tmp_path) as worker:
        failed = worker.predict(Request.json({"id": "old", "inputs": [{**INPUT, "shape": [0], "data": []}]}))
        run = worker.predict(Request.json({"inputs": [INPUT]}))
        fresh = worker.predict(Request.json({"id": "mine", "inputs": [INPUT]}))
    assert not failed.ok
    assert run.response.json()["id"] == "old"
    assert [found.name for found in run.findings] == ["envelope_id"]
    assert fresh.findings == ()


#: Nothing is wrong with any of these.
FINE: list[tuple[str, Request, dict[str, Any]]] = [
    (ROWS, Request.json({"a": 1}), {}),
    (ROWS, Request.text("é"), {}),
    (ROWS, Request(body=b"\xff\xd8", headers={"Content-Type": "image/jpeg"}), {}),
    (ROWS, Request.form({"a": "1", "b": ""}), {}),
    (ROWS, Request.multipart(Part("data", b"x", "a.png", "image/png"), Part("k", "5")), {}),
    (ROWS, Request(method="GET"), {}),
    (ROWS, Request.form({"a": "1"}, path="/models/m/invoke", query="b=2"), {}),
    (body("import json; return [json.loads(row['body'])['a'] for row in data]"), Request(body=b'{"a": 1}'), {}),
    (IDIOM, Request.json(0), {}),
    (body("return ['NaN is what it says']"), Request(), {}),
    (body("return [{'text': 'NaN bread'}]"), Request(), {}),
    (body("return [b'PK\\x03\\x04 a zip of its own']"), Request(), {}),
    (body("context.set_response_content_type(0, 'text/html'); return ['x']"), Request(), {}),
    (body("context.set_response_status(201, 'Created', 0); return ['x']"), Request(), {}),
    (
        body("h = context.get_request_header; return [h(0, 'content-type') or h(0, 'Content-Type')]"),
        Request.json(1),
        {},
    ),
    (body("return [str(context.get_request_header(0, 'explain') == 'True')]"), Request(), {}),
    (body("return ['x' if context.get_request_header(0, 'x-nothing') else 'y']"), Request(), {}),
    (EXPLAINS, Request.json(1), {}),
    (EXPLAINS, Request.json(1, path="/explanations/m"), {}),
    (body("return list(data)"), TWO, JSON),
    (body("return [row['data'][0] for row in data]"), Request.json({"inputs": [INPUT]}), V2),
    (
        body("context.metrics.add_counter('Cats', 1); return ['x']"),
        Request(),
        {"config_properties": {"model_metrics_auto_detect": True}},
    ),
    (body("return [0]"), Request.json(1), {"batch_size": 2, "max_batch_delay": 0}),
    (
        "import logging\n" + body("logging.info('kept'); return ['x']"),
        Request.json(1, headers={"X-Other": "explain"}),
        {},
    ),
]


@pytest.mark.parametrize("in_process", [True, False], ids=["here", "process"])
def test_nothing_is_found_where_nothing_is_wrong(in_process: bool, tmp_path: Path) -> None:
    for number, (source, request, options) in enumerate(FINE):
        (tmp_path / str(number)).mkdir()
        with start(
            Case("", "", source, "", worker={**options, "in_process": in_process}), tmp_path / str(number)
        ) as worker:
            run = worker.predict(request)
        assert run.ok, (source, run.findings)
        assert run.findings == (), source


@pytest.mark.parametrize("streamed", [False, True])
def test_transfer_encoding_is_in_vain_in_a_stream_alone(streamed: bool, tmp_path: Path) -> None:
    """Elsewhere the frontend sends it as it was set, to whatever effect."""
    sends = "send_intermediate_predict_response(['a'], context.request_ids, '', 200, context); " if streamed else ""
    source = "from ts.handler_utils.utils import send_intermediate_predict_response\n" + body(
        f"context.set_response_header(0, 'Transfer-Encoding', 'identity'); {sends}return ['b']"
    )
    with start(Case("header_in_vain", "header_in_vain", source, ""), tmp_path) as worker:
        run = worker.predict(Request.json(1))
    assert run.response.header("transfer-encoding") == ("chunked" if streamed else "identity")
    assert ("header_in_vain" in [finding.name for finding in run.findings]) == streamed


def test_describe_in_the_queue_ends_the_wait_of_a_batch(tmp_path: Path) -> None:
    with start(Case("", "", body("return [{}] * len(data)"), "", worker={"batch_size": 4}), tmp_path) as worker:
        run = worker.predict(Request.json(1), Request("GET", "/models/m", query="customized=true"))
    assert [found.name for found in run.findings] == []


def test_warning_stays_beside_a_success(tmp_path: Path) -> None:
    with start(Case("", "", ROWS, ""), tmp_path) as worker:
        run = worker.predict(Request.json(1, query="a=1"))
    assert run.raise_for_status() is run
    assert "'a'" in str(run.findings[0])


def test_display_tells_a_warning_from_a_cause(tmp_path: Path) -> None:
    with start(Case("", "", ROWS, ""), tmp_path) as worker:
        fine, failed = (worker.predict(Request.json(1, query=query, path=path)) for query, path in ASKED)
    assert "warning: The handler does not get" in view(fine).text
    assert 'class="hk-finding hk-quiet"' in view(fine).html
    assert "cause: There is no model" in view(failed).text
    assert "hk-finding hk-quiet" not in view(failed).html


ASKED = [("a=1", None), ("", "/predictions/other")]


def test_no_rule_is_asked_of_a_plain_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules would cost more than the rest of a small request."""
    asked: list[Any] = []
    monkeypatch.setattr("handlerkit.why.explain", lambda evidence: asked.append(evidence) or ())
    with start(Case("", "", body("return data"), ""), tmp_path) as worker:
        worker.predict(Request.json([0.5] * 10))  # the first, and no stage beside handle that it might skip
        assert asked == []
        worker.predict(Request.json([float("nan")]))
        assert len(asked) == 1


def test_context_is_what_it_was(tmp_path: Path) -> None:
    source = body("return [[type(context).__name__, type(context).__module__, sorted(vars(context))]]")
    source += "import copy\n"
    with start(Case("", "", source, ""), tmp_path) as worker:
        name, module, attributes = worker.predict(Request()).raise_for_status().response.json()
    assert (name, module) == ("Context", "ts.context")
    assert not [attribute for attribute in attributes if "note" in attribute or "watch" in attribute]


def test_every_rule_has_a_case() -> None:
    rules = {rule.__name__ for subject in warnings.SUBJECTS for rule in subject.rules}
    assert rules == {case.rule for case in WARNINGS} | {"stale_id"}
