"""Sphinx's settings. The site is made of the README, the notebooks as they are saved, and the docstrings."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring

HERE = Path(__file__).parent
ROOT = HERE.parent

project = "handlerkit"
version = release = installed("handlerkit")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["_build", "Thumbs.db", "**.ipynb_checkpoints"]

html_theme = "furo"
html_title = "handlerkit"

suppress_warnings = ["misc.highlighting_failure"]  # $name in the line of a magic is no Python

myst_enable_extensions = ["colon_fence", "html_image"]
smartquotes = False  # options begin with two hyphens
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks' own tests run them; the site shows them as they are saved

autodoc_typehints = "description"
autodoc_member_order = "bysource"
autoclass_content = "class"

linkcheck_anchors = False


sys.path.insert(0, str(HERE))


def bring_notebooks() -> None:
    """Lay the notebooks out beside the pages, where Sphinx reads them, with an index in the README's words."""
    target = HERE / "notebooks"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    shutil.copytree(ROOT / "notebooks" / "pictures", target / "pictures")
    lines = ["# Notebooks", "Each is shown as it is saved; the tests hold them to their outputs."]
    names = []
    for row in re.findall(r"^\|.*\]\(notebooks/\w+\.ipynb\).*$", (ROOT / "README.md").read_text(), re.M):
        picture, link, shows = (cell.strip() for cell in row.strip("|").split("|"))
        (name,) = re.findall(r"notebooks/(\w+)\.ipynb", link)
        notebook = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text())
        notebook["metadata"]["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}  # magics are read too
        (target / f"{name}.ipynb").write_text(json.dumps(notebook))
        names.append(name)
        lines.append(f"## [{link[1 : link.index(']')]}]({name}.ipynb)")
        lines += [picture.replace('"notebooks/', '"'), shows]
    lines.append("\n".join(["```{toctree}", ":hidden:", "", *names, "```"]))
    (target / "index.md").write_text("\n\n".join(lines) + "\n")


def bring_contributing() -> None:
    """Lay CONTRIBUTING.md beside the pages, with its links as they are from here."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (HERE / "CONTRIBUTING.md").write_text(text.replace("](docs/", "]("))


bring_notebooks()
bring_contributing()
(HERE / "benchmarks").mkdir(exist_ok=True)
shutil.copy(ROOT / "benchmarks" / "RESULTS.md", HERE / "benchmarks")


def bring_causes() -> None:
    """Write causes.md where it is older than what it is made of: all of its handlers are loaded and called for it."""
    page = HERE / "causes.md"
    made_of = [
        HERE / "catalogue.py",
        *(ROOT / "handlerkit" / "why").rglob("*.py"),
        *(ROOT / "tests" / "why").rglob("*.py"),
    ]
    if not page.exists() or page.stat().st_mtime < max(file.stat().st_mtime for file in made_of):
        import catalogue

        catalogue.write(page)


bring_causes()


def bring_commands() -> None:
    """Write commands.md, the help text of each command of the notebook and of the command line."""
    from handlerkit.cli.commands import COMMANDS as SCRIPTS
    from handlerkit.notebook.commands import COMMANDS

    os.environ["COLUMNS"] = "88"  # argparse's width: what the theme shows without scrolling
    lines = ["# Commands", "Each shows its text with `--help`, too.", "## In a notebook"]
    for command in COMMANDS.values():
        lines += [f"### {command.magic}", f"```text\n{command.parser().format_help().rstrip()}\n```"]
    lines.append("## On the command line")
    for name, script in SCRIPTS.items():
        lines += [f"### handlerkit {name}", f"```text\n{script.parser().format_help().rstrip()}\n```"]
    (HERE / "commands.md").write_text("\n\n".join(lines) + "\n")


bring_commands()


def read_docstring(_: Sphinx, what: str, name: str, __: Any, ___: Any, lines: list[str]) -> None:
    """Docstrings are Google's. The extension napoleon itself takes what is before a colon in a property's first
    sentence for its type."""
    lines[:] = GoogleDocstring(lines, Config(), what="method" if what == "property" else what, name=name).lines()


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", read_docstring)
