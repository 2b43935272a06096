"""The manifest and model-config.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest
from made import BASE, OFFICIAL, OWN, archive, assert_quiet, found, model

from handlerkit.messages import Finding

HANDLER = OWN.format(load="self.model = context.model_yaml_config.get('handler', {})")


def checked(folder: Path, text: str, handler: str = HANDLER, target: str = "declared") -> dict[str, Finding]:
    return found(model(folder, {"c.yaml": text}, handler, config_file="c.yaml"), target)


@pytest.mark.parametrize(
    ("text", "told", "change", "line"),
    [
        ("\nbatchSize: '4'\n", "no whole number", "batchSize: 4", 2),
        ("maxBatchDelay: 0.5", "no whole number", "maxBatchDelay: 4", 1),
        ("responseTimeout: 0", "not between 1", "responseTimeout: 1", 1),
        ("batchSize: true", "no whole number", "batchSize: 4", 1),
        ("startupTimeout:", "nothing in the config file is no whole number", "startupTimeout: 4", 1),
        ("jobQueueSize: 3000000000", "not between", "jobQueueSize", 1),
        ("useJobTicket: 'yes'", "neither true nor false", "useJobTicket: true", 1),
        ("deviceType: cuda", "none of cpu, gpu", "deviceType: cpu", 1),
        ("deviceIds: 0", "no list", "deviceIds: [0, 1]", 1),
        ("torchrun: 2", "no mapping", "nproc-per-node", 1),
    ],
)
def test_values_that_are_not_taken(tmp_path: Path, text: str, told: str, change: str, line: int) -> None:
    one = checked(tmp_path, text)["config_value"]
    assert told in one.message
    assert change in one.fix
    assert (one.where, one.severity) == (f"c.yaml, line {line}", "warning")


@pytest.mark.parametrize(
    ("key", "near"),
    [("batch_size", "batchSize"), ("BatchSize", "batchSize"), ("batchSzie", "batchSize"),
     ("max-batch-delay", "maxBatchDelay"), ("responseTimeOut", "responseTimeout"), ("device_type", "deviceType")],
)  # fmt: skip
def test_keys_that_mean_another(tmp_path: Path, key: str, near: str) -> None:
    assert near in checked(tmp_path, f"{key}: 4\n")["config_key"].fix


def test_a_key_that_the_handler_reads_is_its_own(tmp_path: Path) -> None:
    handler = OWN.format(load="self.size = context.model_yaml_config['batch_size']")
    assert checked(tmp_path, "batch_size: 4\n", handler) == {}


def test_a_key_that_is_there_twice(tmp_path: Path) -> None:
    one = checked(tmp_path, "batchSize: 4\nmaxBatchDelay: 10\nbatchSize: 8\n")["config_twice"]
    assert "lines 1, 3" in one.message


@pytest.mark.parametrize(
    ("text", "told"), [("", "is empty"), ("# all is well\n", "is empty"), ("- a\n- b\n", "holds a list")]
)
def test_a_file_that_the_frontend_does_not_take(tmp_path: Path, text: str, told: str) -> None:
    one = checked(tmp_path, text)["config_file"]
    assert told in one.message
    assert one.severity == "error"


@pytest.mark.parametrize(
    ("text", "line"), [("a: 1\n\tb: 2\n", 2), ("a: [1, 2\nb: 3\n", 2), ("a: 1\nb: c: d\n", 2), ("a: 'open\n", 2)]
)
def test_a_file_that_is_no_yaml(tmp_path: Path, text: str, line: int) -> None:
    one = checked(tmp_path, text)["config_file"]
    assert one.where == f"c.yaml, line {line}"
    assert "is not YAML" in one.message


def test_gpus_in_an_image_without_them(tmp_path: Path) -> None:
    text = "minWorkers: 1\nmaxWorkers: 1\ndeviceType: gpu\ntorchrun: {nproc-per-node: 2}\n"
    assert "torchrun, deviceType: gpu" in checked(tmp_path / "cpu", text, target=OFFICIAL)["config_gpu"].message
    assert checked(tmp_path / "gpu", text, target="torchserve-0.12.0-gpu") == {}


@pytest.mark.parametrize(
    ("text", "severity"),
    [("pt2: true", "error"), ("pt2: [inductor]", "error"), ("pt2: {compile: {backend: inductor}}", "error"),
     ("pt2: inducto", "warning"), ("pt2: {compile: {enable: true, backend: cudagraphs}}", "warning")],
)  # fmt: skip
def test_how_to_compile(tmp_path: Path, text: str, severity: str) -> None:
    made = model(
        tmp_path, {"c.yaml": text, "net.py": "class Net:\n    pass\n"}, BASE, config_file="c.yaml", model_file="net.py"
    )
    assert found(made)["config_pt2"].severity == severity


HONEST = [
    "minWorkers: 1\nmaxWorkers: 4\nbatchSize: 8\nmaxBatchDelay: 50\nresponseTimeout: 120\ndeviceType: CPU\n",
    "handler:\n  batch_size: 4\n  topk: 3\n  profile: true\n",
    "micro_batching:\n  micro_batch_size: 2\n  parallelism: {preprocess: 2}\nbatchSize: 4\n",
    "pt2:\n  compile:\n    enable: true\n    backend: inductor\n    mode: reduce-overhead\n",
    "pt2: {export: {aot_compile: true}}\n",
    "pt2: inductor\n",
    "sequenceBatching: yes\nsequenceMaxIdleMSec: 5000\nmaxNumSequence: 4\n",
    "threshold: 0.5\nlabels: [a, b]\nmodel_name: it\ntokenizer: {max_length: 128}\n",
]


@pytest.mark.parametrize("text", HONEST)
def test_honest_settings_get_no_word(tmp_path: Path, text: str) -> None:
    made = model(
        tmp_path, {"c.yaml": text, "net.py": "class Net:\n    pass\n"}, BASE, config_file="c.yaml", model_file="net.py"
    )
    assert_quiet(made)


# --- the manifest -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "severity"),
    [("modelFile", "error"), ("serializedFile", "error"), ("configFile", "error"), ("handler", "error")],
)
def test_files_that_the_archive_does_not_hold(tmp_path: Path, key: str, severity: str) -> None:
    said = {"modelName": "it", "handler": "handler.py", key: "gone.py"}
    one = found(archive(tmp_path / "it.mar", said, {"handler.py": BASE}))["manifest_file"]
    assert "'gone.py'" in one.message
    assert one.severity == severity


def test_a_default_handler_misspelled(tmp_path: Path) -> None:
    said = {"modelName": "it", "handler": "image_clasifier"}
    assert "image_classifier" in found(archive(tmp_path / "it.mar", said, {}))["manifest_file"].fix


def test_what_the_manifest_cannot_set(tmp_path: Path) -> None:
    said = {"modelName": "it", "handler": "handler.py", "envelope": "json"}
    one = found(archive(tmp_path / "it.mar", said, {"handler.py": HANDLER}))["envelope_setting"]
    assert "service_envelope=json" in one.fix


def test_a_key_of_the_manifest_misspelled(tmp_path: Path) -> None:
    said = {"modelName": "it", "handler": "handler.py", "serialisedFile": "it.pt"}
    one = found(archive(tmp_path / "it.mar", said, {"handler.py": HANDLER}))["manifest_key"]
    assert "serializedFile" in one.fix


def test_an_honest_manifest_gets_no_word(tmp_path: Path) -> None:
    said = {"modelName": "it", "modelVersion": "1.0", "handler": "handler.py", "description": "mine", "createdBy": "me"}
    assert_quiet(archive(tmp_path / "it.mar", said, {"handler.py": HANDLER}))


def test_keys_below_another(tmp_path: Path) -> None:
    one = checked(tmp_path / "it", "model:\n  batchSize: 4\n")["config_key"]
    assert "batchSize in the config file is below model" in one.message
    assert checked(tmp_path / "merged", "it: &it {batchSize: 4}\n<<: *it\n") == {}
    handler = OWN.format(load="self.size = context.model_yaml_config['mine']['batchSize']")
    assert checked(tmp_path / "own", "mine: {batchSize: 4}\n", handler) == {}
