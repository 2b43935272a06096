"""What a TorchScript archive calls: its code is Python's syntax, and every operator in it is known when it is loaded,
whether it ever runs or not."""

from __future__ import annotations

import ast
import re
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field

#: Bytes of code that are read at most; a large model's is 1 MB.
_MOST_CODE = 32 << 20
_MOST_PARSED = 4 << 20
_DOTTED = re.compile(rb"(?<![\w.])(torch|ops\.\w+)\.(\w+)\(")


@dataclass
class Script:
    """A TorchScript archive.

    Attributes:
        version: of the file format.
        operators: each operator it calls, such as "aten::relu", and the files of code that do.
        arguments: the most arguments that an operator is called with, where the code could be parsed.
    """

    version: int = 0
    operators: dict[str, set[str]] = field(default_factory=dict)
    arguments: dict[str, int] = field(default_factory=dict)


def read(archive: zipfile.ZipFile, root: str) -> Script:
    """The archive whose names begin with `root`. Raises what zipfile does."""
    script, left = Script(), _MOST_CODE
    for info in archive.infolist():
        name = info.filename.removeprefix(f"{root}/")
        if name == "version" and info.file_size < 32:
            text = archive.read(info).strip()
            script.version = int(text) if text.isdigit() else 0
        elif name.startswith("code/") and name.endswith(".py") and info.file_size <= left:
            parse = left > _MOST_CODE - _MOST_PARSED
            left -= info.file_size
            file = name.removeprefix("code/").removeprefix("__torch__/")
            _collect(script, file, archive.read(info), parse=parse)
    return script


def _collect(script: Script, file: str, code: bytes, *, parse: bool) -> None:
    for match in _DOTTED.finditer(code):
        script.operators.setdefault(_operator(match[1].decode(), match[2].decode()), set()).add(file)
    for operator, count in _counted(code) if parse else ():
        script.arguments[operator] = max(count, script.arguments.get(operator, 0))


def _operator(owner: str, name: str) -> str:
    """`torch.relu` is aten::relu, `ops.torchvision.nms` torchvision::nms."""
    return f"{'aten' if owner == 'torch' else owner.removeprefix('ops.')}::{name}"


def _counted(code: bytes) -> Iterator[tuple[str, int]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value) if isinstance(node.func.value, ast.Name | ast.Attribute) else ""
            if owner == "torch" or re.fullmatch(r"ops\.\w+", owner):
                yield _operator(owner, node.func.attr), len(node.args) + len(node.keywords)
