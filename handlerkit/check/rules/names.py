"""Names that the code uses and nothing defines: what only the notebook has."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from symtable import SymbolTable, symtable

from handlerkit.check.code.program import Program
from handlerkit.check.code.source import Function, SourceFile
from handlerkit.check.rules.effects import when
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding, Severity
from handlerkit.targets import Target

_OF_MODULES = {"__name__", "__file__", "__doc__", "__spec__", "__loader__", "__package__", "__builtins__", "__path__",
               "__cached__", "__annotations__", "__dict__", "__debug__", "__class__", "__module__", "__qualname__",
               "__static_attributes__", "__firstlineno__", "__conditional_annotations__"}  # fmt: skip
#: What IPython puts among the builtins, or into every notebook.
_OF_NOTEBOOKS = {"display", "get_ipython", "In", "Out", "_", "__", "exit", "quit"}
#: Builtins that this Python may be too old for; whether the target has them is for newer_python to say.
_NEWER = {"aiter", "anext", "EncodingWarning", "ExceptionGroup", "BaseExceptionGroup", "PythonFinalizationError"}
#: Put there by the module site, which a worker imports as well.
_OF_SITE = {"exit", "quit", "copyright", "credits", "license"}


def undefined_names(subject: Subject, target: Target) -> Iterator[Finding]:
    """Names that are defined in no place of their file."""
    program = subject.program(target.python)
    for source in program.sources.values():
        if source.problem is not None or source.is_open or _is_set_from_outside(program, source):
            continue
        reported = set()
        for name, node in _undefined(program, source):
            if name in reported or source.tried(node, ("NameError",)) or program.asked(source, node):
                continue
            reported.add(name)
            severity: Severity = "warning" if source.conditional(node) else "error"
            place, effect = source.place(node), when(program, source, node)
            if name in _OF_NOTEBOOKS:
                message = f"{name!r} is there in notebooks alone."
                yield Finding("undefined_name", message, place, effect, f"Do without {name}.", severity)
            else:
                message = f"{name!r} is defined nowhere in {source.file}."
                fix = f"Define or import {name} in {source.file}: what other cells define is not archived."
                yield Finding("undefined_name", message, place, effect, fix, severity)


def _undefined(program: Program, source: SourceFile) -> Iterator[tuple[str, ast.Name]]:
    """The names, each with its uses that can run, in the order of the code."""
    known = {name for name in dir(builtins) if name not in _OF_NOTEBOOKS} | _OF_MODULES | _OF_SITE | _NEWER
    known |= source.names
    missing = {
        symbol
        for scope in _scopes(symtable(source.text.decode("utf-8-sig", "replace"), source.file, "exec"))
        for symbol in _globals(scope)
        if symbol not in known
    }
    if not missing:
        return
    uses = [
        node
        for node in program.nodes_of(source, ast.Name)
        if node.id in missing and isinstance(node.ctx, ast.Load) and not _is_annotation(source, node)
    ]
    for node in sorted(uses, key=lambda node: (node.lineno, node.col_offset)):
        if not _is_local(source, node):
            yield node.id, node


def _scopes(table: SymbolTable) -> Iterator[SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _scopes(child)


def _globals(scope: SymbolTable) -> Iterator[str]:
    """The names that a scope looks for among the module's and the builtin ones."""
    for symbol in scope.get_symbols():
        if not symbol.is_referenced():
            continue
        if scope.get_type() == "module":
            if not (symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()):
                yield symbol.get_name()
        elif scope.get_type() in ("function", "class") and symbol.is_global():
            yield symbol.get_name()


def _is_local(source: SourceFile, node: ast.Name) -> bool:
    """Whether a scope around the use binds the name, where another scope lacks it."""
    for outer in source.around(node):
        if any(getattr(one, "name", "") == node.id for one in getattr(outer, "type_params", ())):  # def first[T](x: T)
            return True
        if isinstance(outer, Function | ast.Lambda):
            arguments = outer.args
            given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
            if any(one is not None and one.arg == node.id for one in given):
                return True
        if isinstance(outer, Function | ast.ClassDef | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            for inner in ast.walk(outer):
                if isinstance(inner, ast.Name) and inner.id == node.id and not isinstance(inner.ctx, ast.Load):
                    return True
                if isinstance(inner, Function | ast.ClassDef) and inner.name == node.id and inner is not outer:
                    return True
                if isinstance(inner, ast.alias) and (inner.asname or inner.name.partition(".")[0]) == node.id:
                    return True
                if isinstance(inner, ast.ExceptHandler) and inner.name == node.id:
                    return True
    return False


def _is_annotation(source: SourceFile, node: ast.AST) -> bool:
    """Whether it is in an annotation that is not evaluated: of a local variable, or postponed."""
    inner, postponed = node, source.postponed
    for outer in source.around(node):
        if isinstance(outer, ast.AnnAssign) and inner is outer.annotation:
            return postponed or source.function(outer) is not None
        if isinstance(outer, ast.arg) and inner is outer.annotation:
            return postponed
        if isinstance(outer, Function):
            return postponed and inner is outer.returns
        inner = outer
    return False


def _is_set_from_outside(program: Program, source: SourceFile) -> bool:
    """Whether other code puts names into the module: setattr(helper, ...), helper.NAME = ..."""
    module = source.file.removesuffix(".py").rpartition("/")[2]
    for other, node in program.nodes(ast.Attribute, ast.Call):
        if other is source:
            continue
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id == module:
                return True
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr":
            return True
    return False


NAME_RULES = (undefined_names,)
