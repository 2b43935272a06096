"""The fixtures that handlers' own unit tests use."""

from __future__ import annotations

from pathlib import Path

import pytest
from ts.context import Context

import handlerkit as hk

HANDLERS = Path(__file__).parent / "handlers"


def test_handler_worker_answers(handler_worker) -> None:
    worker = handler_worker(str(HANDLERS / "letters.py"), name="letters", response_timeout=7)
    assert isinstance(worker, hk.Worker)
    assert (worker.model.name, worker.response_timeout) == ("letters", 7)


def test_handler_worker_takes_model_and_worker_options(handler_worker, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("hello")
    (tmp_path / "reads.py").write_text(
        "def handle(data, context):\n    return None if data is None else [open('notes.txt').read()] * len(data)\n"
    )
    worker = handler_worker(str(tmp_path / "reads.py"), extra_files=[notes], batch_size=2)
    run = worker.predict(hk.Request.json(1), hk.Request.json(2))
    assert [response.body for response in run.responses] == [b"hello", b"hello"]
    assert len(run.calls) == 1


def test_mock_context_makes_a_context_of_torchserve(mock_context) -> None:
    context = mock_context(model_dir="here", batch_size=4)
    assert type(context) is Context
    assert context.system_properties["batch_size"] == 4


def test_plugin_closes_its_workers(pytester) -> None:
    pytester.makepyfile(
        """
        made = []

        def test_one(handler_worker, tmp_path):
            handler = tmp_path / "h.py"
            handler.write_text("def handle(data, context): return data and ['x']")
            made.append(handler_worker(str(handler))._loaded.model_dir)
            assert made[0].is_dir()

        def test_two():
            assert not made[0].exists()
        """
    )
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


CASES = """
import handlerkit as hk

model = hk.Model("m", handler="h.py")
hk.Archive(model).save(".")
with hk.Worker(model) as worker:
    hk.keep(worker.predict(hk.Request.text("hello")), "hello")
    hk.keep(worker.predict(hk.Request.text("world")), "world")
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """An archive, two cases of its model, and a HAR of a browser."""
    (pytester.path / "h.py").write_text("def handle(data, context): return data and [row['body'] for row in data]")
    exec(CASES, {})
    (pytester.path / "cases" / "browser.har").write_text('{"log": {"entries": []}}')
    return pytester


def test_cases_are_tests_where_an_archive_is_named(project: pytest.Pytester) -> None:
    project.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes()
    project.makeini("[pytest]\nhandlerkit_model = m.mar\n")
    done = project.runpytest_inprocess("-p", "no:cacheprovider", "-v")
    done.assert_outcomes(passed=2)
    done.stdout.fnmatch_lines(["cases/hello.har::hello PASSED*"])


def test_a_case_that_differs_fails_with_what_differs(project: pytest.Pytester) -> None:
    case = project.path / "cases" / "hello.har"
    case.write_text(case.read_text().replace('"text": "hello"', '"text": "hallo"', 2).replace("hallo", "hello", 1))
    (project.path / "cases" / "world.har").write_text('{"log": {"_handlerkit": {"version": 9}, "entries": []}}')
    done = project.runpytest_inprocess(
        "-p", "no:cacheprovider", "--handlerkit-model", "m.mar", "--handlerkit-report", "page.html"
    )
    done.assert_outcomes(failed=2)
    page = (project.path / "page.html").read_text()
    assert "2 cases on worker: " in page
    assert "hallo" in page
    done.stdout.fnmatch_lines(["*hello*different*", "*world.har is a case of version 9*"])
    assert "runtest" not in done.stdout.str()


def test_a_case_of_another_model_fails_with_a_sentence(project: pytest.Pytester) -> None:
    for case in (project.path / "cases").glob("[hw]*.har"):
        case.write_text(case.read_text().replace('"model": "m"', '"model": "other"'))
    done = project.runpytest_inprocess("-p", "no:cacheprovider", "--handlerkit-model", "m.mar")
    done.stdout.fnmatch_lines(["*it is a case of the model other, and the models are m*"])


def test_an_exported_app_answers_cases_and_ends_with_pytest(project: pytest.Pytester) -> None:
    hk.App("m.mar").save("m-app")
    project.makeini("[pytest]\nhandlerkit_endpoint = m-app\n")
    (project.path / "below").mkdir()
    done = project.runpytest_subprocess("-p", "no:cacheprovider", "-v", "cases")
    done.assert_outcomes(passed=2)
    assert not list((project.path / "m-app").rglob("__pycache__"))


def test_a_url_answers_cases_with_the_token_of_the_environment(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDLERKIT_TOKEN", "t0ken-of-this-test")
    with hk.serve(hk.Worker("m.mar"), port=0, token="t0ken-of-this-test") as server:
        options = ("-p", "no:cacheprovider", "--handlerkit-endpoint", server.url)
        project.runpytest_inprocess(*options).assert_outcomes(passed=2)
        monkeypatch.delenv("HANDLERKIT_TOKEN")
        project.runpytest_inprocess(*options).assert_outcomes(failed=2)


def test_cases_of_several_models_have_each_its_own(project: pytest.Pytester) -> None:
    (project.path / "other.py").write_text("def handle(data, context): return data and ['other'] * len(data)")
    with hk.Worker(hk.Model("other", handler="other.py")) as worker:
        hk.keep(worker.predict(hk.Request.text("hello")), "of_other")
    project.makeini("[pytest]\nhandlerkit_model =\n    m.mar\n    other.py\n")
    project.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)


@pytest.mark.server
def test_a_target_answers_cases(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\nhandlerkit_model = m.mar\nhandlerkit_endpoint = here\n")
    project.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)
