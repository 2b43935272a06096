"""A model that is registered again, with other settings or another batch size."""

from __future__ import annotations

import pytest
from edits import HEAD, Notebook, handler

from handlerkit.endpoints.worker import Worker
from handlerkit.messages import Request

SIZE = "[len(data), context.system_properties.get('batch_size')]"


def rows(notebook: Notebook, count: int) -> list[object]:
    run = notebook.worker.predict(*[Request.json([number]) for number in range(count)])
    return [response.json() for response in run.responses]


def test_loaded_model_takes_larger_batches(notebook: Notebook) -> None:
    notebook.load(handler(SIZE, "self.properties = context.system_properties"))
    loaded = notebook.loaded
    reload = notebook.worker.reload(batch_size=3)
    assert str(reload) == "model kept: the batch size is 3"
    assert notebook.loaded is loaded
    assert rows(notebook, 4) == [[3, 3]] * 3 + [[1, 3]]
    assert notebook.worker.batch_size == 3


def test_the_answers_are_those_of_a_worker_of_that_size(notebook: Notebook) -> None:
    notebook.load(
        handler(
            f"[self.n, {SIZE}, self.properties.copy()['batch_size']]", "self.properties = context.system_properties"
        )
    )
    notebook.worker.reload(batch_size=2)
    first = rows(notebook, 3)
    with Worker(notebook.model, batch_size=2) as fresh:
        notebook.worker = fresh
        assert rows(notebook, 3) == first


def test_edits_come_with_a_new_batch_size(notebook: Notebook) -> None:
    notebook.load(handler(f"[1, {SIZE}]"))
    path = notebook.folder / "handler.py"
    path.write_text(path.read_text().replace("[[1,", "[[2,"))
    assert str(notebook.worker.reload(batch_size=2)) == "model kept: only handle changed, and the batch size is 2"
    assert rows(notebook, 2) == [[2, [2, 2]]] * 2
    assert str(notebook.worker.reload()) == "model kept: nothing changed"
    assert rows(notebook, 2) == [[2, [2, 2]]] * 2


READS = {
    "get": "self.size = context.system_properties.get('batch_size')",
    "copy": "self.size = dict(context.system_properties)",
    "copy by name": "self.size = context.system_properties.copy()",
    "unpacked": "self.size = {**context.system_properties}",
    "loop": "self.size = [str(value) for value in context.system_properties.values()]",
    "attributes": "for name in context.system_properties: setattr(self, name, context.system_properties[name])",
    "text": "self.size = f'{context.system_properties}'",
    "names apart": "self.size = context.system_properties['batch' + '_' + 'size']",
    "variables": "self.size = vars(context)['_system_properties']['batch' + str('_size')]",
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_load_that_read_the_batch_size_is_made_again(notebook: Notebook, read: str) -> None:
    notebook.load(handler("str(vars(self).get('size'))[-400:]", read))
    assert str(notebook.worker.reload(batch_size=2)).startswith("loaded again: the batch size changed")
    assert notebook.worker.batch_size == 2


def test_default_handler_takes_larger_batches(notebook: Notebook) -> None:
    source = HEAD + (
        "class Handler(BaseHandler):\n    def initialize(self, context):\n        self.context = context\n"
        "        self.device = context.system_properties.get('gpu_id')\n        self.model = torch.nn.Linear(1, 1)\n"
        "    def preprocess(self, data): return torch.ones(len(data), 1)\n"
        "    def postprocess(self, output): return [len(output)] * len(output)\n"
    )
    notebook.load(source)
    assert notebook.worker.reload(batch_size=2).kept
    assert rows(notebook, 2) == [2, 2]


def test_batch_size_of_a_changed_config_file_is_applied(notebook: Notebook) -> None:
    config = notebook.folder / "c.yaml"
    config.write_text("batchSize: 1\nmaxBatchDelay: 50\n")
    notebook.load(handler(SIZE), config_file="c.yaml")
    config.write_text("batchSize: 3\nmaxBatchDelay: 60\nresponseTimeout: 7\n")
    assert str(notebook.reload()) == "loaded again: c.yaml changed"
    assert (notebook.worker.batch_size, notebook.worker.max_batch_delay, notebook.worker.response_timeout) == (3, 60, 7)
    assert rows(notebook, 3) == [[3, 3]] * 3


def test_batch_size_that_was_asked_for_stands_before_the_config_file(notebook: Notebook) -> None:
    config = notebook.folder / "c.yaml"
    config.write_text("batchSize: 1\n")
    notebook.load(handler(SIZE), config_file="c.yaml", batch_size=2)
    config.write_text("batchSize: 3\n")
    notebook.worker.reload()
    assert rows(notebook, 2) == [[2, 2]] * 2
