"""A worker whose files are edited, and the handlers that tests of its reload edit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from handlerkit.endpoints.worker import Worker
from handlerkit.messages import Request
from handlerkit.model import Model
from handlerkit.worker_process.hot_reload.reload import Reload

HEAD = """import torch
from ts.torch_handler.base_handler import BaseHandler
"""


class Notebook:
    """A worker whose files are edited. After every edit its answers are compared with those of a fresh worker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options: dict[str, Any] = {}
        self.requests = [Request.text("a"), Request.text("b")]
        #: What the handler's file begins with: it runs in the worker, before anything is loaded.
        self.begins = ""

    def load(self, source: str, extra: Mapping[str, str | bytes] | None = None, **options: Any) -> Notebook:
        (self.folder / "handler.py").write_text(self.begins + source)
        for name, text in (extra or {}).items():
            (self.folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
        names = [name for name in ("serialized_file", "config_file", "model_file") if name in options]
        files = {name: self.folder / options.pop(name) for name in names}
        travelling = [self.folder / name for name in extra or {} if self.folder / name not in files.values()]
        self.model = Model("m", handler=self.folder / "handler.py", extra_files=travelling, **files)
        self.options = options
        self.worker = Worker(self.model, **options)
        self.answers()
        return self

    def answers(self, worker: Worker | None = None) -> list[str]:
        run = (worker or self.worker).predict(*self.requests)
        return [response.text for response in run.responses] + [
            call.error.traceback for call in run.calls if call.error
        ]

    def edit(self, old: str, new: str, file: str = "handler.py") -> Reload:
        path = self.folder / file
        source = path.read_text()
        assert old in source
        path.write_text(source.replace(old, new, 1))
        return self.reload()

    def reload(self) -> Reload:
        reload = self.worker.reload()
        answers = self.answers()
        with Worker(self.model, **self.options) as fresh:
            assert answers == self.answers(fresh)
        return reload

    @property
    def loaded(self) -> Any:
        return self.worker._loaded


def handler(body: str, initialize: str = "pass", head: str = "") -> str:
    """A handler whose `handle` returns `body` for each row; `self.n` counts the calls."""
    lines = "\n".join(f"        {line}" for line in initialize.splitlines())
    return (
        f"{HEAD}{head}\nclass Handler(BaseHandler):\n    def initialize(self, context):\n        self.n = 0\n{lines}\n"
        f"    def handle(self, data, context):\n        self.n += 1\n        return [{body}] * len(data)\n"
    )
