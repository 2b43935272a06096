"""Why a handler does not load: a real one for each rule."""

from __future__ import annotations

import sys
import types
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from why_cases import BASE, NET, Case, body, check, initialize, start

from handlerkit.errors import LoadError
from handlerkit.why.rules import loading

LOADING = [
    Case(
        "died",
        "worker_exit",
        "import os\nos._exit(5)\n",
        "ended with status 5",
        fix="os._exit",
        worker={"in_process": False},
    ),
    Case("class_count", "class_count", "class A: pass\nclass B: pass\n", "defines 2 classes (A, B)", fix="%%module"),
    Case(
        "class_count",
        "class_count",
        "from json import JSONDecoder\n",
        "defines no class",
        fix="handle(data, context)",
    ),
    Case(
        "missing_import",
        "import",
        "import a_module_nobody_has\n",
        "no module 'a_module_nobody_has'",
        "h.py, line 1, in <module>: import a_module_nobody_has",
        "requirements",
    ),
    Case(
        "missing_import",
        "import",
        "from torchserve.handler import BaseHandler\n",
        "no module 'torchserve",
        "h.py, line 1",
        "from ts.torch_handler.base_handler import BaseHandler",
    ),
    Case(
        "missing_import",
        "import",
        "from json import lads\n",
        "cannot import name 'lads' from 'json' (json/__init__.py)",
        "h.py, line 1",
        "Did you mean loads?",
    ),
    Case(
        "missing_variable",
        "environment",
        "import os\nTOKEN = os.environ['NOBODY_SET_THIS']\n",
        "no variable 'NOBODY_SET_THIS'",
        "h.py, line 2, in <module>",
        "--env NOBODY_SET_THIS=",
    ),
    Case("syntax", "syntax", "def handle(data, context):\n    return [\n", "cannot read the file", "h.py, line 2"),
    Case(
        "no_method",
        "no_method",
        "class H:\n    def initialize(self, context): pass\n",
        "no method handle",
        fix="handle(self, data, context)",
    ),
    Case(
        "no_method",
        "no_method",
        "class H:\n    def handle(self, data, context): pass\n",
        "no method initialize",
        fix="initialize(self, context)",
    ),
    Case("weights", "weights", BASE, "names no serialized_file", fix="--serialized-file"),
    Case(
        "weights",
        "weights",
        BASE,
        "does not load .engine files",
        fix="load net.engine in it",
        model={"serialized_file": "net.engine"},
        extra={"net.engine": "x"},
    ),
    Case(
        "model_class",
        "model_file",
        BASE,
        "The model file cls.pth is not a Python file",
        fix="--serialized-file cls.pth",
        model={"model_file": NET / "cls.pth"},
    ),
    Case(
        "model_class",
        "model_file",
        BASE,
        "The model file empty.py defines no class",
        fix="class Net(torch.nn.Module)",
        model={"serialized_file": NET / "cls.pth", "model_file": "empty.py"},
        extra={"empty.py": "from torch.nn import Linear\n"},
    ),
    Case(
        "weights",
        "weights",
        BASE,
        "needs the model's class",
        fix="--model-file",
        model={"serialized_file": NET / "cls.pth"},
    ),
    Case(
        "refused",
        "weights",
        BASE,
        "weights_only=True",
        fix="state_dict",
        model={"serialized_file": NET / "full.pth", "model_file": "net.py"},
    ),
    Case(
        "signature",
        "signature",
        "def handle(data): return data\n",
        "takes 1 positional argument but 2 were given",
        "h.py, line 1: def handle(data)",
        "handle(data, context)",
    ),
    Case(
        "none_at_load",
        "none_at_load",
        "def handle(data, context):\n    return [len(row) for row in data]\n",
        "called once with data=None",
        "h.py, line 2, in handle",
        "if data is None: return None",
    ),
    Case(
        "any_exception",
        "load",
        "import re\ndef handle(data, context):\n    if data is None: return start()\n    return data\n"
        "def start():\n    found = re.match('a', 'b')\n    return found.group()\n",
        "AttributeError: 'NoneType' object has no attribute 'group'",
        "h.py, line 7, in start",
    ),
    Case(
        "any_exception",
        "load",
        "def handle(data, context):\n    found = {}.get('net')\n    return found.group()\n",
        "AttributeError: 'NoneType' object has no attribute 'group'",
        "h.py, line 3, in handle",
    ),
    Case(
        "none_at_load",
        "none_at_load",
        "def handle(data, context):\n    return read(data)\n\ndef read(rows):\n    return [row for row in rows]\n",
        "called once with data=None",
        "h.py, line 5, in read",
    ),
    Case(
        "missing_name",
        "notebook_name",
        "print(A_NOTEBOOK_NAME)\n",
        "'A_NOTEBOOK_NAME' is defined in the notebook",
        "h.py, line 1",
    ),
    Case("missing_name", "name", "x = 1\nprint(nowhere)\n", "'nowhere' is not defined", "h.py, line 2"),
    Case("not_enough_memory", "memory", "raise MemoryError\n", "not enough memory", "h.py, line 1"),
    Case(
        "not_enough_memory",
        "memory",
        "raise RuntimeError('CUDA out of memory')\n",
        "CUDA out of memory",
        "h.py, line 1",
    ),
    Case("any_exception", "load", "\n\n1 / 0\n", "ZeroDivisionError", "h.py, line 3", "Correct that line"),
    Case(
        "missing_file",
        "missing_file",
        "\n\nopen('nothing.txt')\n",
        "holds no nothing.txt",
        "h.py, line 3",
        "--extra-files nothing.txt",
    ),
    Case(
        "missing_file",
        "missing_file",
        "import os, torch\nclass H:\n    def initialize(self, context):\n"
        "        torch.jit.load(os.path.join(context.system_properties['model_dir'], 'net.pt'))\n"
        "    def handle(self, data, context): pass\n",
        "holds no net.pt",
        "h.py, line 4",
        "--serialized-file net.pt",
    ),
    Case(
        "missing_import", "import", "from .helper import x\n", "begins with a dot", "h.py, line 1", "Leave the dot out"
    ),
    Case(
        "missing_import",
        "import",
        "from ts.torch_handler import BaseHandler\n",
        "cannot import name 'BaseHandler'",
        "h.py, line 1",
        "from ts.torch_handler.base_handler import BaseHandler",
    ),
    Case(
        "missing_name",
        "name",
        "x = np.ones(3)\n",
        "'np' is not defined",
        "h.py, line 1",
        "import numpy as np",
    ),
    Case(
        "class_count",
        "class_count",
        body("return data") + "Again = H\n",
        "H has two names",
        fix="Remove the second name (Other = H)",
    ),
    Case(
        "config_file",
        "config_file",
        body("return data"),
        "is not YAML: expected ',' or ']', but got ':'",
        "model-config.yaml, line 2",
        "Correct that line",
        model={"config_file": "model-config.yaml"},
        extra={"model-config.yaml": "a: [1\nb: }\n"},
    ),
    Case(
        "entry_point",
        "entry_point",
        "handle = 3\n",
        "handle in the handler's file is a value",
        fix="another name than handle",
    ),
    Case(
        "entry_point",
        "entry_point",
        body("return data"),
        "but H is a class",
        fix="--handler h.py",
        model={"handler": "h:H"},
    ),
    Case(
        "signature",
        "signature",
        "class H:\n    def __init__(self, model): pass\n    def initialize(self, context): pass\n"
        "    def handle(self, data, context): pass\n",
        "creates the handler without arguments, but its class requires some",
        "h.py, line 2: def __init__(self, model)",
        "Give __init__ no arguments",
    ),
    Case(
        "signature",
        "signature",
        "class H:\n    def initialize(self): pass\n    def handle(self, data, context): pass\n",
        "takes 1 positional argument but 2 were given",
        "h.py, line 2: def initialize(self)",
        "def initialize(self, context)",
    ),
    Case(
        "attribute_not_set",
        "attribute",
        "class H:\n    def initialize(self, context): self.tokens = self.read(context)\n"
        "    def handle(self, data, context): pass\n",
        "The handler has no read",
        "h.py, line 2, in initialize",
        "Set self.read in initialize",
    ),
    Case(
        "labels",
        "labels",
        BASE,
        "index_to_name.json",
        fix="one JSON object",
        model={"serialized_file": NET / "cls.pt"},
        extra={"index_to_name.json": '["cat"]'},
    ),
    Case(
        "model_class",
        "model_file",
        BASE,
        "two.py must define exactly one class, the model's, and defines 2: A, B",
        fix="helper module",
        model={"serialized_file": NET / "cls.pth", "model_file": "two.py"},
        extra={"two.py": "class A: pass\nclass B: pass\n"},
    ),
    Case(
        "other_weights",
        "model_file",
        BASE,
        "do not fit the class in the model file other.py (Missing key(s) in state_dict",
        fix="same version",
        model={"serialized_file": NET / "cls.pth", "model_file": "other.py"},
        extra={"other.py": "import torch\nclass A(torch.nn.Linear):\n    def __init__(self): super().__init__(2, 3)\n"},
    ),
    Case(
        "weights",
        "weights",
        BASE,
        "no TorchScript program",
        fix="--model-file",
        model={"serialized_file": "state.pt"},
    ),
    Case(
        "missing_file",
        "missing_file",
        "\n\nopen('data/l.txt')\n",
        "The archive holds l.txt, and the handler opens data/l.txt",
        "h.py, line 3",
        "os.path.join(context.system_properties['model_dir'], 'l.txt'). The files of a folder",
        extra={"l.txt": ""},
    ),
    Case(
        "missing_file",
        "missing_file",
        "\n\nopen('/home/nobody/l.txt')\n",
        "The archive holds l.txt, and the handler opens /home/nobody/l.txt",
        "h.py, line 3",
        "os.path.join(context.system_properties['model_dir'], 'l.txt')",
        extra={"l.txt": ""},
    ),
    Case(
        "missing_file",
        "missing_file",
        "import os, torch\nclass H:\n    def initialize(self, context):\n"
        "        torch.ops.load_library(os.path.join(context.system_properties['model_dir'], 'ops.so'))\n"
        "    def handle(self, data, context): pass\n",
        "holds no ops.so,",
        "h.py, line 4",
        "Add it to the archive: --extra-files ops.so.",
    ),
    Case(
        "missing_file",
        "missing_file",
        "import torch\ntorch.load('second.pth')\n",
        "holds no second.pth,",
        "h.py, line 2",
        "Add it to the archive: --extra-files second.pth.",
        model={"serialized_file": NET / "cls.pth"},
    ),
    Case(
        "missing_file",
        "missing_file",
        "import torch\ntorch.load('first.pth')\n",
        "holds no first.pth,",
        "h.py, line 2",
        "Add it to the archive: --serialized-file first.pth.",
    ),
    Case(
        "not_weights",
        "not_weights",
        "import torch\ntorch.load('words.txt')\n",
        "words.txt is a text file, and torch.load reads only what torch.save wrote",
        "h.py, line 2",
        "splitlines()",
        extra={"words.txt": "[PAD]\nthe\n"},
    ),
    Case(
        "pickled_class",
        "pickled_class",
        "import pickle\npickle.loads(b'cnowhere_at_all\\nNet\\n.')\n",
        "was pickled with the module nowhere_at_all, which is neither installed nor in the archive",
        "h.py, line 2",
        "state_dict()",
    ),
    Case(
        "state_dict_as_model",
        "state_dict",
        "import torch\nmodel = torch.load('cls.pth')\nmodel.eval()\n",
        "a dict of weights (a state_dict), and the handler uses it as the network",
        "h.py, line 3",
        "model.load_state_dict(weights)",
        model={"serialized_file": NET / "cls.pth"},
    ),
    Case(
        "missing_file",
        "missing_file",
        "import torch\ntorch.jit.load('weights/state.pt')\n",
        "The archive holds state.pt, and the handler opens weights/state.pt",
        "h.py, line 2",
        "os.path.join(context.system_properties['model_dir'], 'state.pt')",
        model={"serialized_file": "state.pt"},
    ),
    Case(
        "missing_file",
        "missing_file",
        "import os\nos.listdir('tokenizer')\n",
        "The archive holds no folder tokenizer",
        "h.py, line 2",
        "go to the archive's root",
    ),
    Case(
        "reads_command_line",
        "command_line",
        "import argparse\nargparse.ArgumentParser().parse_args()\n",
        'and ends the process: "unrecognized arguments: ',
        "h.py, line 2",
        "parse_args([])",
    ),
    Case(
        "no_request_yet",
        "no_request_yet",
        initialize("self.kind = context.get_request_header(0, 'kind')"),
        "there is no request",
        "h.py, line 4, in initialize",
        "in handle",
    ),
    Case(
        "config_key",
        "config_missing",
        initialize("self.k = context.model_yaml_config['handler']['topk']"),
        "no config file, so model_yaml_config is empty",
        "h.py, line 4, in initialize",
        "--config-file model-config.yaml",
    ),
    Case(
        "manifest_key",
        "manifest_key",
        initialize("self.file = context.manifest['model']['serializedFile']"),
        "archived without --serialized-file",
        "h.py, line 4, in initialize",
        "system_properties['model_dir']",
    ),
    Case(
        "property_key",
        "property_key",
        initialize("self.file = context.system_properties['model_path']"),
        "no 'model_path'; it has model_dir, gpu_id",
        "h.py, line 4, in initialize",
        "config file",
    ),
    Case(
        "not_initialized",
        "not_initialized",
        initialize("self.name = self.manifest['model']['modelName']\n        super().initialize(context)"),
        "self.manifest has no value yet: BaseHandler sets it in super().initialize(context), on line 5",
        "h.py, line 4, in initialize",
        "super().initialize(context) first",
    ),
    Case(
        "session_called",
        "session_called",
        "type('InferenceSession', (), {})().eval()\n",
        "an onnxruntime session: it cannot be called like a network, and has no method eval",
        "h.py, line 1",
        "Leave .eval(...) out",
    ),
    Case(
        "signature",
        "model_file",
        BASE,
        "calls A in wide.py without arguments, but it requires some: A.__init__() missing 1 required positional",
        "wide.py, line 4: def __init__(self, width): pass",
        "Give the arguments of __init__ in wide.py default values",
        model={"serialized_file": NET / "cls.pth", "model_file": "wide.py"},
        extra={"wide.py": "import torch\n\nclass A(torch.nn.Module):\n    def __init__(self, width): pass\n"},
    ),
    Case(
        "signature",
        "model_file",
        BASE,
        "it requires some: A.__init__() missing 1 required keyword-only argument",
        "wide.py, line 3: def __init__(self, *, width): pass",
        "wide.py",
        model={"serialized_file": NET / "cls.pth", "model_file": "wide.py"},
        extra={"wide.py": "import torch\nclass A(torch.nn.Module):\n    def __init__(self, *, width): pass\n"},
    ),
    Case(
        "no_such_attribute",
        "context",
        "class H:\n    def initialize(self, context):\n        self.model = context.model\n"
        "    def handle(self, data, context): pass\n",
        "The context has no model",
        "h.py, line 3",
        "super().initialize(context) loads the model",
    ),
    Case(
        "no_such_property",
        "context",
        "class H:\n    def initialize(self, context):\n        self.model = context.system_properties.get('model')\n"
        "        self.model.eval()\n    def handle(self, data, context): pass\n",
        "context.system_properties has no 'model', so .get gives None",
        "h.py, line 4",
        "super().initialize(context) loads the model",
    ),
    Case(
        "no_context",
        "context",
        "from ts.torch_handler.base_handler import BaseHandler\n"
        "class H(BaseHandler):\n    def initialize(self, context):\n        self.folder = self.context.model_name\n",
        "self.context is None while the handler loads",
        "h.py, line 4",
        "Use the argument of initialize",
    ),
    Case(
        "from_pretrained",
        "pretrained",
        initialize(
            "raise OSError(\"Can't load 'x': it is not a local folder and no model identifier on huggingface.co\")"
        ),
        "looks for this model on huggingface.co",
        "h.py, line 4",
        "save_pretrained(folder)",
    ),
    Case(
        "from_pretrained",
        "pretrained",
        initialize(
            "folder = context.system_properties['model_dir']; raise OSError(folder + ' does not appear to have a file "
            "named config.json. See huggingface.co')"
        ),
        "The archive has no config.json that from_pretrained reads from model_dir",
        "h.py, line 4",
    ),
    Case(
        "no_gpu",
        "no_gpu",
        initialize("self.device = 'cuda:' + context.system_properties.get('gpu_id')"),
        "gpu_id is None",
        "h.py, line 4",
        "torch.cuda.is_available()",
    ),
    Case(
        "no_gpu",
        "no_gpu",
        initialize("raise RuntimeError('Found no NVIDIA driver on your system.')"),
        "asks for a GPU (cuda), and there is none",
        "h.py, line 4",
    ),
    Case(
        "not_enough_memory",
        "memory",
        initialize("raise RuntimeError('Attempting to deserialize object on a CUDA device but there is none')"),
        "TorchServe takes any error that says CUDA for a lack of GPU memory",
        "h.py, line 4",
        "map_location=self.device",
    ),
    Case(
        "attribute_not_set",
        "attribute",
        BASE.replace(
            " pass\n",
            "\n    def initialize(self, context):\n        import os\n"
            "        if os.path.isfile('setup_config.json'):\n            self.setup = 1\n        self.setup\n",
        ),
        "self.setup is set in line 6 alone, under `if os.path.isfile('setup_config.json')`",
        "h.py, line 7",
        "--extra-files",
    ),
    Case(
        "keys_as_model",
        "state_dict",
        initialize("import torch; self.model = torch.nn.ReLU().load_state_dict({}); self.model.eval()"),
        "load_state_dict fills the network in place",
        "h.py, line 4",
        "self.model = model",
    ),
    Case(
        "missing_import",
        "import",
        "from src.tools.shapes import area\n",
        "There is no package 'src': the archive holds shapes.py in its root",
        "h.py, line 1",
        "from shapes import",
        extra={"shapes.py": "def area(): pass\n"},
    ),
    Case(
        "missing_import", "import", "import torchvison\n", "no module 'torchvison'", "h.py, line 1", "mean torchvision?"
    ),
    Case(
        "module_attribute",
        "module",
        initialize("import numpy; self.kind = numpy.int"),
        "The module numpy that is installed where the model runs has no int.",
        "h.py, line 4",
        "Write int: older versions had int.",
    ),
    Case(
        "variable_not_set",
        "variable",
        "net = None\ndef handle(data, context):\n    if net is None:\n        net = 1\n    return data\n",
        "handle sets net, so net is a variable of its own there",
        "h.py, line 3",
        "global net",
    ),
    Case(
        "compile_settings",
        "config_pt2",
        BASE,
        "pt2: compile in the config file does not say whether to compile: it needs enable.",
        fix="Write pt2: {compile: {enable: true",
        model={"serialized_file": NET / "cls.pt", "config_file": "model-config.yaml"},
        extra={"model-config.yaml": "pt2:\n  compile: true\n"},
    ),
    Case(
        "missing_import",
        "import",
        "import helper\n",
        "h.py imports a file that imports h again, before H is defined there.",
        "helper.py, line 1",
        "in the function that uses it",
        extra={"helper.py": "from h import H\n"},
    ),
    Case(
        "missing_import",
        "import",
        "from helper import shape\n",
        "cannot import name 'shape' from 'helper'",
        "h.py, line 1",
        "Correct the name, or define it in helper.py.",
        extra={"helper.py": "x = 1\n"},
    ),
    Case(
        "missing_import",
        "import",
        "from ts.utils.util import load_label_map\n",
        "cannot import name 'load_label_map'",
        "h.py, line 1",
        "Did you mean load_label_mapping?",
    ),
    Case(
        "missing_file",
        "missing_file",
        initialize("import onnxruntime; onnxruntime.InferenceSession('net.onnx')"),
        "The archive holds no net.onnx, and the handler opens it.",
        "h.py, line 4",
        "--serialized-file net.onnx",
    ),
    Case(
        "no_connection",
        "no_connection",
        initialize("from urllib.request import urlopen; urlopen('http://127.0.0.1:9/net.pt')"),
        "The handler downloads something while it loads, and gets no connection (urllib.error.URLError",
        "h.py, line 4",
        "Archive the file instead",
    ),
    Case(
        "any_exception",
        "load",
        initialize("raise ConnectionError('Connection refused')"),
        "ConnectionError: Connection refused",
        "h.py, line 4",
    ),
    Case(
        "command_failed",
        "command_failed",
        initialize("import subprocess, sys; subprocess.check_call([sys.executable, '-c', 'exit(3) # pip'])"),
        "which failed with status 3.",
        "h.py, line 4",
        "What the command wrote is in the log. Name packages in the requirements file",
    ),
    Case(
        "syntax",
        "syntax",
        "print 'x'\n",
        "Did you mean print(...)?",
        "h.py, line 1",
    ),
]


@pytest.mark.parametrize("case", LOADING, ids=str)
def test_why_it_does_not_load(case: Case, tmp_path: Path, fired: list[str]) -> None:
    import torch

    torch.save({"w": torch.ones(1)}, tmp_path / "state.pt")
    with pytest.raises(LoadError) as raised:
        start(case, tmp_path)
    assert fired == [case.rule]
    (found,) = raised.value.findings
    check(case, found)


def test_a_nul_byte_has_no_place(tmp_path: Path) -> None:
    nul = Case("syntax", "syntax", "def handle(data, context):\n    return '\0'\n", "cannot contain null bytes")
    with pytest.raises(LoadError) as raised:
        start(nul, tmp_path)
    (found,) = raised.value.findings
    check(nul, found)
    assert found.where == ""


#: What only a process of its own meets, where the rules cannot be watched.
MEETS = [
    Case(
        "",
        "weights",
        "from ts.torch_handler import base_handler\nbase_handler.ONNX_AVAILABLE = False\n" + BASE,
        "with onnxruntime, which is not installed where the model runs",
        fix="Name onnxruntime in the requirements file",
        model={"serialized_file": "net.onnx"},
        extra={"net.onnx": "x"},
        worker={"in_process": False},
    ),
    Case(
        "",
        "command_line",
        "import argparse\nargparse.ArgumentParser().parse_args()\n",
        'and ends the process: "unrecognized arguments: --sock-type unix --sock-name …".',
        "h.py, line 2",
        "parse_args([])",
        worker={"in_process": False},
    ),
    Case(
        "",
        "notebook_only",
        "\nimport only_the_notebook\n",
        "The notebook has a module 'only_the_notebook'",
        "h.py, line 2",
        "%%module only_the_notebook.py",
        worker={"in_process": False},
    ),
    Case(
        "shadowed",
        "shadowed",
        "import colorsys\nprint(colorsys.rgb_to_hsv)\n" + body("return data"),
        "colorsys.py in the archive hides Python's own",
        "h.py, line 2",
        "another name",
        extra={"colorsys.py": "x = 1\n"},
        worker={"in_process": False},
    ),
    Case(
        "",
        "load",
        "import colorsys\n" + body("return data"),
        "ZeroDivisionError: division by zero",
        "colorsys.py, line 1",
        extra={"colorsys.py": "1 / 0\n"},
        worker={"in_process": False},
    ),
    Case(
        "",
        "module",
        "import colorsys\nprint(colorsys.of_mine)\n" + body("return data"),
        "colorsys.py in the archive has no of_mine.",
        "h.py, line 2",
        extra={"colorsys.py": "x = 1\n"},
        worker={"in_process": False},
    ),
    Case(
        "",
        "shadowed",
        "import compileall\n" + body("return data"),
        "filecmp.py in the archive hides Python's own",
        "filecmp.py, line 1",
        extra={"filecmp.py": "1 / 0\n"},
        worker={"in_process": False},
    ),
]


@pytest.mark.parametrize("case", MEETS, ids=str)
def test_why_it_does_not_load_in_a_process_of_its_own(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "only_the_notebook", types.ModuleType("only_the_notebook"))
    with pytest.raises(LoadError) as raised:
        start(case, tmp_path)
    (found,) = raised.value.findings
    check(case, found)


@pytest.mark.parametrize(
    ("text", "kind", "what"),
    [
        ("", "NullPointerException", "model-config.yaml is empty"),
        ("# nothing yet\n", "NullPointerException", "model-config.yaml is empty"),
        ("- a\n", "ClassCastException", "holds a list"),
        ("hello\n", "ClassCastException", "holds a str"),
    ],
)
def test_config_file_that_the_frontend_cannot_take(text: str, kind: str, what: str, tmp_path: Path) -> None:
    model = {"config_file": "model-config.yaml"}
    case = Case("", "config_file", body("return data"), what, model=model, extra={"model-config.yaml": text})
    with pytest.raises(LoadError) as raised:
        start(case, tmp_path)
    (found,) = raised.value.findings
    assert raised.value.response.json()["type"] == kind
    assert what in found.message
    assert kind in found.effect


@pytest.mark.parametrize(("text", "status"), [("No CUDA GPUs are available", 507), ("Found no NVIDIA driver", 500)])
def test_effect_of_a_missing_gpu_is_what_the_server_answers(text: str, status: int, tmp_path: Path) -> None:
    with pytest.raises(LoadError) as raised:
        start(Case("", "", initialize(f"raise RuntimeError({text!r})"), ""), tmp_path)
    (found,) = raised.value.findings
    assert (found.name, raised.value.response.status) == ("no_gpu", status)
    assert f"answers {status} " in found.effect


class Settings:
    """What a notebook might save beside the weights."""


@pytest.mark.parametrize(
    ("value", "holds", "fix"),
    [
        ({"accuracy": np.float64(0.5)}, "holds a value of numpy (numpy.", "Save numbers with value.item()"),
        (defaultdict(list, a=[1]), "holds an object of the class collections.defaultdict", "Save dict(value) instead."),
        ({"folder": Path("a")}, "holds an object of the class pathlib.", "Save str(path) instead."),
        (Settings(), "holds an object of the class Settings, which was defined in the notebook", "state_dict"),
    ],
    ids=["numpy", "defaultdict", "path", "main"],
)
def test_what_torch_refuses_is_named(
    value: object, holds: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(Settings, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "Settings", Settings, raising=False)
    torch.save(value, tmp_path / "saved.pt")
    source = "import torch\ntorch.load('saved.pt')\n"
    with pytest.raises(LoadError) as raised:
        start(Case("", "", source, "", model={"serialized_file": "saved.pt"}), tmp_path)
    (found,) = raised.value.findings
    assert (found.name, found.where) == ("weights", "h.py, line 2, in <module>: torch.load('saved.pt')")
    assert holds in found.message
    assert fix in found.fix


def test_class_of_the_notebook_that_was_pickled(tmp_path: Path) -> None:
    source = "import pickle\npickle.loads(b'c__main__\\nNobodysNet\\n.')\n"
    with pytest.raises(LoadError) as raised:
        start(Case("", "", source, "", worker={"in_process": False}), tmp_path)
    (found,) = raised.value.findings
    assert found.name == "pickled_class"
    assert "the class NobodysNet, which was defined in the notebook or script that saved it" in found.message
    assert "Save model.state_dict()" in found.fix


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (lambda file: b"", "is empty"),
        (lambda file: b"<!DOCTYPE html><html><body>Sign in</body></html>", "is an HTML page"),
        (lambda file: b"\x40\0\0\0\0\0\0\0" + b'{"weight":{"dtype":"F32"}}' + b" " * 60, "is a safetensors file"),
        (lambda file: file[: len(file) // 2], "is damaged: its end is missing"),
    ],
    ids=["empty", "html", "safetensors", "cut off"],
)
def test_file_that_holds_no_weights(written: Callable[[bytes], bytes], says: str, tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(written((NET / "cls.pth").read_bytes()))
    source = "import torch\ntorch.load('net.pth')\n"
    with pytest.raises(LoadError) as raised:
        start(Case("", "", source, "", model={"serialized_file": "net.pth"}), tmp_path)
    (found,) = raised.value.findings
    assert found.name == "not_weights"
    assert f"net.pth {says}" in found.message


def test_every_rule_has_a_case() -> None:
    assert {rule.__name__ for rule in loading.RULES} == {case.rule for case in LOADING} | {"shadowed"}
