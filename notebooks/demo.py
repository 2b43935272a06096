"""Runs quickstart.ipynb from nothing, saying what it does, and leaves what it made in demo/.

The notebook runs in a temporary copy of this folder. By its end it has written, into demo-output/ there: overlay.png
and boxes.png, the two archives under model_store/, and summary.json, all of which land in demo/ together with the
executed notebook and its web page. summary.json:

    {"served": [name, ...], "verified": {name: {place: result, ...}, ...},
     "edit_to_answer_s": {"notebook": s, "torchserve": s}}

The official image's packages are among the places if they are on this machine; --targets gets them first (5 GB).
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from handlerkit import targets
from handlerkit.errors import TargetError

NOTEBOOKS = Path(__file__).resolve().parent
DEMO = NOTEBOOKS.parent / "demo"
MADE = (
    "overlay.png",
    "boxes.png",
    "model_store/coins_segmenter.mar",
    "model_store/coins_detector.mar",
    "summary.json",
)
CELL_TIMEOUT = 300  # seconds
OFFICIAL = "torchserve-0.12.0-cpu"


class DemoError(Exception):
    """The demo cannot go on; its text says why."""


def run(notebook: NotebookNode, folder: Path) -> None:
    """Execute the notebook in `folder`, with a line a cell. Raises DemoError; the kernel is gone in any case."""
    cells = [(index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        resources={"metadata": {"path": str(folder)}},
        coalesce_streams=True,  # a progress line grows in pieces
        extra_arguments=["--log-level=CRITICAL"],  # the kernel's own remarks, which would come between the lines
    )
    with client.setup_kernel():
        for number, (index, cell) in enumerate(cells, 1):
            print(f"[{number:2}/{len(cells)}] {first_line(cell.source):60.60} ", end="", flush=True)
            begun = time.perf_counter()
            try:
                client.execute_cell(cell, index, execution_count=number)
            except CellExecutionError:
                print("failed")
                raised = next(output for output in cell.outputs if output.output_type == "error")
                traceback = plain("\n".join(raised.traceback))
                raise DemoError(f"cell {number} failed:\n{traceback}") from None
            except (CellTimeoutError, DeadKernelError) as error:
                print("failed")
                raise DemoError(f"cell {number} did not finish: {plain(str(error)).strip()}") from None
            print(f"{time.perf_counter() - begun:6.1f} s")
        client.set_widgets_metadata()


def first_line(source: str) -> str:
    return next((line for line in source.splitlines() if line.strip()), "")


def plain(text: str) -> str:
    """Without the escape sequences that color a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def get_official_packages() -> str:
    """Make the official image's environment, with a line that says so. Returns why there is none, or nothing."""
    print(f"the packages of {OFFICIAL} (5 GB, once)", flush=True)
    try:
        targets.find(OFFICIAL).build(progress=lambda step: print(f"    {step}", flush=True))
    except TargetError as error:
        return str(error)
    return ""


def summary(facts: dict[str, Any], folder: str, missing: str = "") -> str:
    """What summary.json says, in a few lines; `missing` says why the official image's packages are not here."""
    seconds = facts["edit_to_answer_s"]
    notebook, torchserve = seconds["notebook"], seconds["torchserve"]
    proofs = [
        f"{name} {result} on {place}" for name, places in facts["verified"].items() for place, result in places.items()
    ]
    if not any(OFFICIAL in proof for proof in proofs):
        proofs.append(f"not on {OFFICIAL}: {missing or 'make demo TARGETS=1 gets its packages (5 GB)'}")
    verified = "\n                 ".join(proofs)
    return (
        f"served:          {', '.join(facts['served'])}\n"
        f"verified:        {verified}\n"
        f"edit to answer:  {notebook:.2f} s in the notebook, {torchserve:.2f} s through TorchServe "
        f"({torchserve / notebook:.0f} times as long)\n"
        f"look at:         {folder}/quickstart.html, overlay.png, boxes.png\n"
    )


def keep(notebook: NotebookNode, made: Path, demo: Path, missing: str = "") -> str:
    """Fill `demo` again with the executed notebook, its web page and what it made. Returns the summary."""
    if unwritten := [name for name in MADE if not (made / name).is_file()]:
        raise DemoError(f"the notebook ran but did not write {', '.join(unwritten)} into {made.name}/")
    shutil.rmtree(demo, ignore_errors=True)
    shutil.copytree(made, demo, ignore=shutil.ignore_patterns("summary.json"))
    nbformat.write(notebook, demo / "quickstart.ipynb")
    page, _ = HTMLExporter().from_notebook_node(notebook, resources={"metadata": {"name": "handlerkit quickstart"}})
    (demo / "quickstart.html").write_text(page, encoding="utf-8")
    text = summary(json.loads((made / "summary.json").read_text()), demo.name, missing)
    (demo / "summary.txt").write_text(text, encoding="utf-8")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description="Run quickstart.ipynb from nothing.")
    parser.add_argument("--targets", action="store_true", help="get the official image's packages first (5 GB)")
    asked = parser.parse_args()
    print("== demo: running notebooks/quickstart.ipynb from nothing")
    with tempfile.TemporaryDirectory(prefix="handlerkit-demo-") as scratch:
        folder = Path(scratch, "notebooks")
        shutil.copytree(NOTEBOOKS, folder, ignore=shutil.ignore_patterns("demo-output", "logs", ".ipynb_checkpoints"))
        try:
            missing = get_official_packages() if asked.targets else ""
            notebook = nbformat.read(folder / "quickstart.ipynb", as_version=4)
            run(notebook, folder)
            text = keep(notebook, folder / "demo-output", DEMO, missing)
        except DemoError as error:
            sys.exit(f"demo: {error}")
        except KeyboardInterrupt:
            print("\ndemo: stopped", file=sys.stderr)
            sys.exit(130)
    print(f"== demo: done; {DEMO.name}/ holds the notebook, its web page, pictures and archives\n\n{text}", end="")


if __name__ == "__main__":
    main()
