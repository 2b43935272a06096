"""What the code takes from the process around it."""

from __future__ import annotations

from pathlib import Path

import pytest
from findings_of import only

CONFIGURED = """\
class Handler:
    def initialize(self, context):
        self.x = {}
    def handle(self, data, context):
        return data
"""


def config_file(folder: Path, text: str | None) -> dict[str, Path]:
    """The option of a model-config.yaml with this text, or none."""
    if text is None:
        return {}
    (folder / "model-config.yaml").write_text(text)
    return {"config_file": folder / "model-config.yaml"}


@pytest.mark.parametrize(
    "source",
    [
        "import argparse\nparser = argparse.ArgumentParser()\nargs = parser.parse_args()\n",
        "from argparse import ArgumentParser\nargs = ArgumentParser().parse_args()\n",
        "import argparse\ndef handle(d, c):\n    return argparse.ArgumentParser().parse_args()\n",
    ],
)
def test_the_command_line_is_the_workers(checked, source: str) -> None:
    found = only(checked(source), "command_line")
    assert found.effect.startswith("It ends the process with SystemExit.")


@pytest.mark.parametrize(
    "source",
    [
        "import argparse\nargs = argparse.ArgumentParser().parse_args([])\n",
        "import argparse\nargs, rest = argparse.ArgumentParser().parse_known_args()\n",
        "import argparse\nif __name__ == '__main__':\n    argparse.ArgumentParser().parse_args()\n",
        "class Reader:\n    def parse_args(self): pass\nReader().parse_args()\ndef handle(d, c): return d\n",
    ],
)
def test_other_command_lines(checked, source: str) -> None:
    assert checked(source) == []


def test_a_variable_that_must_be_set(checked) -> None:
    found = only(
        checked("import os\nBUCKET = os.environ['BUCKET']\nAGAIN = os.environ['BUCKET']\n"), "environment_variable"
    )
    assert found.severity == "warning"
    assert found.where == "handler.py, line 2"


@pytest.mark.parametrize(
    "source",
    [
        "import os\nx = os.environ.get('BUCKET')\n",
        "import os\nx = os.environ['PATH'], os.environ['TS_DECODE_INPUT_REQUEST']\n",
        "import os\nos.environ['BUCKET'] = 'x'\nx = os.environ['BUCKET']\n",
        "import os\nos.environ.setdefault('BUCKET', 'x')\nx = os.environ['BUCKET']\n",
        "import os\nx = os.environ['BUCKET'] if 'BUCKET' in os.environ else ''\n",
        "import os\ntry:\n    x = os.environ['BUCKET']\nexcept KeyError:\n    x = ''\n",
    ],
)
def test_variables_that_need_not_be(checked, source: str) -> None:
    assert checked(source) == []


YAML = "minWorkers: 1\nmaxWorkers: 1\nhandler:\n  max_length: 20\n"


@pytest.mark.parametrize(
    ("expression", "yaml", "says"),
    [
        ('context.model_yaml_config["handler"]["top"]', YAML, "model-config.yaml has no `handler: top`, which"),
        ('context.model_yaml_config["model"]["path"]', YAML, "model-config.yaml has no `model`, which"),
        ('context.model_yaml_config["handler"]', None, "There is no config file with `handler`, which"),
    ],
)
def test_a_setting_that_the_config_file_does_not_have(checked, tmp_path, expression: str, yaml, says: str) -> None:
    found = only(checked(CONFIGURED.format(expression), **config_file(tmp_path, yaml)), "config_key")
    assert found.message.startswith(says)
    assert found.where == "handler.py, line 3"


@pytest.mark.parametrize(
    "expression",
    [
        'context.model_yaml_config["handler"]["max_length"]',
        'context.model_yaml_config.get("model", {})',
        'context.model_yaml_config["handler"].get("top")',
        'context.model_yaml_config["pt2"] if "pt2" in context.model_yaml_config else None',
        "context.model_yaml_config[self.key]",
    ],
)
def test_settings_that_are_there_or_asked_for(checked, tmp_path, expression: str) -> None:
    assert checked(CONFIGURED.format(expression), **config_file(tmp_path, YAML)) == []


def test_the_main_module_is_the_worker_script(checked) -> None:
    only(checked("import __main__\nNet = __main__.Net\n"), "main_module")


@pytest.mark.parametrize(
    "line",
    [
        'os.environ.update({"MODE": "fast"})',
        'os.environ.update(MODE="fast")',
        'for key, value in {"MODE": "fast"}.items():\n    os.environ.setdefault(key, value)',
        'DEFAULTS = {"MODE": "fast"}\nfor key, value in DEFAULTS.items():\n    os.environ[key] = value',
        'if not {"MODE"} <= set(os.environ):\n    raise RuntimeError("MODE")',
    ],
)
def test_variables_that_the_code_sets_or_asks_for(checked, line: str) -> None:
    assert checked(f'import os\n{line}\nMODE = os.environ["MODE"]\n') == []


@pytest.mark.parametrize("asks", ['os.environ["LOCAL_RANK"]', 'os.getenv("LOCAL_RANK")'])
def test_variables_of_torchrun(checked, tmp_path, asks: str) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("parallelType: pp\ntorchrun:\n    nproc-per-node: 2\n")
    lines = f"import os\nRANK = int({asks})\n"
    assert [one.name for one in checked(lines, target="declared", config_file=config)] == []
    assert [one.name for one in checked(lines, target="declared")] == ["environment_variable"]


def test_a_config_file_that_is_an_extra_file(checked) -> None:
    lines = "def handle(data, context):\n    return [context.model_yaml_config['top']['k']] * len(data)\n"
    found = checked(lines, {"model-config.yaml": "top:\n    k: 3\n"})
    (one,) = [one for one in found if one.name == "config_key"]
    assert one.fix == "Give model-config.yaml as the config file (--config-file)."


@pytest.mark.parametrize(
    "line",
    [
        'int(os.getenv("K"))',
        'float(os.environ.get("K"))',
        '"Bearer " + os.getenv("K")',
        'os.environ.get("K").rstrip("/")',
        'os.getenv("K", None).split()',
        'os.getenv("K")[0]',
    ],
)
def test_a_variable_that_is_used_at_once(checked, line: str) -> None:
    found = only(checked(f"import os\nX = {line}\n"), "environment_variable")
    assert found.severity == "warning"
    assert "os.getenv gives None" in found.effect


@pytest.mark.parametrize(
    "line",
    [
        'int(os.getenv("K", "3"))',
        'int(os.getenv("K") or 3)',
        'int(os.getenv("K")) if os.getenv("K") else 3',
        'os.getenv("K")',
        "f\"{os.getenv('K')}\"",
        'os.getenv("HOME") + "/x"',
        'int(os.environ["K"]) if "K" in os.environ else int(os.getenv("K"))',
    ],
)
def test_a_variable_that_need_not_be_there(checked, line: str) -> None:
    assert [one for one in checked(f"import os\nX = {line}\n") if one.name == "environment_variable"] == []


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('import subprocess\nsubprocess.run(["ffmpeg", "-version"], check=True)', "ffmpeg"),
        ('import os\nos.system("git clone https://x.org/x")', "git"),
        ('import ctypes\nctypes.CDLL("libdbus-1.so.3")', "libdbus-1.so.3"),
    ],
)
def test_programs_and_libraries_of_the_system(checked, line: str, name: str) -> None:
    found = only(checked(f"{line}\n"), "system_program")
    assert f"needs {name} of the system" in found.message


@pytest.mark.parametrize(
    "line",
    [
        'import subprocess\nsubprocess.run(["python", "-V"])',
        'import shutil, subprocess\nif shutil.which("ffmpeg"):\n    subprocess.run(["ffmpeg", "-version"])',
        'import subprocess\ntry:\n    subprocess.run(["git"])\nexcept OSError:\n    pass',
        'import ctypes\nctypes.CDLL("libc.so.6")\nctypes.CDLL(None)',
    ],
)
def test_programs_that_are_there_or_asked_for(checked, line: str) -> None:
    assert checked(f"{line}\n") == []
