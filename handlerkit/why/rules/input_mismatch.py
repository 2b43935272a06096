"""A handler takes what it was given for something else: another field, another type, a file that is not there."""

from __future__ import annotations

import ast
import json
import re
from pathlib import PurePath

from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.why import source_search
from handlerkit.why.evidence import FAILED, LOAD, Evidence, Rule

_WEIGHTS = {".pt", ".pth", ".bin", ".onnx", ".so", ".safetensors"}


def row_key(seen: Evidence) -> Finding | None:
    """row["image"] where no client sent a field of that name."""
    if not (isinstance(seen.error, KeyError) and seen.error.args and seen.rows and isinstance(seen.rows[0], dict)):
        return None
    key = seen.error.args[0]
    asked = [name for name, node in source_search.asked_of_rows(seen) if isinstance(node, ast.Subscript)]
    return _lacks(seen, key) if key in ("data", "body", "instances", *asked) else None


def row_get(seen: Evidence) -> Finding | None:
    """row.get("data") where no client sent that field, and the handler stumbles over the None."""
    if "NoneType" not in seen.text and type(seen.error).__name__ != "UnidentifiedImageError":
        return None
    for key, node in source_search.asked_of_rows(seen):
        if isinstance(node, ast.Call) and (found := _lacks(seen, key, ", so row.get gives None")) is not None:
            return found
    return None


def _lacks(seen: Evidence, key: str, so: str = "") -> Finding | None:
    row = next((row for row in seen.rows if isinstance(row, dict) and key not in row), None)
    if not row:
        return None
    there = ", ".join(map(repr, row))
    what = f"The row has no {key!r}, it has {there}{so}: a plain body comes as 'body', a form's field by its name."
    outer = next((name for name, value in row.items() if isinstance(value, dict) and key in value), None)
    change = "Read row.get('data') or row.get('body'), or send that field."
    if outer is not None:
        change = f"It stands inside {outer!r}: read row[{outer!r}][{key!r}]."
    return Finding("row_key", what, seen.where, FAILED, change)


def decoded_already(seen: Evidence) -> Finding | None:
    """TorchServe has parsed JSON and decoded text by the request's content type."""
    parsed = re.search(r"JSON object must be str, bytes or bytearray, not (dict|list|int|float|bool)", seen.text)
    text = re.search(r"'(str|dict|list)' object has no attribute 'decode'", seen.text)
    if (found := parsed or text) is None or not any(
        parameter.content_type.startswith(("application/json", "text"))
        for job in seen.jobs
        for parameter in job.parameters
    ):
        return None
    kind = found[1]
    why = (
        "of type text/* comes as a str" if kind == "str" else f"of type application/json comes parsed, here as a {kind}"
    )
    act = "json.loads(value)" if parsed else "value.decode()"
    change = f"Take it as it is; where bytes may come too: if isinstance(value, (bytes, bytearray)): value = {act}."
    return Finding("decoded_already", f"TorchServe has decoded the value: one {why}.", seen.where, FAILED, change)


def bytes_for_a_file(seen: Evidence) -> Finding | None:
    """Image.open, torch.load and their like take a file."""
    if not re.search(r"'(bytearray|bytes|memoryview)' object has no attribute '(read|seek|tell)'", seen.text):
        return None
    opener = re.search(r"[\w.]*(?:open|load|read)\w*(?=\()", seen.frame.source) if seen.frame else None
    name = opener[0] if opener else "That function"
    what = f"{name} takes a file, and got the bytes themselves."
    call = f"{opener[0]}(io.BytesIO(value))" if opener else "io.BytesIO(value)"
    return Finding("bytes_for_a_file", what, seen.where, FAILED, f"Make a file of them: {call}, with import io.")


def missing_file(seen: Evidence) -> Finding | None:
    """A file that is not in the archive; a worker's working directory is the folder of the archive's files."""
    error, path = seen.error, ""
    if isinstance(error, FileNotFoundError):
        named = re.search(r"No such file or directory: '(.+)'", seen.text)
        path = str(error.filename or (named[1] if named else ""))
    elif seen.folder is not None and (inside := re.search(rf"{re.escape(str(seen.folder))}/([^\s'\":]+)", seen.text)):
        path = str(seen.folder / inside[1]) if not (seen.folder / inside[1]).exists() else ""
    if not path or seen.frame is None:
        return None
    if seen.folder is not None and path.startswith(f"{seen.folder}/"):
        path = path.removeprefix(f"{seen.folder}/")
    name, option = PurePath(path).name, _option(seen, PurePath(path))
    served = LOAD if seen.loading else FAILED
    if (place := _elsewhere(seen, name)) is not None:
        what = f"The archive holds {place}, and the handler opens {path}, which is not there."
        folder = "" if "/" in place else " What a folder among the extra files holds lands in the archive's root."
        change = f"Open os.path.join(context.system_properties['model_dir'], {place!r}).{folder}"
    elif PurePath(path).is_absolute():
        what = f"There is no file {path} where the handler runs."
        change = f"Let it travel ({option} {name}), and open it in context.system_properties['model_dir']."
    else:
        what = f"The archive holds no {path}, and the handler opens it."
        change = f"Let it travel: {option} {name}."
    return Finding("missing_file", what, seen.where, served, change)


def _option(seen: Evidence, path: PurePath) -> str:
    """What lets a file travel: an archive has one file of weights, and a library is loaded by the system."""
    is_library = path.suffix == ".so" and isinstance(seen.error, OSError)
    return (
        "--serialized-file"
        if path.suffix in _WEIGHTS and not is_library and not _has_weights(seen)
        else "--extra-files"
    )


def _has_weights(seen: Evidence) -> bool:
    try:
        said = json.loads((seen.folder / facts.MANIFEST).read_text()) if seen.folder else {}
        return bool(said["model"].get("serializedFile"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _elsewhere(seen: Evidence, name: str) -> str | None:
    """Where in the archive a file of this name lies, if there is one."""
    if seen.folder is None:
        return None
    files = (file for file in seen.folder.rglob("*") if file.name == name and file.is_file())
    found = sorted(file.relative_to(seen.folder).as_posix() for file in files)
    return next((place for place in found if not place.startswith(f"{facts.ARCHIVE_FOLDER}/")), None)


def channels(seen: Evidence) -> Finding | None:
    """A grey picture, or one with an alpha channel, for a network of colour pictures."""
    found = re.search(r"expected input.* to have (\d+) channels, but got (\d+) channels", seen.text)
    if found is None:
        return None
    what = f"The network takes pictures of {found[1]} channel(s), and got one of {found[2]}."
    mode = {"1": "L", "3": "RGB", "4": "RGBA"}.get(found[1])
    change = (
        f"Convert it first: image.convert({mode!r})." if mode else "Stack the channels that the network was trained on."
    )
    return Finding("channels", what, seen.where, FAILED, change)


MISREAD_RULES: tuple[Rule, ...] = (row_key, row_get, decoded_already, bytes_for_a_file, missing_file, channels)
