"""What is nested too deeply to be read again is answered all the same."""

from __future__ import annotations

from handlerkit.messages import Request


def test_deep_json_under_another_type_is_answered(handler_worker, handlers) -> None:
    worker = handler_worker(str(handlers / "mirror.py"))
    deep = b"[" * 100_000 + b"]" * 100_000
    run = worker.predict(Request(body=deep, headers={"Content-Type": "Application/JSON"}))
    assert run.response.status == 200
