"""A handler that expects something else than it gets: another field, another type, a file that is not there."""

from __future__ import annotations

import ast
import difflib
import re
from pathlib import PurePath
from typing import Any

from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.why import live_values, source_search
from handlerkit.why.effects import FAILED
from handlerkit.why.evidence import Evidence, Rule
from handlerkit.why.rules import received_values, unreadable_values

#: What torch.jit.load says to a file that is not there.
_NO_PROGRAM = r"The provided filename (.+) does not exist"
_WEIGHTS = {".pt", ".pth", ".bin", ".onnx", ".so", ".safetensors"}


def row_key(evidence: Evidence) -> Finding | None:
    """row["image"] where no client sent a field of that name."""
    if not (
        isinstance(evidence.error, KeyError)
        and evidence.error.args
        and evidence.rows
        and isinstance(evidence.rows[0], dict)
    ):
        return None
    key, frame = evidence.error.args[0], evidence.frame
    is_known, value = live_values.holder(evidence)
    if is_known:
        return _lacks(evidence, key) if any(value is row for row in evidence.rows) else None
    if frame is None:
        return None
    lookups = source_search.row_lookups(evidence)
    asked = [name for name, node in lookups if isinstance(node, ast.Subscript) and node.lineno == frame.line]
    return _lacks(evidence, key) if key in asked else None


def row_get(evidence: Evidence) -> Finding | None:
    """row.get("data"), or row.get("data") or row.get("body"), where no client sent such a field, and the handler does
    not expect the None."""
    if not _is_of_none(evidence):
        return None
    for keys, node in source_search.row_choices(evidence):
        row = next(
            (row for row in evidence.rows if isinstance(row, dict) and not any(key in row for key in keys)), None
        )
        if row and not isinstance(node, ast.Subscript):
            return _without(evidence, keys, row, ", so the handler gets None" if len(keys) > 1 else _GIVES_NONE)
    return None


#: What readers say of no bytes at all: io.BytesIO(None) is an empty file.
_NOTHING_READ = {"UnidentifiedImageError", "EOFError", "EmptyDataError", "LibsndfileError"}


def _is_of_none(evidence: Evidence) -> bool:
    return "NoneType" in evidence.text or type(evidence.error).__name__ in _NOTHING_READ


_GIVES_NONE = ", so row.get gives None"


def _lacks(evidence: Evidence, key: str) -> Finding | None:
    row = next((row for row in evidence.rows if isinstance(row, dict) and key not in row), None)
    return _without(evidence, (key,), row) if row else None


def _without(evidence: Evidence, keys: tuple[str, ...], row: dict[str, Any], so: str = "") -> Finding:
    there, key = ", ".join(map(repr, row)), keys[0]
    asked = f"no {key!r}" if len(keys) == 1 else f"neither {' nor '.join(map(repr, keys))}"
    message = f"The row has {asked}, it has {there}{so}: a plain body is under 'body', a form's field under its name."
    outer = next((name for name, value in row.items() if isinstance(value, dict) and key in value), None)
    fix = "Read row.get('data') or row.get('body'), or send that field."
    if "data" not in row and "body" not in row:
        fix = f"Read row[{next(iter(row))!r}], or send the field as {key!r}: -F {key}=@file."
    if outer is not None:
        fix = f"It is inside {outer!r}: read row[{outer!r}][{key!r}]."
    return Finding("row_key", message, evidence.where, FAILED, fix)


def missing_file(evidence: Evidence) -> Finding | None:
    """A file that is not in the archive; a worker's working directory is the folder of the archive's files."""
    error, path = evidence.error, ""
    if isinstance(error, FileNotFoundError):
        named = re.search(r"""No such file or directory: (['"])(.+)\1""", evidence.text)
        path = str(error.filename or (named[2] if named else ""))
    elif isinstance(error, ValueError) and (given := re.fullmatch(_NO_PROGRAM, evidence.text)):
        path = given[1]
    elif evidence.source.folder is not None and (
        inside := re.search(rf"{re.escape(str(evidence.source.folder))}/([^\s'\":]+)", evidence.text)
    ):
        path = str(evidence.source.folder / inside[1]) if not (evidence.source.folder / inside[1]).exists() else ""
    path = path or _named(evidence)
    if not path or evidence.frame is None:
        return None
    if evidence.source.folder is not None and path.startswith(f"{evidence.source.folder}/"):
        path = path.removeprefix(f"{evidence.source.folder}/")
    name, option = PurePath(path).name, _option(evidence, PurePath(path))
    effect = evidence.effect
    if any(file == "subprocess.py" or file.endswith("/subprocess.py") for file, _ in evidence.functions):
        message = f"There is no program {path} where the handler runs."
        fix = "Install it in the server's image; a requirements file brings Python's packages alone."
        return Finding("missing_file", message, evidence.where, effect, fix)
    if _WRITES.search(evidence.frame.source):
        message = f"The handler writes {path}, and the folder it is in is not there."
        fix = "Make it first: os.makedirs(folder, exist_ok=True); or write to a folder of tempfile's."
    elif (place := _elsewhere(evidence, name)) is not None:
        message = f"The archive holds {place}, and the handler opens {path}, which is not there."
        folder = "" if "/" in place else " The files of a folder among the extra files go to the archive's root."
        fix = f"Open os.path.join(context.system_properties['model_dir'], {place!r}).{folder}"
    elif PurePath(path).is_absolute():
        message = f"There is no file {path} where the handler runs."
        fix = f"Add it to the archive ({option} {name}), and open it in context.system_properties['model_dir']."
    elif re.search(r"\b(listdir|scandir|iterdir)\(", evidence.frame.source):
        message = f"The archive holds no folder {path}, and the handler lists its files."
        fix = "The files of a folder among the extra files go to the archive's root: list "
        fix += "context.system_properties['model_dir']."
    else:
        message = f"The archive holds no {path}, and the handler opens it."
        fix = f"Add it to the archive: {option} {name}."
        if near := difflib.get_close_matches(path, _files(evidence), 1, 0.85):
            fix = f"Did you mean {near[0]}?"
    return Finding("missing_file", message, evidence.where, effect, fix)


def _named(evidence: Evidence) -> str:
    """The file that the line that raised names, and the library's error does not find; "" if there is none."""
    folder = evidence.source.folder
    if evidence.frame is None or folder is None or not _NOT_FOUND.search(evidence.text):
        return ""
    named = re.findall(r"""["']([\w./-]*\w\.\w{1,8})["']""", evidence.frame.source)
    return next((one for one in named if one in evidence.text and not (folder / one).exists()), "")


_NOT_FOUND = re.compile(
    r"(?i)no.?such.?file|not found|(does not|doesn't) exist|(can't|cannot|unable to) (open|read|find)"
)
_WRITES = re.compile(
    r"""open\([^()]*(\([^()]*\))?[^()]*,\s*(mode\s*=\s*)?['"][wax]|\.(save|to_csv|imwrite|write_text|write_bytes|savefig)\("""
)


def _option(evidence: Evidence, path: PurePath) -> str:
    """The option that adds a file to the archive, which has one file of weights; a library is loaded by the system."""
    if path.name == "model-config.yaml":
        return "--config-file"
    is_library = path.suffix == ".so" and isinstance(evidence.error, OSError)
    return (
        "--serialized-file"
        if path.suffix in _WEIGHTS and not is_library and not source_search.manifest(evidence).get("serializedFile")
        else "--extra-files"
    )


def _files(evidence: Evidence) -> list[str]:
    """The files of the archive, but for its own."""
    folder = evidence.source.folder
    if folder is None:
        return []
    files = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return sorted(file for file in files if not file.startswith(f"{facts.ARCHIVE_FOLDER}/"))


def _elsewhere(evidence: Evidence, name: str) -> str | None:
    """Where in the archive a file of this name lies, if there is one."""
    return next((place for place in _files(evidence) if PurePath(place).name == name), None)


def channels(evidence: Evidence) -> Finding | None:
    """A gray image, or one with an alpha channel, for a network of color images."""
    found = re.search(r"expected input.* to have (\d+) channels, but got (\d+) channels", evidence.text)
    if found is None:
        return None
    given = re.search(r"expected input\[(\d+), (\d+), (\d+), (\d+)\]", evidence.text)
    if given is not None and given[4] == found[1] and int(found[2]) > 4:
        message = f"The network takes (requests, channels, height, width), and got [{', '.join(given.groups())}]: the "
        message += "channels come last, as PIL and numpy have them."
        return Finding("channels", message, evidence.where, FAILED, "Move them: tensor.permute(0, 3, 1, 2).")
    message = f"The network takes images of {found[1]} channel(s), and got one of {found[2]}."
    mode = {"1": "L", "3": "RGB", "4": "RGBA"}.get(found[1])
    fix = (
        f"Convert it first: image.convert({mode!r})." if mode else "Stack the channels that the network was trained on."
    )
    return Finding("channels", message, evidence.where, FAILED, fix)


#: What explains an exception by what the client sent.
INPUT: tuple[Rule, ...] = (row_key, row_get, *unreadable_values.RULES, *received_values.RULES)
RULES: tuple[Rule, ...] = (*INPUT, missing_file, channels)
