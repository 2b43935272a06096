"""Earlier versions of a handler: the Python files that were loaded, kept so that they can be loaded again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handlerkit.endpoints.worker import Worker
from handlerkit.errors import ModelError
from handlerkit.model import Model


@dataclass(frozen=True)
class Version:
    """A model's own Python code at one load: the manifest's word for the handler, and by its name in the archive each
    file's option and content."""

    handler: str
    sources: Mapping[str, tuple[str, bytes]]

    @classmethod
    def of(cls, model: Model) -> Version:
        entries = [entry for entry in model.entries() if entry.name.endswith(".py")]
        return cls(model.handler, {entry.name: (entry.option, entry.source.read_bytes()) for entry in entries})

    @property
    def file(self) -> str:
        """The handler's file, without folders; a default handler's name."""
        name = self.handler.partition(":")[0]
        return name if name.endswith(".py") or f"{name}.py" not in self.sources else f"{name}.py"

    def build(self, model: Model, folder: Path) -> Model:
        """`model` with this code, laid out in `folder`, and with its other files as they are now."""
        code, extra = folder / "code", folder / "extra"
        for name, (option, source) in self.sources.items():
            file = (extra if option == "extra_files" else code) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(source)
        for entry in model.entries():
            if entry.option == "extra_files" and not entry.name.endswith(".py"):
                link = extra / entry.name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(entry.source)
        module_file = next((name for name, (option, _) in self.sources.items() if option == "model_file"), None)
        _, colon, function = self.handler.partition(":")
        written = self.file in self.sources
        return Model(
            model.name,
            model.version,
            handler=f"{code / self.file}{colon}{function}" if written else self.handler,
            serialized_file=model.serialized_file,
            model_file=code / module_file if module_file else None,
            extra_files=[extra] if extra.exists() else [],
            requirements_file=model.requirements_file,
            config_file=model.config_file,
            runtime=model.runtime,
        )

    @contextmanager
    def serve(self, model: Model, options: Mapping[str, Any], envelope: str | None) -> Iterator[Worker]:
        """A worker of `model` with this code, open inside the with block; `options` are arguments of Worker."""
        with (
            tempfile.TemporaryDirectory(prefix="handlerkit-") as folder,
            Worker(self.build(model, Path(folder)), **options) as worker,
        ):
            yield worker.with_envelope(envelope) if envelope else worker


@dataclass
class Versions:
    """Those that were loaded into one model of a session, in their order; the last is the present one."""

    loaded: list[Version] = field(default_factory=list)

    def record(self, model: Model) -> None:
        """Keep what `model` holds now; loading the same again is no new version."""
        version = Version.of(model)
        if not self.loaded or self.loaded[-1] != version:
            self.loaded.append(version)

    def find(self, name: str) -> Version:
        """The one before the present one ("previous"), or else the last one of a handler file of that name. Raises
        ModelError if there is none, in a sentence that names those there are."""
        earlier = self.loaded[:-1]
        if name == "previous":
            found = earlier[-1:]
        else:
            found = [one for one in earlier if name in (one.file, one.file.removesuffix(".py"))][-1:]
        if not found:
            files = ", ".join(dict.fromkeys(one.file for one in earlier))
            there = f"previous, or {files}" if files else "none, until the handler is changed and loaded again"
            raise ModelError(f"there is no earlier version {name!r} to compare with; there is {there}")
        return found[0]
