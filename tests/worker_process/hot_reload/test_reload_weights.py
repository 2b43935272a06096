"""Weights that requests change behind torch's count of versions are never kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from edits import Notebook, handler

from handlerkit.worker_process.hot_reload.state_numbers import _hash_on_device

HELPERS = {
    "changes.py": """import torch
def data(layer): layer.weight.data.add_(1)
def array(layer): layer.weight.detach().numpy()[-1] += 1
def last(layer): layer.weight.detach().numpy()[-1, -1] += 1
def inference(layer):
    with torch.inference_mode():
        layer.weight.add_(1)
def storage(layer): layer.weight.untyped_storage()[3] = 77
def file(layer):
    with open("/dev/zero", "rb", buffering=0) as zeros:
        zeros.readinto(memoryview(layer.weight.detach().numpy()).cast("B"))
def rows(layer): layer.weight.data[[0, 1, 2]] = layer.weight.data[[1, 2, 0]]
def other(layer): layer.weight.data = layer.weight.data + 1
def normal(layer): layer.train()(torch.rand(8, layer.num_features) * 9)
def large(width):
    torch.manual_seed(1)
    return torch.nn.Linear(width, 4096)
"""
}
WAYS = ["data", "array", "last", "inference", "storage", "file", "rows", "other"]


@pytest.fixture(params=["pages", "hashes"])
def watch(request: pytest.FixtureRequest, notebook: Notebook) -> None:
    """Both ways to see what is written: here, and where the kernel keeps no account of it."""
    if request.param == "hashes":
        notebook.begins = (
            "from handlerkit.worker_process.hot_reload.memory_watch import _Pages\n"
            "_Pages.account = classmethod({}.get)\n"
        )


@pytest.mark.usefixtures("watch")
@pytest.mark.parametrize("width", [8, 700], ids=["128 kB", "11 MB"])
@pytest.mark.parametrize("way", WAYS)
def test_weights_that_requests_change_are_loaded_again(notebook: Notebook, way: str, width: int) -> None:
    used = f"[changes.{way}(self.s), self.s.weight.double().mul(torch.arange({width})).sum().item()][1]"
    notebook.load(handler(f"[0, {used}]", f"self.s = changes.large({width})", "import changes\n"), HELPERS)
    assert str(notebook.edit("[[0,", "[[1,")) == "loaded again: requests changed self.s"


@pytest.mark.usefixtures("watch")
@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("width", [2, 5000])
@pytest.mark.parametrize("made", ["torch.nn.BatchNorm1d({})", "torch.jit.load('net.pt')"])
def test_batch_norm_in_training(notebook: Notebook, made: str, width: int) -> None:
    torch.jit.save(torch.jit.script(torch.nn.BatchNorm1d(width)), notebook.folder / "net.pt")
    used = f"[self.s.train()(torch.rand(8, {width}) * 9) is None, self.s.running_mean.sum().item()][1]"
    initialize = f"torch.manual_seed(1)\nself.s = {made.format(width)}.train()"
    notebook.load(handler(f"[0, {used}]", initialize), serialized_file="net.pt")
    small = width == 2  # as small ones are copied
    told = "model kept: only handle changed" if small else "loaded again: requests changed self.s"
    assert str(notebook.edit("[[0,", "[[1,")) == told


@pytest.mark.usefixtures("watch")
def test_weights_that_requests_read_are_kept(notebook: Notebook) -> None:
    used = "[self.s(torch.ones(700)).sum().item(), self.s.weight.detach().numpy().sum().item(), self.s.eval() is None]"
    notebook.load(handler(f"[0, {used}]", "self.s = changes.large(700)", "import changes\n"), HELPERS)
    assert str(notebook.edit("[[0,", "[[1,")) == "model kept: only handle changed"
    assert str(notebook.edit("[[1,", "[[2,")) == "model kept: only handle changed"
    reload = notebook.edit("[[2,", "[[changes.last(self.s),")
    assert reload.kept  # the change comes with the requests after it
    assert str(notebook.edit("    def handle", "    def more(self): pass\n    def handle")) == (
        "loaded again: requests changed self.s"
    )


def test_function_that_comes_does_not_make_the_watch_forget(notebook: Notebook) -> None:
    used = "[changes.last(self.s) if self.on else 0, self.s.weight.sum().item()]"
    source = handler(f"[0, {used}]", "self.on = 'on' in globals()\nself.s = changes.large(700)", "import changes\n")
    source = source.replace("self.on = 'on' in globals()", "self.on = False")
    notebook.load(source, HELPERS)
    assert notebook.edit("    def handle", "    def more(self): pass\n    def handle").kept
    assert notebook.edit("if self.on else 0", "if self.n else 0").kept
    assert str(notebook.edit("[[0,", "[[1,")) == "loaded again: requests changed self.s"


@pytest.mark.usefixtures("watch")
def test_mapped_weights_whose_file_changes_are_loaded_again(notebook: Notebook, tmp_path: Path) -> None:
    mapped = tmp_path / "weights"
    mapped.write_bytes(bytes(1 << 20))
    source = handler("self.s[-1].item()", f"self.s = torch.from_file({str(mapped)!r}, size=1 << 18)")
    notebook.load(source)
    with mapped.open("r+b") as file:
        file.seek(-4, 2)
        file.write(torch.ones(1).numpy().tobytes())
    assert not notebook.reload().kept


def test_memory_that_other_processes_may_write_to_is_hashed(notebook: Notebook, tmp_path: Path) -> None:
    mapped = tmp_path / "weights"
    mapped.write_bytes(bytes(1 << 20))
    notebook.load(handler("self.s[-1].item()", f"self.s = torch.from_file({str(mapped)!r}, shared=True, size=1 << 18)"))
    assert notebook.reload().kept
    torch.from_file(str(mapped), shared=True, size=1 << 18)[-1] = 5
    assert not notebook.reload().kept


@pytest.mark.parametrize("size", [3, 8192, 5_000_003])
def test_hash_on_a_device_sees_each_byte_and_each_order(size: int) -> None:
    generator = torch.Generator().manual_seed(1)
    numbers = torch.randint(256, (size,), dtype=torch.uint8, generator=generator)
    before = _hash_on_device(numbers.untyped_storage(), numbers.device)
    assert _hash_on_device(numbers.clone().untyped_storage(), numbers.device) == before
    for place in {0, size // 2, size - 1}:
        changed = numbers.clone()
        changed[place] += 128
        assert _hash_on_device(changed.untyped_storage(), numbers.device) != before
    for turned in {1, 8, 8192} - {size}:
        assert _hash_on_device(numbers.roll(turned).untyped_storage(), numbers.device) != before
