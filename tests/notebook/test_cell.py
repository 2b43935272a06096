"""Handler classes of plain cells: `hk.session.use(MyHandler)`."""

from __future__ import annotations

import re

import pytest

from handlerkit.errors import LoadError, ModelError
from handlerkit.notebook.cell import module_source
from handlerkit.notebook.session import Session

ECHO = """
class Echo:
    def initialize(self, context):
        pass

    def handle(self, data, context):
        return [str(row) for row in data]
"""


def used(notebook, source: str) -> str:
    """The module made of a cell's only class."""
    cell = notebook(source)
    assert cell.error is None, cell.error
    name = re.search(r"class (\w+)", source).group(1)
    return module_source(notebook.shell.user_ns[name])


def test_class_of_a_cell_is_loaded(notebook, session: Session) -> None:
    cell = notebook("import handlerkit as hk\n" + ECHO + "\nhk.session.use(Echo)")
    assert repr(cell.value).startswith("echo: class Echo, loaded in ")
    assert session.request({"a": 1}).response.body == b"{'body': {'a': 1}}"


def test_class_of_an_earlier_cell_is_loaded(notebook, session: Session) -> None:
    notebook(ECHO)
    notebook("import handlerkit as hk\nhk.session.use(Echo)")
    assert session.request({}).ok


def test_class_goes_into_the_current_model(notebook, session: Session) -> None:
    notebook("%model coins")
    notebook(ECHO)
    assert repr(session.use(notebook.shell.user_ns["Echo"])).startswith("coins: class Echo, loaded")


def test_latest_of_two_classes_of_a_name_is_loaded(notebook, session: Session) -> None:
    notebook(ECHO)
    notebook(ECHO.replace("str(row)", "'second'"))
    session.use(notebook.shell.user_ns["Echo"])
    assert session.request({}).response.body == b"second"


def test_module_is_the_cell_without_handlerkit_and_magics(notebook) -> None:
    source = used(
        notebook,
        "%precision 3\nimport handlerkit as hk\nfrom handlerkit import Request\nimport json\n"
        + ECHO
        + "\nhk.session\nRequest.json({'a': [\n    1]})\nLIMIT = 3\n",
    )
    assert source.splitlines() == ["", "", "", "import json", *ECHO.splitlines(), "", "", "", "", "LIMIT = 3"]


def test_statements_that_share_a_line_are_kept(notebook) -> None:
    source = used(notebook, "import json; import handlerkit as hk; import re  # both\n" + ECHO)
    assert source.splitlines()[0] == "import json; pass; import re  # both"


def test_method_behind_a_decorator_still_knows_its_cell(notebook) -> None:
    decorated = ECHO.replace("    def initialize", "    @torch.inference_mode()\n    def initialize")
    assert "class Echo" in used(notebook, "import torch\n" + decorated)


def test_error_tells_the_line_of_the_cell(notebook, session: Session) -> None:
    notebook("import handlerkit as hk\n" + ECHO.replace("pass", "raise ValueError('boo')"))
    with pytest.raises(LoadError) as caught:
        session.use(notebook.shell.user_ns["Echo"])
    frame = caught.value.error.frames[-1]
    assert (frame.file, frame.line, frame.source) == ("echo.py", 5, "raise ValueError('boo')")


def test_name_of_another_cell_fails_as_on_the_server(notebook, session: Session) -> None:
    notebook("import json")
    notebook(ECHO.strip().replace("str(row)", "json.dumps(row)"))
    session.use(notebook.shell.user_ns["Echo"])
    run = session.request({})
    assert run.response.status == 503
    assert run.findings[0].message == "'json' is defined in the notebook, not in the handler's file."
    assert run.findings[0].where.startswith("echo.py, line 6, in ")


def test_base_class_of_another_cell_fails_as_on_the_server(notebook, session: Session) -> None:
    notebook("from ts.torch_handler.base_handler import BaseHandler")
    notebook(ECHO.replace("class Echo:", "class Echo(BaseHandler):"))
    with pytest.raises(LoadError, match="'BaseHandler' is defined in the notebook, not in the handler's file"):
        session.use(notebook.shell.user_ns["Echo"])


def test_module_travels_in_the_archive_under_the_class_s_name(notebook, session: Session) -> None:
    notebook(ECHO.replace("class Echo", "class EchoOfRows"))
    session.use(notebook.shell.user_ns["EchoOfRows"])
    assert session.export().files == ("echo_of_rows.py",)


@pytest.mark.parametrize("source", ["class Echo(dict):\n    pass", f"%%time\n{ECHO}"], ids=["no method", "magic"])
def test_class_whose_cell_is_unknown_is_one_sentence(notebook, source: str) -> None:
    notebook(source)
    with pytest.raises(ModelError, match="the cell of class Echo is not to be found") as caught:
        module_source(notebook.shell.user_ns["Echo"])
    assert "\n" not in str(caught.value)


def test_class_of_a_file_gives_that_file(tmp_path, monkeypatch) -> None:
    (tmp_path / "elsewhere.py").write_text(ECHO)
    monkeypatch.syspath_prepend(tmp_path)
    import elsewhere

    assert module_source(elsewhere.Echo) == ECHO
