"""What only the magics do: their lines, help, completion, and the extension's coming and going."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from handlerkit.errors import LoadError
from handlerkit.notebook import magics
from handlerkit.notebook.commands import COMMANDS
from handlerkit.notebook.completion import complete
from handlerkit.notebook.session import Session

MAGICS = ("%model", "%%handler", "%%module", "%request", "%%request", "%check", "%export", "%verify")
#: What some magics may be asked beside their examples, with each # a character as any other.
WORDS = {
    "model": ("m --extra-files a#1.json,'# 2.json'",),
    "request": ("a.json --query 'a=#1' --header 'X-Color: #fff'",),
}
ECHO = """
def handle(data, context):
    return [str(row) for row in data] if data else None
"""


@pytest.fixture
def echo(notebook, session: Session) -> Session:
    """A session whose handler answers what it was given, as text."""
    notebook(f"%%handler echo.py{ECHO}")
    return session


@pytest.mark.parametrize("magic", MAGICS)
def test_help_on_an_empty_cell(notebook, magic: str) -> None:
    cell = notebook(f"{magic} --help")
    assert (cell.error, cell.value, cell.stderr) == (None, None, "")
    assert cell.stdout.startswith(f"usage: {magic if magic != '%%request' else '%request'}")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%model m --unknown x", "%model: unrecognized arguments: --unknown ("),
        ("%model m --batch-size many", "--batch-size: 'many' is not a whole number from 1 on"),
        ("%model m --config-property decode", "'decode' is not KEY=VALUE"),
        ("%model m --env NOBODY_SET_THIS", "'NOBODY_SET_THIS' is not set here; write NOBODY_SET_THIS=VALUE"),
        ("%model m 'unfinished", "%model: no closing quotation"),
        ("%%handler", "%%handler: the cell is empty"),
        ("%handler", "%%handler: the cell is empty"),
        ("%%module", "%%module: the following arguments are required: file"),
        ("%%module helper.py", "%%module: the cell is empty"),
        ("%request x --envelope soap", "%request: argument --envelope: invalid choice: 'soap'"),
        ("%request x --header nocolon", "'nocolon' is not 'Name: value'"),
        ("%request x --batch 0", "'0' is not a whole number from 1 on"),
        ("%request coin", "%request: there is no variable and no file 'coin'"),
        ("%export --archive-format rar", "%export: argument --archive-format: invalid choice: 'rar'"),
        ("%check --taget here", "%check: unrecognized arguments: --taget; did you mean --target?"),
        ("%check --strict", "%check: unrecognized arguments: --strict; --strict belongs to %export ("),
        (
            "%handler --target=x",
            "unrecognized arguments: --target=x; --target belongs to %model, %check, %export, %ver",
        ),
        ("%request --against=previous --shw", "%request: unrecognized arguments: --shw (%request --help"),
        ("%check --json", "%check: unrecognized arguments: --json (%check --help"),
        ("%check here", "%check: argument archive: here is the name of a target; did you mean --target here?"),
        ("%verify declared", "%verify: argument archive: declared is the name of a target; did you mean --target dec"),
        ("%check a.mar b.mar", "%check: unrecognized arguments: b.mar"),
        ("%verify --rtol close", "%verify: argument --rtol: invalid float value: 'close'"),
        ("%request x --envelope kserv", "; did you mean kserve? (%request --help"),
        ("%export --archive-format tgzz", "; did you mean tgz? (%export --help"),
        ("%model m --model-name n", "%model: two names, m and n: leave one out"),
        ("%export a --export-path b", "%export: two folders, a and b: leave one out"),
    ],
)
def test_a_slip_in_the_line_is_one_line(notebook, echo: Session, line: str, says: str) -> None:
    cell = notebook(line)
    assert isinstance(cell.error, UsageError)
    assert says in str(cell.error)
    assert cell.stdout == ""
    assert len(cell.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("magic", COMMANDS)
@pytest.mark.parametrize("comment", ["  # what isn't read", " #", "\t#'"])
def test_a_comment_behind_a_magic_is_a_comment(magic: str, comment: str) -> None:
    for words in (*COMMANDS[magic].examples, *WORDS.get(magic, ())):
        assert COMMANDS[magic].parser().read_line(words + comment) == COMMANDS[magic].parser().read_line(words)


def test_a_comment_behind_an_export(notebook, echo: Session, tmp_path: Path) -> None:
    assert notebook("%export                 # model_store/echo.mar").error is None
    assert (tmp_path / "model_store" / "echo.mar").is_file()


@pytest.mark.parametrize("line", ["%model", "%request x.png", "%check", "%export", "%verify", "%serve"])
def test_an_error_of_the_kit_is_one_line_too(notebook, line: str) -> None:
    cell = notebook(line)
    assert cell.stdout == ("ModelError: there is no model yet: name one with %model NAME, or write a %%handler cell\n")
    assert cell.stderr == ""


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("%model m --ser", "--serialized-file"),
        ("%request --env", "--envelope"),
        ("%request --as", "--as-tensor"),
        ("%%request --con", "--content-type"),
        ("%%handler echo.py --f", "--function"),
        ("%check --ta", "--target"),
        ("%export --arch", "--archive-format"),
        ("%export --st", "--strict"),
        ("%verify --rt", "--rtol"),
        ("%verify --ta", "--target"),
        ("%model m --ta", "--target"),
    ],
)
def test_tab_completes_options(notebook, shell: InteractiveShell, line: str, offers: str) -> None:
    assert offers in _completions(shell, line)


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_read_by_their_command(name: str) -> None:
    command = COMMANDS[name]
    assert command.examples
    for words in command.examples:
        command.parser().read_line(words)
        assert f"  {command.magic} {words}".rstrip() in command.parser().format_help().splitlines()


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("%verify --target torchs", "torchserve-0.12.0-cpu"),
        ("%model m --target ", "declared"),
        ("%check --target he", "here"),
        ("%verify", "%verify"),
        ("%request x --envelope kse", "kservev2"),
        ("%model m --env PA", "PATH"),
    ],
)
def test_tab_completes_values(notebook, shell: InteractiveShell, line: str, offers: str) -> None:
    assert offers in _completions(shell, line)


def test_tab_completes_files_of_a_target(notebook, shell: InteractiveShell, tmp_path: Path) -> None:
    (tmp_path / "image.txt").touch()
    assert "image.txt" in _completions(shell, "%verify --target ima")


def test_tab_completes_files(notebook, shell: InteractiveShell, tmp_path: Path) -> None:
    (tmp_path / "coins.png").touch()
    assert "coins.png" in _completions(shell, "%request coi")


def test_environment_of_the_worker(notebook, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "a=b")
    notebook("%model m --env MY_TOKEN --env 'MY_TEXT=two words' --env MY_EMPTY=")
    read = "[str([os.environ.get(name) for name in ('MY_TOKEN', 'MY_TEXT', 'MY_EMPTY')])] * len(data or ())"
    notebook(f"%%handler h.py\nimport os\ndef handle(data, context): return {read}\n")
    assert session.request("a").response.text == "['a=b', 'two words', '']"
    notebook("%model --env MY_TOKEN=other")
    assert session.request("a").response.text == "['other', None, None]"


def test_handler_file_begins_with_an_empty_line(notebook, tmp_path: Path) -> None:
    notebook(f"%%handler echo.py{ECHO}")
    assert (tmp_path / "echo.py").read_text() == "\n" + ECHO[1:]


def test_a_cell_run_again_leaves_its_file_alone(notebook, tmp_path: Path) -> None:
    notebook(f"%%handler echo.py{ECHO}")
    before = (tmp_path / "echo.py").stat().st_mtime_ns
    notebook(f"%%handler echo.py{ECHO}")
    assert (tmp_path / "echo.py").stat().st_mtime_ns == before


def test_load_error_is_shown_with_the_lines_of_the_cell(notebook, session: Session) -> None:
    cell = notebook("%%handler broken.py\n\ndef handle(data, context):\n    raise ValueError('boo')\n")
    assert isinstance(cell.error, LoadError)
    assert "File \"broken.py\", line 4, in handle\n    raise ValueError('boo')\nValueError: boo" in cell.stdout
    assert "handlerkit" not in cell.stdout
    assert "/tmp" not in cell.stdout
    assert cell.stderr == ""


def test_syntax_error_is_shown_with_the_line_of_the_cell(notebook, session: Session) -> None:
    cell = notebook("%%handler broken.py\n\ndef handle(data, context)\n    return data\n")
    assert 'File "broken.py", line 3\n    def handle(data, context)\n' in cell.stdout
    assert "handlerkit" not in cell.stdout


def test_request_cell_with_json(notebook, echo: Session) -> None:
    notebook('%%request\n{"a": [1, 2]}')
    assert echo.last.rows == [{"body": {"a": [1, 2]}}]


def test_request_cell_with_text(notebook, echo: Session) -> None:
    notebook("%%request\nKings and\ncabbages\n")
    assert echo.last.rows == [{"body": "Kings and\ncabbages\n"}]


def test_request_cell_with_a_curl_command(notebook, echo: Session) -> None:
    notebook("%%request\ncurl -X POST http://127.0.0.1:8080/predictions/echo \\\n  -F a=1")
    assert echo.last.rows == [{"a": bytearray(b"1")}]


def test_request_cell_takes_the_options(notebook, echo: Session) -> None:
    notebook("%%request --content-type application/json --envelope json\n[1, 2]")
    assert echo.last.data == [[1, 2]]


def test_content_type_takes_the_place_of_the_cell_s_own(notebook, echo: Session) -> None:
    notebook("%%request --content-type application/octet-stream\nsome text")
    assert echo.last.request.headers == (("Content-Type", "application/octet-stream"),)


def test_request_part_of_a_file(notebook, echo: Session, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    notebook("%request --part data=@note.txt --part times=2")
    assert echo.last.rows == [{"data": "hello", "times": bytearray(b"2")}]


def test_request_part_of_a_variable(notebook, echo: Session) -> None:
    notebook("threshold = 0.5\nname = 'coin'\nfrom PIL import Image\npicture = Image.new('L', (2, 2))")
    notebook("%request -F limit=threshold -F word=name -F data=picture -F other=none")
    row = echo.last.rows[0]
    assert (row["limit"], row["word"], row["other"]) == (bytearray(b"0.5"), bytearray(b"coin"), bytearray(b"none"))
    assert row["data"].startswith(b"\x89PNG")
    assert echo.last.request_headers[0]["data"] == {"content-type": "image/png"}


def test_a_variable_that_is_near_is_named(notebook, echo: Session) -> None:
    notebook("my_payload = 1")
    assert str(notebook("%request my_paylod").error).endswith("no file 'my_paylod'; did you mean my_payload?")


def test_request_of_a_wildcard(notebook, echo: Session, tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "c.json"):
        (tmp_path / name).write_text("1")
    notebook("%request *.txt")
    assert [request.label for request in echo.last.requests] == ["a.txt", "b.txt"]
    assert "no file matches 'z*.txt'" in notebook("%request z*.txt").stdout


def test_request_of_a_folder_is_of_its_pictures(notebook, echo: Session, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for name in ("b.png", "a.jpg", "notes.txt"):
        (tmp_path / "pictures" / name).write_text("1")
    notebook("%request pictures")
    assert [request.label for request in echo.last.requests] == ["a.jpg", "b.png"]
    (tmp_path / "texts").mkdir()
    assert "there is no picture in 'texts'" in notebook("%request texts").stdout


def test_options_as_torch_model_archiver_spells_them(notebook, tmp_path: Path) -> None:
    (tmp_path / "net.pt").touch()
    (tmp_path / "echo.py").write_text(ECHO)
    (tmp_path / "r.txt").touch()
    (tmp_path / "c.yaml").write_text("minWorkers: 1\n")
    notebook(
        "%model --model-name m -v 2.0 --serialized-file net.pt --handler echo.py --extra-files r.txt -r r.txt "
        "-c c.yaml --runtime python3 --export-path store --archive-format tgz -f"
    )
    for _ in range(2):
        assert notebook("%export").value.path == Path("store", "m.tar.gz")
    assert notebook("%export --export-path other --archive-format default -f").value.path == Path("other", "m.mar")


def test_curl_line_of_a_request_names_its_model_and_server(notebook, echo: Session) -> None:
    notebook("%model --config-property inference_address=http://127.0.0.1:9000")
    notebook("%request echo.py --envelope json")
    assert echo.last.request.as_curl().endswith(" http://127.0.0.1:9000/predictions/echo")


def test_what_a_terminal_would_obey_is_shown(notebook) -> None:
    cell = notebook("%%handler loud.py\nprint('\\x1b[31mred\\u202e')\ndef handle(data, context): return None")
    assert "  \\x1b[31mred\\u202e" in cell.stdout
    cell = notebook("%%handler loud.py\nraise ValueError('\\x1b[2J')")
    assert "ValueError: \\x1b[2J" in cell.stdout
    assert "\x1b[2J" not in cell.stdout


def test_unload_takes_everything_back(notebook, shell: InteractiveShell) -> None:
    def state() -> object:
        manager = shell.magics_manager
        return (
            {kind: sorted(table) for kind, table in manager.magics.items()},
            sorted(manager.registry),
            list(shell.input_transformers_cleanup),
            sorted(map(str, shell.display_formatter.mimebundle_formatter.deferred_printers)),
            sorted(map(str, shell.display_formatter.mimebundle_formatter.type_printers)),
            list(shell.Completer.custom_matchers),
            sorted(vars(manager.user_magics)),
        )

    loaded = state()
    shell.run_line_magic("unload_ext", "handlerkit")
    bare = state()
    assert "handler" not in bare[0]["cell"]
    shell.run_line_magic("load_ext", "handlerkit")
    assert state() == loaded
    shell.run_line_magic("unload_ext", "handlerkit")
    assert state() == bare
    assert isinstance(notebook("%model").error, UsageError)


def test_unload_leaves_magics_of_others(notebook, shell: InteractiveShell) -> None:
    shell.register_magic_function(lambda line: "theirs", "line", "model")
    shell.run_line_magic("unload_ext", "handlerkit")
    assert notebook("%model").value == "theirs"
    del shell.magics_manager.magics["line"]["model"]


def test_loading_twice_does_no_more_than_once(notebook, echo: Session, shell: InteractiveShell) -> None:
    shell.run_line_magic("reload_ext", "handlerkit")
    assert shell.Completer.custom_matchers.count(complete) == 1
    assert shell.input_transformers_cleanup.count(magics._with_body) == 1
    assert "200" in notebook("%request echo.py").stdout


def test_a_run_is_shown_once_and_by_its_view(notebook, echo: Session) -> None:
    shown = notebook("%request echo.py").stdout
    assert shown.count("POST /predictions/echo  echo.py as text/x-python  ->  200") == 1


def test_envelopes_are_shown_by_their_view(notebook, echo: Session) -> None:
    shown = notebook("%request echo.py --envelope all").stdout
    assert shown.count("1 sample to echo in each envelope") == 1
    assert "  kservev2  " in shown


def test_debuggers_open_in_the_handler_after_a_failed_call(notebook, session: Session) -> None:
    notebook("%%handler fails.py\ndef handle(data, context):\n    return data and data[0]['nothing']\n")
    notebook.shell.InteractiveTB.tb = None
    notebook("%request fails.py --debug")
    for trace in (sys.last_traceback, notebook.shell.InteractiveTB.tb, sys.last_value.__traceback__):
        assert _innermost(trace) == ("handle", 3)


def test_debuggers_open_in_the_handler_after_a_failed_load(notebook, session: Session) -> None:
    notebook.shell.InteractiveTB.tb = None
    notebook("%%handler fails.py\n\n\ndef handle(data, context):\n    return context.nothing\n")
    notebook("%request fails.py --debug")
    for trace in (sys.last_traceback, notebook.shell.InteractiveTB.tb, session.last_exception.__traceback__):
        assert _innermost(trace) == ("handle", 5)


def _completions(shell: InteractiveShell, line: str) -> set[str]:
    """What the kernel offers for Tab."""
    with provisionalcompleter():
        return {found.text for found in shell.Completer.completions(line, len(line))}


def _innermost(trace) -> tuple[str, int]:
    while trace.tb_next:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_name, trace.tb_lineno
