"""A JupyterLab or Notebook 7 with settings of its own, and a notebook in it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

MODELS = Path(__file__).resolve().parents[2] / "notebooks" / "models"
PAGES = {"jupyterlab": "lab/tree", "notebook": "notebooks"}  # where each application, by its module, opens a file


@contextmanager
def serving(application: str, root: Path) -> Iterator[tuple[str, Path]]:
    """The application with settings of its own: its address with the token in it, up to the path, and its folder."""
    folder = root / "work"
    shutil.copytree(MODELS, folder / "models", ignore=shutil.ignore_patterns("__pycache__"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    for name, value in {
        "apputils-extension/notification": {"checkForUpdates": False, "fetchNews": "false"},
        "docmanager-extension/plugin": {"autosave": False},
    }.items():
        file = root / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value))
    places = {f"JUPYTER_{name}_DIR": str(root / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    places |= {f"JUPYTERLAB_{name}_DIR": str(root / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "JPY_"))}
    with (root / "log").open("w") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", application, "--no-browser", "--allow-root", "--expose-app-in-browser"),
                *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1"),
                *(f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={token}"),
            ],
            cwd=folder,
            env={**environment, **places, "IPYTHONDIR": str(root / "ipython")},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    base = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{base}/api/status?token={token}", server, root / "log")
        yield f"{base}/{PAGES[application]}/{{}}?token={token}", folder
    finally:
        server.terminate()  # it ends its kernels
        server.wait(20)


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(400):
        assert server.poll() is None, log.read_text()
        try:
            opener.open(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the server did not answer: {log.read_text()}")


class Book:
    """A notebook in its application, and what its page did: messages it sent to the kernel, errors it logged."""

    PANEL = "[...jupyterapp.shell.widgets('main')].find(w => w.content?.widgets && w.sessionContext)"

    def __init__(self, browser: Any, served: tuple[str, Path], name: str, cells: Sequence[str]) -> None:
        self.sent: list[str] = []
        self.errors: list[str] = []
        self.file = served[1] / name
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        nbformat.write(new_notebook(cells=[new_code_cell(one) for one in cells], metadata=kernel), self.file)
        self.context = browser.new_context(viewport={"width": 1400, "height": 1000})
        self.page = self.context.new_page()
        self.page.on("websocket", lambda one: one.on("framesent", lambda _: self.sent.append(one.url)))
        self.page.on("console", lambda one: one.type == "error" and self.errors.append(one.text))
        self.page.on("pageerror", lambda problem: self.errors.append(str(problem)))
        self.page.goto(served[0].format(name), timeout=60_000)
        self.ready()

    def ready(self) -> None:
        self.page.wait_for_function(
            f"() => window.jupyterapp && {self.PANEL}?.sessionContext.session?.kernel?.status === 'idle'",
            timeout=90_000,
        )

    def run(self, cell: int | None = None) -> None:
        """Run all cells, or one, and wait until the kernel is idle again."""
        if cell is not None:
            self.page.evaluate(f"() => {{ {self.PANEL}.content.activeCellIndex = {cell} }}")
        command = "notebook:run-all-cells" if cell is None else "notebook:run-cell"
        self.page.evaluate(f"async () => {{ await jupyterapp.commands.execute('{command}') }}")
        self.ready()

    def write(self, cell: int, source: str) -> None:
        self.page.evaluate(
            f"source => {self.PANEL}.content.widgets[{cell}].model.sharedModel.setSource(source)", source
        )

    def reload(self, *, kernel: bool, scroll: bool = True) -> None:
        """Save, and open the page again, with the kernel that it had or without; then show its last cell."""
        self.page.evaluate("async () => { await jupyterapp.commands.execute('docmanager:save') }")
        if not kernel:
            self.page.evaluate(f"async () => {{ await {self.PANEL}.sessionContext.shutdown() }}")
        self.page.reload()
        self.ready()
        if scroll:  # cells that are out of sight are put on the page late
            self.page.evaluate(
                f"async () => {{ const it = {self.PANEL}.content; await it.scrollToItem(it.widgets.length - 1) }}"
            )
