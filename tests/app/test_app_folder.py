"""What App.save writes, and where."""

from __future__ import annotations

import ast
import json
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest
import vermin
import yaml

import handlerkit
from handlerkit import Archive
from handlerkit.app import App
from handlerkit.errors import ArchiveError, ConfigError, ModelError

SERVING = Path(handlerkit.__file__).parent / "serving"


def files(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_no_file_names_the_kit(model, tmp_path: Path) -> None:
    folder = App([model("m"), model("n")]).save(tmp_path / "app")
    named = [file for file in files(folder) if "handlerkit" in (folder / file).read_text() or "handlerkit" in file]
    assert named == []


def test_the_runtime_is_copied_byte_for_byte(model, tmp_path: Path) -> None:
    folder = App(model()).save(tmp_path / "app")
    for source in SERVING.rglob("*.py"):
        assert (folder / "serving" / source.relative_to(SERVING)).read_bytes() == source.read_bytes()


def test_a_model_is_unpacked_as_its_archive_is(model, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a")
    made = model(extra_files=tmp_path / "words.txt")
    folder = App(made).save(tmp_path / "app")
    archive = Archive(made, "no-archive").save(tmp_path)
    assert files(folder / "model" / "m") == files(archive) == {"handler.py", "words.txt", "MAR-INF/MANIFEST.json"}


def test_an_archive_becomes_an_app(model, tmp_path: Path) -> None:
    archive = Archive(model()).save(tmp_path)
    folder = App(archive).save(tmp_path / "app")
    assert "model/m/handler.py" in files(folder)


def test_everything_that_starts_it_is_there(model, tmp_path: Path) -> None:
    deployed = {
        "serve.yaml", "ray_app.py", "kuberay.yaml", "kserve.yaml", "sagemaker/deployment.py", "sagemaker/config.yaml",
        "sagemaker/code/requirements.txt",
    }  # fmt: skip
    folder = App(model()).save(tmp_path / "app")
    assert {"app.py", "models.json", "requirements.txt", "Dockerfile", "README.md"} <= files(folder)
    assert files(folder / "deploy") == deployed


def test_nothing_is_left_to_put_in(model, tmp_path: Path) -> None:
    folder = App(model("My_Model.2")).save(tmp_path / "app")
    for name in (
        "Dockerfile",
        "README.md",
        *(str(file.relative_to(folder)) for file in folder.glob("deploy/**/*.yaml")),
    ):
        text = (folder / name).read_text()
        assert "$name" not in text
        assert "$model" not in text
    for file in folder.glob("deploy/**/*.yaml"):
        read = yaml.safe_load(file.read_text())
        assert "my-model-2" in json.dumps(read)
        assert file.read_text().startswith("# ")  # the command that starts it
    assert yaml.safe_load((folder / "deploy" / "kuberay.yaml").read_text())["kind"] == "RayService"


def test_a_text_beside_another_names_no_file_that_is_not_there(model, tmp_path: Path) -> None:
    folder = App(model()).save(tmp_path / "app")
    for file in (folder / "deploy").rglob("*.py"):
        named = re.findall(r"[\w/]+\.ya?ml", file.read_text())
        assert [name for name in named if not (file.parent / name).exists()] == []
        assert list(file.parent.glob("*.yaml"))


def test_an_image_with_ray_has_what_the_probes_of_kuberay_call(model, tmp_path: Path) -> None:
    text = (App(model()).save(tmp_path / "app") / "Dockerfile").read_text()
    (line,) = [line.removeprefix("RUN ") for line in text.splitlines() if "wget" in line]
    calls = {"ray[serve]": "update\ninstall -y --no-install-recommends wget\n", "": ""}
    for extra, called in calls.items():
        (tmp_path / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/called\n')
        (tmp_path / "apt-get").chmod(0o755)
        (tmp_path / "called").write_text("")
        script = line.replace("rm -rf", ": rm -rf")
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "EXTRA": extra}
        assert subprocess.run(["sh", "-c", script], env=environment, check=False).returncode == 0
        assert (tmp_path / "called").read_text() == called


@pytest.mark.parametrize("name", ["app.py", "deploy/ray_app.py"])
def test_what_is_written_needs_no_newer_python_than_3_9(model, tmp_path: Path, name: str) -> None:
    folder = App(model()).save(tmp_path / "app")
    _, newest = vermin.visit((folder / name).read_text(), vermin.Config()).minimum_versions()
    assert newest <= (3, 9)


def test_the_arguments_of_a_register_call_stand_in_models_json(model, tmp_path: Path) -> None:
    folder = App(model(), {"job_queue_size": 7}, batch_size=4, max_batch_delay=20).save(tmp_path / "app")
    assert json.loads((folder / "models.json").read_text()) == {
        "models": [{"model_dir": "model/m", "batch_size": 4, "max_batch_delay": 20}],
        "config_properties": {"job_queue_size": "7"},
    }


def test_a_metrics_file_goes_along(model, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("model_metrics: {}\n")
    folder = App(model(), {"metrics_config": str(tmp_path / "own.yaml")}).save(tmp_path / "app")
    assert (folder / "metrics.yaml").read_text() == "model_metrics: {}\n"
    assert json.loads((folder / "models.json").read_text())["config_properties"] == {"metrics_config": "metrics.yaml"}


def test_keys_without_effect_are_named(model, tmp_path: Path) -> None:
    app = App(model(), {"inference_address": "http://0.0.0.0:80", "job_queue_size": 7})
    assert app.ignored == ("inference_address",)
    assert "Without effect here: `inference_address`" in (app.save(tmp_path / "app") / "README.md").read_text()


@pytest.mark.parametrize("key", ["keystore", "private_key_file", "plugins_path"])
def test_keys_that_an_app_cannot_follow_are_refused(model, key: str) -> None:
    with pytest.raises(ConfigError, match=f"an app cannot follow {key} of config.properties, so leave it out: "):
        App(model(), {key: "x"})


def test_a_key_that_torchserve_does_not_know(model) -> None:
    with pytest.raises(ConfigError, match="did you mean job_queue_size"):
        App(model(), {"jobqueue_size": 3})


@pytest.mark.parametrize("asked", [{"batch_size": 0}, {"initial_workers": -1}, {"response_timeout": "2"}])
def test_numbers_that_are_none(model, asked: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=rf"{next(iter(asked))} is a whole number from 1 on, not "):
        App(model(), **asked)


def test_settings_that_an_app_does_not_do(model, tmp_path: Path) -> None:
    (tmp_path / "model-config.yaml").write_text("continuousBatching: true\n")
    with pytest.raises(ModelError, match="an app cannot do continuousBatching, which m sets"):
        App(model(config_file=tmp_path / "model-config.yaml"))


def test_two_models_of_one_name(model) -> None:
    made = model()
    with pytest.raises(ModelError, match="of different names, not m, m"):
        App([made, made])
    with pytest.raises(ModelError, match="not none"):
        App([])


# --- the place --------------------------------------------------------------------------------------------------------


def test_an_app_is_replaced(model, tmp_path: Path) -> None:
    App(model("m")).save(tmp_path / "app")
    App(model("n")).save(tmp_path / "app")
    assert sorted(path.name for path in (tmp_path / "app" / "model").iterdir()) == ["n"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app", "files"]


def test_another_folder_is_left_alone_without_force(model, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("mine")
    app = App(model())
    with pytest.raises(
        ArchiveError, match="work is a folder and no app: save elsewhere, or replace it with force=True"
    ):
        app.save(tmp_path / "work")
    assert files(tmp_path / "work") == {"thesis.txt"}
    app.save(tmp_path / "work", force=True)
    assert "thesis.txt" not in files(tmp_path / "work")


def test_an_empty_folder_is_taken(model, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    assert "app.py" in files(App(model()).save(tmp_path / "app"))


def test_the_models_own_folder_is_never_replaced(model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(model())
    for place in (tmp_path / "files" / "m", tmp_path):
        with pytest.raises(ArchiveError, match="holds a file of the model"):
            app.save(place, force=True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ArchiveError, match="or the current folder"):
        app.save(".", force=True)


def test_a_file_is_never_replaced(model, tmp_path: Path) -> None:
    (tmp_path / "app").write_text("mine")
    with pytest.raises(ArchiveError, match="app is a file"):
        App(model()).save(tmp_path / "app", force=True)


def test_ctrl_c_leaves_the_older_app_as_it_was(model, tmp_path: Path) -> None:
    App(model("m")).save(tmp_path / "app")

    def press(done: int, total: int) -> None:
        signal.raise_signal(signal.SIGINT)

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        App(model("n")).save(tmp_path / "app", progress=press)
    assert [path.name for path in (tmp_path / "app" / "model").iterdir()] == ["m"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app", "files"]


def test_the_app_is_a_plain_function_for_asgi_servers(model, tmp_path: Path) -> None:
    folder = App(model()).save(tmp_path / "app")
    tree = ast.parse((folder / "app.py").read_text())
    assert "app" in {node.targets[0].id for node in tree.body if isinstance(node, ast.Assign)}
