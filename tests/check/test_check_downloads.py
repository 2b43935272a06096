"""What the code fetches from the network."""

from __future__ import annotations

import pytest
from findings_of import only

HANDLER = """
import requests
import torch
import torchvision
from torchvision import models
from torchvision.models import ResNet18_Weights, resnet18
from torchvision.models.detection import fasterrcnn_resnet50_fpn

class Handler:
    def initialize(self, context):
        model_dir = context.system_properties.get("model_dir")
        {}

    def handle(self, data, context):
        return data
"""


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('torch.hub.load("pytorch/vision", "resnet18")', "'pytorch/vision'"),
        ('torch.hub.load_state_dict_from_url("https://x.org/m.pth")', "'https://x.org/m.pth'"),
        ('models.resnet50(weights="DEFAULT")', "the weights of resnet50"),
        ("resnet18(weights=ResNet18_Weights.DEFAULT)", "the weights of resnet18"),
        ("torchvision.models.resnet18(pretrained=True)", "the weights of resnet18"),
        ("fasterrcnn_resnet50_fpn(weights=None)", "the weights of fasterrcnn_resnet50_fpn's backbone"),
        ('requests.get("https://x.org/labels.json")', "'https://x.org/labels.json'"),
        ('torch.utils.model_zoo.load_url("https://x.org/m.pth")', "'https://x.org/m.pth'"),
    ],
)
def test_fetched_while_it_loads(checked, line: str, what: str) -> None:
    found = only(checked(HANDLER.format(f"self.x = {line}")), "download")
    assert found.severity == "warning"
    assert what in found.message
    assert found.effect.startswith("Without a network")
    assert found.where == "handler.py, line 12"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('import transformers; transformers.AutoModel.from_pretrained("bert-base-uncased")', "'bert-base-uncased'"),
        (
            'from transformers import pipeline; pipeline("sentiment-analysis")',
            "the default model for 'sentiment-analysis'",
        ),
        ('import timm; timm.create_model("resnet18", pretrained=True)', "the weights of 'resnet18'"),
        (
            'from sentence_transformers import SentenceTransformer; SentenceTransformer("all-MiniLM-L6-v2")',
            "'all-MiniLM-L6-v2'",
        ),
        ('import nltk; nltk.download("punkt")', "data of NLTK"),
        ('from huggingface_hub import hf_hub_download; hf_hub_download(repo_id="a/b", filename="c")', "'a/b'"),
    ],
)
def test_of_hubs(checked, line: str, what: str) -> None:
    requirements = "transformers\ntimm\nsentence-transformers\nnltk\nhuggingface-hub\n"
    found = [one for one in checked(HANDLER.format(line), requirements=requirements) if one.name == "download"]
    assert len(found) == 1
    assert what in found[0].message


def test_a_hubs_name_in_a_constant_is_no_file(checked) -> None:
    line = 'import transformers\n        name = "a/b"\n        transformers.AutoModel.from_pretrained(name)'
    only(checked(HANDLER.format(line), requirements="transformers\n"), "download")


@pytest.mark.parametrize(
    "line",
    [
        "self.x = models.resnet18()",
        "self.x = models.resnet18(weights=None)",
        "self.x = resnet18(pretrained=False)",
        "self.x = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)",
        'self.x = torch.hub.load(model_dir, "resnet18", source="local")',
        "self.x = requests.Session()",
        "self.x = ResNet18_Weights.DEFAULT.transforms()",
        "self.x = torch.load",
    ],
)
def test_what_fetches_nothing(checked, line: str) -> None:
    assert checked(HANDLER.format(line)) == []


@pytest.mark.parametrize(
    "place", ["model_dir", '"tokenizer"', "context.system_properties['model_dir']", "'./tokenizer'"]
)
def test_a_model_of_the_archive(checked, place: str) -> None:
    line = f"import transformers\n        transformers.AutoTokenizer.from_pretrained({place})"
    found = checked(HANDLER.format(line), {"tokenizer/config.json": "{}"}, requirements="transformers\n")
    assert [one for one in found if one.name in ("download", "missing_file")] == []


def test_a_request_may_ask_a_service(checked) -> None:
    source = """
        import requests

        def handle(data, context):
            if data is None:
                return
            return [requests.get("https://example.org/features").json() for row in data]
    """
    assert checked(source) == []


@pytest.mark.parametrize(
    "call",
    [
        "import subprocess, sys\nsubprocess.check_call([sys.executable, '-m', 'pip', 'install', 'tabulate'])",
        "import os\nos.system('pip install -q tabulate==0.9')",
        "import pip\npip.main(['install', 'tabulate'])",
    ],
)
def test_what_the_code_has_pip_install(checked, call: str) -> None:
    found = only(checked(f"{call}\nimport tabulate\n"), "download")
    assert found.message.startswith("pip installs tabulate")
    assert "while it loads, from the network." in found.message


def test_pip_installs_nothing_else(checked) -> None:
    found = checked("import os\nos.system('pip install tabulate')\nimport sklearn\n")
    assert {one.name for one in found} == {"download", "missing_module"}


def test_models_are_them(checked) -> None:
    found = [one for one in checked("import easyocr\nx = easyocr.Reader(['en'])\n") if one.name == "download"]
    assert found[0].message.endswith("fetches the models of EasyOCR from the network, unless a cache there has them.")


def test_of_a_line_that_may_not_run_no_status_is_said(checked) -> None:
    lines = (
        "import os\nfrom transformers import AutoModel\n"
        "if os.getenv('ONLINE'):\n    AutoModel.from_pretrained('bert')\n"
    )
    found = [one for one in checked(lines) if one.name == "download"]
    assert found[0].effect == "Without a network, as in many deployments: it fails where this line runs."
