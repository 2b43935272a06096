"""Why a call fails: a real handler for each rule, sent through Worker."""

from __future__ import annotations

import argparse
import base64
import gzip
import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from why_cases import BASE, CLASS, Case, body, check, initialize, start

from handlerkit import why
from handlerkit.messages import Part, Request, Response
from handlerkit.serving.wire import WorkerResponse
from handlerkit.why.rules import answers, raised, return_value


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 6)).save(out, "PNG")
    return out.getvalue()


def namespace() -> bytes:
    """What torch.save writes of an object of a class."""
    out = io.BytesIO()
    torch.save(argparse.Namespace(), out)
    return out.getvalue()


JSON = {"config_properties": {"service_envelope": "json"}}
TWO = Request.json({"instances": [1, 2]})
V2 = Request.json({"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}]})
STREAM = "from ts.handler_utils.utils import send_intermediate_predict_response as send\n"
VISION = (
    "from ts.torch_handler.vision_handler import VisionHandler\n"
    "class H(VisionHandler):\n    def initialize(self, context): self.device = 'cpu'\n"
)

STAGED = (
    "from ts.torch_handler.base_handler import BaseHandler\n"
    "class H(BaseHandler):\n    def initialize(self, context): self.model, self.device = list, 'cpu'\n"
)
PNG = png()
PNG_BASE64 = base64.b64encode(PNG).decode()
NAMESPACE = namespace()
TEXT = {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": "text"}]}
MODEL_OUTPUT = (
    "import collections\n"
    "class SequenceClassifierOutput(type('ModelOutput', (collections.OrderedDict,), {})): pass\n"
    "SequenceClassifierOutput.__module__ = 'transformers.modeling_outputs'\n"
)
PREPROCESS = "    def preprocess(self, data):\n        return __import__('torch').ones(1)\n"


def staged(answer: str, prepared: str = "torch.ones(1, 2)") -> str:
    """A handler with BaseHandler's inference and postprocess, whose model makes that of x."""
    return (
        "import torch\n"
        + initialize(f"self.device, self.model = 'cpu', lambda x: {answer}")
        + f"    def preprocess(self, data):\n        return {prepared}\n"
    )


def with_model(model: str) -> str:
    """A handler with BaseHandler's inference, whose initialize makes that model in line 3."""
    return (
        "from ts.torch_handler.base_handler import BaseHandler\nclass H(BaseHandler):\n"
        f"    def initialize(self, context): self.device = 'cpu'; self.mapping = None; self.model = {model}\n"
    )


RAISED = [
    Case(
        "died",
        "worker_exit",
        body("raise SystemExit(3)"),
        "SystemExit: 3, which ends the worker",
        "h.py, line 4, in handle: raise SystemExit(3)",
        "Raise an Exception",
    ),
    Case(
        "died",
        "worker_timeout",
        body("import time; time.sleep(0.01)"),
        "longer than the response_timeout of 0 s",
        fix="response_timeout",
        worker={"response_timeout": 0},
    ),
    Case(
        "died",
        "worker_timeout",
        body("import time; time.sleep(1.2)"),
        "longer than the response_timeout of 1 s",
        fix="raise responseTimeout in model-config.yaml: with a config file, no other response timeout counts",
        model={"config_file": "model-config.yaml"},
        extra={"model-config.yaml": "responseTimeout: 1\n"},
    ),
    Case(
        "any_exception",
        "exception",
        body("import base64; return [base64.b64decode('abc')]"),
        "raised binascii.Error: Incorrect padding.",
        "h.py, line 4",
    ),
    Case(
        "any_exception",
        "exception",
        body(r"raise RuntimeError('bad\nException raised from f at a.cpp:1 (most recent call first):\nframe #0: g')"),
        "raised RuntimeError: bad.",
        "h.py, line 4",
    ),
    Case(
        "any_exception",
        "exception",
        body("import tempfile; raise ValueError(f'{tempfile.gettempdir()}/abc/notes.bin is odd')"),
        "raised ValueError: notes.bin is odd.",
        "h.py, line 4",
    ),
    Case(
        "missing_import",
        "submodule",
        body("import torch._six"),
        "torch is installed, but this version has no module torch._six",
        "h.py, line 4",
        "Write str for string_classes",
    ),
    Case(
        "missing_import",
        "submodule",
        body("from torchvision.transforms.functional_tensor import rgb_to_grayscale"),
        "torchvision is installed, but this version has no module torchvision.transforms.functional_tensor.",
        "h.py, line 4",
        "Import its functions from torchvision.transforms.functional.",
    ),
    Case(
        "missing_import",
        "submodule",
        body("import ts.torch_handler.an_example"),
        "TorchServe's package ts.torch_handler has no module an_example",
        "h.py, line 4",
        "--extra-files an_example.py",
    ),
    Case(
        "missing_import",
        "import",
        body("import helper.deep"),
        "helper in the archive has no module helper.deep",
        "h.py, line 4",
        extra={"helper.py": "x = 1\n"},
    ),
    Case(
        "missing_import",
        "import",
        body("import tensorrt_llm, tensorrt"),
        "no module 'tensorrt_llm'",
        "h.py, line 4",
    ),
    Case(
        "missing_import",
        "import",
        body("import tensorrt"),
        "The package tensorrt is not installed where the model runs",
        "h.py, line 4",
        "install_py_dep_per_model=true",
    ),
    Case(
        "died",
        "worker_size",
        body("return ['x' * 41] * len(data)"),
        "41 bytes; max_response_size is 40",
        "h.py, line 4, in handle: return",
        "bytes",
        worker={"config_properties": {"max_response_size": 40}},
    ),
    Case(
        "died",
        "worker_header",
        body("context.set_response_header(0, 'a b', 'c'); return ['x']"),
        "'a b'",
        "h.py, line 4: ",
        "plain ASCII",
    ),
    Case(
        "died",
        "worker_header",
        body("context.set_response_content_type(0, 'für'); return ['x']"),
        "cannot read",
        "h.py, line 4: ",
        "plain ASCII",
    ),
    Case(
        "died",
        "worker_encode",
        body("a = []; a.append(a); return [a]"),
        "Circular reference",
        "h.py, line 4",
        "circular",
    ),
    Case("out_of_memory", "memory", body("raise MemoryError"), "out of memory", "h.py, line 4", "smaller"),
    Case(
        "out_of_memory", "memory", body("raise ValueError('CUDA is fine')"), "any error that says CUDA", "h.py, line 4"
    ),
    Case(
        "prediction_exception",
        "prediction_exception",
        "from ts.utils.util import PredictionException\n" + body("raise PredictionException('big', 413)"),
        "code 413",
        "h.py, line 5",
        "set_response_status",
    ),
    Case(
        "missing_import",
        "import",
        body("import a_module_nobody_has"),
        "no module 'a_module_nobody_has'",
        "h.py, line 4",
    ),
    Case(
        "missing_variable",
        "environment",
        body("import os; return [os.environ['NOBODY_SET_THIS']]"),
        "no variable 'NOBODY_SET_THIS'",
        "h.py, line 4, in handle",
        "os.environ.get",
    ),
    Case("missing_name", "notebook_name", body("return [A_NOTEBOOK_NAME]"), "defined in the notebook", "h.py, line 4"),
    Case("missing_name", "name", body("return [nowhere]"), "'nowhere' is not defined", "h.py, line 4"),
    Case(
        "signature",
        "signature",
        "class H:\n    def initialize(self, context): pass\n    def handle(self, data): return data\n",
        "takes 2 positional arguments but 3 were given",
        "h.py, line 3: def handle(self, data)",
        "def handle(self, data, context)",
    ),
    Case(
        "data_as_dict",
        "data_is_a_list",
        body("return [data['body']]"),
        "data is a list",
        "h.py, line 4",
        "for row in data",
    ),
    Case(
        "row_key",
        "row_key",
        body("return [row['data'] for row in data]"),
        "no 'data', it has 'body'",
        "h.py, line 4",
        "row.get('data') or row.get('body')",
    ),
    Case(
        "row_key",
        "row_key",
        body("return [data[0]['a']]"),
        "no 'a', it has 'body'",
        "h.py, line 4",
        "inside 'body': read row['body']['a']",
    ),
    Case(
        "row_get",
        "row_key",
        body("row = data[0]; image = row.get('data'); return [image[0]]"),
        "no 'data', it has 'body', so row.get gives None",
        "h.py, line 4",
        "row.get('data') or row.get('body')",
    ),
    Case(
        "decoded_already",
        "decoded_already",
        body("import json; return [json.loads(row['body']) for row in data]"),
        "comes parsed, here as a dict",
        "h.py, line 4",
        "Read what it holds ('a'): row['body']['a']",
    ),
    Case(
        "decoded_already",
        "decoded_already",
        body("import json; return [json.loads(row['body']) for row in data]"),
        "comes parsed, here as a list",
        "h.py, line 4",
        "value = json.loads(value)",
        request=Request.json([1]),
    ),
    Case(
        "decoded_already",
        "decoded_already",
        "import io\n" + body("value = data[0]['body']; return [io.BytesIO(value)]"),
        "decoded row['body']: a value of type text/csv comes as a str",
        "h.py, line 5",
        "Use io.StringIO(row['body'])",
        request=Request(headers={"Content-Type": "text/csv"}, body=b"1,2\n"),
    ),
    Case(
        "decoded_already",
        "decoded_already",
        "import base64\n" + body("return [base64.b64encode(row['body']) for row in data]"),
        "of type text/plain comes as a str",
        "h.py, line 5",
        "row['body'].encode()",
        request=Request.text("abc"),
    ),
    Case(
        "decoded_already",
        "decoded_already",
        "import numpy as np\n" + body("return [np.frombuffer(row['body'], np.uint8) for row in data]"),
        "of type text/plain comes as a str",
        "h.py, line 5",
        "base64.b64decode(row['body'])",
        request=Request.text(PNG_BASE64),
    ),
    Case(
        "decoded_already",
        "decoded_already",
        "import ast\n" + body("return [ast.literal_eval(row['body']) for row in data]"),
        "of type application/json comes parsed, here as a list",
        "h.py, line 5",
        "Use it as it is",
        request=Request.json([1, 2]),
    ),
    Case(
        "decoded_already",
        "decoded_already",
        "import base64\n" + body("return [base64.b64decode(row.get('data') or row.get('body')) for row in data]"),
        "comes parsed, here as a dict",
        "h.py, line 5",
        "row['body']['image']",
        request=Request.json({"image": "aGk="}),
    ),
    Case(
        "bytes_for_text",
        "bytes_for_text",
        body("return [row['data']['text'] for row in data]"),
        "row['data'] is bytes (a bytearray)",
        "h.py, line 4",
        "json.loads(row['data']), or send it with -F 'data=@file;type=application/json'",
        request=Request.multipart(Part("data", b'{"text": "hi"}'), boundary="b"),
    ),
    Case(
        "bytes_for_text",
        "bytes_for_text",
        body("return [row['body'].split(',') for row in data]"),
        "it came as application/x-thing, and TorchServe decodes only",
        "h.py, line 4",
        "row['body'].decode(), or send it with Content-Type: text/plain",
        request=Request(headers={"Content-Type": "application/x-thing"}, body=b"a,b"),
    ),
    Case(
        "data_url",
        "data_url",
        "import base64\n" + body("return [base64.b64decode(row['body']) for row in data]"),
        "row['body'] is a data: URL",
        "h.py, line 5",
        "partition(',')",
        request=Request.text("data:image/png;base64,aGkh"),
    ),
    Case(
        "text_as_path",
        "text_as_path",
        "from PIL import Image\n" + body("return [Image.open(row['body']) for row in data]"),
        "row['body'] is base64 of a PNG image, and Image.open takes a text for the name of a file",
        "h.py, line 5",
        "Image.open(io.BytesIO(base64.b64decode(row['body'])))",
        request=Request.text(PNG_BASE64),
    ),
    Case(
        "text_as_path",
        "text_as_path",
        body("return [open(row['body']['path']).read() for row in data]"),
        "names the file '/data/none.png', and there is none",
        "h.py, line 4",
        "Send the file itself",
        request=Request.json({"path": "/data/none.png"}),
    ),
    Case(
        "file_as_numbers",
        "file_as_numbers",
        "import numpy as np\n" + body("return [np.frombuffer(row['body'], np.uint8).reshape(3, 3) for row in data]"),
        "row['body'] is a PNG image of 69 bytes",
        "h.py, line 5",
        "Image.open(io.BytesIO(row['body']))",
        request=Request(body=PNG),
    ),
    Case(
        "not_base64",
        "not_base64",
        "import base64\n" + body("return [base64.b64decode(row['body'], validate=True) for row in data]"),
        "decodes row['body'] as base64, and it is a PNG image",
        "h.py, line 5",
        "Use the bytes as they are",
        request=Request(body=PNG),
    ),
    Case(
        "other_services_form",
        "no_envelope",
        body("import torch; return [torch.tensor(row['body']) for row in data]"),
        '{"instances": [...]}, a form that only the envelope json',
        "h.py, line 4",
        "service_envelope=json",
        request=Request.json({"instances": [[1, 2]]}),
    ),
    Case(
        "other_services_form",
        "no_envelope",
        VISION,
        '{"inputs": [...]}, a form that only the envelope kservev2',
        fix="service_envelope=kservev2",
        request=V2,
    ),
    Case(
        "json_value",
        "json_key",
        body("return [row['body']['values'] for row in data]"),
        "The JSON in row['body'] has no 'values', it has 'inputs'",
        "h.py, line 4",
        "Send 'values' in it",
        request=Request.json({"inputs": [1]}),
    ),
    Case(
        "json_value",
        "json_value",
        body("import torch; return [torch.tensor(row['body'], dtype=torch.float) for row in data]"),
        "null at row['body'][1]",
        "h.py, line 4",
        request=Request.json([1, None]),
    ),
    Case(
        "json_value",
        "json_value",
        body("import torch; return [torch.tensor(row['body']) for row in data]"),
        "row['body'] have different lengths (2, 1)",
        "h.py, line 4",
        request=Request.json([[1, 2], [3]]),
    ),
    Case(
        "json_value",
        "json_value",
        body("return [row['body']['text'] for row in data]"),
        "row['body'] is JSON that came as text (text/plain)",
        "h.py, line 4",
        "Send Content-Type: application/json",
        request=Request.text('{"text": "hi"}'),
    ),
    Case(
        "json_value",
        "json_value",
        body("return [row['data']['text'] for row in data]"),
        "row['data'] is a list of 1 (in JSON)",
        "h.py, line 4",
        request=Request.multipart(Part("data", b"[1]", "d.json", "application/json"), boundary="b"),
    ),
    Case(
        "row_get",
        "row_key",
        "import io\nfrom PIL import Image\n"
        + body("return [Image.open(io.BytesIO(row.get('data') or row.get('body'))) for row in data]"),
        "neither 'data' nor 'body', it has 'image'",
        "h.py, line 6",
        "Read row['image'], or send the field as 'data'",
        request=Request.multipart(Part("image", PNG, "i.png", "image/png"), boundary="b"),
    ),
    Case(
        "row_get",
        "row_key",
        "import json\n"
        + CLASS
        + "return [self.read(row) for row in data]\n"
        + "    def read(self, row):\n        return json.loads(row.get('data', row.get('body')))\n",
        "neither 'data' nor 'body', it has 'text'",
        "h.py, line 7, in read",
        "Read row['text']",
        request=Request.multipart(Part("text", b"1"), boundary="b"),
    ),
    Case(
        "no_such_attribute",
        "context",
        body("return [context.get_header(0, 'a')]"),
        "The context has no get_header",
        "h.py, line 4",
        "get_request_header",
    ),
    Case(
        "json_value",
        "json_value",
        body("return [float(row['data']) for row in data]"),
        "row['data'] is 'a3', which is not a number",
        "h.py, line 4",
        "Send a number",
        request=Request.form({"data": "a3"}),
    ),
    Case(
        "json_value",
        "json_key",
        body("return [row['body']['inputs'] for row in data]"),
        "has no 'inputs', it has 'instances'",
        "h.py, line 4",
        request=Request.json({"instances": [1]}),
    ),
    Case(
        "bytes_for_text",
        "bytes_for_text",
        body("words = data[0]['data'].split(); return [' '.join(words)]"),
        "row['data'] is bytes (a bytearray)",
        "h.py, line 4",
        "row['data'].decode()",
        request=Request.form({"data": "a b"}),
    ),
    Case(
        "none_value",
        "none_value",
        body("return [int(context.get_request_header(0, 'X-Top-K'))]"),
        "The request has no header 'X-Top-K'",
        "h.py, line 4",
    ),
    Case(
        "no_such_attribute",
        "context",
        body("context.set_status(404); return ['x']"),
        "The context has no set_status",
        "h.py, line 4",
        "set_response_status",
    ),
    Case(
        "no_such_attribute",
        "context",
        body("return [context.get_request_body(0)]"),
        "The context has no get_request_body",
        "h.py, line 4",
        "the argument data",
    ),
    Case(
        "no_such_attribute",
        "context",
        body("return [context.request_processor[0].get_property('a')]"),
        "context.request_processor[index] has no get_property",
        "h.py, line 4",
        "get_request_property",
    ),
    Case(
        "no_such_property",
        "context",
        body("size = context.system_properties.get('image_size'); return [size[0]]"),
        "context.system_properties has no 'image_size', so .get gives None",
        "h.py, line 4",
        "context.model_yaml_config",
    ),
    Case(
        "no_context",
        "context",
        "from ts.torch_handler.base_handler import BaseHandler\n"
        + body("return [self.context.model_name]").replace("class H:", "class H(BaseHandler):"),
        "self.context is None: BaseHandler.handle sets it",
        "h.py, line 5",
        "self.context = context",
    ),
    Case(
        "stage_signature",
        "signature",
        STAGED + "    def preprocess(self, data, context): return data\n",
        "calls preprocess with the data alone",
        "h.py, line 4: def preprocess(self, data, context)",
        "def preprocess(self, data)",
    ),
    Case(
        "stage_signature",
        "signature",
        STAGED + "    def preprocess(self): return 1\n",
        "preprocess() takes 1 positional argument but 2 were given",
        "h.py, line 4: def preprocess(self)",
        "def preprocess(self, data)",
    ),
    Case(
        "piece_per_row",
        "stream_batch",
        STREAM + body("send(['x'], context.request_ids, '', 200, context); return ['y'] * len(data)"),
        "this batch holds 2, and the piece fewer",
        "h.py, line 5",
        "batch_size=1",
        request=(Request.json(1), Request.json(2)),
        worker={"batch_size": 2},
    ),
    Case(
        "first_error",
        "not_an_image",
        "import io\nfrom PIL import Image\n"
        + CLASS
        + "try: return [Image.open(io.BytesIO(data[0]['body']))]\n"
        + "        except Exception: import no_such_reader\n",
        "row['body'] is an HTML page. The code that handles this error fails too, with ModuleNotFoundError",
        "h.py, line 6",
        "Send the image file itself",
        request=Request(body=b"<!DOCTYPE html><p>404"),
    ),
    Case(
        "first_error",
        "row_key",
        CLASS + "try: return [data[0]['image']]\n" + "        except KeyError: raise ValueError('bad input')\n",
        "no 'image', it has 'body': a plain body",
        "h.py, line 4",
    ),
    Case(
        "first_error",
        "exception",
        CLASS + "try: return [1 / 0]\n" + "        except ArithmeticError: return [undefined_name]\n",
        "ZeroDivisionError: division by zero. The code that handles this error fails too, with NameError",
        "h.py, line 4",
    ),
    Case(
        "misshapen_input",
        "envelope_input",
        body("return [row['data'].missing for row in data]"),
        'inputs[0] has a str as "data"',
        "h.py, line 4",
        '"data": ["text"]',
        request=Request.json(TEXT),
        worker={"config_properties": {"service_envelope": "kservev2"}},
    ),
    Case(
        "no_mapping",
        "no_mapping",
        "from ts.torch_handler.base_handler import BaseHandler\n"
        + body("return [self.mapping['0']]").replace("class H:", "class H(BaseHandler):"),
        "self.mapping is None, though the archive holds index_to_name.json",
        "h.py, line 5",
        "load_label_mapping",
        extra={"index_to_name.json": '{"0": "cat"}'},
    ),
    Case(
        "decoded_already",
        "decoded_already",
        body("return [row['body'].decode() for row in data]"),
        "of type text/plain comes as a str",
        "h.py, line 4",
        "value.decode()",
        request=Request.text("x"),
    ),
    Case(
        "bytes_for_a_file",
        "bytes_for_a_file",
        body("from PIL import Image; return [Image.open(data[0]['body'])]"),
        "Image.open takes a file",
        "h.py, line 4",
        "Image.open(io.BytesIO(value))",
        request=Request(body=b"x"),
    ),
    Case(
        "missing_file",
        "missing_file",
        body("return [open('labels.txt').read()]"),
        "holds no labels.txt",
        "h.py, line 4",
        "--extra-files labels.txt",
    ),
    Case(
        "missing_file",
        "missing_file",
        body("return [open('/nowhere/labels.txt').read()]"),
        "no file /nowhere/labels.txt",
        "h.py, line 4",
        "context.system_properties['model_dir']",
    ),
    Case(
        "channels",
        "channels",
        body("import torch; return torch.nn.Conv2d(3, 1, 1)(torch.zeros(1, 1, 2, 2)).tolist()"),
        "of 3 channel(s), and got one of 1",
        "h.py, line 4",
        "image.convert('RGB')",
    ),
    Case(
        "unread_form",
        "empty_form",
        body("return [row.get('body').decode() for row in data]"),
        "gets an empty row {}",
        "",
        "Content-Type: application/json",
        request=Request.curl("curl h/predictions/m -d '{\"a\": 1}'"),
    ),
    Case(
        "none_value",
        "none_value",
        body("x = {}.get('x'); return [x[0]]"),
        "x is None here",
        "h.py, line 4",
        "It gets its value in h.py, line 4, in handle: x = {}.get('x')",
    ),
    Case(
        "none_value",
        "none_value",
        "import re\n" + CLASS + "found = re.match('a', 'b')\n        return [found.group()]\n",
        "found is None here",
        "h.py, line 6",
        "It gets its value in h.py, line 5, in handle: found = re.match('a', 'b')",
    ),
    Case(
        "none_value",
        "none_value",
        body("return [None + 1 for _ in [{}.get('x')]]"),
        "None where one was expected",
        "h.py, line 4",
        ".get of a key that is not there",
    ),
    Case(
        "none_value",
        "none_value",
        "from PIL import Image\n" + body("return [Image.new('RGB', (1, 1)).putalpha(9).size]"),
        "putalpha",
        "h.py, line 5",
    ),
    Case(
        "any_exception",
        "exception",
        body("return [1 / 0]"),
        "ZeroDivisionError: division by zero",
        "h.py, line 4, in handle: return [1 / 0]",
        "Correct that line.",
    ),
    Case("not_a_list", "not_a_list", body("return {'a': 1}"), "returned a dict", "h.py, line 4", "return [answer]"),
    Case("not_a_list", "not_a_list", body("return (1,)"), "returned a tuple", "h.py, line 4", "list(...)"),
    Case(
        "not_a_list",
        "not_a_list",
        body("pass"),
        "returned None",
        "h.py, line 3, in handle: def handle",
        "return statement or its value is missing",
    ),
    Case(
        "not_a_list",
        "not_a_list",
        CLASS.replace("    def handle", "    async def handle") + "return [1]\n",
        "returned a coroutine",
        "h.py, line 4",
        "does not await",
    ),
    Case(
        "wrong_length",
        "wrong_length",
        body("return [1, 2]"),
        "2 element(s) for 1 request(s)",
        "h.py, line 4",
        "[[...]]",
    ),
    Case(
        "not_serializable",
        "not_serializable",
        "import numpy\n" + body("return [{'box': [numpy.float32(1)]}]"),
        "a float32, at row 0['box'][0]",
        "h.py, line 5",
        "float(value)",
    ),
    Case(
        "not_serializable",
        "not_serializable",
        body("return [{'a': {1, 2}}]"),
        "a set, at row 0['a']",
        "h.py, line 4",
        "sorted",
    ),
    Case("not_serializable", "not_serializable", body("return [{(1, 2): 3}]"), "row 0, as a key", "h.py, line 4"),
    Case(
        "status_arguments",
        "status_arguments",
        body("context.set_response_status('404', 'x'); return ['x']"),
        "got the code '404' and the phrase 'x'",
        "h.py, line 4, in handle",
        'set_response_status(404, "Not found", 0)',
    ),
    Case(
        "status_arguments",
        "status_arguments",
        body("context.set_response_status(404, 0); return ['x']"),
        "got the code 404 and the phrase 0",
        "h.py, line 4, in handle",
    ),
    Case(
        "status_index",
        "status_arguments",
        body("context.set_response_status(404, 'gone', 3); return ['x']"),
        "the batch has no request of that index",
        "h.py, line 4, in handle",
        "counted from 0",
    ),
    Case(
        "status_index",
        "status_arguments",
        body("context.set_response_status(0, 404, 'gone'); return ['x']"),
        "takes (code, phrase, index of the request)",
        "h.py, line 4, in handle",
    ),
    Case(
        "response_index",
        "context_index",
        body("context.set_response_header(1, 'a', 'b'); return ['x']"),
        "context.set_response_header was called with an index that no request has",
        "h.py, line 4, in handle",
        "enumerate(data)",
    ),
    Case(
        "died",
        "worker_header",
        body("context.set_response_header(0, 'a', 1); return ['x']"),
        "name or value of a response header is not a string",
        "h.py, line 4",
        "str(value)",
    ),
    Case(
        "died",
        "worker_encode",
        "from ts.utils.util import PredictionException\n" + body("raise PredictionException('big', '404')"),
        "the code '404' and the message 'big', which cannot be sent",
        "h.py, line 5",
        'PredictionException("what was wrong", 400)',
    ),
    Case(
        "died",
        "worker_header",
        "from ts.utils.util import PredictionException\n" + body("raise PredictionException('big', -1)"),
        "the code -1",
        "h.py, line 5",
        'PredictionException("what was wrong", 400)',
    ),
    Case(
        "died",
        "micro_batching",
        "from ts.handler_utils.micro_batching import MicroBatching\n"
        "from ts.torch_handler.base_handler import BaseHandler\n"
        "class H(BaseHandler):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.handle = MicroBatching(self, micro_batch_size=1)\n"
        "    def initialize(self, context): pass\n"
        "    def preprocess(self, data):\n"
        "        raise ValueError('nobody hears this')\n",
        "A stage of micro-batching raised in its thread",
        fix="Catch exceptions inside preprocess",
        worker={"in_process": False, "response_timeout": 1},
    ),
    Case(
        "timeout_set_aside",
        "timeout_set_aside",
        body("import time; time.sleep(1.05)"),
        "registered with a response_timeout of 9 s, but 1 s is in force",
        fix="responseTimeout: 9",
        model={"config_file": "model-config.yaml"},
        extra={"model-config.yaml": "responseTimeout: 1\n"},
        worker={"response_timeout": 9},
    ),
    Case(
        "unread_json",
        "undecoded",
        body("return [row['body'].get('a') for row in data]"),
        "JSON without a Content-Type: the handler gets bytes",
        fix="Content-Type: application/json",
        request=Request(body=b'{"a": 1}'),
    ),
    Case(
        "header_key",
        "header_casing",
        body("return [context.get_all_request_header(0)['content-type']]"),
        "'content-type', the client sent 'Content-Type'",
        "h.py, line 4",
        "name.lower()",
    ),
    Case(
        "no_mapping",
        "no_mapping",
        BASE.replace(" pass", "\n    def initialize(self, context): pass\n")
        + "    def handle(self, data, context):\n        return [self.mapping['0']]\n",
        "no index_to_name.json",
        "h.py, line 6",
        "--extra-files index_to_name.json",
    ),
    Case(
        "attribute_not_set",
        "attribute",
        body("return [self.model(row) for row in data]"),
        "The handler has no model",
        "h.py, line 4",
        "Set self.model in initialize",
    ),
    Case(
        "data_as_dict",
        "data_is_a_list",
        body("return [data.get('body')]"),
        "uses it as if it were one request",
        "h.py, line 4",
        "for row in data",
    ),
    Case(
        "unreadable_input",
        "envelope_input",
        body("return data"),
        "cannot read this request (KeyError: 'instances')",
        fix='{"instances": [first, second]}',
        worker=JSON,
    ),
    Case(
        "unreadable_input",
        "envelope_input",
        body("return data"),
        "cannot read a describe request",
        fix="without an envelope",
        request=Request("GET", "/models/m", query="customized=true"),
        worker=JSON,
    ),
    Case(
        "unreadable_input",
        "envelope_output",
        "import torch\n" + body("return torch.ones(2)"),
        "returned a tensor or an array",
        "h.py, line 5",
        "tensor.tolist()",
        request=TWO,
        worker=JSON,
    ),
    Case(
        "unreadable_input",
        "envelope_output",
        body("return [1, 2, 3]"),
        "cannot wrap what the handler returned",
        "h.py, line 4",
        "no more of them than inputs",
        request=V2,
        worker={"config_properties": {"service_envelope": "kservev2"}},
    ),
    Case(
        "no_instances",
        "envelope_input",
        body("return data"),
        'The body has no "instances"',
        fix="Send",
        worker={"config_properties": {"service_envelope": "kserve"}},
    ),
    Case(
        "rows_unwrapped",
        "envelope_rows",
        body("return [row.get('body') for row in data]"),
        "gives the handler the values themselves",
        "h.py, line 4",
        "each element of data as it is",
        request=TWO,
        worker=JSON,
    ),
    Case(
        "wrong_length",
        "kserve_batch",
        body("return [1] * len(data)"),
        "takes only the first request of a batch, and this batch holds 2",
        fix="batch_size=1",
        request=(TWO, TWO),
        worker={"config_properties": {"service_envelope": "kserve"}, "batch_size": 2},
    ),
    Case(
        "wrong_length",
        "wrong_length",
        body("data.append({}); return [1]"),
        "The handler changed data itself: it had 1 row(s), and has 2 now",
        "h.py, line 4",
    ),
    Case(
        "rows_as_tensor",
        "rows_as_tensor",
        BASE.replace(" pass", "\n    def initialize(self, context): self.device = 'cpu'\n"),
        "data is a list of dicts",
        fix="service_envelope=body",
    ),
    Case(
        "too_few_classes",
        "topk",
        "import torch\n" + body("return torch.topk(torch.ones(1, 3), 5)[0].tolist()"),
        "torch.topk is asked for more of the largest values than the tensor has",
        "h.py, line 5",
        "min(k, values.shape[-1])",
    ),
    Case(
        "too_few_classes",
        "topk",
        "import torch\n"
        + with_model("torch.nn.ReLU()")
        .replace("BaseHandler", "ImageClassifier")
        .replace("base_handler", "image_classifier")
        + "    topk = 7\n    def preprocess(self, data): return torch.ones(1, 3)\n",
        "ImageClassifier answers with the 7 best classes, and the model has fewer",
        fix="topk = 3",
    ),
    Case(
        "any_exception",
        "exception",
        "import torch\ndef normalize(values): return values - torch.ones(3)\n"
        + body("return normalize(torch.ones(2)).tolist()"),
        "RuntimeError: The size of tensor a (2) must match",
        "h.py, line 2, in normalize",
    ),
    Case(
        "row_get",
        "row_key",
        body("name = data[0].get('filename'); return [name.endswith('.png')]"),
        "no 'filename', it has 'body', so row.get gives None",
        "h.py, line 4",
    ),
    Case(
        "json_value",
        "json_key",
        body("return [row['body']['data'] for row in data]"),
        "The JSON in row['body'] has no 'data', it has 'inputs'.",
        "h.py, line 4",
        request=Request.json({"inputs": [1]}),
    ),
    Case(
        "any_exception",
        "exception",
        body("settings = {'kind': 1}; return [settings['data']]"),
        "raised KeyError: 'data'.",
        "h.py, line 4",
    ),
    Case(
        "any_exception",
        "exception",
        body("settings = {'cat': 1}; return [settings[data[0]['body']['kind']]]"),
        "raised KeyError: 'dog'.",
        "h.py, line 4",
        request=Request.json({"kind": "dog"}),
    ),
    Case(
        "any_exception",
        "exception",
        body("settings = {'kind': 1}; return [settings['content-type']]"),
        "raised KeyError: 'content-type'.",
        "h.py, line 4",
    ),
    Case(
        "any_exception",
        "exception",
        body("settings = {'kind': 1}; return [settings['mode']]"),
        "raised KeyError: 'mode'.",
        "h.py, line 4",
        request=Request(body=b"text", headers={"Content-Type": "application/x-www-form-urlencoded"}),
    ),
    Case(
        "row_key",
        "row_key",
        body("return [row.pop('image') for row in data]"),
        "no 'image', it has 'body'",
        "h.py, line 4",
    ),
    Case(
        "any_exception",
        "exception",
        "import torch\n" + body("return [torch.nn.Bilinear(1, 1, 1)(torch.ones(1))]"),
        "TypeError: Bilinear.forward() missing 1 required positional argument: 'input2'.",
        "h.py, line 5",
    ),
    Case(
        "more_arguments",
        "base_stage",
        "import torch\n" + with_model("torch.nn.Bilinear(1, 1, 1)") + PREPROCESS,
        "its forward takes more: input2",
        fix="self.model(*data)",
    ),
    Case(
        "none_value",
        "none_value",
        body("self.context = context; return [self.context.get_request_header(0, 'X').lower()]"),
        "The request has no header 'X'",
        "h.py, line 4",
    ),
    Case(
        "none_value",
        "none_value",
        body("import re; self.mapping = {}; m = re.match('a', 'b'); return [self.mapping[m.group()]]"),
        "m is None here",
        "h.py, line 4",
    ),
    Case(
        "no_such_property",
        "context",
        with_model("context.system_properties.get('model')") + PREPROCESS,
        "context.system_properties has no 'model', so .get gives None",
        "h.py, line 3, in initialize",
        "super().initialize(context) loads the model",
    ),
    Case(
        "none_value",
        "none_value",
        with_model("{}.get('net')") + PREPROCESS,
        "self.model is None here",
        fix="It gets its value in h.py, line 3, in initialize",
    ),
    Case(
        "none_value",
        "none_value",
        CLASS + "gpu_id = 0\n        name = None\n        return ['cuda:' + name, gpu_id]\n",
        "name is None here",
        "h.py, line 6",
    ),
    Case(
        "session_called",
        "session_called",
        body("return type('InferenceSession', (), {})()(data)"),
        "cannot be called like a network",
        "h.py, line 4",
        "self.model.get_inputs()",
    ),
    Case(
        "session_called",
        "session_called",
        body("return type('ModelProto', (), {})()(data)"),
        "the description of a network",
        "h.py, line 4",
        "InferenceSession(path)",
    ),
    Case(
        "base_postprocess",
        "base_stage",
        staged("{'out': x}"),
        "no postprocess of its own, so BaseHandler's ran: it calls tolist() on what inference returned, which is",
        fix="return data['out'].tolist()",
    ),
    Case(
        "base_postprocess",
        "base_stage",
        MODEL_OUTPUT + staged("SequenceClassifierOutput(logits=x)"),
        "which is a SequenceClassifierOutput",
        fix="return data.logits.softmax(-1).tolist()",
    ),
    Case(
        "base_inference",
        "base_stage",
        staged("x", "{'ids': 1}"),
        "no inference of its own, so BaseHandler's ran: it gives the model one tensor, and preprocess returned a dict",
        fix="return self.model(**data)",
    ),
    Case(
        "not_a_list",
        "not_a_list",
        MODEL_OUTPUT + body("import torch; return SequenceClassifierOutput(logits=torch.ones(1, 2))"),
        "the model's output with its tensors",
        "h.py, line",
        "return output.logits.softmax(-1).tolist()",
    ),
    Case(
        "not_serializable",
        "not_serializable",
        MODEL_OUTPUT + body("import torch; return [SequenceClassifierOutput(last_hidden_state=torch.ones(2))]"),
        "row 0 is a SequenceClassifierOutput",
        "h.py, line",
        "output.last_hidden_state.tolist()",
    ),
    Case(
        "not_weights",
        "not_weights",
        body("import torch; return [torch.load('big.pth')]"),
        "big.pth is a git-lfs pointer",
        "h.py, line 4",
        "git lfs pull",
        extra={"big.pth": "version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 123\n"},
    ),
    Case(
        "refused",
        "weights",
        "import io, argparse, torch\n"
        + body("f = io.BytesIO(); torch.save(argparse.Namespace(), f); f.seek(0); return [torch.load(f)]"),
        "The file holds an object of the class argparse.Namespace",
        "h.py, line 5",
        "Save vars(args) instead of args. Or, if you trust the file",
    ),
    Case(
        "pickled_class",
        "pickled_class",
        body("import pickle; return [pickle.loads(b'cjson\\nOrderNet\\n.')]"),
        "was pickled with a class OrderNet of the module json",
        "h.py, line 4",
        "state_dict()",
    ),
    Case(
        "state_dict_as_model",
        "state_dict",
        staged("x").replace("lambda x: x", "{'epoch': 1, 'state_dict': {'weight': torch.ones(1)}}"),
        "a checkpoint, a dict with 'epoch', 'state_dict'",
        fix="model.load_state_dict(checkpoint['state_dict'])",
    ),
    Case(
        "other_weights",
        "checkpoint",
        body("import torch; return [torch.nn.Linear(1, 1).load_state_dict({'state_dict': {}, 'epoch': 1})]"),
        "holds the weights under 'state_dict'",
        "h.py, line 4",
        "model.load_state_dict(checkpoint['state_dict'])",
    ),
    Case(
        "other_weights",
        "model_file",
        body("import torch; return [torch.nn.Linear(1, 1).load_state_dict({'module.weight': 1, 'module.bias': 1})]"),
        "begin with 'module.'",
        "h.py, line 4",
        "removeprefix",
    ),
    Case(
        "weights",
        "weights",
        "import io, torch\n" + body("f = io.BytesIO(); torch.save({}, f); f.seek(0); return [torch.jit.load(f)]"),
        "is no TorchScript program",
        "h.py, line 5",
        "torch.load",
    ),
    Case(
        "reads_command_line",
        "command_line",
        body("import argparse; return [argparse.ArgumentParser().parse_args()]"),
        "argparse reads the command line",
        "h.py, line 4",
        "parse_args([])",
    ),
    Case(
        "config_key",
        "config_missing",
        body("config = context.model_yaml_config") + "        return [config['handler']['top']]\n",
        "model-config.yaml has no top under handler; it has topk there",
        "h.py, line 5",
        ".get('top', ...)",
        model={"config_file": "model-config.yaml"},
        extra={"model-config.yaml": "handler:\n  topk: 3\n"},
    ),
    Case(
        "manifest_key",
        "manifest_key",
        body("return [context.manifest['modelName']]"),
        "it is in context.manifest['model']",
        "h.py, line 4",
        "context.manifest['model']['modelName']",
    ),
    Case(
        "property_key",
        "property_key",
        body("return [context.system_properties('model_dir')]"),
        "system_properties is a dict",
        "h.py, line 4",
        "context.system_properties['model_dir']",
    ),
    Case(
        "property_key",
        "property_key",
        body("properties = context.system_properties; return [properties['device']]").replace("; ", "\n        "),
        "has no 'device'",
        "h.py, line 5",
        "model_yaml_config",
    ),
    Case(
        "not_initialized",
        "not_initialized",
        initialize("super().__init__()") + PREPROCESS,
        "initialize calls super().__init__(), which loads nothing",
        "h.py, line 4, in initialize: super().__init__()",
        "super().initialize(context) in its place",
    ),
    Case(
        "not_initialized",
        "not_initialized",
        initialize("self.initialized = True") + PREPROCESS,
        "neither sets it nor calls BaseHandler's",
        "h.py, line 3, in initialize",
        "super().initialize(context)",
    ),
    Case(
        "scripted_detector",
        "scripted_detector",
        "import torch\nfrom typing import List\n"
        "def forward(images: List[torch.Tensor]): return images[0]\n"
        + BASE.replace(
            " pass",
            "\n    def initialize(self, context): self.device, self.context = 'cpu', context; "
            "self.model = torch.jit.script(forward)\n"
            "    def preprocess(self, data): return torch.ones(1, 3)\n",
        ),
        "gives it one stacked tensor",
        fix="list(data)",
    ),
    Case(
        "image_channels",
        "image_channels",
        "import torch\nfrom torchvision.transforms.functional import normalize\n"
        + body("return normalize(torch.ones(1, 2, 2), [0, 0, 0], [1, 1, 1]).tolist()"),
        "The image is not RGB",
        "h.py, line 6",
        "image.convert('RGB')",
    ),
    Case(
        "unnamed_class",
        "labels",
        "from ts.utils.util import map_class_to_label\n" + body("return map_class_to_label([[1.0]], {'1': 'x'})"),
        "no name for the class '0'",
        "h.py, line 5",
        'Add "0"',
    ),
    Case(
        "not_an_image",
        "not_an_image",
        "import io\nfrom PIL import Image\n" + body("return [Image.open(io.BytesIO(b'x')).size]"),
        "cannot read the bytes as an image",
        "h.py, line 6",
        "curl -T image.png",
    ),
    Case(
        "image_row",
        "image_row",
        VISION,
        "got a JSON object",
        fix="curl -T image.png",
    ),
    Case(
        "image_row",
        "image_row",
        VISION,
        "the request has 'picture'",
        fix="-F data=@image.png",
        request=Request.multipart(Part("picture", b"x", "x.png")),
    ),
    Case(
        "explain_target",
        "explain_target",
        "class H:\n    def initialize(self, context): pass\n"
        "    def get_insights(self): assert False, 'Target has to be a number'\n"
        "    def handle(self, data, context): self.get_insights()\n",
        "came as a form field, which is bytes",
        "h.py, line 3",
        "type=application/json",
    ),
    Case(
        "no_insights",
        "no_insights",
        BASE.replace(" pass", "\n    def initialize(self, context): pass\n")
        + "    def handle(self, data, context):\n        return self.explain_handle(data, data)\n",
        "needs a method get_insights",
        "h.py, line 6",
        "get_insights(self, tensor, text, target)",
    ),
    Case(
        "metric_arguments",
        "metric_arguments",
        body("context.metrics.add_time('Mine', 1, None, 'minutes'); return ['x']"),
        "does not take what it was given",
        "h.py, line 4",
        'add_time("Mine"',
    ),
    Case(
        "stream_code",
        "stream_code",
        STREAM + body("send(['x'], context.request_ids, 'no', 500, context); return ['x']"),
        "intermediate answer with code 500",
        "h.py, line 1",
        "code 200",
    ),
    Case(
        "stream_header",
        "stream_header",
        body("context.set_response_header(0, 'ts_stream_next', 'true'); return ['x']"),
        "set the header ts_stream_next",
        "h.py, line 4",
        "Leave that header out",
    ),
    Case(
        "stream_status",
        "stream_status",
        STREAM
        + body("context.set_response_status(404, 'x', 0); send(['x'], context.request_ids, '', 200, context)")
        + "        return ['x']\n",
        "began a stream with status 404",
        "h.py, line 5",
        "in one piece",
    ),
    Case(
        "own_status",
        "own_status",
        body("context.set_response_status(404, 'Not Here', 0); return ['x']"),
        "itself set the status 404 Not Here",
        "h.py, line 4",
    ),
    Case(
        "unreadable",
        "unreadable",
        body("import json; return [json.loads(data[0]['body'])]"),
        "row['body'] is the text 'a cat', and json.loads cannot read that (json.decoder.JSONDecodeError",
        "h.py, line 4",
        "Send JSON there",
        Request.text("a cat"),
    ),
    Case(
        "unreadable",
        "unreadable",
        body("import json; text = data[0]['data'].decode(); return [json.loads(text.strip())]"),
        "row['data'] is the text 'a cat', and json.loads",
        "h.py, line 4",
        request=Request.form({"data": "a cat"}),
    ),
    Case(
        "unreadable",
        "unreadable",
        body("import ast; return [ast.literal_eval(data[0]['body'])]"),
        "row['body'] is JSON, and ast.literal_eval cannot read that",
        "h.py, line 4",
        "Read JSON with json.loads",
        Request.text('{"a": true}'),
    ),
    Case(
        "unreadable",
        "unreadable",
        body("return [data[0]['body'].decode()]"),
        "row['body'] is a PNG image, and decode cannot read that",
        "h.py, line 4",
        "read a file by its own format",
        Request(body=PNG),
    ),
    Case(
        "unreadable",
        "unreadable",
        body("import io, torch; file = io.BytesIO(data[0]['body']); return torch.load(file).tolist()"),
        "row['body'] is a PNG image, and torch.load cannot read that",
        "h.py, line 4",
        "Send what torch.save wrote.",
        Request(body=PNG),
    ),
    Case(
        "unreadable",
        "unreadable",
        body("import io, torch; return torch.load(io.BytesIO(data[0]['body'])).tolist()"),
        "row['body'] holds an object of the class argparse.Namespace, and torch.load takes only",
        "h.py, line 4",
        "weights_only=False would run code that a client sends",
        Request(body=NAMESPACE),
    ),
    Case(
        "empty_value",
        "empty_value",
        body("return [data[0]['body'].get('a')]"),
        "row['body'] is empty: the request has no body",
        "h.py, line 4",
        "set_response_status(400",
        Request(body=b""),
    ),
    Case(
        "no_picture",
        "not_an_image",
        body("import cv2; image = cv2.imdecode(data[0]['body']); return [image.shape]"),
        "cv2.imdecode gives None for what is no image, and row['body'] is text.",
        "h.py, line 4",
        "look for None",
        Request.text("a cat"),
        extra={"cv2.py": "def imdecode(file): return None\n"},
    ),
    Case(
        "null_for_key",
        "json_key",
        body("images = data[0]['body'].get('images'); return [image for image in images]"),
        "The JSON in row['body'] has no 'images', it has 'a'.",
        "h.py, line 4",
    ),
    Case(
        "json_value",
        "json_key",
        body("import json; parsed = json.loads(data[0]['body']); return [parsed['b']]"),
        "The JSON in row['body'] has no 'b', it has 'a'.",
        "h.py, line 4",
        request=Request(body=b'{"a": 1}'),
    ),
    Case(
        "json_value",
        "json_value",
        body("import torch; return torch.tensor([row['body'] for row in data]).tolist()"),
        "row['body'][0] is the text 'x', and a tensor is made of the list that holds it.",
        "h.py, line 4",
        "Send numbers",
        Request.json(["x", "y"]),
    ),
    Case(
        "json_value",
        "json_value",
        body("import torch; return torch.tensor([row['body'] for row in data]).tolist()"),
        "The request has null at row['body'][1]",
        "h.py, line 4",
        request=Request.json([1, None]),
    ),
    Case(
        "json_value",
        "json_value",
        body("texts = [row['body'] for row in data]; return [''.join(texts)]"),
        "row['body'] is a JSON object with 'a', and the handler uses it as something else",
        "h.py, line 4",
    ),
    Case(
        "bytes_for_text",
        "bytes_for_text",
        body("import ast; return [ast.literal_eval(data[0]['body'])]"),
        "it came as application/json, and is not JSON (Unterminated string",
        "h.py, line 4",
        "Send JSON",
        Request(body='{"a”: 1}'.encode(), headers={"Content-Type": "application/json"}),
    ),
    Case(
        "decoded_already",
        "decoded_already",
        body("import io; from PIL import Image; return [Image.open(io.BytesIO(data[0]['body'])).size]"),
        "of type text/plain comes as a str",
        "h.py, line 4",
        "Send the file itself",
        Request.text("a cat"),
    ),
    Case(
        "decoded_already",
        "decoded_already",
        body("import io; return [io.BytesIO(data[0]['body'])]"),
        "comes parsed, here as a dict",
        "h.py, line 4",
        "Its 'image' is base64: base64.b64decode(row['body']['image'].rpartition(',')[2]).",
        Request.json({"image": PNG_BASE64}),
    ),
    Case(
        "data_as_dict",
        "data_is_a_list",
        body("import json; return [json.load(open(data))]"),
        "the handler opens it as a file",
        "h.py, line 4",
        "Open nothing",
        Request(body=b'{"a": 1}'),
    ),
    Case(
        "missing_file",
        "missing_file",
        body("import subprocess; return [subprocess.run(['nobody-has-this'])]"),
        "There is no program nobody-has-this where the handler runs.",
        "h.py, line 4",
        "server's image",
    ),
    Case(
        "missing_file",
        "missing_file",
        body("return [open('words.txt\\'').read()]"),
        "The archive holds no words.txt'",
        "h.py, line 4",
        "Did you mean words.txt?",
        extra={"words.txt": "a"},
    ),
    Case(
        "response_index",
        "context_index",
        body("context.set_response_content_type(context.request_ids[0], 'text/html'); return ['x']"),
        "context.set_response_content_type takes a request's index in the batch",
        "h.py, line 4",
        "enumerate",
    ),
    Case(
        "header_key",
        "header_missing",
        body("headers = context.get_all_request_header(0); return [headers['X-Target']]"),
        "The request has no header 'X-Target'; it has",
        "h.py, line 4",
        "headers.get('X-Target')",
    ),
    Case(
        "wrong_length",
        "wrong_length",
        body("return [data[0]['body']]"),
        "returned 1 element(s) for 2 request(s)",
        "h.py, line 4",
        "the handler reads the first alone (h.py, line 4:",
        (Request.text("a"), Request.text("b")),
        worker={"batch_size": 2},
    ),
    Case(
        "not_a_list",
        "not_a_list",
        body("return __import__('torch').ones(3, 2)"),
        "returned a Tensor",
        "h.py, line 4",
        "Return [tensor.tolist()].",
    ),
    Case(
        "not_a_list",
        "not_a_list",
        body("return {'a': 1}"),
        "returned a dict",
        "h.py, line 4",
        "Return a list with such an answer for each request.",
        (Request.text("a"), Request.text("b")),
        worker={"batch_size": 2},
    ),
    Case(
        "prediction_exception",
        "prediction_exception",
        CLASS
        + "try: {}['a']\n"
        + "        except KeyError as problem:\n"
        + "            from ts.utils.util import PredictionException\n"
        + "            raise PredictionException(str(problem), 400)\n",
        "with code 400. It stands for KeyError: 'a' (h.py, line 4, in handle: try: {}['a']).",
        "h.py, line 7",
    ),
    Case(
        "none_value",
        "none_value",
        staged("x").replace("torch.ones(1, 2)", "None") + "    def inference(self, data):\n        return data.shape\n",
        "data is None here",
        "h.py, line 9",
        "preprocess returns None (h.py, line 7, in preprocess: return None)",
    ),
    Case(
        "own_status",
        "own_status",
        CLASS
        + "if not data: context.set_response_status(406, 'No', 0)\n"
        + "        context.set_response_status(400, 'Bad.', 0)\n"
        + "        return ['x']\n",
        "set the status 400 Bad; the body",
        "h.py, line 5, in handle: context.set_response_status(400",
    ),
    Case(
        "own_status",
        "own_status",
        body("context.set_all_response_status(404, 'None'); return ['x']"),
        "set the status 404 None",
        "h.py, line 4, in handle",
    ),
    Case(
        "attribute_not_set",
        "attribute",
        body("return [self.names]").replace("pass\n", "\n        if context is None:\n            self.names = []\n"),
        "The handler has no names",
        "h.py, line 6",
    ),
    Case(
        "attribute_not_set",
        "attribute",
        CLASS + "if data is None:\n            self.names = []\n        return [self.names]\n",
        "self.names is set in line 5 alone, under `if data is None`, which was not true.",
        "h.py, line 6",
        "in the other case, too",
    ),
    Case(
        "from_pretrained",
        "pretrained",
        body("raise OSError(\"We couldn't connect to 'https://huggingface.co' to load the files. Check it.\")"),
        "looks for this model on huggingface.co, for there is no such folder",
        "h.py, line 4",
        "save_pretrained(folder)",
    ),
    Case(
        "no_gpu",
        "no_gpu",
        body("import torch; return [torch.device('cuda:' + str(context.system_properties.get('gpu_id')))]"),
        "gpu_id is None, as it is for a worker on a CPU",
        "h.py, line 4",
        "torch.cuda.is_available()",
    ),
    Case(
        "unequal_rows",
        "unequal_rows",
        body("import torch; return torch.stack([torch.ones(3, 2, 2), torch.ones(1, 2, 2)]).tolist()"),
        "got [3, 2, 2] and [1, 2, 2]. The images differ in their channels",
        "h.py, line 4",
        "image.convert('RGB')",
    ),
    Case(
        "unequal_rows",
        "unequal_rows",
        body("import torch; return torch.stack([torch.ones(2), torch.ones(3)]).tolist()"),
        "joins only tensors of one shape, and got [2] and [3].",
        "h.py, line 4",
        "pad sequences",
    ),
    Case(
        "onnx_type",
        "onnx_type",
        body("raise ValueError('Unexpected input data type. Actual: (tensor(double)) , expected: (tensor(float))')"),
        "The ONNX model takes float32, and got float64.",
        "h.py, line 4",
        "dtype=np.float32",
    ),
    Case(
        "feature_count",
        "feature_count",
        body("import torch; return torch.nn.Linear(3, 2)(torch.tensor([row['body'] for row in data])).tolist()"),
        "takes rows of 3 numbers, and got rows of 2. row['body'] holds 2.",
        "h.py, line 4",
        "Send 3 numbers",
        Request.json([1.0, 2.0]),
    ),
    Case(
        "tensor_type",
        "tensor_type",
        body("import torch; return torch.nn.Linear(2, 2)(torch.tensor([row['body'] for row in data])).tolist()"),
        "The network's weights are float32, and it got numbers of type int64. torch.tensor makes int64",
        "h.py, line 4",
        "tensor.to(torch.float32)",
        Request.json([1, 2]),
    ),
    Case(
        "no_batch",
        "no_batch",
        staged("x.mean(3)", "torch.ones(3, 4, 5)"),
        "preprocess returned one image, of shape (3, 4, 5)",
        "h.py, line 5",
        "torch.stack",
    ),
    Case(
        "keys_as_model",
        "state_dict",
        body("import torch; net = torch.nn.ReLU().load_state_dict({}); return [net.eval()]"),
        "load_state_dict fills the network in place",
        "h.py, line 4",
        "on a line of its own",
    ),
    Case(
        "response_index",
        "context_index",
        body("return [context.get_request_header('Content-Type')]"),
        "context.get_request_header takes first the index of the request",
        "h.py, line 4",
        "enumerate(data)",
    ),
    Case(
        "data_as_dict",
        "data_is_a_list",
        body("import json; return [json.loads(data[0])]"),
        "data[0] is a dict with the request's fields; the handler reads it as JSON text.",
        "h.py, line 4",
        "row.get('body')",
        Request(body=b'{"a": 1}'),
    ),
    Case(
        "property_key",
        "property_key",
        body("return [context.manifest.model]"),
        "context.manifest is a dict",
        "h.py, line 4",
        "context.manifest['model']",
    ),
    Case(
        "json_value",
        "json_value",
        body("return [row['body']['values'][0] for row in data]"),
        "row['body']['values'] is an empty list",
        "h.py, line 4",
        request=Request.json({"values": []}),
    ),
    Case(
        "missing_file",
        "missing_file",
        body("return [open('none/out.txt', 'w').write('x')]"),
        "The handler writes none/out.txt, and the folder it is in is not there.",
        "h.py, line 4",
        "os.makedirs",
    ),
    Case(
        "more_arguments",
        "base_stage",
        staged("(lambda forward, x: forward(x))(forward, x)").replace(
            "import torch", "import torch\ndef forward(x, mask): pass", 1
        ),
        "its forward takes more: mask",
        "h.py, line 6",
        "self.model(*data)",
    ),
    Case(
        "any_exception",
        "exception",
        body("raise ValueError('no sense in that')"),
        "raised ValueError: no sense in that.",
        "h.py, line 4",
        "Bad input can be answered with context.set_response_status.",
    ),
    Case(
        "missing_import",
        "import",
        body("from nets.generator import Generator"),
        "no module 'nets'",
        "h.py, line 4",
        "archive generator.py and write: from generator import ...",
    ),
    Case(
        "died",
        "worker_header",
        body("context.set_response_content_type(0, 5); return ['x']"),
        "The content type of a response is not a string",
        "h.py, line 4",
        "the index, then the type",
    ),
    Case(
        "key_type",
        "key_type",
        body("mapping = {'0': 'cat'}; return [mapping[0]]"),
        "The keys are texts, as all of JSON's are ('0' is one), and the handler looks up the number 0.",
        "h.py, line 4",
        "str(value)",
    ),
    Case(
        "key_type",
        "key_type",
        body("import torch; mapping = {'1': 'cat'}; return [mapping[str(one)] for one in torch.tensor([1])]"),
        "the handler looks up a str, 'tensor(1)'",
        "h.py, line 4",
        "str(value.item())",
    ),
    Case(
        "embedding",
        "embedding",
        body("import torch; return torch.nn.Embedding(4, 2)(torch.ones(1)).tolist()"),
        "An embedding takes whole numbers (int64), and got float32.",
        "h.py, line 4",
        "tensor.long()",
    ),
    Case(
        "embedding",
        "embedding",
        body("import torch; return torch.nn.Embedding(4, 2)(torch.tensor([7])).tolist()"),
        "An embedding got a number that it has no row for",
        "h.py, line 4",
        "tokenizer",
    ),
    Case(
        "training_mode",
        "training_mode",
        body("import torch; return torch.nn.BatchNorm1d(2)(torch.ones(1, 2)).tolist()"),
        "The network is in training mode",
        "h.py, line 4",
        "self.model.eval()",
    ),
    Case(
        "tensor_type",
        "tensor_type",
        body("import torch; return torch.nn.Conv2d(1, 1, 1)(torch.ones(1, 1, 2, 2, dtype=torch.uint8)).tolist()"),
        "The network's weights are float32, and it got numbers of type uint8.",
        "h.py, line 4",
    ),
    Case(
        "channels",
        "channels",
        body("import torch; return torch.nn.Conv2d(3, 1, 1)(torch.ones(1, 6, 8, 3)).tolist()"),
        "and got [1, 6, 8, 3]: the channels come last",
        "h.py, line 4",
        "tensor.permute(0, 3, 1, 2)",
    ),
    Case(
        "onnx_inputs",
        "onnx_inputs",
        body("raise ValueError(\"Required inputs (['x']) are missing from input feed (['input']).\")"),
        "The ONNX model's inputs are called 'x', and the handler gives it 'input'.",
        "h.py, line 4",
        "get_inputs()",
    ),
    Case(
        "onnx_inputs",
        "onnx_inputs",
        body("raise ValueError('Got invalid dimensions for input: x for the following: index: 1 Got: 3 Expected: 2')"),
        "Dimension 1 of the ONNX model's input x is 2, and it got 3",
        "h.py, line 4",
    ),
    Case(
        "not_base64",
        "not_base64",
        "import base64\n" + body("return [base64.b64decode(row['body']['a'] + '=') for row in data]"),
        "it is hexadecimal",
        "h.py, line 5",
        "bytes.fromhex",
        Request.json({"a": "0123456789abcdef01"}),
    ),
    Case(
        "not_base64",
        "not_base64",
        "import base64\n" + body("return [base64.b64decode(row['body']['a'], validate=True) for row in data]"),
        "base64 with the letters for URLs",
        "h.py, line 5",
        "urlsafe_b64decode",
        Request.json({"a": "ab-_cdefgh=="}),
    ),
    Case(
        "unreadable",
        "content_encoding",
        body("return [row['body'].decode() for row in data]"),
        "row['body'] is gzip-compressed, and decode cannot read that",
        "h.py, line 4",
        "gzip.decompress(row['body'])",
        Request(headers={"Content-Encoding": "gzip"}, body=gzip.compress(b"[1]")),
    ),
    Case(
        "json_value",
        "json_value",
        body("return [row['body']['a'] for row in data]"),
        "row['body'] is a text with JSON in it, which was made into JSON once more",
        "h.py, line 4",
        "Encode it once",
        Request.json('{"a": 1}'),
    ),
    Case(
        "unread_json",
        "undecoded",
        body("return [row['body']['a'] for row in data]"),
        "is not JSON (Unexpected UTF-8 BOM",
        fix="without the byte-order mark",
        request=Request(headers={"Content-Type": "application/json"}, body=b'\xef\xbb\xbf{"a": 1}'),
    ),
    Case(
        "unread_json",
        "undecoded",
        body("return [row['body']['a'] for row in data]"),
        "enclosed in double quotes",
        fix="Send JSON, which has double quotes",
        request=Request(headers={"Content-Type": "application/json"}, body=b"{'a': 1}"),
    ),
    Case(
        "no_such_property",
        "context",
        body("return [context.system_properties.get('modelDir').upper()]"),
        "context.system_properties has no 'modelDir'",
        "h.py, line 4",
        "Did you mean model_dir?",
    ),
    Case(
        "no_insights",
        "no_insights",
        staged("x"),
        "needs a method get_insights",
        fix="or ask for a prediction at /predictions/MODEL",
        request=Request(path="/explanations/m", body=b"x"),
    ),
    Case(
        "module_attribute",
        "module",
        body("import numpy; return [numpy.float(3)]"),
        "The module numpy that is installed where the model runs has no float.",
        "h.py, line 4",
        "Write float: older versions had float.",
    ),
    Case(
        "module_attribute",
        "module",
        body("from PIL import Image; return [Image.ANTIALIAS]"),
        "The module PIL.Image that is installed where the model runs has no ANTIALIAS.",
        "h.py, line 4",
        "Write Image.LANCZOS",
    ),
    Case(
        "module_attribute",
        "module",
        body("import json; return [json.load_all(data)]"),
        "The module json that is installed where the model runs has no load_all.",
        "h.py, line 4",
    ),
    Case(
        "module_attribute",
        "module",
        body("import helper; return [helper.y]"),
        "helper.py in the archive has no y.",
        "h.py, line 4",
        "define it in helper.py",
        extra={"helper.py": "x = 1\n"},
    ),
    Case(
        "variable_not_set",
        "variable",
        "count = 0\n" + CLASS + "count = count + 1\n        return [count]\n",
        "handle sets count, so count is a variable of its own there, which has no value yet",
        "h.py, line 5",
        "Begin handle with: global count",
    ),
    Case(
        "not_a_list",
        "not_a_list",
        CLASS
        + "try:\n            return [data[0]['zzz']]\n        except KeyError:\n"
        + "            import logging; logging.exception('failed')\n",
        "returned None; TorchServe takes a list with one element per request. Before that it logged an exception that "
        "it caught, KeyError: 'zzz'.",
        "h.py, line 3",
    ),
    Case(
        "unreadable",
        "unreadable",
        "import io, torch\n" + body("return [torch.load(io.BytesIO(data[0]['body']))]"),
        "row['body'] is the text 'abc', and torch.load cannot read that",
        "h.py, line 5",
        request=Request(body=b"abc"),
    ),
    Case(
        "not_an_image",
        "not_an_image",
        VISION,
        "row['data'] is base64 of a PNG image, and reached PIL undecoded",
        fix="or its base64 with Content-Type: text/plain",
        request=Request.form({"data": PNG_BASE64}),
    ),
    Case(
        "not_base64",
        "not_base64",
        VISION,
        "The handler decodes row['body'] as base64, and it is no base64",
        fix="Send the image file itself",
        request=Request.text("cat.png"),
    ),
    Case(
        "any_exception",
        "exception",
        body("return [{'small': 1}[data[0]['body']['size']]]"),
        "raised KeyError: 'large'",
        "h.py, line 4",
        request=Request.json({"size": "large"}),
    ),
    Case(
        "json_value",
        "json_value",
        body("a, b = data[0]['body']; return [a]"),
        "row['body'] is a list of 3, and the handler unpacks it into 2 variables.",
        "h.py, line 4",
        "Send a list of 2",
        Request.json([1, 2, 3]),
    ),
    Case(
        "any_exception",
        "exception",
        body("a, b = 'x-y-z'.split('-'); return [a, data[0]['body']]"),
        "too many values to unpack",
        "h.py, line 4",
        request=Request.json([1, 2, 3]),
    ),
    Case(
        "no_such_attribute",
        "context",
        body("return [context.request_processor.get_request_property('Content-Type')]"),
        "context.request_processor is a list, with an element for each request",
        "h.py, line 4",
        "context.request_processor[index].get_request_property(...)",
    ),
    Case(
        "none_value",
        "none_value",
        body("return [context.request_processor[0].get_request_property('x-key').upper()]"),
        "The request has no header 'x-key', so the handler gets None",
        "h.py, line 4",
    ),
    Case(
        "none_value",
        "none_value",
        body("import re; return [re.match('a', 'b').group()]"),
        "re.match gives None where the pattern does not fit",
        "h.py, line 4",
        "if found is None",
    ),
    Case(
        "no_connection",
        "no_connection",
        body("from urllib.request import urlopen; return [urlopen(data[0]['body']['url']).read()]"),
        "The handler asks another server for something, and gets no connection",
        "h.py, line 4",
        "send the contents in the request",
        Request.json({"url": "http://127.0.0.1:9/cat.jpg"}),
    ),
    Case(
        "command_failed",
        "command_failed",
        body("import subprocess; return [subprocess.check_output('exit 4', shell=True)]"),
        "The handler runs the command 'exit 4', which failed with status 4.",
        "h.py, line 4",
    ),
    Case(
        "no_such_row",
        "no_such_row",
        body("return [data[index]['body'] for index in range(2)]"),
        "data has a row for each request of the batch, which holds 1 request",
        "h.py, line 4",
        "for row in data",
    ),
    Case(
        "any_exception",
        "exception",
        body("return [['a'][data[0]['body']['a']]]"),
        "list index out of range",
        "h.py, line 4",
    ),
    Case(
        "variable_not_set",
        "variable",
        CLASS + "if 'data' in data[0]:\n            text = data[0]['data']\n        return [text]\n",
        "text is set in line 5 alone, under `if 'data' in data[0]`, which was not true.",
        "h.py, line 6",
        "in the other case, too",
    ),
    Case(
        "any_exception",
        "exception",
        CLASS + "for row in data[:0]:\n            text = row['body']\n        return [text]\n",
        "UnboundLocalError",
        "h.py, line 6",
    ),
    Case(
        "attribute_not_set",
        "attribute",
        body("return [self.metrics.add_counter('a', 1)]"),
        "The handler has no metrics",
        "h.py, line 4",
        "It is the context's: context.metrics",
    ),
    Case(
        "any_exception",
        "exception",
        CLASS + "self.model = object()\n        self.net = self.model.net\n        return ['x']\n",
        "'object' object has no attribute 'net'",
        "h.py, line 5",
    ),
    Case(
        "metric_arguments",
        "metric_arguments",
        body("context.metrics.add_time('Mine')"),
        "missing 1 required positional argument: 'value'",
        "h.py, line 4",
        "context.metrics.add_time",
    ),
    Case(
        "bytes_for_a_file",
        "bytes_for_a_file",
        "import base64\nfrom PIL import Image\n"
        + body("return [Image.open(base64.b64decode(data[0]['body']['image']))]"),
        "Image.open takes a file or its name, and got the bytes themselves",
        "h.py, line 6",
        "Image.open(io.BytesIO(value))",
        Request.json({"image": PNG_BASE64}),
    ),
    Case(
        "json_value",
        "json_value",
        body("return [sum(row['body']) for row in data]"),
        "row['body'] is 5 (in JSON)",
        "h.py, line 4",
        request=Request.json(5),
    ),
    Case(
        "json_value",
        "json_value",
        body("return [row['body']['n'] + 1 for row in data]"),
        "row['body']['n'] is text (application/json)",
        "h.py, line 4",
        request=Request.json({"n": "5"}),
    ),
    Case(
        "json_value",
        "json_value",
        body("return [row['body']['inputs']['text'] for row in data]"),
        "row['body']['inputs'] is text (application/json)",
        "h.py, line 4",
        "Send an object there",
        Request.json({"inputs": "hello"}),
    ),
    Case(
        "not_a_list",
        "not_a_list",
        body("return ['x'], 200"),
        "returned a tuple",
        "h.py, line 4",
        "Return the list alone, and set a status with context.set_response_status",
    ),
    Case("not_a_list", "not_a_list", body("return ['x'],"), "returned a tuple", "h.py, line 4", "comma at the end"),
    Case("not_a_list", "not_a_list", body("return 'x', 'y'"), "returned a tuple", "h.py, line 4", "for each request"),
]


@pytest.mark.parametrize("case", RAISED, ids=str)
def test_why_a_call_fails(case: Case, tmp_path: Path, fired: list[str]) -> None:
    requests = case.request if isinstance(case.request, tuple) else (case.request,)
    with start(case, tmp_path) as worker:
        run = worker.predict(*requests)
    assert not run.ok
    assert fired[0] == case.rule
    check(case, run.findings[0])
    assert (run.findings[0].severity == "warning") == (case.rule == "own_status")


def test_library_that_imports_a_missing_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "oldlib"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import torch._six\n")
    monkeypatch.syspath_prepend(package.parent)
    with start(Case("", "", body("import oldlib"), ""), tmp_path) as worker:
        found = worker.predict(Request()).findings[0]
    assert found.message == "torch is installed, but this version has no module torch._six, which oldlib imports."
    assert found.fix.startswith("Install a version of oldlib that fits this torch.")
    assert found.where.startswith("h.py, line 4")


@pytest.mark.parametrize(
    ("said", "name", "message", "fix"),
    [
        ("model: m, Invalid return type: <class 'dict'>.", "not_a_list", "returned a dict", "answer]"),
        ("model: m, number of batch response mismatched, expect: 1, got: 2.", "wrong_length", "2 element(s) for 1", ""),
        ("Object of type set is not JSON serializable", "not_serializable", "set", "sorted"),
    ],
)
def test_why_a_server_refused_what_was_returned(said: str, name: str, message: str, fix: str, tmp_path: Path) -> None:
    (tmp_path / "h.py").write_text(body("return [1, 2]"))
    attempt = why.Attempt(why.Setup("m", "1.0", "h.py"), answer=WorkerResponse(503, "", ()), responses=[Response(503)])
    evidence = why.Evidence(attempt, why.CodeFiles(("h.py",), tmp_path), logged=said)
    check(Case("logged", name, "", message, "h.py, line 4", fix), why.explain(evidence)[0])


def test_prediction_exception_with_200_is_a_warning(tmp_path: Path) -> None:
    raising = "from ts.utils.util import PredictionException\n" + body("raise PredictionException('fine', 200)")
    with start(Case("", "", raising, ""), tmp_path) as worker:
        run = worker.predict(Request())
    assert (run.response.status, run.response.body) == (200, b"error")
    assert run.findings[0].severity == "warning"
    assert "the message is lost" in run.findings[0].effect


def test_failure_after_a_piece_of_a_stream_cuts_the_connection(tmp_path: Path) -> None:
    raising = STREAM + body("send(['x'], context.request_ids, '', 200, context); raise ValueError('late')")
    with start(Case("", "", raising, ""), tmp_path) as worker:
        run = worker.predict(Request())
    assert not run.response.complete
    assert "ValueError: late" in run.findings[0].message
    assert "the connection is cut" in run.findings[0].effect


def test_what_the_request_lost_is_told_beside_the_cause(tmp_path: Path) -> None:
    with start(Case("", "", body("return [1 / 0]"), ""), tmp_path) as worker:
        run = worker.predict(Request.json(1, query="a=1"))
    assert [(found.name, found.severity) for found in run.findings] == [
        ("exception", "error"),
        ("query_dropped", "warning"),
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "raise KeyError()",
        "raise KeyError(['x'])",
        "raise NameError('x')",
        "raise ImportError(None)",
        "raise SyntaxError('x')",
        "raise type('PredictionException', (Exception,), {'error_code': 'x'})()",
        "raise AttributeError('NoneType')",
        "raise UnicodeDecodeError('utf-8', b'x', 0, 1, 'NoneType')",
        "return [{'a': float('nan'), 3: {1}}]",
        "return type('L', (list,), {})([object()])",
    ],
)
def test_odd_failure_has_a_cause_too(statement: str, tmp_path: Path) -> None:
    with start(Case("", "", body(statement), ""), tmp_path) as worker:
        run = worker.predict(Request.json(1, query="a"))
    assert run.response.status == 503
    assert [found.severity for found in run.findings] == ["error", "warning"]


def test_every_rule_has_a_case() -> None:
    rules = (*raised.RULES, *answers.RULES, *return_value.RULES)
    assert {rule.__name__ for rule in rules} - {"logged"} == {case.rule for case in RAISED}
