"""The models of a session, and what %model does with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from handlerkit.endpoints.worker import Worker
from handlerkit.errors import ModelError
from handlerkit.model import Model, PathLike
from handlerkit.notebook.options import did_you_mean
from handlerkit.notebook.results import Awaiting, Described
from handlerkit.notebook.session_model import SessionModel, fingerprint
from handlerkit.serving.torchserve_facts import NO_NAMES
from handlerkit.targets import NAMES, find
from handlerkit.unpack import Unpacked

#: The options of `%model NAME` alone.
NO_OPTIONS: dict[str, Any] = {
    **dict.fromkeys(("handler", "serialized_file", "model_file", "requirements_file", "config_file")),
    "version": "1.0",
    "extra_files": [],
    "runtime": "python",
}


class SessionModels:
    """The models by name, and the current one.

    `keep` is called with the live exception of a failed call or load.
    """

    def __init__(self, keep: Callable[[BaseException], None]) -> None:
        self.by_name: dict[str, SessionModel] = {}
        self._names_reported = False
        self._current: SessionModel | None = None
        self._keep = keep

    def __bool__(self) -> bool:
        return self._current is not None

    @property
    def current(self) -> SessionModel:
        """Raises ModelError if there is none yet."""
        if self._current is None:
            raise ModelError("there is no model yet: name one with %model NAME, or write a %%handler cell")
        return self._current

    def new_lines(self, lines: tuple[str, ...]) -> tuple[str, ...]:
        """A load's lines. TorchServe says at each load without labels that it has none: once in a session is enough."""
        reported = self._names_reported
        self._names_reported |= any(line.endswith(NO_NAMES) for line in lines)
        return tuple(line for line in lines if not (reported and line.endswith(NO_NAMES)))

    @contextmanager
    def lend(self, name: str) -> Iterator[Worker]:
        """The worker of the model of that name, as it is now; inside the block nobody else changes it. For any thread.
        Raises ModelError if there is no such model, LoadError if its handler does not load."""
        while True:
            if (model := self.by_name.get(name)) is None:
                raise ModelError(f"{name} is no model of this session any more")
            with model.lend() as worker:
                if self.by_name.get(name) is model:
                    yield worker
                    return

    def target(self, name: PathLike | None) -> PathLike:
        """A target's name, or its file wherever this process goes; the current model's without a name. Raises
        TargetError for an unknown one."""
        if name is None:
            return self._current.target if self._current else "declared"
        find(name)
        return name if name in NAMES else Path(name).expanduser().absolute()

    def choose(
        self,
        name: str | Model | None,
        archive: PathLike | None,
        options: dict[str, Any],
        *,
        registered: dict[str, Any],
        archiver: dict[str, Any],
        target: PathLike | None,
    ) -> Described | Awaiting:
        """Make a model the current one, as of Session.model. `options` are Model's, `registered` Worker's, `archiver`
        those of the export."""
        given = [key for key, value in options.items() if value != NO_OPTIONS[key]]
        where = self.target(target) if target is not None else "declared"
        if (archive is not None or isinstance(name, Model)) and given:
            raise ModelError("a Model and an archive bring their own version and files: leave the other options out")
        if isinstance(name, Model):
            if archive is not None:
                raise ModelError("a Model has its own files: leave the archive out")
            model = SessionModel(name.name, name.options(), registered, self._keep, where)
        elif archive is not None:
            model = self._unpacked(archive, name, registered, where)
        elif name is None and given:
            options_given = " ".join(f"--{key} ..." for key in given).replace("_", "-")
            raise ModelError(f"name the model: %model NAME {options_given}")
        elif name is None or (name in self.by_name and not given):
            self._current = model = self.current if name is None else self.by_name[name]
            model.register(registered, model.target if target is None else where)
            model.archiver |= archiver
            return model.facts()
        elif name.endswith(".mar"):
            raise ModelError(f"{name} names an archive: use %model --archive {name}")
        else:
            # a default handler stands in, so that every other mistake is found now and not with the handler
            Model(name, **{**options, "handler": options["handler"] or "base_handler"})
            model = SessionModel(name, options, registered, self._keep, where)
        model.archiver = archiver
        is_typed = isinstance(name, str) and archive is None and name not in self.by_name
        # what comes with files is meant to be new, unless a letter is amiss
        near = did_you_mean(model.name, [*self.by_name], 0.85 if given else 0.7) if is_typed else ""
        if (before := self.by_name.pop(model.name, None)) is not None:
            before.discard()
        self.by_name[model.name] = self._current = model
        return model.facts(f"{model.name} is a new model{near}" if near else "")

    def clear(self) -> None:
        """Forget all of them, and remove what was unpacked for them. A call that still runs is ended."""
        for model in self.by_name.values():
            if (worker := model.worker) is not None:
                worker.close()  # whoever is alone with it, since nobody waits for what it answers
            model.discard()
        self.by_name.clear()
        self._current = None

    def _unpacked(
        self, archive: PathLike, name: str | None, registered: dict[str, Any], target: PathLike
    ) -> SessionModel:
        """The model of an archive, under this name if there is one; the archive is up to date with it."""
        unpacked = Unpacked(archive)
        try:
            options = unpacked.model.options()
            model = SessionModel(
                name or unpacked.model.name, options, registered, self._keep, target, unpacked=unpacked
            )
            model.fingerprint = fingerprint(model.build())
        except BaseException:
            unpacked.close()
            raise
        if model.name == unpacked.model.name:
            model.archive = Path(archive).expanduser()
        return model
