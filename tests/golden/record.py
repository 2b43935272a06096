"""Record the exchanges of this folder again on a real TorchServe, or check that it still gives them.

    python tests/golden/record.py [--check] [FILE.jsonl ...] [--case NAME ...]

Exchanges of the inference API and describe requests, and loads (kind "register"), are recorded: what the handler saw,
and what the client got. Left out, and kept as they are: the other kinds (command lines of the archiver, the management
API, start-up), messages that are not HTTP, archives for install_py_dep_per_model, and
cases of several models. README.md names the keys.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import handlerkit as hk
from handlerkit.endpoints.http import client
from handlerkit.errors import HandlerkitError, LoadError

GOLDEN = Path(__file__).parent
Case = dict[str, Any]
#: Python imports this of itself when a worker starts, since model_dir is on its path: it writes down what is seen.
RECORDER = GOLDEN / "recorder.py"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def reason_to_keep(case: Case) -> str:
    """Why a case is not recorded here; empty where it is."""
    requests = case.get("requests") or [case.get("request")]
    config = case.get("config") or {}
    if case.get("kind", "exchange") not in ("exchange", "register"):
        return f"kind {case['kind']}"
    if not case.get("model"):
        return "no single model"
    if any(request is None or "raw_base64" in request for request in requests) and case.get("kind") != "register":
        return "a message that is not HTTP"
    if config.get("requirements") or config.get("register_params", {}).get("synchronous") == "false":
        return "installs packages, or starts in the background"
    if any("body_base64" not in request for request in requests) and case.get("kind") != "register":
        return "no body on record"
    if case.get("kind") != "register" and any(
        request["port"] != "inference" and "customized" not in request["query"] for request in requests
    ):
        return "the frontend's own pages"
    return ""


class Recording:
    """A TorchServe with the model of some cases; use it in a `with` block."""

    def __init__(self, case: Case) -> None:
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._saw = self._folder / "saw.jsonl"
        config = case["config"]
        environment = {"GOLDEN_SAW": str(self._saw), **config.get("environment", {})}
        asked = dict(config["register_params"])
        names = ("batch_size", "max_batch_delay", "response_timeout", "startup_timeout", "initial_workers")
        known = {name: asked[name] for name in names if name in asked}
        properties = {
            name: value
            for name, value in config["server_properties"].items()
            if name not in ("enable_model_api", "disable_token_authorization")
        }
        model = model_of(case, self._folder)
        self.server = hk.Server(model, properties, **known, token_auth=False, environment=environment)

    def __enter__(self) -> Recording:
        try:
            self.server.start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()
        self._stack.close()

    def record(self, case: Case) -> Case:
        """The case with what the handler saw and what the client gets now."""
        self._saw.write_text("")
        with patch.object(client, "ARRIVAL_INTERVAL", case.get("gap_seconds", client.ARRIVAL_INTERVAL)):
            run = self.server.predict(*map(request_of, case.get("requests") or [case["request"]]))
        saw = calls_of(self._saw.read_text().splitlines())
        answers = [answer_of(response) for response in run.responses]
        return {
            **case,
            "handler_saw": saw,
            **({"responses": answers} if "requests" in case else {"response": answers[0]}),
        }


def model_of(case: Case, folder: Path) -> hk.Model:
    """The model as it was archived, and the recorder beside it."""
    config, source = case["config"], case["handler_source"]
    given: dict[str, Any] = {}
    handler = config["register_params"].get("handler") or config["handler"]
    extra = folder / "extra"
    extra.mkdir()
    if source is not None:
        (folder / config["handler"]).write_text(source)
        handler = f"{folder}/{handler.replace('.py:', ':')}"
    for name, text in (config["extra_files"] or {}).items():
        (extra / name).write_text(text)
    (extra / "sitecustomize.py").write_text(RECORDER.read_text())
    if config["model_yaml"] is not None:
        given["config_file"] = folder / "model-config.yaml"
        given["config_file"].write_text(config["model_yaml"])
    if config["serialized_file"]:
        given["serialized_file"] = GOLDEN / "nets" / config["serialized_file"]
    if config["model_file"]:
        name, text = config["model_file"]
        given["model_file"] = folder / name
        given["model_file"].write_text(text)
    return hk.Model(case["model"], handler=handler, extra_files=sorted(extra.iterdir()), **given)


def request_of(recorded: dict[str, Any]) -> hk.Request:
    port = 28080 if recorded["port"] == "inference" else 28081
    headers = (("Host", f"127.0.0.1:{port}"), *((name, value) for name, value in recorded["headers"]))
    body = base64.b64decode(recorded["body_base64"])
    return hk.Request(recorded["method"], recorded["path"], headers, recorded["query"], body)


def line_of(case: Case) -> str:
    """JSON that str.splitlines leaves whole."""
    text = json.dumps(case, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[\x85\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def calls_of(lines: list[str]) -> list[dict[str, Any]]:
    """What the recorder wrote when each call began, completed by what it wrote when that ended."""
    calls: dict[int, dict[str, Any]] = {}
    for line in lines:
        told = json.loads(line)
        call = calls.setdefault(told.pop("call"), {"interrupted": True})
        if "stage" not in told:
            del call["interrupted"]
        call |= told
    return [*calls.values()]


def answer_of(response: hk.Response) -> dict[str, Any]:
    headers = [[name, "<uuid>" if name.lower() == "x-request-id" else value] for name, value in response.headers]
    if not response.complete:  # nothing, or as much as arrived before the connection broke
        lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{name}: {value}" for name, value in headers), ""]
        lines += [f"{len(chunk):x}\r\n{chunk.decode()}\r\n" for chunk in response.chunks or ()]
        return {"status": None, **({"raw_received": "\r\n".join(lines)} if response.status is not None else {})}
    answer = {
        "status": response.status,
        "reason": response.reason,
        "headers": headers,
        "body_base64": base64.b64encode(response.body).decode(),
        "body_text": _UUID.sub("<uuid>", response.text),
        "server_closed": (response.header("connection") or "").lower() == "close",
    }
    if response.chunks is not None:
        answer["chunks_base64"] = [base64.b64encode(chunk).decode() for chunk in response.chunks]
    return answer


def differences(old: Case, new: Case) -> list[str]:
    """What differs between a case on record and the same case recorded again, but for ids and volatile bodies."""
    found = []
    pairs = zip(old.get("responses") or [old["response"]], new.get("responses") or [new["response"]], strict=True)
    for before, after in pairs:
        volatile = (
            old.get("volatile_body") or before["status"] is None or "customized" in json.dumps(old.get("request"))
        )
        keys = (
            ("status", "reason", "headers", "chunks_base64")
            if before["status"] is not None
            else ("status", "raw_received")
        )
        found += [
            key for key in keys if key in before and _plain(key, before, volatile) != _plain(key, after, volatile)
        ]
        if "body_base64" in before and not volatile and "chunks_base64" not in before and _text(before) != _text(after):
            found.append("body")
    if not old.get("volatile_body") and _seen(old) != _seen(new):
        found.append("handler_saw")
    return found


def _plain(key: str, answer: dict[str, Any], volatile: bool) -> Any:
    if key != "headers":
        value = answer.get(key)
        return value.lower() if key == "raw_received" and value else value
    left_out = {"x-request-id", "content-length"} if volatile else {"x-request-id"}
    return [
        [name.lower(), _UUID.sub("<uuid>", value)] for name, value in answer["headers"] if name.lower() not in left_out
    ]


def _text(answer: dict[str, Any]) -> bytes:
    return _UUID.sub("<uuid>", base64.b64decode(answer["body_base64"]).decode("latin-1")).encode()


def _seen(case: Case) -> list[Any]:
    keys = ("stage", "data", "request_headers", "raised", "model_name", "model_yaml_config")
    calls = [call for call in case.get("handler_saw") or [] if isinstance(call.get("data"), list)]  # not of loading
    seen = [{key: call[key] for key in keys if key in call} for call in calls]
    return json.loads(re.sub("0x[0-9a-f]+", "0x…", json.dumps(seen)))


def recorded(cases: list[Case]) -> Iterator[tuple[Case, Case | str]]:
    """Each case with its new recording, or with the reason why it has none. Cases that share model, source and
    configuration share a server, and are sent in their order."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        if reason := reason_to_keep(case):
            yield case, reason
        else:
            key = json.dumps([case["model"], case["handler_source"], case["config"]], sort_keys=True)
            groups.setdefault(key, []).append(case)
    for group in groups.values():
        loads = [case for case in group if case.get("kind") == "register"]
        try:
            with Recording(group[0]) as recording:
                yield from ((case, _loaded(case, 200)) for case in loads)
                yield from ((case, recording.record(case)) for case in group if case not in loads)
        except LoadError as problem:
            response = problem.response
            yield from ((case, _loaded(case, response.status if response else None)) for case in loads)
            yield from ((case, f"does not load: {problem}") for case in group if case not in loads)
        except HandlerkitError as problem:
            yield from ((case, str(problem)) for case in group)


def _loaded(case: Case, status: int | None) -> Case:
    return {**case, "response": {**case["response"], "status": status}}


def main() -> int:
    parser = argparse.ArgumentParser(description="Record the golden exchanges on a real TorchServe.")
    parser.add_argument("files", nargs="*", type=Path, help="files of this folder; all of them where none is named")
    parser.add_argument("--case", nargs="+", help="these cases alone")
    parser.add_argument(
        "--check", action="store_true", help="compare, and write nothing; exit status 1 on a difference"
    )
    given = parser.parse_args()
    same = different = 0
    for file in given.files or sorted(GOLDEN.glob("*.jsonl")):
        cases = [json.loads(line) for line in file.read_text().splitlines()]
        chosen = [case for case in cases if not given.case or case["case"] in given.case]
        found: dict[str, Case] = {}
        for old, new in recorded(chosen):
            if isinstance(new, str):
                print(f"{file.name} {old['case']}: kept ({new.splitlines()[0]})")
                continue
            found[old["case"]] = new
            where = differences(old, new) if old.get("response") or old.get("responses") else ["new"]
            same, different = same + (not where), different + bool(where)
            if where:
                print(f"{file.name} {old['case']}: {', '.join(where)}")
        if not given.check:
            lines = [line_of(found.get(case["case"], case)) for case in cases]
            file.write_text("\n".join(lines) + "\n")
    print(f"{same} the same, {different} different")
    return 1 if given.check and different else 0


if __name__ == "__main__":
    sys.exit(main())
