"""What a command works on: an archive, the file of a handler, or a model that a handlerkit.toml describes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handlerkit.errors import ModelError

if TYPE_CHECKING:
    from handlerkit.model import Model
    from handlerkit.notebook.session import Session

_BEGIN = (
    "begin with an archive or the file of a handler, or describe a model in handlerkit.toml "
    "(hk.session.save() writes it)"
)
_NONE = f"there is no model: {_BEGIN}"


def named(word: str) -> dict[str, Any] | None:
    """The arguments of Session.model for what this word names; None if it names no model. Raises ModelError if the
    file that describes models cannot be read."""
    from handlerkit.notebook import project
    from handlerkit.unpack import is_archive

    if is_archive(word):
        return {"archive": word}
    if Path(word).name in project.FILES:
        return project.choose(word, None)
    described = _described()
    if word.endswith(".py"):
        own = [one for one in described.values() if one["handler"] and _same(one["handler"], word)]
        if len(own) > 1:
            raise ModelError(f"{word} is the handler of {', '.join(one['name'] for one in own)}: name the model")
        return own[0] if own else {"name": name_for(Path(word).stem), "handler": word}
    return described.get(word)


def choose(options: dict[str, Any], then: str = "") -> dict[str, Any]:
    """The arguments of Session.model for the MODEL of these options, which is taken out of them.

    A word in its place that names no model is the first of `then`, and the one model that is described is meant. Raises
    ModelError if there is none or several, and for a word that nobody wants.
    """
    word = options.pop("model")
    if word is not None and (found := named(word)) is not None:
        return found
    models = _described()
    if word is not None:
        if not models:
            raise ModelError(f"{word} is no model: {_BEGIN}")
        if isinstance(options.get(then), list):
            options[then].insert(0, word)
        elif then and options[then] is None:
            options[then] = word
        else:
            raise ModelError(f"{word} is no model: there is {', '.join(models)}")
    if len(models) != 1:
        raise ModelError(f"several models are described here: name one of {', '.join(models)}" if models else _NONE)
    return next(iter(models.values()))


def name_for(text: str) -> str:
    """A name for a model that is called like this file or folder."""
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_") or "model"


def every() -> list[dict[str, Any]]:
    """All models that are described here. Raises ModelError if none is."""
    if models := _described():
        return list(models.values())
    raise ModelError(_NONE)


def names() -> Sequence[str]:
    """The models that are described here; none if that cannot be read."""
    try:
        return [*_described()]
    except ModelError:
        return ()


def build(model: dict[str, Any]) -> Model:
    """The Model that these arguments of Session.model make. Raises ModelError if it has no handler, or a file of it is
    missing."""
    from handlerkit.model import Model

    if not model.get("handler"):
        raise ModelError(f"{model['name']} has no handler: name one where it is described")
    words = "version", "serialized_file", "model_file", "extra_files", "requirements_file", "config_file", "runtime"
    return Model(model["name"], handler=model["handler"], **{word: model[word] for word in words if word in model})


@contextmanager
def opened(model: dict[str, Any]) -> Iterator[Session]:
    """A session with this model, which is closed at the end of the block."""
    from handlerkit.notebook.session import Session

    session = Session(magics=False)
    try:
        session.model(**model)
        yield session
    finally:
        session.close()


def _described() -> dict[str, dict[str, Any]]:
    from handlerkit.notebook import project

    file = project.find()
    return project.read(file) if file is not None else {}


def _same(handler: str, word: str) -> bool:
    """Whether both are one file; a function may stand behind the handler's."""
    own = handler.partition(":")[0].removesuffix(".py")
    return Path(f"{own}.py").resolve() == Path(word).expanduser().resolve()
