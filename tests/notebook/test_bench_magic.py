"""%bench, given as a magic and as a call of the session."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError

from handlerkit.bench import Bench
from handlerkit.endpoints import ENDPOINTS, EndpointSpec
from handlerkit.endpoints.worker import Worker
from handlerkit.errors import ConfigError, HandlerkitError, ModelError, RequestError
from handlerkit.model import Model
from handlerkit.notebook.session import Session

ECHO = "def handle(data, context):\n    return ['an answer'] * len(data) if data else None\n"
SLOW = "import time\n\ndef handle(data, context):\n    time.sleep(0.003)\n" + ECHO.partition("\n")[2]
COUNTS = "def handle(data, context):\n    return [str(len(data))] * len(data) if data else None\n"


@pytest.fixture(params=["magic", "function"])
def bench(request: pytest.FixtureRequest, notebook: Any, session: Session) -> Any:
    """Either way to give the command."""

    def magic(*what: str, **options: Any) -> Bench:
        words = list(what)
        for name, value in options.items():
            value = ",".join(map(str, value)) if isinstance(value, tuple) else value
            words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
        cell = notebook(f"%bench {shlex.join(words)}")
        if cell.error is not None:
            raise cell.error
        assert cell.stderr == ""
        return cell.value

    return magic if request.param == "magic" else session.bench


@pytest.fixture
def echo(session: Session, tmp_path: Path) -> Path:
    """The handler's file, loaded; and a file to send."""
    (tmp_path / "sample.txt").write_text("a sample")
    file = tmp_path / "echo.py"
    file.write_text(ECHO)
    session.use(file)
    return file


def test_samples_by_batch_sizes(bench, echo: Path) -> None:
    found = bench("sample.txt", batch_sizes=(1, 3), repeats=4, warm_up=1)
    assert [(row.sample, row.batch, len(row.seconds)) for row in found.rows] == [
        ("sample.txt", 1, 4), ("sample.txt", 3, 4),
    ]  # fmt: skip


def test_batches_reach_the_handler_whole(bench, echo: Path, session: Session) -> None:
    echo.write_text(COUNTS)
    session.use(echo)
    assert bench("sample.txt", batch_sizes=(16,), repeats=1).rows[0].answer == len("16")


def test_without_samples_the_last_requests_are_sent_again(bench, echo: Path, session: Session) -> None:
    session.request("sample.txt", batch=2, envelope="body")
    (row,) = bench(repeats=2).rows
    assert (row.sample, row.requests) == ("sample.txt", 2)


def test_with_nothing_to_send_it_says_what_to_do(bench, echo: Path) -> None:
    with pytest.raises(RequestError, match="name a file or a variable, or send a request first"):
        bench()


def test_against_previous_tells_a_slower_version(bench, echo: Path, session: Session) -> None:
    echo.write_text(SLOW)
    session.use(echo)
    (change,) = bench("sample.txt", against="previous", repeats=10).against.changes
    assert (change.verdict, change.pairs) == ("slower", 10)


def test_against_another_model(bench, echo: Path, session: Session, tmp_path: Path) -> None:
    session.model("other")
    (tmp_path / "slow.py").write_text(SLOW)
    session.use("slow.py")
    found = bench("sample.txt", against="echo", repeats=10)
    assert (found.model, found.against.name, found.against.changes[0].verdict) == ("other", "echo", "slower")


def test_comparing_leaves_the_present_handler_in_its_place(bench, echo: Path, session: Session) -> None:
    echo.write_text(COUNTS)
    session.use(echo)
    bench("sample.txt", against="previous", repeats=1)
    assert session.request("sample.txt").response.text == "1"


def test_with_nothing_to_compare_with_it_says_so(bench, echo: Path) -> None:
    with pytest.raises(ModelError, match="no earlier version 'previous' to compare with"):
        bench("sample.txt", against="previous")


def test_profile_leaves_a_trace_beside_the_notebook(bench, echo: Path, tmp_path: Path) -> None:
    found = bench("sample.txt", repeats=1, profile=True)
    assert (tmp_path / "echo-trace.json").is_file()
    assert found.profile.trace == Path("echo-trace.json")
    if not found.profile.missing:
        assert [line.file for line in found.profile.lines] == ["echo.py"]


def test_another_endpoint_excludes_what_measures_the_worker(bench, echo: Path) -> None:
    with pytest.raises(HandlerkitError, match="leave them or endpoint out"):
        bench("sample.txt", endpoint="server", profile=True)


def test_an_endpoint_that_runs_already_is_asked_by_clients(echo: Path, session: Session) -> None:
    found = session.bench("sample.txt", endpoint=session.worker, concurrency=2, repeats=6)
    assert (found.rows[0].clients, found.rows[0].requests) == (2, 6)


def test_one_more_endpoint_is_measured_by_its_name(
    bench, echo: Path, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[int] = []

    def serve(model: Model, *, batch_size: int, **_: Any) -> Worker:
        served.append(batch_size)
        return Worker(model, batch_size=batch_size)

    monkeypatch.setitem(ENDPOINTS, "toy", EndpointSpec("a worker of its own", serve))
    found = bench("sample.txt", endpoint="toy", batch_sizes=(1, 2), repeats=2, warm_up=1)
    assert [row.requests for row in found.rows] == [2, 4]
    assert served == [1, 2]


def test_an_endpoint_that_nobody_registered(echo: Path, session: Session) -> None:
    known = ", ".join(ENDPOINTS)
    with pytest.raises(
        ConfigError, match=rf"^there is no endpoint 'cloud': it is a URL, .* or one of {known}, declared"
    ):
        session.bench("sample.txt", endpoint="cloud")


@pytest.mark.server
def test_a_real_torchserve(echo: Path, session: Session) -> None:
    found = session.bench("sample.txt", endpoint="server", repeats=3, warm_up=1)
    assert found.endpoint.startswith("TorchServe 0.12")
    assert found.rows[0].requests == 3


def test_progress_is_one_line(notebook, echo: Path) -> None:
    cell = notebook("%bench sample.txt --repeats 10")
    tenths = ", ".join(f"{percent} %" for percent in range(10, 101, 10))
    assert cell.stdout.splitlines()[0] == f"measuring, {tenths}, measuring what might save time"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%bench x --batch-sizes 1,many", "'many' is not a whole number from 1 on"),
        ("%bench x --repeats 0", "'0' is not a whole number from 1 on"),
        ("%bench sample.txt --endpoint cloud", "%bench: --endpoint takes server, ray, declared, "),
        ("%bench nothing", "%bench: there is no variable and no file 'nothing'"),
    ],
)
def test_a_slip_in_the_line_is_one_line(notebook, echo: Path, line: str, says: str) -> None:
    cell = notebook(line)
    assert isinstance(cell.error, UsageError)
    assert says in str(cell.error)


def test_help(notebook) -> None:
    cell = notebook("%bench --help")
    assert cell.stdout.startswith("usage: %bench")
    assert "--against" in cell.stdout
