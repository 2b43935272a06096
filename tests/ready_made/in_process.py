"""A ready-made handler around a network in this process, to compare it with a library's own code for that network."""

from __future__ import annotations

import importlib
import io
from typing import Any
from unittest import mock

import torch
from PIL import Image
from ready_made_pictures import file_of
from ts.torch_handler.base_handler import BaseHandler

from handlerkit import mock_context

LABELS = {"0": "background", "1": "coin"}


def network_of(source: str) -> torch.nn.Module:
    """The network in the source of a model file: its last class."""
    names: dict[str, Any] = {"torch": torch, "nn": torch.nn, "__name__": "network"}
    torch.manual_seed(0)
    exec(source, names)
    *_, kind = [one for one in names.values() if isinstance(one, type) and one.__module__ == "network"]
    network: torch.nn.Module = kind().eval()
    return network


def made(name: str, network: Any, labels: dict[str, str] | None = None, **settings: Any) -> Any:
    """The ready-made handler of that name, with its settings, as it is after it loaded the network."""
    module = importlib.import_module(name)
    (kind,) = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == name]

    def load(handler: Any, context: Any) -> None:
        handler.model, handler.mapping, handler.device = network, labels, torch.device("cpu")

    handler = kind()
    with mock.patch.object(BaseHandler, "initialize", load):
        handler.initialize(mock_context(model_yaml_config={"handler": settings}))
    return handler


def asked(handler: Any, *images: Image.Image, accept: str = "") -> Any:
    """The answer to the request of an image, or the answers to several: JSON, or pictures."""
    context = mock_context(request_headers=[{"Accept": accept}] * len(images))
    answers = handler.handle([{"body": file_of(image)} for image in images], context)
    opened = [Image.open(io.BytesIO(one)) if isinstance(one, bytes) else one for one in answers]
    return opened[0] if len(opened) == 1 else opened
