"""The process that makes workers: what it spares the notebook's process, and its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from waiting import soon

from handlerkit.endpoints.loads import fork_server as loads
from handlerkit.endpoints.loads.fork_server import fork_server
from handlerkit.endpoints.worker import Worker
from handlerkit.messages import LogLine, Request
from handlerkit.model import Model
from handlerkit.serving.wire import WorkerResponse

pytestmark = pytest.mark.usefixtures("no_pause")


def text(worker: Worker, code: str) -> str:
    return worker.predict(Request(headers={"x-py": code})).response.text


NOTEBOOK = """
import json, sys, resource
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
shell.run_line_magic("load_ext", "handlerkit")
shell.run_line_magic("model", "m --handler " + sys.argv[1])
for number in range(10):
    run = shell.run_line_magic("request", sys.argv[2])
    assert run.ok, run.findings
    shell.display_formatter.format(run)
print(json.dumps(sorted({"torch", "ts", "torchvision"} & sys.modules.keys())))
"""


def test_notebooks_process_imports_neither_torch_nor_ts(handlers: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1, 2]")
    command = [sys.executable, "-c", NOTEBOOK, str(handlers / "mirror.py"), str(tmp_path / "a.json")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_of_each_kind_of_start(handlers: Path, start: str) -> None:
    """Two of them, and one whose files take the place of a module that is imported already."""
    program = (
        "import sys, handlerkit as hk\n"
        "model = hk.Model('m', handler=sys.argv[1])\n"
        "with hk.Worker(model) as one, hk.Worker(model) as other:\n"
        "    print([worker.predict(hk.Request.text('a')).response.text for worker in (one, other)])\n"
    )
    environment = {**os.environ, "HANDLERKIT_START": start}
    command = [sys.executable, "-c", program, str(handlers / "mirror.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, env=environment, check=False)
    assert (done.stdout, done.returncode) == ("['a', 'a']\n", 0), done.stderr


def test_files_of_the_model_stand_before_modules_that_are_imported_already(tmp_path: Path) -> None:
    (tmp_path / "colorsys.py").write_text("MINE = 'the archive'\n")
    (tmp_path / "h.py").write_text(
        "import colorsys\ndef handle(data, context): return [colorsys.MINE] * len(data or ())\n"
    )
    with Worker(Model("m", handler=tmp_path / "h.py", extra_files=[tmp_path / "colorsys.py"])) as worker:
        assert worker.predict(Request()).response.text == "the archive"


def test_forked_worker_may_use_a_gpu(handlers: Path) -> None:
    """TorchServe's modules ask for one when they are imported, after which no fork could."""
    with Worker(Model("m", handler=handlers / "runs_code.py")) as worker:
        assert text(worker, "import torch; out = [str(torch.cuda._is_in_bad_fork())]") == "False"


@pytest.mark.parametrize(("device", "is_gpu"), [("nvidia0", True), ("kfd", True), ("nvidiactl", False)])
def test_devices_beside_which_nothing_is_forked(tmp_path: Path, device: str, is_gpu: bool) -> None:
    (tmp_path / device).touch()
    assert loads._has_gpu(tmp_path) == is_gpu


def test_worker_dies_with_its_server_and_both_are_started_again(handlers: Path) -> None:
    with Worker(Model("m", handler=handlers / "runs_code.py")) as worker:
        before, worker_id = fork_server().pid, int(text(worker, "import os; out = [str(os.getpid())]"))
        assert before is not None
        os.kill(before, signal.SIGKILL)
        assert soon(lambda: not psutil.pid_exists(worker_id))
        assert text(worker, "") == "ok"
        assert fork_server().pid not in (None, before)


def test_worker_waits_for_no_import_of_what_handlers_of_pictures_need(handlers: Path) -> None:
    """In a process of its own, whose fork server begins with those imports once the first worker is made."""
    program = (
        "import sys, handlerkit as hk\n"
        "model = hk.Model('m', handler=sys.argv[1])\n"
        "code = 'import sys; out = [str(\"ts.torch_handler.vision_handler\" in sys.modules)]'\n"
        "with hk.Worker(model) as one, hk.Worker(model) as other:\n"
        "    print(other.predict(hk.Request(headers={'x-py': code})).response.text)\n"
    )
    environment = {**os.environ, "HANDLERKIT_START": "fork"}
    command = [sys.executable, "-c", program, str(handlers / "runs_code.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, env=environment, check=False)
    assert done.stdout == "False\n", done.stderr


LOOPS = """
import colorsys, os, time

def handle(data, context):
    if data:
        with open(os.environ["IDS"] + ".part", "w") as file:
            file.write(f"{os.getpid()} {os.getppid()} {colorsys.__file__}")
        os.rename(file.name, os.environ["IDS"])
    while data:
        time.sleep(0.1)
"""


@pytest.mark.parametrize(("start", "fresh"), [("fork", False), ("fork", True), ("spawn", False)])
def test_worker_dies_where_its_owner_and_the_server_are_killed_together(
    tmp_path: Path, start: str, fresh: bool
) -> None:
    (tmp_path / "h.py").write_text(LOOPS)
    (tmp_path / "colorsys.py").write_text("")
    program = (
        "import handlerkit as hk\n"
        f"model = hk.Model('m', handler='h.py', extra_files={['colorsys.py'] * fresh})\n"
        "hk.Worker(model).predict(hk.Request())\n"
    )
    ids = tmp_path / "ids"
    environment = {**os.environ, "HANDLERKIT_START": start, "IDS": str(ids)}
    owner = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, env=environment)
    assert soon(ids.exists, 120)
    worker, server, file = ids.read_text().split()
    os.kill(int(server), signal.SIGKILL)
    owner.kill()
    owner.wait()
    assert soon(lambda: not psutil.pid_exists(int(worker)) or psutil.Process(int(worker)).status() == "zombie")
    assert (os.path.dirname(file) != os.path.dirname(os.__file__)) == fresh


def test_processes_that_a_handler_started_end_with_the_worker(handlers: Path) -> None:
    code = "import subprocess; out = [str(subprocess.Popen(['sleep', '60']).pid)]"
    with Worker(Model("m", handler=handlers / "runs_code.py")) as worker:
        started = int(text(worker, code))
        assert psutil.pid_exists(started)
    assert soon(lambda: not psutil.pid_exists(started) or psutil.Process(started).status() == psutil.STATUS_ZOMBIE)


def test_programs_and_c_code_are_heard(handlers: Path) -> None:
    code = "import os; os.system('echo from a program; echo warned >&2'); os.write(1, b'from C\\n')"
    with Worker(Model("m", handler=handlers / "runs_code.py")) as worker:
        logs = worker.predict(Request(headers={"x-py": code})).logs
    assert {("INFO", "from a program"), ("WARN", "warned"), ("INFO", "from C")} <= set(logs)


def test_streams_keep_their_order(handlers: Path) -> None:
    code = "import sys\nfor i in range(50): print(i, file=(sys.stdout, sys.stderr)[i % 2])"
    with Worker(Model("m", handler=handlers / "runs_code.py")) as worker:
        logs = worker.predict(Request(headers={"x-py": code})).logs
    assert [line.text for line in logs if line.text.isdigit()] == [str(number) for number in range(50)]


def test_text_without_line_ends_is_read_once(handlers: Path) -> None:
    code = "import sys\nfor i in range(4000): sys.stdout.write('x' * 2000)"
    with Worker(Model("m", handler=handlers / "runs_code.py")) as worker:
        logs = worker.predict(Request(headers={"x-py": code})).logs
    assert max(len(line.text) for line in logs) >= 8_000_000


def test_events_come_while_the_handler_works(handlers: Path) -> None:
    events: list[tuple[float, LogLine | WorkerResponse]] = []
    code = (
        "import time; from ts.handler_utils.utils import send_intermediate_predict_response as send\n"
        "print('begun'); time.sleep(0.5); send(['a'], context.request_ids, '', 200, context); time.sleep(0.5)\n"
    )
    with Worker(Model("m", handler=handlers / "runs_code.py")) as worker:
        run = worker.predict(
            Request(headers={"x-py": code}), on_event=lambda event: events.append((time.monotonic(), event))
        )
    end = time.monotonic()
    begun = next(at for at, event in events if isinstance(event, LogLine) and event.text == "begun")
    piece = next(at for at, event in events if isinstance(event, WorkerResponse))
    assert begun + 0.2 < piece < end - 0.2
    assert run.response.chunks == (b"a", b"ok")


def test_folder_that_was_removed_is_laid_out_again(handlers: Path) -> None:
    import shutil

    with Worker(Model("m", handler=handlers / "runs_code.py")) as worker:
        text(worker, "kept['a'] = 1")
        shutil.rmtree(worker._loaded.model_dir.parent)  # type: ignore[union-attr]
        run = worker.predict(Request(headers={"x-py": "out = [str(kept)]"}))
    assert run.response.text == "{}"
    assert [found.name for found in run.findings] == ["staged_again"]


def test_without_file_descriptors_it_says_so_in_one_sentence(handlers: Path) -> None:
    program = (
        "import os, resource, sys, handlerkit as hk\n"
        "model = hk.Model('m', handler=sys.argv[1])\nhk.Worker(model).close()\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\nheld = []\n"
        "try:\n    while True: held.append(os.open('/dev/null', os.O_RDONLY))\nexcept OSError: held.pop(); pass\n"
        "[os.close(held.pop()) for _ in range(4)]\n"
        "try: hk.Worker(model)\nexcept hk.errors.WorkerError as problem: print(problem)\n"
    )
    command = [sys.executable, "-c", program, str(handlers / "mirror.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.startswith("no worker process can be started: Too many open files"), done.stderr


def test_class_that_a_worker_makes_up_is_not_made_here() -> None:
    import pickle

    from handlerkit.worker_process.packets import BadPacketError, read_plain

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, ("true",)

    with pytest.raises(BadPacketError, match=r"posix\.system"):
        read_plain(pickle.dumps(Evil()))


def test_where_the_standard_streams_are_closed(handlers: Path, tmp_path: Path) -> None:
    program = (
        "import os, sys, handlerkit as hk\nfor number in (0, 1, 2): os.close(number)\n"
        "with hk.Worker(hk.Model('m', handler=sys.argv[1])) as worker:\n"
        "    run = worker.predict(hk.Request(headers={'x-py': 'print(1); out = [\"fine\"]'}))\n"
        "open(sys.argv[2], 'w').write(run.response.text + str([line.text for line in run.logs if line.text == '1']))\n"
    )
    told = tmp_path / "told"
    command = [sys.executable, "-c", program, str(handlers / "runs_code.py"), str(told)]
    subprocess.run(command, timeout=120, check=True)
    assert told.read_text() == "fine['1']"


def test_large_requests_and_answers(handlers: Path) -> None:
    body = os.urandom(3_000_000)
    with Worker(Model("m", handler=handlers / "runs_code.py")) as worker:
        for size in (0, 65_536, 1_048_000, 1_048_576, 3_000_000, 400_000, 700_000, 5):
            run = worker.predict(Request(body=body[:size], headers={"x-py": "out = [data[0].get('body', b'')]"}))
            assert run.response.body == body[:size]
