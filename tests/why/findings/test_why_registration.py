"""What a registration sets aside without a word: Worker.load_findings."""

from __future__ import annotations

from pathlib import Path

import pytest
from why_cases import Case, body, check, start

LINE_1 = "model-config.yaml, line 1"
ANSWER = body("return ['x'] * len(data)")


def config(text: str) -> dict[str, dict[str, str]]:
    return {"model": {"config_file": "model-config.yaml"}, "extra": {"model-config.yaml": text}}


SET_ASIDE = [
    Case(
        "",
        "timeout_set_aside",
        ANSWER,
        "response_timeout=5 does not count",
        fix="responseTimeout: 5",
        worker={"response_timeout": 5},
        **config("batchSize: 1\n"),
    ),
    Case(
        "",
        "timeout_set_aside",
        ANSWER,
        "default_startup_timeout=300 in config.properties does not count for this model",
        fix="startupTimeout: 300 into model-config.yaml",
        worker={"config_properties": {"default_startup_timeout": 300}},
        **config("batchSize: 1\n"),
    ),
    Case(
        "",
        "config_value",
        ANSWER,
        "batchSize: '4' in the config file",
        fix="batchSize: 4",
        where=LINE_1,
        **config('batchSize: "4"'),
    ),
    Case(
        "",
        "config_value",
        ANSWER,
        "maxBatchDelay: 2.0",
        fix="maxBatchDelay: 4",
        where=LINE_1,
        **config("maxBatchDelay: 2.0"),
    ),
    Case(
        "",
        "envelope_setting",
        ANSWER,
        "service_envelope in the config file does not count",
        fix="service_envelope=json into config.properties",
        where=LINE_1,
        **config("service_envelope: json\n"),
    ),
    Case(
        "",
        "worker_counts",
        ANSWER,
        "count only together",
        fix="Write both",
        where=LINE_1,
        **config("minWorkers: 2\n"),
    ),
    Case(
        "",
        "worker_counts",
        ANSWER,
        "count only",
        fix="both",
        where=LINE_1,
        **config("minWorkers: 2\nmaxWorkers: 1\n"),
    ),
    Case(
        "",
        "requirements",
        ANSWER,
        "requirements.txt is in the archive",
        fix="install_py_dep_per_model=true",
        model={"requirements_file": "requirements.txt"},
        extra={"requirements.txt": "numpy\n"},
    ),
    Case("", "no_function", ANSWER, "has no function go", fix="Define go", model={"handler": "h:go"}),
    Case(
        "",
        "function_wins",
        ANSWER + "def handle(data, context): return ['f'] * len(data or ())\n",
        "uses the function",
        fix="Remove or rename",
    ),
]


def test_function_that_calls_the_class_of_its_file_is_no_surprise(tmp_path: Path) -> None:
    source = ANSWER + "service = H()\ndef handle(data, context): return service.handle(data or [], context)\n"
    with start(Case("", "", source, ""), tmp_path) as worker:
        assert list(worker.load_findings) == []


@pytest.mark.parametrize("case", SET_ASIDE, ids=lambda case: case.message)
def test_setting_that_does_not_count(case: Case, tmp_path: Path) -> None:
    with start(case, tmp_path) as worker:
        (found,) = worker.load_findings
    check(case, found)
    assert found.severity == "warning"


@pytest.mark.parametrize(
    "case",
    [
        Case("", "", ANSWER, ""),
        Case("", "", ANSWER, "", worker={"response_timeout": 5}),
        Case("", "", ANSWER, "", worker={"response_timeout": 5}, **config("responseTimeout: 5\n")),
        Case("", "", ANSWER, "", **config("minWorkers: 1\nmaxWorkers: 2\nhandler: {a: '4'}\n")),
        Case("", "", "class Helper:\n    pass\ndef handle(data, context): return ['x'] * len(data or ())\n", ""),
        Case(
            "",
            "",
            ANSWER,
            "",
            model={"requirements_file": "requirements.txt"},
            extra={"requirements.txt": "numpy\n"},
            worker={"config_properties": {"install_py_dep_per_model": True}},
        ),
    ],
)
def test_nothing_is_said_where_all_counts(case: Case, tmp_path: Path) -> None:
    with start(case, tmp_path) as worker:
        assert worker.load_findings == ()
