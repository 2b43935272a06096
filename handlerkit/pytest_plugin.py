"""pytest fixtures for the unit tests of handlers, and cases as tests; installing handlerkit makes them known to pytest.

A handler is tested as TorchServe would call it, or one method of it with a context:

    def test_it_answers(handler_worker):
        worker = handler_worker("handler.py", serialized_file="model.pt")
        assert worker.predict(hk.Request.file("coins.png")).raise_for_status().response.json()["coins"] == 24

    def test_preprocess(mock_context):
        handler = MyHandler()
        handler.initialize(mock_context(model_dir="model"))
        assert handler.preprocess([{"body": b"..."}]).shape == (1, 3, 224, 224)

Each fixture is a function that makes what its name says.

Cases that were kept (hk.keep) are collected where pytest is told what answers them, in pytest.ini or pyproject.toml:

    handlerkit_model = model_store/coins.mar        # archives, files of handlers, or handlerkit.toml; or
    handlerkit_endpoint = https://staging.example   # asked with the token of $HANDLERKIT_TOKEN, if that is set; or
    handlerkit_endpoint = coins-app                 # the folder of an exported app, which is started for that; or
    handlerkit_endpoint = torchserve-0.12.0-cpu     # what `handlerkit test --endpoint` takes, for handlerkit_model

`--handlerkit-model` and `--handlerkit-endpoint` take their place; with the first alone, a worker answers. Each case is
a test, such as cases/two_coins.har; `--handlerkit-report PAGE.html` writes a page that draws what differs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ts.context import Context

    from handlerkit.cases import Broken, Case, CaseReport
    from handlerkit.cases.places import Place
    from handlerkit.endpoints.worker import Worker

#: What Worker takes; every other keyword of `handler_worker` is Model's.
_WORKER_OPTIONS = frozenset(
    {"config_properties", "batch_size", "max_batch_delay", "response_timeout", "gpu_id", "environment", "in_process"}
)


_MODEL, _ENDPOINT, _TOKEN = "handlerkit_model", "handlerkit_endpoint", "HANDLERKIT_TOKEN"
_PAGE = "--handlerkit-report"


def pytest_addoption(parser: pytest.Parser) -> None:
    """What answers cases."""
    group = parser.getgroup("handlerkit")
    group.addoption(
        "--handlerkit-model", action="append", help="the archive, handler or file of models that answers cases"
    )
    group.addoption(
        "--handlerkit-endpoint", metavar="NAME|URL|FOLDER", help="where they are answered, as of handlerkit test"
    )
    group.addoption(_PAGE, metavar="PAGE.html", help="write a page with every difference between answers drawn")
    parser.addini(_MODEL, "the archives, handlers or files of models that answer cases", type="paths", default=[])
    parser.addini(_ENDPOINT, "where cases are answered, as of handlerkit test --endpoint", default="")


def pytest_configure(config: pytest.Config) -> None:
    """One process writes the page."""
    if config.getoption(_PAGE) and config.getoption("numprocesses", None):
        raise pytest.UsageError(f"{_PAGE} writes the page of one process: leave -n out")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the page of the cases that ran, as one report."""
    from dataclasses import replace

    page, reports = session.config.getoption(_PAGE), session.config.stash.get(_REPORTS, [])
    if page and reports:
        from handlerkit.cases import CaseReport
        from handlerkit.view.cases import write_report

        places = [report.places[0] for report in reports]
        together = replace(
            places[0],
            results=tuple(result for place in places for result in place.results),
            findings=tuple(dict.fromkeys(finding for place in places for finding in place.findings)),
        )
        write_report(CaseReport((together,)), page)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> CaseFile | None:
    """The cases, where pytest is told what answers them. Others' HARs are left alone."""
    if file_path.suffix != ".har" or not (_models(parent.config) or _endpoint(parent.config)):
        return None
    if b'"_handlerkit"' not in file_path.read_bytes():
        return None
    return CaseFile.from_parent(parent, path=file_path)


class CaseFile(pytest.File):
    """A file that holds a case."""

    def collect(self) -> Iterator[CaseItem]:
        """The case, which may be broken."""
        from handlerkit.cases import read_all

        (found,) = read_all(self.path)
        yield CaseItem.from_parent(self, name=found.name, found=found)


class CaseItem(pytest.Item):
    """A case as a test: it fails if what is answered is not as it was kept."""

    def __init__(self, found: Case | Broken, **rest: Any) -> None:
        super().__init__(**rest)
        self._found = found

    def runtest(self) -> None:
        """Send its requests."""
        from handlerkit.cases import run_cases

        token = os.environ.get(_TOKEN)
        report = run_cases([self._found], _place(self.config), known=[token] if token else ())
        self.config.stash.setdefault(_REPORTS, []).append(report)
        if not report:
            raise CaseFailed(report)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What handlerkit test shows."""
        if isinstance(excinfo.value, CaseFailed):
            from handlerkit.view.displays import view

            return str(view(excinfo.value.report))
        from handlerkit.errors import HandlerkitError

        if isinstance(excinfo.value, HandlerkitError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Its file, and its name."""
        return self.path, None, f"case {self.name}"


class CaseFailed(Exception):
    """A case is not as it was kept; `report` says how."""

    def __init__(self, report: CaseReport) -> None:
        super().__init__(repr(report))
        self.report = report


def _models(config: pytest.Config) -> list[str]:
    return [*map(str, config.getoption("--handlerkit-model") or config.getini(_MODEL))]


def _endpoint(config: pytest.Config) -> str:
    """Where cases are answered; "" is a worker. A path in pytest.ini begins at that file."""
    from handlerkit.cases.places import is_name

    if asked := config.getoption("--handlerkit-endpoint"):
        return str(asked)
    word = str(config.getini(_ENDPOINT))
    if not word or config.getoption("--handlerkit-model"):
        return ""
    beside = (config.inipath or config.rootpath / "pytest.ini").parent / word
    return str(beside) if not is_name(word) and beside.exists() else word


_PLACE = pytest.StashKey["Place"]()
_REPORTS = pytest.StashKey[list["CaseReport"]]()


def _place(config: pytest.Config) -> Place:
    """What answers, which stays until pytest ends."""
    from handlerkit.cases import places
    from handlerkit.cli.setups import setups

    if _PLACE not in config.stash:
        endpoint = _endpoint(config)
        models = {} if endpoint and places.has_models(endpoint) else setups(_models(config))
        token = os.environ.get(_TOKEN)
        place = places.kept_open(places.named(endpoint, models, token=token) if endpoint else places.workers(models))
        config.add_cleanup(place.close)
        config.stash[_PLACE] = place
    return config.stash[_PLACE]


@pytest.fixture
def mock_context() -> Callable[..., Context]:
    """`handlerkit.mock_context`: makes a real ts.context.Context."""
    from handlerkit.context import mock_context

    return mock_context


@pytest.fixture
def handler_worker() -> Iterator[Callable[..., Worker]]:
    """Makes a Worker of a handler's file and the keywords of Model and Worker; closed after the test.

    The model is called "model" unless `name` says otherwise.
    """
    from handlerkit.endpoints.worker import Worker
    from handlerkit.model import Model

    made: list[Worker] = []

    def make(handler: str, /, name: str = "model", **options: Any) -> Worker:
        registered = {key: options.pop(key) for key in _WORKER_OPTIONS & options.keys()}
        made.append(Worker(Model(name, handler=handler, **options), **registered))
        return made[-1]

    yield make
    for worker in made:
        worker.close()
