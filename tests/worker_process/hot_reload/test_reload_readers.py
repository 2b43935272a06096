"""Loads that look at more than the code they run: at their own source, at model_dir, at what torch compiled."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from edits import HEAD, Notebook, handler

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit")

READERS = {
    "open": "self.x = len(open(__file__.replace('\\\\', '/')).read())",
    "folder of __file__": "self.x = (pathlib.Path(__file__).parent / ('handler' + '.py')).read_text().count('2')",
    "model_dir": "self.x = open(context.system_properties['model_dir'] + '/handler.py').read().count('2')",
    "glob": "self.x = [file.read_text().count('2') for file in pathlib.Path(MODEL_DIR).glob('*.py')]",
    "hash of the folder": (
        "self.x = {file.name: hashlib.sha256(file.read_bytes()).hexdigest()\n"
        "    for file in sorted(pathlib.Path(MODEL_DIR).rglob('*')) if file.suffix == '.py'}"
    ),
    "dis": "self.x = [step.argrepr for step in dis.get_instructions(type(self).handle)]",
    "bytes of the code": "self.x = type(self).handle.__code__.co_consts",
    "the code by its name": "self.x = getattr(type(self).handle, '__code__').co_consts",
    "pickled": "self.x = len(marshal.dumps(type(self).handle.__code__))",
    "pkgutil": "self.x = pkgutil.get_data(__name__, 'handler.py').count(b'2')",
    "loader": "self.x = __loader__.get_source(__name__).count('2')",
    "resources": "self.x = importlib.util.find_spec(__name__).loader.get_data(MODEL_DIR + '/handler.py').count(b'2')",
    "another program": "self.x = subprocess.check_output(['cat', MODEL_DIR + '/handler.py']).count(b'2')",
    "shell": "with os.popen(f'cat {MODEL_DIR}/*.py') as pipe:\n    self.x = pipe.read().count('2')",
    "date": "self.x = (pathlib.Path(MODEL_DIR) / 'handler.py').stat().st_size",
    "size": "self.x = os.path.getsize(os.path.join(MODEL_DIR, 'handler.py'))",
    "copied": "shutil.copy(MODEL_DIR + '/handler.py', '/dev/null')\nself.x = 0",
    "lines": "self.x = linecache.getlines(MODEL_DIR + '/handler.py')",
    "library that reads": "self.x = textwrap.dedent(vars(inspect)[''.join(['get', 'source'])](type(self).handle))",
    "mapped": (
        "import mmap\nwith open(MODEL_DIR + '/handler.py', 'rb') as file:\n"
        "    self.x = bytes(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)).count(b'2')"
    ),
    "descriptor": "self.x = os.read(os.open(MODEL_DIR + '/handler.py', os.O_RDONLY), 9999).count(b'2')",
    "array": "self.x = int((numpy.fromfile(MODEL_DIR + '/handler.py', numpy.uint8) == 50).sum())",
    "file of a function": "self.x = open(inspect.getfile(type(self).handle)).read().count('2')",
    "its path": "self.x = pathlib.Path(inspect.getfile(type(self).handle)).resolve().read_bytes().count(b'2')",
    "its descriptor": "self.x = os.read(os.open(inspect.getfile(type(self).handle), os.O_RDONLY), 9999).count(b'2')",
    "its lines": "self.x = linecache.getlines(inspect.getfile(type(self).handle))",
    "a line of it": "self.x = [linecache.getline(inspect.getfile(type(self).handle), number) for number in range(30)]",
    "library that knows its file": "self.x = ast.parse(tokenize.open(inspect.getfile(type(self).handle)).read())",
    "stack": "self.x = inspect.stack()[0].lineno",
    "failure": "try:\n    1 / 0\nexcept ZeroDivisionError:\n    self.x = traceback.format_exc().splitlines()[2]",
}
MODULES = (
    "ast", "dis", "hashlib", "importlib.util", "inspect", "linecache", "marshal", "numpy", "os", "pathlib", "pkgutil",
    "shutil", "subprocess", "textwrap", "tokenize", "traceback",
)  # fmt: skip


def imports(read: str) -> str:
    """What this code needs and nothing else: the reload goes by the names in code, too."""
    words = {*re.findall(r"\w+", read), *(["os"] if "MODEL_DIR" in read else [])}
    needed = [name for name in MODULES if name.partition(".")[0] in words]
    lines = [f"import {name}\n" for name in needed]
    return "".join(lines) + ("MODEL_DIR = os.path.dirname(__file__)\n" if "MODEL_DIR" in read else "")


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_load_that_reads_its_source_is_made_again(notebook: Notebook, read: str) -> None:
    notebook.load(handler("[1, str(getattr(self, 'x', 0))]", read, imports(read)))
    assert not notebook.edit("[[1,", "[[22222,").kept


PLAIN = {
    "labels": "self.x = open('labels.txt').read()",
    "folder": "self.x = sorted(name for name in os.listdir(MODEL_DIR) if name.endswith('.txt'))",
    "there or not": "self.x = os.path.exists(os.path.join(MODEL_DIR, 'labels.txt'))",
    "failure that is logged": (
        "import logging\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    logging.exception('careful')"
    ),
    "warning": "import warnings\nwarnings.warn('careful')",
    "torch": "torch.save({'a': 1}, 'weights.pt')\nself.x = str(torch.load('weights.pt'))",
}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is opened")
@pytest.mark.parametrize("read", PLAIN.values(), ids=PLAIN)
def test_load_that_reads_other_files_is_kept(notebook: Notebook, read: str) -> None:
    head = "import os, pathlib\nMODEL_DIR = os.path.dirname(__file__)\n"
    notebook.load(handler("[1, str(getattr(self, 'x', 0))]", read, head), {"labels.txt": "a"})
    assert str(notebook.edit("[[1,", "[[2,")) == "model kept: only handle changed"


@pytest.mark.parametrize("read", [READERS["model_dir"], PLAIN["labels"]])
def test_where_the_system_does_not_tell_a_load_that_opens_files_is_made_again(notebook: Notebook, read: str) -> None:
    notebook.begins = (
        "from handlerkit.worker_process.hot_reload.file_opens import FileOpens\nFileOpens.__exit__ = print\n"
    )
    notebook.load(handler("[1, str(self.x)]", read), {"labels.txt": "a"})
    assert str(notebook.edit("[[1,", "[[2,")) == "loaded again: loading may read source code (open)"


MADE = {
    "file": "open('made.txt', 'w').close()",
    "folder": "os.makedirs('made', exist_ok=True)",
    "folder in a folder": "os.makedirs('folder/made', exist_ok=True)",
    "file among Python's own": "os.makedirs('__pycache__', exist_ok=True) or open('__pycache__/made.txt', 'w').close()",
    "file put back": (
        "exec(\"before = os.stat('labels.txt')\\nopen('labels.txt', 'r+').write('b')\\n"
        "os.utime('labels.txt', ns=(before.st_atime_ns, before.st_mtime_ns))\")"
    ),
    "file gone": "os.path.exists('labels.txt') and os.remove('labels.txt')",
    "link": "os.path.lexists('link') or os.symlink('labels.txt', 'link')",
}


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_what_a_request_made_in_model_dir_is_gone(notebook: Notebook, made: str) -> None:
    seen = "self.x = [sorted(map(str, pathlib.Path().rglob('*[!c]'))), labels()]"
    head = (
        "import os, pathlib\n"
        "def labels():\n    return open('labels.txt').read() if os.path.exists('labels.txt') else ''\n"
        "os.makedirs('folder', exist_ok=True)\n"
    )
    notebook.load(handler(f"[self.x, {made}, 1][::2]", seen, head), {"labels.txt": "a"})
    assert "was written to in model_dir" in notebook.edit(", 1][::2]", ", 2][::2]").reason


def test_folder_that_the_load_itself_made_is_kept(notebook: Notebook) -> None:
    notebook.load(handler("[1, os.listdir('made')]", "os.makedirs('made')", "import os\n"))
    assert str(notebook.edit("[[1,", "[[2,")) == "model kept: only handle changed"


NET = "import torch\ndef half(x: torch.Tensor): return x / 2\n"
NET += "class Net(torch.nn.Module):\n    def forward(self, x): return half(x)\n"
SCRIPTED = {
    "function": ("torch.jit.script(net.half)", "x / 2", "x / 4"),
    "function inside": ("torch.jit.script(net.Net())", "x / 2", "x / 4"),
    "method": ("torch.jit.script(net.Net())", "return half(x)", "return half(x) + 1"),
}


@pytest.mark.parametrize(("made", "old", "new"), SCRIPTED.values(), ids=SCRIPTED)
def test_what_a_request_scripted_is_scripted_anew(notebook: Notebook, made: str, old: str, new: str) -> None:
    source = HEAD + (
        "import net\nSCRIPTED = None\nclass Handler(BaseHandler):\n    def initialize(self, context): pass\n"
        "    def handle(self, data, context):\n        global SCRIPTED\n"
        f"        SCRIPTED = SCRIPTED or {made}\n        return [SCRIPTED(torch.ones(1)).item()] * len(data)\n"
    )
    notebook.load(source, {"net.py": NET})
    assert "TorchScript has compiled" in notebook.edit(old, new, "net.py").reason


CONSTANTS = [
    pytest.param("COLOR = (255, 0, 0)", "COLOR = (0, 255, 0)", id="color"),
    pytest.param("COLOR = (255, 0, 0)", "COLOR = [1, 2]\nOTHER = {'a': 1}", id="another beside it"),
    pytest.param("COLOR = (255, 0, 0)", "COLOR = '#ff0000'", id="text"),
]


@pytest.mark.parametrize(("old", "new"), CONSTANTS)
def test_constant_that_no_load_code_reads_needs_no_new_load(notebook: Notebook, old: str, new: str) -> None:
    notebook.load(handler("[COLOR, 1]", head="COLOR = (255, 0, 0)\n"))
    reload = notebook.edit(old, new)
    assert reload.kept
    assert reload.reason.startswith("only COLOR")
    assert notebook.edit("1]]", "2]]").kept


def test_constant_that_comes_and_one_that_goes(notebook: Notebook) -> None:
    notebook.load(handler("[1]", head="OLD = 1\n"))
    assert str(notebook.edit("OLD = 1\n", "NEW = {'a': [1]}\n")) == "model kept: only OLD and NEW changed"
    assert notebook.edit("[[1]]", "[[NEW['a'].append(2) or NEW]]").kept
    assert str(notebook.edit("'a': [1]", "'a': [3]")) == "model kept: only NEW changed"


LOADS_CONSTANT = {
    "initialize": ("self.x = COLOR", ""),
    "module": ("pass", "PALETTE = [COLOR]\n"),
    "default": ("pass", "def f(color=COLOR): return color\n"),
    "class": ("pass", "import types\nT = types.new_class('T', (), {}, lambda names: names.update(color=COLOR))\n"),
    "globals": ("self.x = globals()['COL' + 'OR']", ""),
    "vars": ("import sys\nself.x = vars(sys.modules[__name__])['COL' + 'OR']", ""),
    "getattr": ("import sys\nself.x = getattr(sys.modules[__name__], 'COL' + 'OR')", ""),
    "eval": ("self.x = eval('COL' + 'OR')", ""),
    "pickle": ("import pickle\nself.x = pickle.loads(b'chandler\\nCOLOR\\n.')", ""),
    "file beside it": ("import pkgutil\nself.x = pkgutil.resolve_name(open('name.txt').read())", ""),
    "format": ("import sys\nself.x = '{0.COLOR}'.format(sys.modules[__name__])", ""),
    "path": ("import pydoc\nself.x = pydoc.locate('handler.COLOR')", ""),
    "another module": ("import colors\nself.x = colors.PAINT.COLOR", ""),
    "deleted": ("pass", "def forget():\n    global COLOR\n    del COLOR\nforget()\nCOLOR_ = 1\n"),
    "f-string": ("self.x = f'{COLOR}'", ""),
    "match": ("import colors\nself.x = 0\nmatch 1:\n    case [_]: self.x = COLOR\n    case _: self.x = COLOR", ""),
}


@pytest.mark.parametrize(("initialize", "head"), LOADS_CONSTANT.values(), ids=LOADS_CONSTANT)
def test_constant_that_load_code_reads_is_loaded_again(notebook: Notebook, initialize: str, head: str) -> None:
    extra = {"colors.py": "import sys\nPAINT = sys.modules.get('handler')\n", "name.txt": "handler:COLOR"}
    notebook.load(handler("str([vars(self), 'COLOR' in globals()])", initialize, f"COLOR = 1\n{head}"), extra)
    assert not notebook.edit("COLOR = 1", "COLOR = 2").kept


INSIDE = {
    "comprehension": ("[value * 2 for value in values]", "value * 2", "value * 3"),
    "generator": ("sum(value * 2 for value in values)", "value * 2", "value * 3"),
    "lambda": ("list(map(lambda value: value * 2, values))", "value * 2", "value * 3"),
}


@pytest.mark.parametrize(("made", "old", "new"), INSIDE.values(), ids=INSIDE)
@pytest.mark.parametrize("loading", [True, False], ids=["of a function that ran", "of one that did not"])
def test_comprehension_needs_no_new_load(notebook: Notebook, made: str, old: str, new: str, loading: bool) -> None:
    source = handler("self.f([1, 2])", "self.x = self.f(None)" if loading else "pass")
    source += f"    def f(self, values):\n        if values is None:\n            return None\n        return {made}\n"
    told = "a lambda" if "lambda" in made and loading else "f"
    kept = f"model kept: only {told} changed"
    if loading and made.startswith("[") and sys.version_info >= (3, 12):  # where it is part of the function that ran
        kept = "loaded again: f changed, which runs while loading"
    assert str(notebook.load(source).edit(old, new)) == kept


def test_comprehension_that_ran_while_loading_is_loaded_again(notebook: Notebook) -> None:
    source = handler("self.x", "self.x = self.f([1])") + "    def f(self, values): return [v * 2 for v in values]\n"
    assert not notebook.load(source).edit("v * 2", "v * 3").kept


def test_source_outside_of_the_archive_is_another_matter(notebook: Notebook, tmp_path: Path) -> None:
    (tmp_path / "far.py").write_text("X = 1\n")
    read = f"self.x = open({str(tmp_path / 'far.py')!r}).read()"
    notebook.load(handler("[1, self.x]", read))
    assert str(notebook.edit("[[1,", "[[2,")) == "model kept: only handle changed"
