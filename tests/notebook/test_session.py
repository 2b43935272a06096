"""Every command, given as a magic and as a call of the session."""

from __future__ import annotations

import gc
import json
import signal
import subprocess
import sys
import threading
import weakref
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handlerkit.archive import Archive
from handlerkit.errors import ArchiveError, HandlerkitError, LoadError, ModelError, RequestError, TargetError
from handlerkit.messages import Part, Request
from handlerkit.model import Model
from handlerkit.notebook.session import Session
from handlerkit.view import bundle

ECHO = """
def handle(data, context):
    if data is None:
        return None
    context.set_response_header(0, "X-Rows", str(len(data)))
    return [str(row) for row in data]
"""
FAILS = """
class Fails:
    def initialize(self, context):
        pass

    def handle(self, data, context):
        return [data[0]["nothing"]]
"""
COUNTS_CALLS = """
class CountsCalls:
    def initialize(self, context):
        self.calls = 0

    def handle(self, data, context):
        self.calls += 1
        return [self.calls] * len(data)
"""


# --- %model -----------------------------------------------------------------------------------------------------------


def test_model_tells_what_the_archive_will_hold(door, tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(bytes(1500))
    (tmp_path / "names.json").write_text("{}")
    (tmp_path / "coins.py").write_text(ECHO)
    options = {"handler": "coins.py", "serialized_file": "net.pt", "extra_files": ["names.json"], "version": "2.0"}
    assert repr(door.model("coins", **options)) == (
        "coins 2.0, handler coins.py\n"
        f"  handler      coins.py ({len(ECHO)} B)\n"
        "  extra file   names.json (2 B)\n"
        "  weights      net.pt (1.5 KB)"
    )


def test_model_without_a_handler_says_what_comes_next(door, tmp_path: Path) -> None:
    (tmp_path / "net.pt").touch()
    shown = repr(door.model("coins", serialized_file="net.pt"))
    assert shown == "coins with net.pt; its handler is still to come: write it in a %%handler cell"


def test_model_without_a_name_shows_the_current_one(door) -> None:
    door.model("first")
    chosen = door.model("second")
    assert door.model() == chosen


def test_model_by_its_name_alone_is_chosen_again(door) -> None:
    door.handler("echo.py", ECHO)
    door.model("second")
    assert repr(door.model("echo")).startswith("echo 1.0, handler echo.py")


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("m", {"serialized_file": "nope.pt"}, "serialized_file 'nope.pt' does not exist"),
        ("no/name", {}, "'no/name' cannot name a model"),
        ("m", {"handler": "nope.py"}, "no handler file 'nope.py'"),
        (
            "m",
            {"serialized_file": "net.pt", "extra_files": ["other/net.pt"]},
            "serialized_file 'net.pt' and extra_files 'net.pt' would both become 'net.pt' in the archive",
        ),
    ],
)
def test_model_that_does_not_fit_together_is_one_sentence(door, tmp_path: Path, name, options, says) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "net.pt").touch()
    (tmp_path / "other" / "net.pt").touch()
    with pytest.raises(ModelError) as caught:
        door.model(name, **options)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


def test_a_model_that_is_refused_leaves_the_current_one(door) -> None:
    door.handler("echo.py", ECHO)
    with pytest.raises(ModelError):
        door.model("echo", serialized_file="nope.pt")
    assert door.request({}).ok


@pytest.mark.parametrize("name", [(), ("echo",)])
def test_target_alone_changes_the_model_and_keeps_its_files(door, session, name: tuple[str, ...]) -> None:
    door.handler("echo.py", ECHO)
    worker = session.worker
    shown = repr(door.model(*name, target="here"))
    assert shown.startswith("echo 1.0, handler echo.py, target here\n  handler      echo.py (")
    assert door.check().target == "here"
    assert session.worker is worker
    assert repr(door.model("echo")) == shown


def test_registration_alone_changes_the_model_and_keeps_its_files(door, session) -> None:
    door.model("echo", target="here", response_timeout=50)
    door.handler("echo.py", ECHO)
    assert repr(door.model("echo", batch_size=3)).startswith("echo 1.0, handler echo.py, target here\n")
    assert session.worker.batch_size == 3
    assert repr(door.model(config_properties={"max_response_size": "5"})).startswith("echo 1.0, handler echo.py")
    assert door.request({}).response.status == 500
    assert session._models.current.registered["response_timeout"] == 50


def test_a_name_that_is_near_to_another_says_so(door, tmp_path: Path) -> None:
    (tmp_path / "net.pt").touch()
    door.model("other")
    assert repr(door.model("othr")).splitlines()[1:] == ["othr is a new model; did you mean other?"]
    assert len(repr(door.model("othr")).splitlines()) == 1
    assert len(repr(door.model("coins")).splitlines()) == 1
    said = repr(door.model("coin", serialized_file="net.pt"))
    assert said.splitlines()[1:] == ["coin is a new model; did you mean coins?"]
    assert len(repr(door.model("coin", serialized_file="net.pt")).splitlines()) == 1


def test_model_with_files_begins_anew(door, tmp_path: Path) -> None:
    (tmp_path / "net.pt").touch()
    door.model("echo", target="here")
    door.handler("echo.py", ECHO)
    shown = repr(door.model("echo", serialized_file="net.pt"))
    assert shown == "echo with net.pt; its handler is still to come: write it in a %%handler cell"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"handler": "x.py"}, "--handler ..."),
        ({"version": "2", "extra_files": ["x.txt"], "target": "here"}, "--version ... --extra-files ..."),
    ],
)
def test_options_of_files_need_a_name(door, options, says: str) -> None:
    door.model("m")
    with pytest.raises(ModelError) as caught:
        door.model(**options)
    assert str(caught.value) == f"name the model: %model NAME {says}"


def test_target_that_is_none_is_told_with_and_without_a_name(door) -> None:
    shown = door.model("m")
    for name in ((), ("m",), ("other",)):
        with pytest.raises(TargetError, match="there is no target 'nope'"):
            door.model(*name, target="nope")
    assert door.model() == shown


def test_a_target_that_is_none_is_told_before_anything_else(door) -> None:
    door.model("m")  # no handler, no run, no archive
    for call in (door.check, door.export, door.verify):
        with pytest.raises(TargetError, match=r"there is no file 'nope\.txt'"):
            call(target="nope.txt")


def test_a_target_without_any_model_says_what_comes_first(door) -> None:
    with pytest.raises(ModelError, match="there is no model yet: name one with %model NAME"):
        door.model(target="here")


def test_model_tells_a_target_s_file_by_its_name(door, tmp_path: Path) -> None:
    (tmp_path / "image.txt").write_text("torch==2.4.0\n")
    assert repr(door.model("m", target="image.txt")).startswith("m, target image.txt; its handler is still to come")


def test_config_properties_reach_the_worker(door) -> None:
    door.model("m", config_properties={"max_response_size": "5"})
    door.handler("echo.py", ECHO)
    assert door.request({}).response.status == 500


# --- %%handler --------------------------------------------------------------------------------------------------------


def test_handler_says_what_was_found(door) -> None:
    assert repr(door.handler("echo.py", ECHO)).startswith("echo: function handle, loaded in ")
    assert repr(door.handler("fails.py", FAILS)).startswith("echo: class Fails, loaded again: another handler, in ")


COUNTS = """
class Counts:
    def initialize(self, context):
        self.calls = 0

    def handle(self, data, context):
        self.calls += 1
        return [f"first {self.calls}"] * len(data)
"""


@pytest.mark.parametrize(
    ("old", "new", "reload", "says"),
    [
        ("first", "second", False, "model kept: only handle changed"),
        ("first", "first", False, "model kept: nothing changed"),
        ("calls = 0", "calls = 5", False, "loaded again: initialize changed"),
        ("first", "second", True, "loaded again: as asked"),
    ],
)
def test_handler_that_is_run_again_says_what_became_of_the_model(door, old, new, reload, says) -> None:
    door.handler("counts.py", COUNTS)
    door.request({})
    assert f"class Counts, {says}, in " in repr(door.handler("counts.py", COUNTS.replace(old, new), reload=reload))
    answers = {"second": "second 1", "first": "first 1", "calls = 5": "first 6"}
    assert door.request({}).response.text == answers[new]


def test_changed_config_registers_the_model_anew(door, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("batchSize: 1\n")
    door.model("m", config_file="config.yaml")
    door.handler("counts.py", COUNTS)
    (tmp_path / "config.yaml").write_text("batchSize: 3\n")
    assert "loaded again: the config file changed, in " in repr(door.handler("counts.py", COUNTS))


def test_handler_says_the_same_at_every_load(door) -> None:
    first = door.handler("echo.py", "print('loading')\n" + ECHO)
    assert first.logs == ("loading",)
    assert door.handler("echo.py", "print('loading')\n" + ECHO).logs == first.logs


def test_handler_by_a_function(door) -> None:
    two = ECHO + "\ndef other(data, context):\n    return [b'other'] if data else None\n"
    assert door.handler("two.py", two, function="other").found == "function other"
    assert door.request({}).response.body == b"other"


def test_handler_that_does_not_load_tells_its_lines(door) -> None:
    with pytest.raises(LoadError) as caught:
        door.handler("broken.py", "import json\n\njson.loads('{')\n")
    frames = caught.value.error.frames
    assert [(frame.file, frame.line) for frame in frames if frame.file == "broken.py"] == [("broken.py", 4)]
    assert not [frame for frame in frames if "handlerkit" in frame.file]


def test_handler_that_does_not_load_takes_the_place_of_the_one_before(door) -> None:
    door.handler("echo.py", ECHO)
    with pytest.raises(LoadError):
        door.handler("echo.py", "raise ValueError\n")
    with pytest.raises(LoadError):
        door.request({})
    door.handler("echo.py", ECHO)
    assert door.request({}).ok


def test_name_of_another_cell_is_named_as_such(door, notebook) -> None:
    notebook("THRESHOLD = 0.5")
    with pytest.raises(LoadError) as caught:
        door.handler("echo.py", "LIMIT = THRESHOLD\n" + ECHO)
    assert "'THRESHOLD' is defined in the notebook, not in the handler's file." in str(caught.value)


@pytest.mark.parametrize(
    ("file", "says"),
    [("nowhere/handler.py", "there is no folder 'nowhere'"), ("my.handler.py", "'my.handler.py' cannot be imported")],
)
def test_file_that_cannot_be_written_or_imported(door, file: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        door.handler(file, ECHO)


# --- %%module ---------------------------------------------------------------------------------------------------------

USES_HELPER = (
    "import words\n\ndef handle(data, context):\n    return [words.GREETING for row in data] if data else None\n"
)


def test_module_travels(door) -> None:
    door.model("m")
    assert repr(door.module("words.py", "GREETING = 'hello'\n")) == "words.py travels with m"
    door.handler("greets.py", USES_HELPER)
    assert door.request({}).response.body == b"hello"
    assert door.export().files == ("greets.py", "words.py")


def test_changed_module_is_loaded_again(door) -> None:
    door.model("m")
    door.module("words.py", "GREETING = str('hello')\n")
    door.handler("greets.py", USES_HELPER)
    shown = repr(door.module("words.py", "GREETING = str('salve')\n"))  # as long as before, in the same second
    assert shown.startswith("words.py travels with m\nm: function handle, loaded again: GREETING changed, in ")
    assert door.request({}).response.body == b"salve"


def test_helper_that_stayed_in_the_notebook_is_not_found(door, tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text("GREETING = 'hello'\n")
    with pytest.raises(LoadError, match="There is no module 'words', neither installed nor in the archive"):
        door.handler("greets.py", USES_HELPER)


# --- %request ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def echo(door):
    """A door to a model that answers its rows as text."""
    door.handler("echo.py", ECHO)
    return door


def test_handler_that_an_editor_saved_answers_the_next_request(echo, tmp_path: Path) -> None:
    echo.request({"a": 1})
    (tmp_path / "echo.py").write_text(ECHO.replace("str(row)", "repr(row) + '!'"))
    run = echo.request({"a": 1})
    assert run.response.body.endswith(b"!")
    assert [found.name for found in run.findings] == ["files_changed"]
    assert "echo.py changed on disk" in bundle(run)["text/plain"]
    assert "echo.py changed on disk" in bundle(run)["text/html"]


def test_handler_that_an_editor_broke_is_a_load_error_and_the_model_is_kept(door, tmp_path: Path) -> None:
    door.handler("counts.py", COUNTS_CALLS)
    door.request({"a": 1})
    (tmp_path / "counts.py").write_text("\n" + COUNTS_CALLS.replace("* len(data)", "* (len(data)"))
    for _ in range(2):
        with pytest.raises(LoadError, match=r"counts\.py, line "):
            door.request({"a": 1})
    assert any("was never closed" in note for note in door.export().notes)
    (tmp_path / "counts.py").write_text("\n" + COUNTS_CALLS.replace("+= 1", "+= 2"))
    run = door.request({"a": 1})
    assert run.response.body == b"2"
    assert "the loaded model was kept" in run.findings[0].message


def test_request_of_a_file(echo, tmp_path: Path) -> None:
    (tmp_path / "note.json").write_text("[1, 2]")
    run = echo.request("note.json")
    assert (run.rows, run.request.label) == ([{"body": [1, 2]}], "note.json")


@pytest.mark.parametrize(
    ("payload", "content_type", "body"),
    [
        ({"a": 1}, "application/json", {"a": 1}),
        ([1.5, None], "application/json", [1.5, None]),
        (np.arange(3), "application/json", [0, 1, 2]),
        (b"\x00\xff", None, bytearray(b"\x00\xff")),
        (Request(body=b"as it is"), None, bytearray(b"as it is")),
    ],
)
def test_request_of_a_variable(echo, payload, content_type, body) -> None:
    run = echo.request(payload)
    assert (run.request.content_type, run.rows) == (content_type, [{"body": body}])


def test_request_of_a_picture(echo) -> None:
    run = echo.request(Image.new("L", (3, 2)))
    assert run.request.content_type == "image/png"
    assert run.rows[0]["body"].startswith(b"\x89PNG")


def test_several_arrive_together(echo, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("first")
    run = echo.request("note.txt", {"second": 2})
    assert [call.rows for call in run.calls] == [[{"body": "first"}], [{"body": {"second": 2}}]]


def test_batch_arrives_in_one_call(echo) -> None:
    run = echo.request({"a": 1}, batch=3)
    assert (len(run.exchanges), len(run.rows)) == (3, 3)
    assert run.responses[0].header("x-rows") == "3"


def test_batch_is_that_of_one_request(echo, session: Session) -> None:
    worker = session.worker
    assert len(echo.request({"a": 1}, batch=3).calls) == 1
    run = echo.request({"a": 1})
    assert (session.worker, session.worker.batch_size, run.findings) == (worker, 1, ())


def test_headers_are_added(echo) -> None:
    run = echo.request({}, headers={"X-Mood": "glad"})
    assert run.request_headers[0]["X-Mood"] == "glad"


@pytest.mark.parametrize(
    "option", [{"content_type": "text/plain"}, {"headers": {"content-type": "text/plain"}}], ids=["option", "header"]
)
def test_content_type_takes_the_payload_s_place(echo, option) -> None:
    run = echo.request({"a": 1}, **option)
    assert [value for name, value in run.request.headers if name.lower() == "content-type"] == ["text/plain"]
    assert run.rows == [{"body": '{"a": 1}'}]


def test_content_type_of_nothing_sends_none(echo) -> None:
    assert echo.request({"a": 1}, content_type="").request.content_type is None


def test_parts_make_a_form(echo) -> None:
    run = echo.request(parts=[Part("a", "1"), Part("b", "two")])
    assert run.rows == [{"a": bytearray(b"1"), "b": bytearray(b"two")}]


def test_method_path_and_query(echo) -> None:
    run = echo.request({"a": 1}, method="PUT", path="/models/echo/invoke", query="b=2")
    assert (run.request.method, run.rows) == ("PUT", [{"b": bytearray(b"2"), "body": {"a": 1}}])


def test_request_of_nothing_is_a_get(echo) -> None:
    run = echo.request()
    assert (run.request.method, run.rows) == ("GET", [{"body": bytearray()}])


@pytest.mark.parametrize(
    ("envelope", "payload", "seen"),
    [
        ("body", [1, 2], [[1, 2]]),
        ("json", [1, 2], [[1, 2]]),
        ("json", b"\xff", [b"\xff"]),
        ("kserve", [1, 2], [[1, 2]]),
        ("kservev2", [1, 2], [{"name": "input-0", "shape": [2], "datatype": "INT64", "data": [1, 2]}]),
    ],
)
def test_envelope_does_both_halves(echo, envelope, payload, seen) -> None:
    run = echo.request(payload, envelope=envelope)
    assert (run.data, run.response.status) == (seen, 200)


def test_envelope_keeps_method_path_and_headers(echo) -> None:
    run = echo.request([1], envelope="json", method="PUT", path="/predictions/echo/1.0", headers={"X-Mood": "glad"})
    assert (run.request.method, run.request.path, run.ok) == ("PUT", "/predictions/echo/1.0", True)
    assert run.request_headers[0]["X-Mood"] == "glad"


def test_model_stays_as_it_was_after_an_envelope(echo) -> None:
    echo.request([1], envelope="json")
    assert echo.request({"instances": [1]}).data == [{"body": {"instances": [1]}}]


def test_envelope_shares_the_loaded_handler(door) -> None:
    door.handler("calls.py", COUNTS_CALLS)
    runs = [door.request([1]), door.request([1], envelope="json"), door.request([1], envelope="kserve")]
    assert [run.response.text for run in runs] == ["1", '{"predictions": [2]}', '{\n  "predictions": [\n    3\n  ]\n}']


def test_every_envelope_in_one_request(door, tmp_path: Path) -> None:
    door.handler("calls.py", COUNTS_CALLS)
    (tmp_path / "one.json").write_text("[1]")
    compared = door.request("one.json", {"two": 2}, envelope="all")
    assert [sample.label for sample in compared.samples] == ["one.json", "request 2"]
    calls = [found.run.response.body for sample in compared.samples for found in sample.answers.values() if found.run]
    assert (calls[0], b"9" in calls[-1], len(calls)) == (b"1", True, 9)  # of one load; kservev2 has no objects


def test_every_envelope_leaves_the_last_run_alone(echo, session: Session) -> None:
    run = echo.request([1])
    echo.request([2], envelope="all")
    assert session.last is run


def test_every_envelope_in_batches(echo) -> None:
    compared = echo.request([1], envelope="all", batch=2)
    verdicts = {name: found.verdict for name, found in compared.samples[0].answers.items()}
    assert len(compared.samples[0].answers["json"].run.exchanges) == 2
    assert (verdicts["kserve"], verdicts["kservev2"]) == ("failed", "failed")  # they read a batch's first request


def test_every_envelope_needs_something_to_wrap(echo) -> None:
    with pytest.raises(RequestError, match="nothing to send in every envelope"):
        echo.request(envelope="all")


def test_pixels_in_an_envelope(echo) -> None:
    run = echo.request(Image.new("RGB", (3, 2)), envelope="kservev2", as_tensor=True)
    (tensor,) = run.data
    assert (tensor["shape"], tensor["datatype"]) == ([2, 3, 3], "UINT8")


def test_file_that_is_not_there(echo) -> None:
    with pytest.raises(RequestError, match=r"no file 'coins\.png' to send") as caught:
        echo.request("coins.png")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("payload", [print, object(), {1, 2}, Session], ids=["function", "object", "set", "class"])
def test_what_cannot_be_sent(echo, payload) -> None:
    with pytest.raises(RequestError):
        echo.request(payload)


@pytest.mark.parametrize("text", ["hello", "x" * 300, "3.14", "a sentence with nothing.odd", "two\nlines"])
def test_function_sends_text_that_names_no_file(session: Session, notebook, text: str) -> None:
    notebook(f"%%handler echo.py\n{ECHO}")
    assert session.request(text).rows == [{"body": text}]


def test_batch_of_none(session: Session, notebook) -> None:
    notebook(f"%%handler echo.py\n{ECHO}")
    with pytest.raises(RequestError, match="1 or more, not 0"):
        session.request({}, batch=0)


def test_handler_may_be_missing(door) -> None:
    door.model("coins")
    with pytest.raises(ModelError, match="coins has no handler yet"):
        door.request({})


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_session_keeps_the_exception_of_a_failed_call_until_one_succeeds(door, session: Session) -> None:
    door.handler("fails.py", FAILS)
    door.request({})
    assert session.last_exception is None  # it was another process's
    door.request({}, debug=True)
    assert isinstance(session.last_exception, KeyError)
    assert sys.last_value is session.last_exception
    door.handler("echo.py", ECHO)
    door.request({})
    assert session.last_exception is None


@pytest.mark.parametrize("batch", [1, 2])
def test_display_of_a_debugged_call_says_what_it_does_not_isolate(door, batch: int) -> None:
    door.handler("echo.py", ECHO)
    run = door.request({}, debug=True, batch=batch)
    for kind in ("text/plain", "text/html"):
        shown = bundle(run)[kind]
        assert "in this process, which isolates nothing but folder, imports and log" in shown
        assert "what the handler changes in it stays changed" in shown
    assert "isolates nothing" not in bundle(door.request({}, batch=batch))["text/plain"]


def test_debugged_call_has_the_batch_size_of_the_config_file(door, tmp_path: Path) -> None:
    config = tmp_path / "model-config.yaml"
    config.write_text("batchSize: 2\n")
    door.model("counts", config_file=config)
    door.handler("counts.py", "def handle(data, context):\n    return data and [len(data)] * len(data)\n")
    run = door.request({}, {}, debug=True)
    assert [response.json() for response in run.responses] == [2, 2]


TELLS = """
import threading

class Tells:
    def initialize(self, context):
        threading.handler = self  # where the test finds it

    def handle(self, data, context):
        return [b"ok"]
"""


def test_a_kept_run_keeps_no_handler_alive(door, session: Session) -> None:
    door.handler("tells.py", TELLS)
    run = door.request({}, debug=True)
    handler = weakref.ref(vars(threading).pop("handler"))
    gc.collect()
    assert handler() is None
    assert run.response.body == b"ok"


def test_last_run_is_the_model_s_own(door, session: Session) -> None:
    door.handler("echo.py", ECHO)
    run = door.request({})
    door.model("other")
    assert session.last is None
    door.model("echo")
    assert session.last is run


# --- %export ----------------------------------------------------------------------------------------------------------


def test_export_writes_an_archive_as_the_archiver_lays_it_out(echo, tmp_path: Path) -> None:
    exported = echo.export("store")
    assert repr(exported) == f"store/echo.mar ({exported.size} B): echo.py"
    with zipfile.ZipFile(tmp_path / "store" / "echo.mar") as archive:
        assert archive.namelist() == ["echo.py", "MAR-INF/MANIFEST.json"]
        manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))
    assert manifest["model"] == {"modelName": "echo", "handler": "echo.py", "modelVersion": "1.0"}


def test_export_over_an_archive_is_refused(echo) -> None:
    echo.export()
    with pytest.raises(ArchiveError, match=r"model_store/echo\.mar already exists") as caught:
        echo.export()
    assert "\n" not in str(caught.value)


def test_export_by_force(echo, tmp_path: Path) -> None:
    echo.export()
    before = (tmp_path / "model_store" / "echo.mar").read_bytes()
    echo.handler("echo.py", ECHO + "# changed\n")
    echo.export(force=True)
    assert (tmp_path / "model_store" / "echo.mar").read_bytes() != before


def test_export_as_a_folder(echo, tmp_path: Path) -> None:
    exported = echo.export(archive_format="no-archive")
    assert (tmp_path / "model_store" / "echo" / "echo.py").read_text() == "\n" + ECHO
    assert exported.size == sum(file.stat().st_size for file in exported.path.rglob("*") if file.is_file())


# --- %verify ----------------------------------------------------------------------------------------------------------


def test_verify_needs_a_run(echo) -> None:
    with pytest.raises(RequestError, match="nothing to verify yet: send echo a request first"):
        echo.verify()


def test_verify_needs_an_archive(echo) -> None:
    echo.request({})
    with pytest.raises(HandlerkitError, match="echo is not exported yet: run %export first"):
        echo.verify()


def test_verify_after_a_failed_load_says_what_to_do(door) -> None:
    with pytest.raises(LoadError):
        door.handler("echo.py", "raise ValueError('boo')")
    says = "^echo does not load: ValueError: boo; correct the handler, and export it again$"
    with pytest.raises(RequestError, match=says):
        door.verify()
    door.handler("echo.py", ECHO)
    door.request({})
    door.export()
    with pytest.raises(LoadError):
        door.handler("echo.py", "raise ValueError('boo')")
    with pytest.raises(HandlerkitError, match=says):
        door.verify()


@pytest.mark.parametrize("change", ["handler", "module", "function"])
def test_verify_refuses_a_stale_archive(echo, session: Session, change: str) -> None:
    echo.request({})
    echo.export()
    if change == "handler":
        echo.handler("echo.py", ECHO + "# changed\n")
    elif change == "module":
        echo.module("words.py", "GREETING = 'hello'\n")
    else:
        session.use("echo.py", function="handle")
    with pytest.raises(HandlerkitError, match=r"has changed since echo\.mar was written") as caught:
        echo.verify()
    assert "\n" not in str(caught.value)


def test_verify_refuses_an_archive_that_is_gone(echo, tmp_path: Path) -> None:
    echo.request({})
    echo.export()
    (tmp_path / "model_store" / "echo.mar").unlink()
    with pytest.raises(HandlerkitError) as caught:
        echo.verify()
    assert "\n" not in str(caught.value)


@pytest.mark.server
def test_verify_proves_the_archive(echo) -> None:
    echo.request({"a": 1}, batch=2)
    echo.export()
    report = echo.verify()
    assert [row.verdict for row in report.rows] == ["identical", "identical"]
    assert report.endpoint.startswith("TorchServe")


@pytest.mark.server
def test_verify_with_an_envelope(echo) -> None:
    echo.request([1, 2], envelope="json")
    echo.export()
    assert [row.verdict for row in echo.verify().rows] == ["identical"]


@pytest.mark.server
def test_verify_finds_one_changed_byte_of_the_archived_handler(echo, tmp_path: Path) -> None:
    echo.request({"a": 1})
    echo.export()
    _change(tmp_path / "model_store" / "echo.mar", b"X-Rows", b"X-Bows")
    report = echo.verify()
    assert not report
    assert [str(difference) for difference in report.rows[0].differences] == [
        "header x-rows: 1 here, nothing there",
        "header x-bows: nothing here, 1 there",
    ]


@pytest.mark.server
def test_verify_serves_the_archive_that_is_named(echo, tmp_path: Path) -> None:
    run = echo.request({"a": 1})
    assert run.response.body == b"{'body': {'a': 1}}"
    (tmp_path / "echo.py").write_text(ECHO.replace("str(row)", "repr(row) + '!'"))
    Archive(Model("echo", handler="echo.py")).save("other")
    (row,) = echo.verify("other/echo.mar").rows
    assert row.verdict == "different"
    assert row.differences[0].where.startswith("body from byte 18") or "18 bytes" in row.differences[0].ours


def _change(archive: Path, old: bytes, new: bytes) -> None:
    """Rewrite a .mar with a byte of the handler changed; its stamp is not the file's, so it still counts as ours."""
    with zipfile.ZipFile(archive) as source:
        entries = [(info, source.read(info)) for info in source.infolist()]
    with zipfile.ZipFile(archive, "w") as target:
        for info, content in entries:
            target.writestr(info, content.replace(old, new) if info.filename == "echo.py" else content)


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------

SLEEPS = """
import time

def handle(data, context):
    if data is None:
        return None
    time.sleep(data[0]["body"])
    return [b"awake"]
"""


def test_ctrl_c_leaves_the_session_usable(door) -> None:
    door.handler("sleeps.py", SLEEPS)
    folder, stdout = Path.cwd(), sys.stdout
    timer = threading.Timer(0.2, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            door.request(30)
    finally:
        timer.cancel()
    assert (Path.cwd(), sys.stdout) == (folder, stdout)
    assert door.request(0).response.body == b"awake"


# --- the first load of a process --------------------------------------------------------------------------------------

LOADS_TWICE = """
import handlerkit as hk

print([hk.session.use("base.py").logs for _ in range(2)])
"""


def test_first_load_of_a_process_logs_no_more_than_the_next(tmp_path: Path) -> None:
    handler = "from ts.torch_handler.base_handler import BaseHandler\nprint('mine')\n" + FAILS.replace(
        ":", "(BaseHandler):", 1
    )
    (tmp_path / "base.py").write_text(handler)
    ran = subprocess.run([sys.executable, "-c", LOADS_TWICE], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("[('mine',), ('mine',)]\n", "")


def test_larger_batch_keeps_the_loaded_model(door, session) -> None:
    door.handler("echo.py", ECHO)
    door.request({"a": 1})
    loaded = session.worker._loaded
    assert len(door.request({"a": 1}, batch=3).rows) == 3
    assert session.worker._loaded is loaded


def test_that_labels_are_missing_is_told_once_in_a_session(session: Session, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / f"{name}.py").write_text(
            "from ts.torch_handler.base_handler import BaseHandler\n\n\nclass Own(BaseHandler):\n"
            "    def initialize(self, context):\n        self.context = context\n        super().initialize(context)\n"
        )
    import torch

    torch.jit.save(torch.jit.script(torch.nn.Identity()), tmp_path / "net.pt")
    session.model("one", serialized_file="net.pt")
    first = session.use("one.py")
    session.model("other", serialized_file="net.pt")
    second = session.use("other.py")
    assert [sum("index_to_name.json" in line for line in ready.logs) for ready in (first, second)] == [1, 0]
