"""Files and rows through a model's workers: failures, deaths, kills and what follows them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from waiting import soon

pytestmark = pytest.mark.timeout(180)

HANDLER = """\
import os, time
from ts.handler_utils.utils import send_intermediate_predict_response

def handle(data, context):
    if not data:
        return []
    answers = []
    for row in data:
        body = bytes(row["body"]).decode()
        if body.startswith("stream"):
            send_intermediate_predict_response(["piece"] * len(data), context.request_ids, "", 200, context)
            body = body[7:]
        if body == "raise":
            raise ValueError("no such thing")
        if body == "exit":
            os._exit(3)
        if body.startswith("sleep"):
            time.sleep(float(body[5:]))
        if body == "teapot":
            context.set_response_status(418, "teapot", len(answers))
        answers.append({"body": body, "batch": len(data)})
    return answers
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A models.json, and an empty folder of inputs."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "handler.py").write_text(HANDLER)
    models = [{"name": "m", "version": "1.0", "model_dir": "model", "handler": "handler.py"}]
    (tmp_path / "models.json").write_text(json.dumps({"models": models}))
    (tmp_path / "in").mkdir()
    return tmp_path


def fill(folder: Path, *bodies: str) -> None:
    for number, body in enumerate(bodies):
        (folder / "in" / f"{number:03}.bin").write_text(body)


def command(*options: str, inputs: Sequence[str] = ("in",), output: str = "out.jsonl") -> list[str]:
    script = "import sys; from handlerkit.serving.command import main; sys.exit(main('models.json'))"
    return [sys.executable, "-c", script, "bulk", *inputs, output, *options]


def bulk(
    folder: Path, *options: str, inputs: Sequence[str] = ("in",), output: str = "out.jsonl"
) -> subprocess.CompletedProcess[str]:
    asked = command(*options, inputs=inputs, output=output)
    return subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=False, timeout=150)


def rows(file: Path) -> dict[str, dict[str, object]]:
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert max(Counter(one["name"] for one in found).values()) == 1
    return {one["name"].removeprefix("in/").removesuffix(".bin"): one for one in found}


def test_batches_are_as_large_as_asked(folder: Path) -> None:
    fill(folder, *"abcdefg")
    done = bulk(folder, "--batch-size", "3")
    assert done.returncode == 0, done.stderr
    found = rows(folder / "out.jsonl")
    assert [found[name]["json"] for name in sorted(found)] == [
        {"body": body, "batch": size} for body, size in zip("abcdefg", (3, 3, 3, 3, 3, 3, 1), strict=True)
    ]
    assert done.stderr.splitlines()[-1].startswith("7 of 7 (100 %), ")


def test_an_input_that_fails_costs_its_own_row(folder: Path) -> None:
    fill(folder, "a", "raise", "teapot", "b", "exit", "c")
    (folder / "in" / "999.bin").symlink_to("nowhere")
    done = bulk(folder, "--batch-size", "8", "--workers", "2")
    assert done.returncode == 0, done.stderr
    found = rows(folder / "out.jsonl")
    assert {name: one["status"] for name, one in found.items()} == {
        "000": 200, "001": 503, "002": 418, "003": 200, "004": 500, "005": 200, "999": 0,
    }  # fmt: skip
    assert found["001"]["message"] == "Prediction failed: ValueError: no such thing"
    assert str(found["004"]["message"]).startswith("Worker died.")
    assert found["999"]["message"] == "it cannot be read: No such file or directory"


def test_a_cause_is_told_though_lines_are_read_late(folder: Path) -> None:
    fill(folder, "a", "raise", "exit", "b")
    late = command("--batch-size", "1")
    late[2] = f"from handlerkit.serving.workers import processes; processes._PAUSE = 1; {late[2]}"
    done = subprocess.run(late, cwd=folder, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr
    messages = {name: one["message"] for name, one in rows(folder / "out.jsonl").items()}
    assert messages == {
        "000": "",
        "001": "Prediction failed: ValueError: no such thing",
        "002": "Worker died. The worker closed the connection.",
        "003": "",
    }


def test_a_stream_that_breaks_off_has_failed(folder: Path) -> None:
    fill(folder, "stream raise", "stream exit", "stream")
    done = bulk(folder)
    assert done.returncode == 0, done.stderr
    found = rows(folder / "out.jsonl")
    assert [(found[name]["status"], found[name].get("body")) for name in ("000", "001")] == [(200, "piece")] * 2
    assert found["000"]["message"] == "The answer broke off: ValueError: no such thing"
    assert str(found["001"]["message"]).startswith("Worker died.")
    assert found["002"]["message"] == ""
    assert ", 2 failed, " in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("output", ["in/results", "in/results.jsonl"])
def test_what_a_run_has_written_is_no_input_of_the_next(folder: Path, output: str) -> None:
    fill(folder, *"ab")
    assert bulk(folder, output=output).returncode == 0
    done = bulk(folder, output=f"./{output}")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].startswith("2 of 2 (100 %)")


def begun(folder: Path) -> subprocess.Popen[str]:
    """A run that has written a part, of five rows."""
    first = command()
    first[2] = f"from handlerkit.serving.bulk import results; results._ROWS = 5; {first[2]}"
    process = subprocess.Popen(first, cwd=folder, stderr=subprocess.PIPE, text=True)
    while not list((folder / ".out.jsonl.parts").glob("part-*")):
        assert process.poll() is None
        time.sleep(0.05)
    return process


def kept(folder: Path) -> int:
    return sum(len(part.read_text().splitlines()) for part in (folder / ".out.jsonl.parts").glob("part-*"))


def test_a_killed_run_goes_on_without_loss_or_doubling(folder: Path) -> None:
    fill(folder, *("sleep0.2" for _ in range(60)))
    with begun(folder) as process:
        process.kill()
    assert 0 < kept(folder) < 60
    done = bulk(folder, "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert len(rows(folder / "out.jsonl")) == 60
    assert not (folder / ".out.jsonl.parts").exists()
    again = bulk(folder)
    assert (again.returncode, len(rows(folder / "out.jsonl"))) == (0, 60)


def test_rows_of_other_inputs_are_not_counted_and_no_file_is_scored_twice(folder: Path) -> None:
    fill(folder, *"abcd")
    assert bulk(folder, inputs=("in", "./in")).returncode == 0
    (folder / "other").mkdir()
    (folder / "other" / "e").write_text("e")
    done = bulk(folder, inputs=("other", str(folder / "in" / "000.bin")))
    assert (done.returncode, len(rows(folder / "out.jsonl"))) == (0, 5)
    assert done.stderr.splitlines()[-1].startswith("2 of 2 (100 %), ")


def test_ctrl_c_keeps_what_is_scored(folder: Path) -> None:
    fill(folder, *("sleep0.2" for _ in range(200)))
    with begun(folder) as process:
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130, said
    assert not psutil.wait_procs(workers, 10)[1]
    assert 5 <= kept(folder) < 200
    assert f"{kept(folder)} of 200" in said


def test_a_model_that_does_not_load(folder: Path) -> None:
    (folder / "model" / "handler.py").write_text("import no_such_module\n")
    fill(folder, "a")
    done = bulk(folder)
    assert done.returncode == 1
    assert "No module named 'no_such_module'" in done.stderr
    assert done.stderr.splitlines()[-1] == "m does not load: its process ended with status 1"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "other"), "there is no model 'other': choose m"),
        (("--workers", "0"), "'0' is not a whole number from 1 on"),
    ],
)
def test_a_slip_is_one_sentence(folder: Path, options: tuple[str, ...], said: str) -> None:
    done = bulk(folder, *options)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_not_there_is_told_before_a_worker_starts(folder: Path) -> None:
    (folder / "in").rmdir()
    done = bulk(folder)
    assert (done.returncode, done.stderr) == (1, "in is not there\n")


def test_nothing_to_do_starts_no_worker(folder: Path) -> None:
    done = bulk(folder)
    assert (done.returncode, (folder / "out.jsonl").read_text()) == (0, "")
    assert os.listdir(folder / "in") == []


@pytest.mark.server
@pytest.mark.timeout(300)
def test_on_ray(folder: Path) -> None:
    pytest.importorskip("ray.data", reason="ray is not installed: pip install 'ray[data]'")
    fill(folder, *(f"{number}" for number in range(100)), "raise")
    (temporary := folder / "t").mkdir()
    own = {"TMPDIR": str(temporary), "RAY_TMPDIR": tempfile.gettempdir()}  # whose paths have to be short
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", **own}
    asked = command("--ray", "--workers", "2", "--batch-size", "4")
    done = subprocess.run(
        asked, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=250
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = rows(folder / "out.jsonl")
    assert Counter(one["status"] for one in found.values()) == {200: 100, 503: 1}
    assert found["100"]["message"] == "Prediction failed: ValueError: no such thing"
    assert soon(lambda: not list(temporary.glob("serving-*")))
