"""The magics: each parses its line, calls the session's method of the same name, and returns what that returns."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class

from handlerkit.endpoints.loads.fork_server import fork_server
from handlerkit.model import ready_made
from handlerkit.notebook.parsers import PARSERS, HelpRequested, WrongOption
from handlerkit.view import bundle
from handlerkit.view.displays import DISPLAYS

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from handlerkit.notebook.session import Session


@magics_class
class HandlerkitMagics(Magics):
    """%model, %%handler, %%module, %request, %check, %export, %verify, %bench and %preview."""

    @line_magic
    def model(self, line: str) -> Any:
        """Choose what the archive will hold: %model NAME [options]; %model --help shows them."""
        return self._door("model", line, lambda session, options: session.model(**_model_options(options)))

    @line_cell_magic
    def handler(self, line: str, cell: str | None = None) -> Any:
        """Write the cell to a file and load it as the handler: %%handler [FILE] [options]; --help shows them."""
        from handlerkit.notebook.cell import write

        def load(session: Session, options: dict[str, Any]) -> Any:
            name = options["from_"]
            file = options["file"] or (f"{name}.py" if name else "handler.py")
            body = self._begin(line, file, name) if name and not (cell or "").strip() else self._body("handler", cell)
            path = write(file, _as_file(body))
            return session.use(path, function=options["function"], from_=name, reload=options["reload"])

        return self._door("handler", line, load)

    @line_cell_magic
    def module(self, line: str, cell: str | None = None) -> Any:
        """Write the cell to a helper module that travels with the model: %%module FILE."""
        return self._door(
            "module",
            line,
            lambda session, options: session.module(options["file"], _as_file(self._body("module", cell))),
        )

    @line_cell_magic
    def request(self, line: str, cell: str | None = None) -> Any:
        """Send a request through the worker: %request FILE [options]; %%request sends the cell's text."""

        def send(session: Session, options: dict[str, Any]) -> Any:
            what = [self._value(word) for word in options.pop("what")]
            if cell is not None:
                what.append(_payload(cell))
            options["parts"] = [_part(text) for text in options["parts"]]
            if options["against"] not in (None, "previous"):
                options["against"] = self._value(options["against"])
            return session.request(*what, **{key: value for key, value in options.items() if value is not None})

        return self._door("request", line, send)

    @line_magic
    def check(self, line: str) -> Any:
        """Say what would fail elsewhere: %check [ARCHIVE] [--target NAME]."""
        return self._door("check", line, lambda session, options: session.check(**options))

    @line_magic
    def export(self, line: str) -> Any:
        """Check the model and write its archive: %export [FOLDER] [--force] [--strict] [--target NAME]."""
        return self._door("export", line, lambda session, options: session.export(**options))

    @line_magic
    def verify(self, line: str) -> Any:
        """Prove the archive on a real TorchServe: %verify [ARCHIVE] [--target NAME] [--ignore NAME] [--rtol NUMBER]."""
        return self._door("verify", line, lambda session, options: session.verify(**options))

    @line_magic
    def bench(self, line: str) -> Any:
        """Measure the model: %bench [FILE] [--batch-sizes 1,4] [--against previous] [--endpoint server] [--profile]."""

        def measure(session: Session, options: dict[str, Any]) -> Any:
            return session.bench(*(self._value(word, "bench") for word in options.pop("what")), **options)

        return self._door("bench", line, measure)

    @line_magic
    def preview(self, line: str) -> Any:
        """Play with the model's answers: %preview [FILE ...] [--save PAGE.html]; %preview --help shows all options."""

        def show(session: Session, options: dict[str, Any]) -> Any:
            return session.preview(*(self._value(word, "preview") for word in options.pop("what")), **options)

        return self._door("preview", line, show)

    def _door(self, magic: str, line: str, call: Callable[[Session, dict[str, Any]], Any]) -> Any:
        try:
            options = PARSERS[magic]().read_line(line)
        except HelpRequested as text:
            print(text)
            return None
        except WrongOption as slip:
            raise UsageError(str(slip)) from None
        from handlerkit.notebook.session import session

        return call(session, options)

    def _begin(self, line: str, file: str, name: str) -> str:
        """The source of a ready-made handler, which takes the empty cell's place."""
        source = ready_made(name).read_text()
        path = Path(file).expanduser()
        if path.is_file() and path.read_text() != _as_file(source):
            raise UsageError(f"%%handler: {file} is there already and is another one; name another file to write")
        if self.shell is not None:
            self.shell.set_next_input(f"%%handler {line.strip()}\n{source}", replace=True)
        return source

    def _body(self, magic: str, cell: str | None) -> str:
        if cell is None or not cell.strip():
            raise UsageError(f"%%{magic}: the cell is empty; write the Python code below the first line")
        return cell

    def _value(self, word: str, magic: str = "request") -> Any:
        """What a word of the line names: a variable of the notebook, else a file."""
        variables = self.shell.user_ns if self.shell else {}
        if word in variables:
            return variables[word]
        if word.isidentifier() and not Path(word).exists():
            raise UsageError(f"%{magic}: there is no variable and no file {word!r}")
        return Path(word)


def _model_options(options: dict[str, Any]) -> dict[str, Any]:
    given = {**options, "extra_files": [file for file in options["extra_files"].split(",") if file]}
    if given["config_properties"] is not None:
        given["config_properties"] = dict(given["config_properties"])
    return given


def _as_file(cell: str) -> str:
    """The cell as it is, with an empty line where the magic's stood: line N of the file is line N of the cell."""
    return "\n" + cell


def _payload(cell: str) -> Any:
    """A curl command is run as one, JSON is sent as JSON, anything else as text."""
    from handlerkit.messages import Request

    text = cell.strip()
    if text.startswith("curl "):
        return Request.curl(text)
    try:
        json.loads(text)
    except ValueError:
        return Request.text(cell)
    return Request(body=text.encode(), headers=(("Content-Type", "application/json"),))


def _part(text: str) -> Any:
    from handlerkit.messages.curl import read_part

    return read_part(text)


def _complete(shell: Any, event: Any) -> Sequence[str]:
    """Options of the magic on this line, and the values of one that takes few; file names come from IPython itself."""
    from IPython.core.error import TryNext

    from handlerkit.targets import NAMES

    magic = event.line.split()[0].lstrip("%") if event.line.split() else ""
    if magic not in PARSERS:
        raise TryNext
    options = {option: action for action in PARSERS[magic]()._actions for option in action.option_strings}
    if event.symbol.startswith("-"):
        return [option for option in options if option.startswith("--")]
    before = "".join(event.text_until_cursor.removesuffix(event.symbol).split()[-1:])
    values = NAMES if before == "--target" else options[before].choices if before in options else None
    offered = [value for value in values or () if value.startswith(event.symbol)]
    if not offered:
        raise TryNext
    return offered


def _with_body(lines: list[str]) -> list[str]:
    """IPython refuses a cell magic without a body; with an empty line, `%%handler --help` reaches us."""
    first = lines[0].split() if len(lines) == 1 else []
    return [*lines, "\n"] if first and first[0].startswith("%%") and first[0][2:] in PARSERS else lines


_HOOKED = tuple(f"{sign}{name}" for name in PARSERS for sign in ("%", "%%"))


def load_ipython_extension(shell: InteractiveShell) -> None:
    """What %load_ext handlerkit does: the magics, their completion, and the displays; and the process that makes
    workers begins to import torch, beside this one."""
    unload_ipython_extension(shell)
    with suppress(OSError):  # the first worker will say so
        fork_server().start()
    shell.register_magics(HandlerkitMagics)
    shell.input_transformers_cleanup.append(_with_body)
    for key in _HOOKED:
        shell.set_hook("complete_command", _complete, str_key=key)  # type: ignore[no-untyped-call]
    for module, kind in DISPLAYS:
        _formatter(shell).for_type_by_name(module, kind, bundle)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """What %unload_ext handlerkit does: everything load_ipython_extension did is taken back."""
    ours = shell.magics_manager.registry.pop(HandlerkitMagics.__name__, None)
    for table in shell.magics_manager.magics.values():
        for name in [name for name in PARSERS if getattr(table.get(name), "__self__", shell) is ours]:
            del table[name]
    if _with_body in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(_with_body)
    hooks = shell.strdispatchers["complete_command"].strs if "complete_command" in shell.strdispatchers else {}
    for key in _HOOKED:
        hooks.pop(key, None)
    for module, kind in DISPLAYS:
        _formatter(shell).pop(f"{module}.{kind}", None)


def _formatter(shell: Any) -> Any:
    return shell.display_formatter.mimebundle_formatter
