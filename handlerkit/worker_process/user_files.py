"""Code of a model's files that carries the name of the file which the user edits.

TorchServe sees a copy in model_dir, and so does `__file__`; but a breakpoint, a debugger, coverage and a traceback
name a file by its code's `co_filename`, and that is the user's own.
"""

from __future__ import annotations

import _imp
import linecache
import os
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from types import CodeType
from typing import Any


class UserFiles:
    """The user's files behind the staged ones.

    Args:
        model_dir: where the copies are.
        sources: the user's file of each staged Python file, by its path in model_dir. What comes with the kit is none.
    """

    def __init__(self, model_dir: str, sources: Mapping[str, str]) -> None:
        self._folder = f"{model_dir}{os.sep}"
        self._users = {self._folder + name: user for name, user in sources.items()}
        self._staged = {user: staged for staged, user in self._users.items()}

    def of(self, staged: str) -> str:
        """The name that code of a staged file carries."""
        return self._users.get(staged, staged)

    def staged(self, file: str) -> str:
        """The staged file that code of this name was compiled from."""
        return self._staged.get(file, file)

    def plain(self, text: str) -> str:
        """A text that names the staged files instead."""
        for user, staged in self._staged.items():
            if user in text:
                text = text.replace(user, staged)
        return text

    def install(self) -> Callable[[], None]:
        """Have imports from model_dir made this way. Returns what undoes it."""
        hook = self._hook
        sys.path_hooks.insert(0, hook)
        sys.path_importer_cache.pop(self._folder[: -len(os.sep)], None)
        if (coverage := sys.modules.get("coverage.files")) is not None:
            # it goes by a module's `__file__`, and asks where that leads
            getattr(coverage, "CANONICAL_FILENAME_CACHE", {}).update(self._users)

        def undo() -> None:
            if hook in sys.path_hooks:
                sys.path_hooks.remove(hook)

        return undo

    def remember(self, staged: str, source: bytes) -> None:
        """Have tracebacks show the lines that are loaded, whatever is in the user's file by now."""
        text = source.decode("utf-8", "replace")
        linecache.cache[self.of(staged)] = (len(source), None, text.splitlines(keepends=True), self.of(staged))

    def _hook(self, path: str) -> Any:
        if not f"{path}{os.sep}".startswith(self._folder):
            raise ImportError
        users = self

        class Loader(SourceFileLoader):
            compiled = False

            def source_to_code(self, data: Any, path: Any) -> CodeType:  # type: ignore[override]
                self.compiled = True
                users.remember(path, bytes(data))
                return super().source_to_code(data, path)

            def get_code(self, fullname: str) -> CodeType | None:
                code = super().get_code(fullname)
                staged = self.get_filename(fullname)
                user = users.of(staged)
                if code is not None and user != staged:
                    _imp._fix_co_filename(code, user)  # type: ignore[attr-defined]
                    if not self.compiled:  # it came from __pycache__
                        users.remember(staged, self.get_data(staged))
                return code

        return FileFinder(
            path,
            (ExtensionFileLoader, EXTENSION_SUFFIXES),
            (Loader, SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        )
