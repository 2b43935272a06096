"""Code that the target's Python does not read, or whose standard library is newer."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator

from handlerkit.check.code.program import Program
from handlerkit.check.code.source import SourceFile, dotted
from handlerkit.check.code.standard_library import SINCE
from handlerkit.check.rules.effects import LOAD, when
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding
from handlerkit.targets import Target

#: One line of vermin's parsable form: file:line:column:Python 2:Python 3:what.
_SEEN = re.compile(r"code:(\d*):\d*:[^:]*:[~!]?(\d+)\.(\d+):(.*)")
#: What is seen better here, or by another rule.
_LEFT = re.compile(rf"union types|'({'|'.join(SINCE)})' module")
_NAME = re.compile(r"^'(.+)'( member| module)?$")
_GUARDED = ("ImportError", "ModuleNotFoundError", "AttributeError", "NameError", "TypeError")
_TYPES = {"int", "float", "complex", "str", "bytes", "bytearray", "bool", "list", "dict", "tuple", "set", "frozenset",
          "type", "object"}  # fmt: skip


def unreadable_code(subject: Subject, target: Target) -> Iterator[Finding]:
    """Files that Python does not parse."""
    program = subject.program(target.python)
    if program.unread:
        more = f" and {len(program.unread) - 1} more files" if len(program.unread) > 1 else ""
        message = f"{program.unread[0]}{more} of the archive's code were not looked into: it is longer than 1 MiB."
        yield Finding("unreadable_code", message, program.unread[0], "", "", "info")
    for file, source in program.sources.items():
        if source.problem is None:
            continue
        if not isinstance(source.problem, SyntaxError):
            message = (
                f"{file} cannot be read, so nothing in it is checked: {source.problem or 'it is nested too deeply'}."
            )
            yield Finding("unreadable_code", message, file, "Python may not read it either.", "Look at it.", "warning")
            continue
        line = source.problem.lineno or 1
        written = _line(source, line)
        place = f"{file}, line {line}"
        if _is_shell(written):
            message = f"{written.split()[0]!r} is IPython's: no Python file may hold it."
            yield Finding("notebook_syntax", message, place, LOAD, "Take the line out.")
        elif target.python > _here():
            message = (
                f"{file} is not Python {_dotted(_here())} ({source.problem.msg}), so nothing in it is checked here."
            )
            yield Finding("unreadable_code", message, place, "", "Check it with the Python of the target.", "info")
        else:
            yield Finding(
                "syntax_error", f"{file} is no Python: {source.problem.msg}.", place, LOAD, "Correct the line."
            )


def newer_python(subject: Subject, target: Target) -> Iterator[Finding]:
    """Syntax and names of the standard library that the target's Python does not have."""
    program = subject.program(target.python)
    for source in program.sources.values():
        if source.problem is not None:
            continue
        for version, line, what in _features(program, source, target.python):
            node = next((node for node in program.nodes_of(source, ast.stmt) if node.lineno == line), source.tree)
            message = f"{what} needs Python {_dotted(version)}; {target.name} has {_dotted(target.python)}."
            place = f"{source.file}, line {line}"
            fix = f"Write it as Python {_dotted(target.python)} knows it, or choose a target with a newer Python."
            yield Finding("newer_python", message, place, when(program, source, node), fix)


def union_types(subject: Subject, target: Target) -> Iterator[Finding]:
    """`X | Y` between types where it is evaluated, for Pythons before 3.10."""
    if target.python >= (3, 10):
        return
    program = subject.program(target.python)
    for source in program.sources.values():
        for node, is_annotation in _unions(program, source):
            if source.tried(node, ("TypeError",)) or program.asked(source, node):
                continue
            written = ast.unparse(node)
            message = (
                f"`{written}` needs Python 3.10 where it is evaluated; {target.name} has {_dotted(target.python)}."
            )
            fix = "Begin the file with `from __future__ import annotations`, or write typing.Optional or typing.Union."
            if not is_annotation:
                fix = "Write a tuple of the types in isinstance and issubclass, and typing.Union elsewhere."
            yield Finding("newer_python", message, source.place(node), when(program, source, node), fix)
            break  # one a file tells it


# --- what vermin sees -------------------------------------------------------------------------------------------------


def _features(
    program: Program, source: SourceFile, python: tuple[int, int]
) -> Iterator[tuple[tuple[int, int], int, str]]:
    """(the first version that has it, line, what) of each that this Python does not have: syntax wherever it is, as
    the whole file is parsed, and names where they are asked for."""
    seen = [one for one in _seen(source, _pruned(program, source)) if not _is_syntax(one[2])]
    if python < _here():  # what this Python parses, a newer one does
        seen += [one for one in _seen(source, source.tree) if _is_syntax(one[2])]
    for version, line, what in seen:
        name = _NAME.sub(r"\1", what)
        if version > python and name not in source.names:
            yield version, line, name


def _is_syntax(what: str) -> bool:
    return not what.startswith(("'", "dict union", "builtin generic"))


def _seen(source: SourceFile, tree: ast.Module) -> Iterator[tuple[tuple[int, int], int, str]]:
    """What vermin sees in a tree."""
    import vermin
    from vermin.formats import ParsableFormat

    config = vermin.Config()
    config.set_verbose(3)  # says the lines
    config.set_format(ParsableFormat())
    config.set_eval_annotations(not source.postponed)
    visitor = vermin.SourceVisitor(config=config, path="code", source=source.text.decode("utf-8", "replace"))
    visitor.set_no_lines(set())
    visitor.tour(tree)
    visitor.minimum_versions()
    for line in visitor.output_text().splitlines():
        found = _SEEN.fullmatch(line)
        if found is not None and not _LEFT.match(found[4]):
            yield (int(found[2]), int(found[3])), int(found[1] or 1), found[4]


def _pruned(program: Program, source: SourceFile) -> ast.Module:
    """The file's tree without the statements that do not run, or may fail."""
    copy = ast.parse(source.text)
    left = set()
    for node, twin in zip(ast.walk(source.tree), ast.walk(copy), strict=True):
        if isinstance(node, ast.stmt) and (
            not program.runs(source, node) or source.tried(node, _GUARDED) or program.asked(source, node)
        ):
            left.add(twin)
    for node in ast.walk(copy):
        for name in ("body", "orelse", "finalbody"):
            if isinstance(statements := getattr(node, name, None), list):
                kept = [one for one in statements if one not in left]
                if name == "body" and not kept and not isinstance(node, ast.Module):
                    kept = [ast.copy_location(ast.Pass(), statements[0])]
                setattr(node, name, kept)
    return copy


# --- unions -----------------------------------------------------------------------------------------------------------


def _unions(program: Program, source: SourceFile) -> Iterator[tuple[ast.BinOp, bool]]:
    """The unions that are evaluated, and whether each is an annotation."""
    annotations: set[ast.AST] = set()
    for node in program.nodes_of(source, ast.arg, ast.AnnAssign, ast.FunctionDef, ast.AsyncFunctionDef):
        annotation = node.annotation if isinstance(node, ast.arg | ast.AnnAssign) else getattr(node, "returns", None)
        if annotation is None:
            continue
        annotations |= set(ast.walk(annotation))
        if _is_evaluated(source, node):
            yield from ((one, True) for one in ast.walk(annotation) if isinstance(one, ast.BinOp) and _is_union(one))
    for union in program.nodes_of(source, ast.BinOp):
        if union not in annotations and _is_union(union):
            around = source.parents.get(union)
            is_test = isinstance(around, ast.Call) and dotted(around.func) in ("isinstance", "issubclass")
            if is_test or _names_type(union, source):
                yield union, False


def _is_evaluated(source: SourceFile, node: ast.AST) -> bool:
    """Whether an annotation is evaluated when its statement runs. Those of local variables never are, and pydantic's
    models evaluate theirs in any case."""
    if isinstance(node, ast.AnnAssign):
        owner = source.parents.get(node)
        if isinstance(owner, ast.ClassDef) and any(dotted(base).endswith("BaseModel") for base in owner.bases):
            return True
        return not source.postponed and source.function(node) is None
    return not source.postponed


def _is_union(node: ast.BinOp) -> bool:
    return isinstance(node.op, ast.BitOr)


def _names_type(node: ast.BinOp, source: SourceFile) -> bool:
    """Whether one side is None, or a type that is built in."""
    sides = [node.left, node.right]
    for side in sides:
        inner = side.value if isinstance(side, ast.Subscript) else side
        if isinstance(inner, ast.Constant) and inner.value is None:
            return True
        if isinstance(inner, ast.Name) and inner.id in _TYPES and inner.id not in source.names:
            return True
        if isinstance(side, ast.BinOp) and isinstance(side.op, ast.BitOr) and _names_type(side, source):
            return True
    return False


# --- words ------------------------------------------------------------------------------------------------------------


def _line(source: SourceFile, number: int) -> str:
    lines = source.text.decode("utf-8", "replace").splitlines()
    return lines[number - 1].strip() if 0 < number <= len(lines) else ""


def _is_shell(line: str) -> bool:
    """Whether a line is a magic or a shell command of IPython."""
    return re.match(r"%{1,2}[a-zA-Z]|![a-zA-Z./]|\?\w|[\w.]+\?{1,2}$", line) is not None


def _here() -> tuple[int, int]:
    return sys.version_info[:2]


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


SYNTAX_RULES = (unreadable_code, newer_python, union_types)
