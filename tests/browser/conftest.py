"""A saved page in a real Chromium, and a real JupyterLab or Notebook 7 with a notebook in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from notebook_page import Book, serving
from preview_page import PreviewPage

from handlerkit.messages import Run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "view"))
from preview_answers import preview


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that is in this folder opens a browser, and has time to."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture
def browser_options() -> dict[str, Any]:
    """Of the browser's context."""
    return {"viewport": {"width": 1200, "height": 900}}


@pytest.fixture
def show(chromium: Any, browser_options: dict[str, Any], tmp_path: Path) -> Iterator[Callable[..., PreviewPage]]:
    """Opens a page with these answers, offline; afterwards, nothing was logged as an error nor asked for."""
    context = chromium.new_context(**browser_options, offline=True)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda one: one.type == "error" and wrong.append(one.text))
    page.on("pageerror", lambda problem: wrong.append(str(problem)))
    page.on("request", lambda one: one.url.startswith(("file:", "blob:", "data:")) or wrong.append(one.url))

    def shown(*runs: Run, again: Run | None = None) -> PreviewPage:
        made = preview(*runs)
        if again is not None:
            made._predict = lambda request: again
            made.ask(again.request.label)
        page.goto(made.save(tmp_path / "page.html").as_uri())
        found = PreviewPage(page)
        found.settle()
        page.wait_for_timeout(100)
        return found

    yield shown
    context.close()
    assert wrong == []


@pytest.fixture(scope="session")
def open_book(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Makes a notebook of these cells and opens it in this application, which starts when it is first asked for."""
    with ExitStack() as servers:

        @cache
        def served(application: str) -> tuple[str, Path]:
            return servers.enter_context(serving(application, tmp_path_factory.mktemp(application)))

        yield lambda name, cells, application="jupyterlab": Book(chromium, served(application), name, cells)
