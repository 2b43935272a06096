"""Worker: loading and loading again, batches, envelopes, death, times and settings."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handlerkit.archive import Archive
from handlerkit.endpoints import file_watch
from handlerkit.endpoints.worker import Worker
from handlerkit.errors import ConfigError, LoadError
from handlerkit.messages import Request, Run
from handlerkit.model import Model
from handlerkit.timing import STAGES

pytestmark = pytest.mark.usefixtures("no_pause")

Serve = Callable[..., Worker]


@pytest.fixture
def serve(handlers: Path) -> Iterator[Serve]:
    """A worker for one of tests/handlers, or for a handler file; closed at the end."""
    opened: list[Worker] = []

    def serve(handler: str | Path, properties: dict[str, Any] | None = None, **options: Any) -> Worker:
        file = handlers / f"{handler}.py" if isinstance(handler, str) else handler
        files = {name: options.pop(name) for name in ("extra_files", "config_file") if name in options}
        opened.append(Worker(Model("m", handler=file, **files), properties, **options))
        return opened[-1]

    yield serve
    for worker in opened:
        worker.close()


def texts(run: Run) -> list[str]:
    return [response.text for response in run.responses]


def write(folder: Path, name: str, answer: str) -> Path:
    file = folder / name
    file.write_text(
        f"class H:\n  def initialize(self, c): pass\n  def handle(self, data, c): return [{answer}]*len(data)\n"
    )
    return file


def test_request_of_a_run_names_the_model(serve: Serve) -> None:
    run = serve("mirror").predict(Request(body=b"x"), Request(sent_to=("https://host", "coins")))
    one, other = (exchange.request.as_curl() for exchange in run.exchanges)
    assert one.endswith(" http://127.0.0.1:8080/predictions/m")
    assert other.endswith(" https://host/predictions/coins")


class TestReload:
    def test_new_source_is_used(self, serve: Serve, tmp_path: Path) -> None:
        worker = serve(write(tmp_path, "h.py", "'old'"))
        worker.follows_files = False
        write(tmp_path, "h.py", "'new'")
        assert texts(worker.predict(Request())) == ["old"]
        worker.reload()
        assert texts(worker.predict(Request())) == ["new"]

    def test_new_helper_is_used(self, serve: Serve, handlers: Path, tmp_path: Path) -> None:
        helper = tmp_path / "answers_helper.py"
        helper.write_text("ANSWER = 'old'\n")
        worker = serve("imports_helper", extra_files=[helper])
        helper.write_text("ANSWER = 'new'\n")
        worker.reload()
        assert texts(worker.predict(Request())) == ["new"]

    def test_source_of_the_same_size_and_second_is_read_again(self, serve: Serve, tmp_path: Path) -> None:
        worker = serve(write(tmp_path, "h.py", "'a'"))
        for letter in "bcd":
            write(tmp_path, "h.py", f"'{letter}'")
            worker.reload()
            assert texts(worker.predict(Request())) == [letter]

    def test_failed_reload_is_a_load_error_and_the_next_request_tries_again(self, serve: Serve, tmp_path: Path) -> None:
        worker = serve(write(tmp_path, "h.py", "'a'"))
        (tmp_path / "h.py").write_text("x = 1\n")
        with pytest.raises(LoadError):
            worker.reload()
        run = worker.predict(Request())
        assert run.response.status is None  # a worker that dies of its load takes no request
        assert [finding.name for finding in run.findings] == ["no_worker", "class_count"]
        write(tmp_path, "h.py", "'b'")
        assert texts(worker.predict(Request())) == ["b"]

    def test_state_is_fresh(self, serve: Serve) -> None:
        worker = serve("exits")
        worker.predict(Request())
        worker.reload()
        assert texts(worker.predict(Request())) == ["1"]


class TestFilesOnDisk:
    def ask(self, worker: Worker) -> tuple[str, list[str]]:
        """The answer, and what the findings say."""
        run = worker.predict(Request())
        return run.response.text, [found.message for found in run.findings]

    def test_edited_handler_is_read_again_and_said_so_once(self, serve: Serve, tmp_path: Path) -> None:
        worker = serve(write(tmp_path, "h.py", "'old'"))
        assert self.ask(worker) == ("old", [])
        write(tmp_path, "h.py", "'new'")
        says = "h.py changed on disk, so the loaded model was kept (only H.handle changed) before this request."
        assert self.ask(worker) == ("new", [says.replace("H.handle", "handle")])
        assert self.ask(worker) == ("new", [])

    def test_edit_that_loading_runs_loads_the_handler_again(self, serve: Serve, tmp_path: Path) -> None:
        worker = serve(write(tmp_path, "h.py", "str(len(open(__file__).read()) > 0)"))
        (tmp_path / "h.py").write_text("print('hello')\n" + (tmp_path / "h.py").read_text())
        answer, (says,) = self.ask(worker)
        assert answer == "True"
        assert "h.py changed on disk, so the handler was loaded again (" in says
        assert [line.text for line in worker.load_logs][:1] == ["hello"]

    def test_edited_helper_and_new_file_of_a_folder(self, serve: Serve, tmp_path: Path) -> None:
        folder = tmp_path / "extra"
        folder.mkdir()
        (folder / "answers_helper.py").write_text("ANSWER = 'old'\n")
        worker = serve("imports_helper", extra_files=[folder])
        (folder / "answers_helper.py").write_text("ANSWER = 'new!'\n")
        answer, (says,) = self.ask(worker)
        assert (answer, says.split(" changed")[0]) == ("new!", "answers_helper.py")
        (folder / "more.txt").write_text("x")
        _, (says,) = self.ask(worker)
        assert says.startswith("more.txt changed on disk, so the handler was loaded again")

    def test_touched_file_is_not_worth_a_word(self, serve: Serve, tmp_path: Path) -> None:
        worker = serve(write(tmp_path, "h.py", "'same'"))
        os.utime(tmp_path / "h.py", (1, 1))
        assert self.ask(worker) == ("same", [])

    def test_file_that_is_no_python_any_more_keeps_the_loaded_handler(self, serve: Serve, tmp_path: Path) -> None:
        worker = serve(write(tmp_path, "h.py", "'old'"))
        pid = worker._loaded.pid  # type: ignore[union-attr]
        (tmp_path / "h.py").write_text("class H:\n  def handle(self, data, c:\n")
        for _ in range(2):
            with pytest.raises(LoadError) as caught:
                worker.predict(Request())
            assert "h.py, line 2" in str(caught.value)
            assert str(caught.value).startswith("m does not load; the handler that was loaded before is kept")
            assert caught.value.error is not None
            assert caught.value.error.type == "SyntaxError"
        write(tmp_path, "h.py", "'new'")
        assert self.ask(worker)[0] == "new"
        assert worker._loaded.pid == pid  # type: ignore[union-attr]

    def test_module_that_nobody_imports_may_be_no_python(self, serve: Serve, tmp_path: Path) -> None:
        other = tmp_path / "other.py"
        other.write_text("x = 1\n")
        worker = serve(write(tmp_path, "h.py", "'same'"), extra_files=[other])
        other.write_text("print 'x'\n")
        assert self.ask(worker)[0] == "same"

    def test_handler_that_does_not_load_any_more_is_a_load_error(self, serve: Serve, tmp_path: Path) -> None:
        worker = serve(write(tmp_path, "h.py", "'old'"))
        (tmp_path / "h.py").write_text("import nobody_has_this\n")
        with pytest.raises(LoadError, match="nobody_has_this"):
            worker.predict(Request())
        write(tmp_path, "h.py", "'new'")
        assert self.ask(worker) == ("new", [])

    def test_deleted_file_leaves_the_loaded_handler(self, serve: Serve, tmp_path: Path) -> None:
        worker = serve(write(tmp_path, "h.py", "'old'"))
        (tmp_path / "h.py").unlink()
        says = "h.py is no longer on disk; the handler that was loaded before answers."
        assert self.ask(worker) == ("old", [says])
        assert self.ask(worker) == ("old", [says])
        write(tmp_path, "h.py", "'new'")
        assert self.ask(worker)[0] == "new"

    def test_file_that_is_being_written_is_waited_for(self, serve: Serve, tmp_path: Path) -> None:
        worker = serve(write(tmp_path, "h.py", "'old'"))
        whole = (tmp_path / "h.py").read_text().replace("old", "new")
        (tmp_path / "h.py").write_text(whole[:40])
        writer = threading.Timer(0.01, (tmp_path / "h.py").write_text, [whole])
        writer.start()
        assert self.ask(worker)[0] == "new"
        writer.join()

    def test_file_that_goes_on_being_written_leaves_the_loaded_handler(
        self, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        weights = tmp_path / "weights.bin"
        weights.write_bytes(b"0")
        worker = serve(write(tmp_path, "h.py", "'old'"), extra_files=[weights])

        def grow(seconds: float) -> None:
            """Between two looks, none of which finds that it was written long ago, however busy the machine is."""
            with weights.open("ab") as file:
                file.write(b"0")

        weights.write_bytes(b"00")
        with monkeypatch.context() as patched:
            patched.setattr(
                file_watch, "time", SimpleNamespace(sleep=grow, monotonic=time.monotonic, time_ns=lambda: 0)
            )
            says = "weights.bin is still being written; the handler that was loaded before answers."
            assert self.ask(worker) == ("old", [says])
        assert self.ask(worker)[1][0].startswith("weights.bin changed on disk, so the handler was loaded again")

    def test_config_file_registers_the_model_anew(self, serve: Serve, tmp_path: Path) -> None:
        config = tmp_path / "model-config.yaml"
        config.write_text("batchSize: 1\n")
        worker = serve("mirror", config_file=config)
        config.write_text("batchSize: 2\n")
        assert len(worker.predict(Request.text("a"), Request.text("b")).calls) == 1

    def test_every_envelope_sees_it_and_one_says_so(self, serve: Serve, tmp_path: Path) -> None:
        worker = serve(write(tmp_path, "h.py", "'old'"))
        other = worker.with_envelope("body")
        write(tmp_path, "h.py", "'new'")
        assert self.ask(other)[0] == "new"
        assert self.ask(worker) == ("new", [])

    def test_archive_is_not_followed(self, tmp_path: Path) -> None:
        model = Model("m", handler=write(tmp_path, "h.py", "'old'"))
        with Worker(Archive(model).save(tmp_path / "store")) as worker:
            write(tmp_path, "h.py", "'new'")
            assert self.ask(worker) == ("old", [])

    def test_lone_request_of_a_thread_sees_it(self, serve: Serve, tmp_path: Path) -> None:
        worker = serve(write(tmp_path, "h.py", "'old'"))
        write(tmp_path, "h.py", "'new'")
        assert texts(worker.send(Request())) == ["new"]


class TestBatches:
    def rows(self, run: Run) -> list[str | None]:
        return [response.header("X-Rows") for response in run.responses]

    def test_one_request_a_call_by_default(self, serve: Serve) -> None:
        run = serve("mirror").predict(*[Request.text("a")] * 3)
        assert (len(run.calls), self.rows(run)) == (3, ["1", "1", "1"])

    def test_requests_fill_batches_in_order(self, serve: Serve) -> None:
        run = serve("mirror", batch_size=2).predict(*map(Request.text, "abcde"))
        assert texts(run) == list("abcde")
        assert self.rows(run) == ["2", "2", "2", "2", "1"]
        assert [len(call.rows) for call in run.calls] == [2, 2, 1]

    def test_describe_is_alone(self, serve: Serve) -> None:
        describe = Request("GET", "/models/m", query="customized=true")
        run = serve("mirror", batch_size=3).predict(Request.text("a"), describe, Request.text("b"), Request.text("c"))
        assert self.rows(run) == ["1", None, "2", "2"]
        assert [len(call.rows) for call in run.calls] == [1, 1, 2]

    def test_frontends_own_answers_take_no_place_in_a_batch(self, serve: Serve) -> None:
        run = serve("mirror", batch_size=2).predict(
            Request.text("a"), Request(path="/predictions/other"), Request.text("b")
        )
        assert [response.status for response in run.responses] == [200, 404, 200]
        assert len(run.calls) == 1

    def test_statuses_of_rows_are_their_own(self, serve: Serve) -> None:
        run = serve("mirror", batch_size=2).predict(Request.text("a"), Request.text("b", headers={"X-Status": "418"}))
        assert [(r.status, r.reason) for r in run.responses] == [(200, ""), (418, "As Asked")]

    def test_no_request_is_no_call(self, serve: Serve) -> None:
        run = serve("mirror").predict()
        assert (run.exchanges, run.calls) == ((), ())


class TestEnvelopes:
    @pytest.mark.parametrize(
        ("name", "body", "data", "answer"),
        [
            ("body", [1, 2], [[1, 2]], [1, 2]),
            ("json", {"instances": [1, 2]}, [1, 2], {"predictions": [1, 2]}),
            ("kserve", {"instances": [1]}, [1], {"predictions": [1]}),
        ],
    )
    def test_both_halves(self, serve: Serve, name: str, body: object, data: object, answer: object) -> None:
        run = serve("runs_code", {"service_envelope": name}).predict(
            Request.json(body, headers={"x-py": "out = list(data)"})
        )
        assert run.response.json() == answer
        assert run.rows == [{"body": body}]
        assert run.data == data

    def test_its_time_is_told(self, serve: Serve) -> None:
        run = serve("runs_code", {"service_envelope": "json"}).predict(Request.json({"instances": [1]}))
        assert {"envelope in", "envelope out"} <= dict(run.timings).keys()


class TestDeath:
    def test_every_request_of_the_batch_is_told(self, serve: Serve) -> None:
        run = serve("exits", batch_size=2).predict(Request.text("exit"), Request.text("a"), Request.text("b"))
        assert [response.status for response in run.responses] == [500, 500, 200]
        assert run.responses[1].json()["message"] == "Worker died."

    def test_next_request_finds_a_fresh_worker(self, serve: Serve) -> None:
        worker = serve("exits")
        run = worker.predict(Request.text("a"), Request.text("a"), Request.text("exit"), Request.text("a"))
        assert [response.text for response in run.responses if response.ok] == ["1", "2", "1"]

    def test_its_call_is_kept_with_the_error(self, serve: Serve) -> None:
        run = serve("exits").predict(Request.text("exit"))
        assert run.error is not None
        assert (run.error.type, run.error.frames[-1].line, run.error.frames[-1].source) == (
            "SystemExit",
            13,
            "sys.exit(3)",
        )

    def test_answer_that_comes_too_late(self, serve: Serve) -> None:
        worker = serve("runs_code", response_timeout=0)
        run = worker.predict(Request(headers={"x-py": "import time; time.sleep(0.01)"}))
        assert run.response.json()["message"] == "Worker died."
        assert [finding.name for finding in run.findings] == ["worker_timeout"]

    def test_answer_that_is_too_large(self, serve: Serve) -> None:
        worker = serve("mirror", {"max_response_size": 40}, batch_size=2)
        assert [r.status for r in worker.predict(Request.text("a" * 40), Request.text("b")).responses] == [200, 200]
        assert [r.status for r in worker.predict(Request.text("a" * 41), Request.text("b")).responses] == [500, 500]


class TestLoadError:
    def test_response_and_findings(self, serve: Serve) -> None:
        with pytest.raises(LoadError) as raised:
            serve("import_missing")
        problem = raised.value
        assert problem.response.status == 500
        assert problem.response.json()["message"] == "Failed to start workers for model m version: 1.0"
        assert [finding.name for finding in problem.findings] == ["import"]
        assert problem.error is not None
        assert (problem.error.frames[-1].file, problem.error.frames[-1].line) == ("import_missing.py", 3)

    def test_logs_of_the_attempt(self, serve: Serve, tmp_path: Path) -> None:
        (tmp_path / "h.py").write_text("print('so far')\nraise ValueError\n")
        with pytest.raises(LoadError) as raised:
            serve(tmp_path / "h.py")
        assert "so far" in raised.value.logs

    def test_nothing_is_left_behind(self, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with pytest.raises(LoadError):
            serve("import_missing")
        assert list(tmp_path.iterdir()) == []


class TestTimings:
    def test_stages_add_up_to_the_whole(self, serve: Serve) -> None:
        timings = serve("times_stages").predict(Request.text("a")).timings
        assert sum(seconds for _, seconds in timings) == pytest.approx(timings.total)
        assert timings["inference"] >= 0.004
        assert timings["preprocess"] >= 0.002

    def test_stages_are_named_in_their_order(self, serve: Serve) -> None:
        stages = list(serve("times_stages").predict(Request.text("a")).timings.stages)
        assert stages == ["decode", "preprocess", "inference", "postprocess", "handle", "encode"]
        assert [stage for stage in STAGES if stage in stages] == stages

    def test_function_has_no_stages_of_its_own(self, serve: Serve) -> None:
        assert list(serve("mirror").predict(Request.text("a")).timings.stages) == ["decode", "handle", "encode"]

    def test_methods_of_other_names_are_stages(self, serve: Serve) -> None:
        stages = list(serve("other_names").predict(Request.text("a")).timings.stages)
        assert stages == ["decode", "look", "_answer", "handle", "encode"]

    def test_stages_in_the_threads_of_micro_batching(self, serve: Serve) -> None:
        timings = serve("micro_batches").predict(Request.json(1)).timings
        assert {"preprocess", "inference", "postprocess"} <= timings.stages.keys()
        assert sum(seconds for _, seconds in timings) == pytest.approx(timings.total)

    def test_micro_batching_goes_by_the_name_of_its_handler(self, serve: Serve) -> None:
        assert serve("micro_batches").entry_point == "class Handler"

    def test_class_is_clean_outside_calls(self, serve: Serve) -> None:
        worker = serve("times_stages", in_process=True)
        worker.predict(Request.text("a"))
        kind = type(worker._loaded._handler._handle.__self__)  # type: ignore[union-attr]
        assert [
            name for name in ("preprocess", "inference", "postprocess") if hasattr(vars(kind)[name], "__wrapped__")
        ] == []

    def test_default_handlers_class_is_clean_outside_calls(self, serve: Serve) -> None:
        import ts.service
        from ts.torch_handler.base_handler import BaseHandler

        before = dict(vars(BaseHandler)), ts.service.create_predict_response
        serve("micro_batches", in_process=True).predict(Request.json(1))
        assert (dict(vars(BaseHandler)), ts.service.create_predict_response) == before


class TestMemory:
    def test_call_tells_the_most_it_took_where_that_is_asked_for(self, serve: Serve) -> None:
        worker = serve("runs_code")
        # of the system's, as malloc would give what lies free in the process
        request = Request.json(
            [], headers={"x-py": "import mmap; out = [mmap.mmap(-1, 1 << 26).write(b'x' * (1 << 26))]"}
        )
        assert worker.predict(request).call.memory is None
        worker.measures_memory = True
        run = worker.predict(request).raise_for_status()
        assert run.call.memory is not None
        assert run.call.memory.added is None or run.call.memory.added >= 60_000_000


class TestSettings:
    def yaml(self, folder: Path, text: str) -> Path:
        (folder / "model-config.yaml").write_text(text)
        return folder / "model-config.yaml"

    def test_defaults(self, serve: Serve) -> None:
        worker = serve("mirror")
        assert (worker.batch_size, worker.max_batch_delay, worker.response_timeout) == (1, 100, 120)

    def test_model_config(self, serve: Serve, tmp_path: Path) -> None:
        config = self.yaml(tmp_path, "batchSize: 4\nmaxBatchDelay: 7\nresponseTimeout: 9\nmine: {a: 1}\n")
        worker = serve("tells_context", config_file=config)
        assert (worker.batch_size, worker.max_batch_delay, worker.response_timeout) == (4, 7, 9)
        told = worker.predict(Request()).response.json()
        assert told["yaml"]["mine"] == {"a": 1}
        assert told["properties"]["batch_size"] == 4

    def test_register_call_goes_before_the_file_but_for_the_timeout(self, serve: Serve, tmp_path: Path) -> None:
        config = self.yaml(tmp_path, "batchSize: 4\nmaxBatchDelay: 7\n")
        worker = serve("mirror", config_file=config, batch_size=2, max_batch_delay=0, response_timeout=5)
        assert (worker.batch_size, worker.max_batch_delay, worker.response_timeout) == (2, 0, 120)

    def test_response_timeout_of_the_server(self, serve: Serve) -> None:
        assert serve("mirror", {"default_response_timeout": 3}).response_timeout == 3
        assert serve("mirror", {"default_response_timeout": 3}, response_timeout=2).response_timeout == 2

    def test_what_the_context_says(self, serve: Serve) -> None:
        told = serve("tells_context", {"limit_max_image_pixels": "false"}).predict(Request()).response.json()
        assert told == {
            "name": "m",
            "yaml": {},
            "properties": {
                "gpu_id": None,
                "batch_size": 1,
                "server_name": "MMS",
                "server_version": "0.12.0",
                "limit_max_image_pixels": False,
            },
        }

    def test_unknown_property(self, serve: Serve) -> None:
        with pytest.raises(ConfigError, match="did you mean service_envelope"):
            serve("mirror", {"service_envelop": "json"})


class TestClose:
    def test_folder_is_removed(self, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        worker = serve("mirror")
        assert len(list(tmp_path.iterdir())) == 1
        worker.close()
        worker.close()
        assert list(tmp_path.iterdir()) == []

    def test_with_closes(self, handlers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with Worker(Model("m", handler=handlers / "mirror.py")):
            pass
        assert list(tmp_path.iterdir()) == []

    def test_request_after_it_loads_anew(self, serve: Serve) -> None:
        worker = serve("mirror")
        worker.close()
        assert texts(worker.predict(Request.text("a"))) == ["a"]

    def test_threads_of_micro_batching_end(self, serve: Serve) -> None:
        before = set(threading.enumerate())
        worker = serve("micro_batches", batch_size=2, in_process=True)
        assert texts(worker.predict(Request.json(1), Request.json(2))) == ["2", "4"]
        started = set(threading.enumerate()) - before
        assert len(started) == 3
        worker.close()
        for thread in started:
            thread.join(2)
        assert [thread for thread in started if thread.is_alive()] == []

    def test_interpreter_ends_though_micro_batching_was_not_closed(self, handlers: Path) -> None:
        program = (
            "import sys, handlerkit as hk\n"
            "worker = hk.Worker(hk.Model('m', handler=sys.argv[1]), in_process=True)\n"
            "print(worker.predict(hk.Request.json(1)).response.text)\n"
        )
        command = [sys.executable, "-c", program, str(handlers / "micro_batches.py")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.stdout, done.returncode) == ("2\n", 0)


class TestPlainWords:
    def test_no_path_of_this_machine_is_told(self, serve: Serve) -> None:
        code = "import json; print(context.system_properties['model_dir']); json.loads('{')"
        run = serve("runs_code").predict(Request(headers={"x-py": code}))
        assert run.error is not None
        told = "\n".join([run.error.traceback, *map(str, run.logs), *(frame.file for frame in run.error.frames)])
        assert "<model_dir>" in told
        assert tempfile.gettempdir() not in told
        assert sys.prefix not in told
        assert sys.base_prefix not in told
        assert 'File "runs_code.py", line 10, in handle' in told
        assert 'File "json/decoder.py"' in told

    def test_kit_is_not_in_the_traceback(self, serve: Serve) -> None:
        run = serve("runs_code").predict(Request(headers={"x-py": "raise ValueError"}))
        assert run.error is not None
        assert "handlerkit" not in run.error.traceback
        assert not any("handlerkit" in line.text for line in run.logs)

    def test_load_error_tells_none_either(self, serve: Serve) -> None:
        with pytest.raises(LoadError) as raised:
            serve("import_missing")
        told = "\n".join([str(raised.value), *raised.value.logs, raised.value.error.traceback])  # type: ignore[union-attr]
        assert tempfile.gettempdir() not in told
        assert sys.prefix not in told

    def test_live_exception_is_handed_over(self, serve: Serve) -> None:
        worker, seen = serve("runs_code", in_process=True), []
        worker.on_exception = seen.append
        worker.predict(Request(headers={"x-py": "raise ValueError('live')"}))
        assert [str(error) for error in seen] == ["live"]

    def test_stream_is_told_in_chunks(self, serve: Serve) -> None:
        response = serve("letters").predict(Request.text("abc")).response
        assert (response.status, response.chunks, response.complete) == (200, (b"a", b"b", b"c"), True)

    def test_chunks_have_the_seconds_at_which_they_came(self, serve: Serve) -> None:
        run = serve("letters").predict(Request.text("ab~c"))
        first, second, third = run.response.arrivals
        assert 0 < first <= second < second + 0.02 < third <= run.timings.total

    def test_stream_that_breaks_off(self, serve: Serve) -> None:
        run = serve("letters").predict(Request.text("a!c"))
        assert (run.response.chunks, run.response.complete, run.ok) == ((b"a",), False, False)
        assert run.error is not None
