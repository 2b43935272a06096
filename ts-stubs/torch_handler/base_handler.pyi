"""The class that handlers derive from, for editors and type checkers. What a stage hands to the next one is the
handler's own affair: Any.
"""

import abc
from typing import Any

import torch
from ts.context import Context

def setup_ort_session(model_pt_path: str, map_location: str) -> Any: ...

class BaseHandler(abc.ABC):
    model: Any
    mapping: dict[str, Any] | None
    device: torch.device
    initialized: bool
    context: Context
    model_pt_path: str | None
    manifest: dict[str, Any]
    map_location: str | None
    explain: bool
    target: int
    profiler_args: dict[str, Any]
    model_yaml_config: dict[str, Any]

    def __init__(self) -> None: ...
    def initialize(self, context: Context) -> None: ...
    def preprocess(self, data: Any) -> Any: ...
    def inference(self, data: Any, *args: Any, **kwargs: Any) -> Any: ...
    def postprocess(self, data: Any) -> Any: ...
    def handle(self, data: Any, context: Context) -> Any: ...
    def explain_handle(self, data_preprocess: Any, raw_data: Any) -> Any: ...
    def describe_handle(self) -> Any: ...
    def get_device(self) -> torch.device: ...
