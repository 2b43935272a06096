"""A Worker's process: answers, deaths, restarts, load failures and what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import soon

from handlerkit.endpoints.lifecycle import BackOff
from handlerkit.endpoints.worker import Worker
from handlerkit.errors import LoadError
from handlerkit.messages import Part, Request, Run
from handlerkit.model import Model

pytestmark = pytest.mark.usefixtures("no_pause")

OWNER = """
import sys
from handlerkit import Model, Request, Worker

worker = Worker(Model("m", handler=sys.argv[1]))
where = "import os; out = [f'{os.getpid()} {os.getppid()} {os.getcwd()}']"
print(worker.predict(Request(headers={"x-py": where})).response.text, flush=True)
worker.predict(Request(headers={"x-py": sys.argv[2]}))
"""


def run_code(worker: Worker, *codes: str, **given: Any) -> Run:
    """A request for each piece of code, for the handler runs_code."""
    return worker.predict(*(Request(headers={"x-py": code}, **given) for code in codes))


def text(worker: Worker, code: str) -> str:
    return run_code(worker, code).response.text


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


@pytest.fixture(scope="module")
def worker(handlers: Path) -> Iterator[Worker]:
    """One that runs the code it is sent, in batches of two; response_timeout 1 s."""
    model = Model("m", handler=handlers / "runs_code.py")
    with Worker(model, batch_size=2, max_batch_delay=100, response_timeout=1) as worker:
        yield worker


@pytest.fixture(scope="module")
def inside(handlers: Path) -> Iterator[Worker]:
    """The same in this process."""
    model = Model("m", handler=handlers / "runs_code.py")
    with Worker(model, batch_size=2, max_batch_delay=100, in_process=True) as worker:
        yield worker


SEND = "from ts.handler_utils.utils import send_intermediate_predict_response as send; "
PIECE = "send(['a'], context.request_ids, 'one', 200, context); "


class TestAnswers:
    @pytest.mark.parametrize(
        "code",
        [
            "out = [data[0]['body']]",
            "out = [{'a': 1, 'b': [None, True]}]",
            "import torch; out = [torch.arange(3)]",
            "out = ['']",
            "context.set_response_content_type(0, 'text/plain'); out = ['é']",
            "context.set_response_status(404, 'Not Here', 0); context.set_response_header(0, 'X-A', '1'); out = ['no']",
            SEND + PIECE + PIECE + "out = ['b']",
            SEND + PIECE + "raise ValueError('broken off')",
            "raise KeyError('data')",
            "data[0]['data']",
            "data['body']",
            "undefined",
            "import nobody_has_this",
            "raise MemoryError",
            "raise RuntimeError('CUDA is full')",
            "from ts.utils.util import PredictionException; raise PredictionException('gone', 413)",
            "class Odd(Exception): pass\nraise Odd('two\\nlines')",
            "out = {'a': 1}",
            "out = [1, 2, 3]",
        ],
    )
    def test_are_those_of_a_worker_in_this_process(self, worker: Worker, inside: Worker, code: str) -> None:
        there, here = run_code(worker, code), run_code(inside, code)
        seen = [
            (
                run.response.status,
                [pair for pair in run.response.headers if pair[0] != "x-request-id"],
                run.response.chunks or run.response.body,
                run.response.complete,
                run.findings,
                run.error and (run.error.type, run.error.message, [frame.file for frame in run.error.frames[:3]]),
            )
            for run in (there, here)
        ]
        assert seen[0] == seen[1]

    def test_value_that_json_cannot_carry(self, worker: Worker) -> None:
        run = run_code(worker, "out = [{1, 2}]")
        assert run.response.status == 503
        assert [(found.name, found.fix) for found in run.findings] == [("not_serializable", "Use sorted(value).")]
        assert run.error is None

    def test_batch(self, worker: Worker) -> None:
        run = run_code(worker, "out = [str(len(data))] * len(data)", "", "")
        assert [response.text for response in run.responses] == ["2", "2", "ok"]
        assert len(run.calls) == 2

    def test_large_body_comes_back(self, worker: Worker) -> None:
        body = os.urandom(4_000_000)
        assert run_code(worker, "out = [data[0]['body']]", body=body).response.body == body

    def test_many_lines_do_not_stop_the_worker(self, handlers: Path) -> None:
        code = "for i in range(20_000): print('line', i)\nimport sys; print('error', file=sys.stderr)"
        with Worker(Model("m", handler=handlers / "runs_code.py")) as worker:
            run = run_code(worker, code)
        lines = [line.text for line in run.logs if line.text.startswith("line ")]
        assert lines == [f"line {i}" for i in range(20_000)]
        assert [line.text for line in run.logs if line.level == "WARN"] == ["error"]

    def test_lines_while_the_message_is_still_sent(self, worker: Worker) -> None:
        """A warning with a traceback for each of many parts: more than a pipe holds, and the parts are more than the
        socket holds."""
        parts = [Part(f"p{number}", b"{" * 4000, "f", "application/json") for number in range(300)]
        run = worker.predict(Request.multipart(*parts))
        assert run.response.text == "ok"
        assert sum(line.text.startswith("Failed json decoding") for line in run.logs) == 300

    def test_metrics_and_total_time(self, worker: Worker) -> None:
        run = run_code(worker, "import time; time.sleep(0.1)")
        assert [sample.name for sample in run.metrics] == ["PredictionTime"]
        assert 0.1 < run.timings.total < 1
        assert list(run.timings.stages) == ["decode", "handle", "encode"]

    def test_no_path_of_this_machine_is_told(self, worker: Worker) -> None:
        run = run_code(worker, "import os; print(os.getcwd()); raise ValueError(os.getcwd())")
        told = "\n".join([*(line.text for line in run.logs), run.error.traceback if run.error else ""])
        assert "<model_dir>" in told
        assert not any(path in told for path in (sys.prefix, "/tmp", str(Path(__file__).parents[3])))

    def test_folders_of_logs_and_metrics_are_there(self, worker: Worker) -> None:
        code = (
            "import os\nfor name in ('LOG', 'METRICS'): open(os.environ[f'{name}_LOCATION'] + '/own.log', 'a').close()"
        )
        assert text(worker, code) == "ok"

    def test_process_is_as_torchserve_starts_it(self, worker: Worker) -> None:
        code = """import os, sys
out = [[os.getcwd() == sys.path[0], os.environ["PYTHONPATH"] == sys.path[0] + ":",
        os.environ.get("TS_DECODE_INPUT_REQUEST"), os.environ.get("MPLBACKEND"),
        sys.modules["__main__"].__file__.rpartition("/")[2], os.getpgid(0) == os.getpid()]]"""
        told = run_code(worker, code).response.json()
        assert told == [True, True, "true", None, "model_service_worker.py", True]

    def test_entry_point(self, worker: Worker) -> None:
        assert worker.entry_point == "function handle"


#: What ends the worker, the finding's name, and words of it.
DEATHS = {
    "exit": ("import os; os._exit(3)", "worker_exit", "ended with status 3"),
    "sys_exit": ("import sys; sys.exit(4)", "worker_exit", "raised SystemExit: 4"),
    "segfault": ("import ctypes; ctypes.string_at(0)", "worker_exit", "ended by SIGSEGV"),
    "kill": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "worker_exit", "507 instead of 500"),
    "endless": ("exec('while True: pass')", "worker_timeout", "longer than the response_timeout of 1 s"),
    "header": ("context.set_response_header(0, 'X-A', 'a\\r\\nb')", "worker_header", "is not an HTTP header"),
    "phrase": ("context.set_response_status(200, 'Schön', 0)", "status_arguments", "which cannot be sent"),
    "cycle": ("out[0] = out", "worker_encode", "Circular reference"),
    "large": ("out[0] = 'x' * 7_000_000", "worker_size", "7000000 bytes"),
}


class TestDeath:
    @pytest.mark.parametrize("kind", DEATHS)
    def test_is_told_and_the_next_request_finds_a_fresh_worker(self, worker: Worker, kind: str) -> None:
        code, name, words = DEATHS[kind]
        text(worker, "kept['state'] = 1")
        run = run_code(worker, "print('last words'); out = [''] * len(data); " + code, "")
        for response in run.responses:
            assert (response.status, response.json()["message"]) == (500, "Worker died.")
        assert [found.name for found in run.findings] == [name]
        assert words in run.findings[0].message
        assert "last words" in [line.text for line in run.logs]
        assert text(worker, "out = [str(kept)]") == "{}"

    def test_in_a_stream_breaks_it_off(self, worker: Worker) -> None:
        run = run_code(worker, SEND + PIECE + PIECE + "import os; os._exit(1)")
        assert (run.response.status, run.response.chunks, run.response.complete) == (200, (b"a", b"a"), False)

    def test_of_an_idle_worker_is_not_told(self, worker: Worker) -> None:
        text(worker, "import os, threading; threading.Timer(0.1, os._exit, [0]).start()")
        time.sleep(0.5)
        assert text(worker, "") == "ok"

    def test_answer_after_the_end_of_a_stream_takes_the_next_request_with_it(self, worker: Worker) -> None:
        assert run_code(worker, SEND + PIECE.replace("200", "500")).response.json()["message"] == "one"
        run = run_code(worker, "")
        assert (run.response.status, run.findings[0].name) == (500, "worker_stale")

    def test_pauses_grow_until_the_worker_loads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        slept: list[float] = []
        monkeypatch.setattr(time, "monotonic", lambda: 50.0)
        monkeypatch.setattr(time, "sleep", slept.append)
        pause = BackOff()
        for _ in range(6):
            pause.died()
            pause.wait()
        pause.loaded()
        pause.died()
        pause.wait()
        assert slept == [1, 1, 2, 3, 5, 8, 1]

    def test_stage_of_micro_batching_that_raises_never_answers(self, handlers: Path) -> None:
        model = Model("m", handler=handlers / "micro_batches.py")
        with Worker(model, response_timeout=1) as worker:
            assert worker.predict(Request.json(2)).response.text == "4"
            run = worker.predict(Request.json({}))
        assert (run.response.status, run.findings[0].name) == (500, "micro_batching")
        assert any("TypeError" in line.text for line in run.logs)


FUNCTION = "def handle(data, context):\n    "
CLASS = "class H:\n    def handle(self, data, context): return ['ok']\n    def initialize(self, context): "


#: Handlers that do not load: their source, the status and the error, the finding's name.
FAILURES = {
    "import": ("import nobody_has_this\n", 500, "ModuleNotFoundError", "import"),
    "syntax": ("def handle(:\n", 500, "SyntaxError", "syntax"),
    "classes": ("class A: pass\nclass B: pass\n", 500, "ValueError", "class_count"),
    "none": (FUNCTION + "return [row for row in data]\n", 500, "TypeError", "none_at_load"),
    "method": ("class H:\n    def handle(self, data, context): pass\n", 500, "AttributeError", "no_method"),
    "memory": (CLASS + "raise RuntimeError('CUDA is full')\n", 507, "RuntimeError", "memory"),
    "exit": (CLASS + "import sys; sys.exit(5)\n", 500, "SystemExit", "load"),
    "exit at once": (CLASS + "import os; os._exit(5)\n", 500, None, "worker_exit"),
    "slow": (CLASS + "import time; time.sleep(60)\n", 500, None, "worker_timeout"),
}


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoadError]:
    """All of them, two at a time."""
    files = {kind: tmp_path_factory.mktemp(kind) / "odd.py" for kind in FAILURES}
    for kind, file in files.items():
        file.write_text(FAILURES[kind][0])

    def load(file: Path) -> LoadError | None:
        try:
            Worker(Model("odd", handler=file), {"default_startup_timeout": 3}).close()
        except LoadError as problem:
            return problem
        return None

    with ThreadPoolExecutor(2) as pool:
        problems = dict(zip(files, pool.map(load, files.values()), strict=True))
    return {kind: problem for kind, problem in problems.items() if problem}


class TestLoad:
    @pytest.mark.parametrize("kind", FAILURES)
    def test_failure(self, failures: dict[str, LoadError], kind: str) -> None:
        problem, (_, status, error, finding) = failures[kind], FAILURES[kind]
        assert problem.response.status == status
        assert problem.response.json()["message"] == "Failed to start workers for model odd version: 1.0"
        assert (problem.error and problem.error.type) == error
        assert [found.name for found in problem.findings] == [finding]
        assert not any("/tmp/" in line for line in problem.logs)

    def test_that_fails_again(self, tmp_path: Path) -> None:
        """The server answers where the worker reports the failure; where it dies of it, the client waits."""
        file = tmp_path / "once.py"
        file.write_text(FUNCTION + "print('loaded' if data is None else 'called')\n    return ['ok']\n")
        with Worker(Model("once", handler=file)) as worker:
            assert [line.text for line in worker.load_logs] == ["loaded"]
            worker.close()
            file.write_text("raise RuntimeError('mine')\n")
            run = worker.predict(Request())
            assert (run.response.status, [found.name for found in run.findings]) == (500, ["load"])
            file.write_text("raise ValueError('mine')\n")
            run = worker.predict(Request())
            assert (run.response.status, [found.name for found in run.findings]) == (None, ["no_worker", "load"])


class TestEnd:
    def test_interrupt_stops_the_handler_and_says_where(self, worker: Worker) -> None:
        text(worker, "")
        threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt, match=r"^runs_code.py, line 10, in handle: exec"):
            text(worker, "kept['here'] = 1; import time; time.sleep(0.9)")
        assert text(worker, "out = [str(kept.pop('here'))]") == "1"

    def test_interrupt_that_the_handler_swallows(self, worker: Worker) -> None:
        threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
        code = "import time\ntry: time.sleep(0.9)\nexcept BaseException: out = ['swallowed']"
        assert text(worker, code) == "swallowed"

    def test_second_interrupt_ends_the_worker(self, worker: Worker) -> None:
        text(worker, "kept['here'] = 1")
        for seconds in (0.2, 0.4):
            threading.Timer(seconds, os.kill, [os.getpid(), signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            text(worker, "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(0.9)")
        assert text(worker, "out = [str(kept)]") == "{}"

    def test_interrupt_while_loading(self, tmp_path: Path) -> None:
        (tmp_path / "sleeps.py").write_text("import time\ntime.sleep(20)\n")
        before = children()
        threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            Worker(Model("m", handler=tmp_path / "sleeps.py"))
        assert not children() - before

    def test_keyboard_interrupt_of_the_handler_is_a_dead_worker(self, worker: Worker) -> None:
        response = run_code(worker, "raise KeyboardInterrupt").response
        assert (response.status, response.json()["message"]) == (500, "Worker died.")

    def test_close_leaves_nothing(self, handlers: Path) -> None:
        before = children()
        worker = Worker(Model("m", handler=handlers / "runs_code.py"))
        folder = Path(text(worker, "import os; out = [os.getcwd()]"))
        started = children() - before
        assert folder.is_dir()
        assert started
        worker.close()
        assert not folder.exists()
        assert not started & children()
        assert not any(map(psutil.pid_exists, started))

    @pytest.mark.parametrize(
        ("code", "killed"),
        [
            ("exec('while True: pass')", True),
            ("import threading, time; threading.Thread(target=time.sleep, args=[60]).start()", False),
        ],
        ids=["killed while the handler runs", "threads of the handler still run"],
    )
    def test_of_this_process_leaves_nothing(self, handlers: Path, code: str, killed: bool) -> None:
        command = [sys.executable, "-c", OWNER, str(handlers / "runs_code.py"), code]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
            assert owner.stdout is not None
            worker, watchdog, folder = owner.stdout.readline().split()
            if killed:
                time.sleep(0.2)
                owner.kill()
            assert owner.wait(30) == (-signal.SIGKILL if killed else 0)
        assert soon(lambda: not psutil.pid_exists(int(worker)) and not psutil.pid_exists(int(watchdog)))
        assert soon(lambda: not Path(folder).parent.exists())
