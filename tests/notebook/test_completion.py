"""What a kernel offers for Tab, asked as a notebook asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from jupyter_client.manager import start_new_kernel

from handlerkit.targets import NAMES

Complete = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Complete]:
    """Asks a kernel with the extension, in a folder of two files, what it offers at the end of a cell."""
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "coins.png").touch()
    (folder / "image.txt").touch()
    manager, client = start_new_kernel(cwd=str(folder))
    try:
        cell = "%load_ext handlerkit\nimport handlerkit as hk\ncoins_run = 1\nstaging = hk.Remote('http://h')"
        client.execute_interactive(cell, timeout=60)

        def complete(code: str) -> list[str]:
            reply = client.complete(code, len(code), reply=True, timeout=60)["content"]
            assert reply["status"] == "ok"
            return [str(match) for match in reply["matches"]]

        yield complete
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize(
    "line", ["%export -", "%export --", "x = 1\n%export --", "%export --f", "%%handler echo.py --"]
)
def test_options_alone_where_one_begins(tab: Complete, line: str) -> None:
    offered = tab(line)
    assert offered
    assert all(one.startswith("--") for one in offered)


def test_options_come_in_the_order_of_the_help_text(tab: Complete) -> None:
    assert tab("%export --")[:5] == ["--help", "--to", "--export-path", "--archive-format", "--force"]


def test_options_come_before_files_and_variables(tab: Complete) -> None:
    offered = tab("%request ")
    assert offered[:3] == ["--help", "--envelope", "--as-tensor"]
    assert "coins.png" in offered


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("%export --archive-format ", ["default", "zip-store", "tgz", "no-archive"]),
        ("%export --archive-format t", ["tgz"]),
        ("%request coins.png --envelope k", ["kserve", "kservev2"]),
        ("%request --as seg", ["segmentation"]),
        ("%serve --host 0", ["0.0.0.0"]),
        ("%model m --handler image_c", ["image_classifier"]),
        ("%%handler --from cl", ["classifier"]),
        ("%bench --against pre", ["previous"]),
        ("%verify --endpoint ", ["server", "ray", *NAMES, "staging"]),
        ("%test --endpoint st", ["staging"]),
        ("%bench coins.png --endpoint st", ["staging"]),
        ("%bench coins.png --endpoint=st", ["--endpoint=staging"]),
        ("%verify --token-from HOM", ["HOME"]),
        ("%check --target torchserve-0.12.0-cp", ["torchserve-0.12.0-cpu"]),
        ("%check --target=torchserve-0.12.0-cp", ["--target=torchserve-0.12.0-cpu"]),
    ],
)
def test_values_of_an_option_come_first(tab: Complete, line: str, first: list[str]) -> None:
    assert tab(line)[: len(first)] == first


@pytest.mark.parametrize(
    ("line", "offers"),
    [("%check --target ima", "image.txt"), ("%request coi", "coins.png"), ("%request coins_", "coins_run")],
)
def test_files_and_variables_are_offered_too(tab: Complete, line: str, offers: str) -> None:
    assert offers in tab(line)


def test_an_option_is_offered_once_unless_it_may_be_repeated(tab: Complete) -> None:
    assert "--batch" not in tab("%request --batch 2 --b")
    assert tab("%request -F a=1 --pa") == ["--part", "--path"]


def test_other_lines_are_left_to_ipython(tab: Complete) -> None:
    assert tab("coins_") == ["coins_run"]
    assert "%timeit" in tab("%timei")
