"""What an endpoint has beside predict, and one that has nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

import handlerkit as hk
from handlerkit.endpoints.capabilities import (
    asks_for_token,
    environment_of,
    for_model,
    forced_head,
    name_of,
    with_envelope,
)
from handlerkit.messages import ForcedHead, Request, Run


class Plain:
    def predict(self, *requests: Request) -> Run:
        return Run(())


def test_an_endpoint_of_predict_alone_is_asked_as_it_is() -> None:
    plain = Plain()
    assert for_model(plain, "coins") is plain
    assert with_envelope(plain, "json") is plain
    assert (forced_head(plain), environment_of(plain), asks_for_token(plain)) == (None, None, False)
    assert name_of(plain) == "Plain"


def test_a_remote_is_asked_for_the_model() -> None:
    remote = hk.Remote("http://127.0.0.1:1", forces=ForcedHead("the gateway"))
    assert repr(for_model(remote, "coins")) == "<Remote: http://127.0.0.1:1, model coins>"
    assert forced_head(remote) == ForcedHead("the gateway")
    assert (name_of(remote), asks_for_token(remote)) == ("http://127.0.0.1:1", False)


def test_a_worker_takes_an_envelope_and_has_variables_but_no_environment_of_its_own(tmp_path: Path) -> None:
    handler = tmp_path / "echo.py"
    handler.write_text("def handle(data, context):\n    return [str(row) for row in data or []]\n")
    with hk.Worker(hk.Model("echo", handler=str(handler)), environment={"LEVEL": "3"}) as worker:
        other = with_envelope(worker, "json")
        assert isinstance(other, hk.Worker)
        assert other.config.service_envelope == "json"
        assert environment_of(worker) is None


@pytest.mark.parametrize("token", [None, "secret"])
def test_a_server_asks_for_its_token(token: str | None) -> None:
    server = Plain()
    server.token = token  # type: ignore[attr-defined]
    assert asks_for_token(server) is (token is not None)
