"""Recorded exchanges, sent again to an exported app, whose environment holds neither the kit nor a Java."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from exported_apps import environment_of, running
from serving_apps import Connection
from test_golden import Case, model_of, named, requests_of, responses_of
from test_golden_app import CHOSEN, check, exchange, key_of

from handlerkit.app import App

pytestmark = [pytest.mark.server, pytest.mark.timeout(240)]

#: Those of the model, handler and settings with which most were recorded.
_MOST = Counter(map(key_of, CHOSEN)).most_common(1)[0][0]
SENT = [case for case in CHOSEN if key_of(case) == _MOST and len(requests_of(case)) == 1]


class Exported(NamedTuple):
    """Where it listens."""

    port: int

    def connect(self) -> Connection:
        return Connection(self.port)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    folder, config = tmp_path_factory.mktemp("exported"), SENT[0]["config"]
    names = ("batch_size", "max_batch_delay", "response_timeout")
    asked = {name: int(config["register_params"][name]) for name in names if name in config["register_params"]}
    saved = App(model_of(SENT[0], folder), config["server_properties"], **asked).save(folder / "app")
    python = environment_of(saved, folder / "venv")
    with running([str(python), "app.py", "--port", "0"], saved) as url:
        yield Exported(int(url.rpartition(":")[2]))


def test_many_were_recorded() -> None:
    assert len(SENT) > 20


@named(SENT)
def test_exchange(case: Case, exported: Exported) -> None:
    answer, closed = exchange(exported, requests_of(case)[0])
    check(answer, closed, responses_of(case)[0])


def test_no_file_names_the_kit(tmp_path: Path) -> None:
    folder = App(model_of(SENT[0], tmp_path)).save(tmp_path / "app")
    assert [file for file in folder.rglob("*") if file.is_file() and b"handlerkit" in file.read_bytes()] == []
