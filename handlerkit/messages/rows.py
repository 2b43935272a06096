"""What TorchServe's own Python code makes of a predict message: each request as a handler gets it, and what an envelope
makes of the rows."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from handlerkit.serving.torchserve_facts import DECODE_INPUT
from handlerkit.serving.wire import Buffers, MessageReader


@dataclass(frozen=True)
class HandedOver:
    """One request as a handler gets it.

    Attributes:
        request_id: what `context.get_request_id` gives.
        headers: what `context.get_all_request_header` gives.
        row: its row of `data`, before an envelope.
    """

    request_id: str
    headers: dict[str, Any]
    row: dict[str, Any]


def decode_predict(buffers: Buffers, decode_input: bool = True) -> list[HandedOver]:
    """The requests of a predict message, as TorchServe's own code reads it."""
    from ts.protocol.otf_message_handler import retrieve_msg
    from ts.service import Service

    with _silent_worker(decode_input):
        _, batch = retrieve_msg(MessageReader(buffers))
    headers, rows, ids = Service.retrieve_data_for_inference(batch)
    return [
        HandedOver(ids[index], processor.get_request_properties(), row)
        for index, (processor, row) in enumerate(zip(headers, rows, strict=True))
    ]


def unwrap(envelope: str | None, rows: list[dict[str, Any]]) -> Any:
    """What TorchServe's request envelope of that name hands to the handler; the rows themselves where it is None."""
    if envelope is None or not rows:
        return rows
    from ts.model_loader import TsModelLoader

    seen: list[Any] = []
    wrapper = TsModelLoader()._load_default_envelope(envelope)(lambda data, context: seen.append(data))
    with _silent_worker(True):
        wrapper.handle(rows, SimpleNamespace())
    return seen[0]


@contextmanager
def _silent_worker(decode_input: bool) -> Iterator[None]:
    """TorchServe's codec logs on the root logger, which would install a handler of its own if it had none,
    and reads its setting from the environment."""
    quiet, before = logging.NullHandler(), os.environ.get(DECODE_INPUT)
    level = logging.root.manager.disable
    logging.root.addHandler(quiet)
    logging.disable(logging.CRITICAL)
    os.environ[DECODE_INPUT] = "true" if decode_input else "false"
    try:
        yield
    finally:
        logging.disable(level)
        logging.root.removeHandler(quiet)
        if before is None:
            del os.environ[DECODE_INPUT]
        else:
            os.environ[DECODE_INPUT] = before
