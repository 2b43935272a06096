"""What a worker tells."""

from __future__ import annotations

import pickle

from handlerkit.serving.workers.any_worker import LoadFailed


def test_why_a_model_does_not_load_is_told_to_another_process() -> None:
    failed = LoadFailed("m does not load", ("Traceback", "ValueError: no weights"), 507)
    told = pickle.loads(pickle.dumps(failed))
    assert (str(told), told.log, told.code) == (str(failed), failed.log, failed.code)
