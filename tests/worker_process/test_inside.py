"""What a handler finds in its process, and what stays there from call to call."""

from __future__ import annotations

import asyncio
import builtins
import importlib
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handlerkit.endpoints.worker import Worker
from handlerkit.errors import LoadError
from handlerkit.messages import Request, Run
from handlerkit.model import Model

Serve = Callable[..., Worker]


@pytest.fixture
def serve(handlers: Path) -> Iterator[Serve]:
    """A worker for one of tests/handlers; closed at the end."""
    opened: list[Worker] = []

    def serve(name: str, **options: Any) -> Worker:
        opened.append(Worker(Model("m", handler=handlers / f"{name}.py", **options)))
        return opened[-1]

    yield serve
    for worker in opened:
        worker.close()


def run_code(worker: Worker, code: str) -> Run:
    return worker.predict(Request.json([], headers={"x-py": code}))


def answer(worker: Worker, code: str = "") -> str:
    return run_code(worker, code).raise_for_status().response.text


class TestInside:
    def test_files_are_looked_up_in_model_dir(self, serve: Serve, tmp_path: Path) -> None:
        (tmp_path / "labels.txt").write_text("from the archive")
        assert answer(serve("reads_relative_file", extra_files=[tmp_path / "labels.txt"])) == "from the archive"

    def test_file_beside_the_notebook_is_not_there(
        self, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "labels.txt").write_text("beside the notebook")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(LoadError) as raised:
            serve("reads_relative_file")
        assert raised.value.error is not None
        assert raised.value.error.type == "FileNotFoundError"

    @pytest.fixture
    def helper(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A module that the notebook has imported."""
        file = tmp_path / "answers_helper.py"
        file.write_text("ANSWER = 'the notebook'\n")
        monkeypatch.syspath_prepend(tmp_path)
        module = importlib.import_module("answers_helper")
        del sys.modules["answers_helper"]
        monkeypatch.setitem(sys.modules, "answers_helper", module)
        return file

    def test_module_that_only_the_notebook_has_is_not_there(self, serve: Serve, helper: Path) -> None:
        with pytest.raises(LoadError) as raised:
            serve("imports_helper")
        assert raised.value.error is not None
        assert raised.value.error.message == "No module named 'answers_helper'"

    def test_module_of_the_archive_is_used_not_the_notebooks(self, serve: Serve, helper: Path, tmp_path: Path) -> None:
        (tmp_path / "extra").mkdir()
        own = tmp_path / "extra" / "answers_helper.py"
        own.write_text("ANSWER = 'the archive'\n")
        assert answer(serve("imports_helper", extra_files=[own])) == "the archive"
        assert sys.modules["answers_helper"].ANSWER == "the notebook"

    def test_helpers_of_the_same_name_do_not_mix(self, serve: Serve, tmp_path: Path) -> None:
        workers = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "answers_helper.py").write_text(f"ANSWER = {name!r}\n")
            workers.append(serve("imports_helper", extra_files=[tmp_path / name / "answers_helper.py"]))
        assert [answer(worker) for worker in workers * 2] == ["first", "second"] * 2

    def test_module_imported_while_answering_is_the_workers_own(self, serve: Serve, tmp_path: Path) -> None:
        (tmp_path / "answers_helper.py").write_text("ANSWER = 'late'\n")
        worker = serve("imports_helper_later", extra_files=[tmp_path / "answers_helper.py"])
        assert [answer(worker), answer(worker)] == ["late", "late"]
        assert "answers_helper" not in sys.modules

    def test_class_pickled_in_the_notebook_is_not_found(
        self, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        net = type("Net", (), {"__module__": "__main__"})
        monkeypatch.setattr(sys.modules["__main__"], "Net", net, raising=False)
        (tmp_path / "net.pkl").write_bytes(pickle.dumps(net()))
        with pytest.raises(LoadError) as raised:
            serve("unpickles", extra_files=[tmp_path / "net.pkl"])
        assert raised.value.error is not None
        assert "Can't get attribute 'Net'" in raised.value.error.message

    def test_display_is_no_builtin(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(builtins, "display", print, raising=False)
        run = serve("shows").predict(Request.json([]))
        assert (run.response.status, run.error and run.error.type) == (503, "NameError")
        assert builtins.display is print  # type: ignore[attr-defined]

    def test_there_is_no_shell(self, serve: Serve) -> None:
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        worker = serve("asks_for_ipython")
        shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
        try:
            assert answer(worker) == "None"
            assert InteractiveShell.instance() is shell
        finally:
            InteractiveShell.clear_instance()

    def test_asyncio_run_works_inside_a_running_loop(self, serve: Serve) -> None:
        worker = serve("runs_loop")

        async def cell() -> str:
            loop = asyncio.get_running_loop()
            text = answer(worker)
            assert asyncio.get_running_loop() is loop
            return text

        assert asyncio.run(cell()) == "answered"

    @pytest.mark.parametrize("name", ["MPLBACKEND", "LOCAL_RANK", "RANK", "WORLD_SIZE"])
    def test_variable_of_a_notebook_or_launcher_is_unset(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv(name, "1")
        assert answer(serve("runs_code"), f"import os; out = [str(os.environ.get({name!r}))]") == "None"
        assert os.environ[name] == "1"

    def test_figures_of_the_notebook_are_not_there(self, serve: Serve) -> None:
        from matplotlib import pyplot

        mine = pyplot.figure()
        assert answer(serve("draws_figure")) == "1"
        assert pyplot.get_fignums() == [mine.number]
        pyplot.close(mine)


class TestLogs:
    def test_everything_said_is_logged_in_order_at_info(self, serve: Serve) -> None:
        worker = serve("says_things")
        lines = [(line.level, line.text) for line in worker.predict(Request.json([])).logs]
        said = [line for line in lines if not line[1].startswith("Backend received")]
        assert said[:-1] == [
            ("INFO", "two"),
            ("INFO", "lines"),
            ("INFO", "printed"),
            ("WARN", "complained"),
            ("INFO", "watch out"),
            ("WARN", "<model_dir>/says_things.py:18: UserWarning: old way"),
            ("WARN", '  warnings.warn("old way", UserWarning, stacklevel=1)'),
        ]
        assert said[-1][1].startswith("no line end[METRICS]PredictionTime")  # the server loses the metric, too

    def test_what_is_said_while_loading_is_kept_apart(self, serve: Serve) -> None:
        worker = serve("says_things")
        assert [line.text for line in worker.load_logs] == ["loaded"]

    def test_nothing_reaches_the_screen(self, serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
        serve("says_things").predict(Request.json([]))
        assert capfd.readouterr() == ("", "")

    def test_wrong_arguments_of_a_log_call_are_told_in_the_log(self, serve: Serve) -> None:
        run = run_code(serve("runs_code"), "import logging; logging.info('%d', 'x')")
        assert run.response.status == 200
        assert "--- Logging error ---" in [line.text for line in run.logs]

    def test_format_that_the_handler_sets_is_followed(self, serve: Serve) -> None:
        code = "import logging; logging.root.handlers[0].setFormatter(logging.Formatter('<%(message)s>'))"
        run = run_code(serve("runs_code"), f"{code}; logging.info('%d', 7)")
        assert "<7>" in [line.text for line in run.logs]

    def test_log_handler_that_the_handler_adds_stays(self, serve: Serve) -> None:
        worker, say = serve("runs_code"), "import logging; logging.info('said')"
        run_code(worker, "import logging, sys; logging.root.addHandler(logging.StreamHandler(sys.stdout))")
        assert [line.text for line in run_code(worker, say).logs].count("said") == 2

    def test_filter_of_warnings_that_the_handler_sets_stays(self, serve: Serve) -> None:
        worker, warn = serve("runs_code"), "import warnings; warnings.warn('x')"
        said = run_code(worker, f"import warnings; warnings.simplefilter('ignore'); {warn}"), run_code(worker, warn)
        assert not any("UserWarning" in line.text for run in said for line in run.logs)

    def test_warning_that_a_test_run_made_an_error_is_none_here(self, serve: Serve) -> None:
        assert run_code(serve("runs_code"), "import warnings; warnings.warn('x')").response.status == 200

    def test_open_file_descriptor_of_stdout_can_be_asked_for(self, serve: Serve) -> None:
        assert answer(serve("runs_code"), "import sys; out = [str(sys.stdout.isatty())]") == "False"


class TestBetweenCalls:
    """What a handler changes is the worker's own: there at the next call, as in a worker's process."""

    @pytest.mark.parametrize(
        ("change", "look"),
        [
            ("import os; os.mkdir('sub'); os.chdir('sub')", "import os; out = [os.path.basename(os.getcwd())]"),
            ("import sys; sys.path.append('sub')", "import sys; out = [sys.path[-1]]"),
            ("import os; os.environ['A_VARIABLE'] = 'sub'", "import os; out = [os.environ['A_VARIABLE']]"),
            ("import os; open('made.py', 'w').write('a = [1]'); import made; made.a = 'sub'; os.remove('made.py')",
             "import made; out = [made.a]"),
            ("import __main__; __main__.a = 'sub'", "import __main__; out = [__main__.a]"),
        ],
        ids=["folder", "path", "environment", "modules", "main"],
    )  # fmt: skip
    def test_change_stays(self, serve: Serve, change: str, look: str) -> None:
        worker = serve("runs_code")
        answer(worker, change)
        assert answer(worker, look) == "sub"

    def test_level_of_the_root_logger_stays(self, serve: Serve) -> None:
        worker = serve("runs_code")
        answer(worker, "import logging; logging.root.setLevel(logging.DEBUG)")
        assert "fine" in [line.text for line in run_code(worker, "import logging; logging.debug('fine')").logs]

    def test_levels_that_are_switched_off_stay_so(self, serve: Serve) -> None:
        worker = serve("runs_code")
        answer(worker, "import logging; logging.disable(logging.WARNING)")
        run = run_code(worker, "import logging; logging.warning('quiet'); logging.error('loud')")
        assert [line.text for line in run.logs if line.text in ("quiet", "loud")] == ["loud"]
