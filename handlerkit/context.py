"""A real `ts.context.Context`, with a real metrics cache."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import pickle
import types
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ts.context import Context
    from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl


def metrics_cache(model_name: str, config_file: str | None = None) -> MetricsCacheYamlImpl:
    """The metrics cache a worker makes of a file (metrics_config; else TorchServe's own ts/configs/metrics.yaml), for a
    model of that name."""
    cache: MetricsCacheYamlImpl = pickle.loads(_fresh_cache(config_file))
    cache.model_name = model_name
    _own_defaults(cache)
    return cache


def _own_defaults(cache: MetricsCacheYamlImpl) -> None:
    """add_counter(..., dimensions=[]) and its like append the model's name to that default list, for as long as the
    process lives. A worker process has one model, but this one may have several: each cache gets lists of its own."""
    for name, function in inspect.getmembers(type(cache), inspect.isfunction):
        given = function.__defaults__ or ()
        if any(isinstance(value, list) for value in given):
            defaults = tuple([] if isinstance(value, list) else value for value in given)
            own = types.FunctionType(function.__code__, function.__globals__, name, defaults, function.__closure__)
            setattr(cache, name, types.MethodType(own, cache))


@functools.cache
def _fresh_cache(config_file: str | None) -> bytes:
    """Read once, and kept as a pickle: parsing the file takes longer than loading a small model.

    TorchServe leaves the file open until it is collected. Its logging.info would give a root logger without handlers
    one that stays, and would log a path that has nothing to do with the model.
    """
    from importlib.resources import files

    silent, level = logging.NullHandler(), logging.root.level
    logging.root.addHandler(silent)
    logging.root.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl

            path = config_file or str(files("ts") / "configs" / "metrics.yaml")
            cache = MetricsCacheYamlImpl(config_file_path=path)
            cache.initialize_cache()
    finally:
        logging.root.setLevel(level)
        logging.root.removeHandler(silent)
    return pickle.dumps(cache)


def mock_context(
    model_dir: str | os.PathLike[str] = ".",
    *,
    model_name: str = "model",
    manifest: Mapping[str, Any] | None = None,
    gpu_id: int | None = None,
    batch_size: int = 1,
    model_yaml_config: Mapping[str, Any] | None = None,
    limit_max_image_pixels: bool = True,
    request_headers: Sequence[Mapping[str, Any]] = ({},),
    request_ids: Mapping[int, str] | None = None,
) -> Context:
    """A `ts.context.Context` for a unit test of one method: a real one, with a request processor for each of
    `request_headers` and a real metrics cache.

    Args:
        model_dir: where the handler finds its files.
        manifest: as MANIFEST.json holds it; without one, {"model": {"modelName": model_name}}.
        request_headers: one mapping per request, as `get_all_request_header(i)` gives it.
        request_ids: index to id; by default "request-0", "request-1", ...
    """
    cache = metrics_cache(model_name)
    import ts
    from ts.context import Context, RequestProcessor

    context = Context(
        model_name,
        os.fspath(model_dir),
        dict(manifest) if manifest is not None else {"model": {"modelName": model_name}},
        batch_size,
        gpu_id,
        ts.__version__,
        limit_max_image_pixels,
        cache,
        dict(model_yaml_config or {}),
    )
    context.request_processor = [RequestProcessor(dict(headers)) for headers in request_headers]
    context.request_ids = dict(request_ids or {index: f"request-{index}" for index in range(len(request_headers))})
    cache.request_ids = context.request_ids
    return context
