"""An edit of a handler put into the loaded one, where that answers as a newly loaded handler would.

The functions that an edit changed get their new code in place, in the same modules, classes and instances, and
everything that requests may have changed is put back to what it was just after the load. Where anything that loading
itself depends on has changed, or that cannot be told, the handler is loaded again.
"""

from __future__ import annotations

import dis
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from handlerkit.worker_process.hot_reload.code_patch import LoadedSource, holders, replace
from handlerkit.worker_process.hot_reload.compiled import forget, scripted
from handlerkit.worker_process.hot_reload.load_trace import LoadRecord
from handlerkit.worker_process.hot_reload.source_diff import Edit, Node, difference, tree
from handlerkit.worker_process.hot_reload.state_snapshot import RngStates, Snapshot
from handlerkit.worker_process.model_files import ModelFiles
from handlerkit.worker_process.process_state import variables_now
from handlerkit.worker_process.reload_required import ReloadRequired

#: Names by which code that runs while loading may read functions without running them, where they are or when they
#: were written; or look for attributes.
_READS_CODE = {
    "script", "script_method", "export", "getsource", "getsourcelines", "findsource", "getsourcefile", "__code__",
    "dis", "get_instructions", "Bytecode", "marshal", "cloudpickle", "dill", "co_code", "co_consts",
    "co_firstlineno", "f_lineno", "tb_lineno", "format_exc", "format_exception", "format_tb", "extract_tb",
    "extract_stack", "format_stack", "stack", "getframeinfo",
}  # fmt: skip
_READS_DATES = {"stat", "lstat", "fstat", "getmtime", "getctime", "getsize", "st_mtime", "st_size"}
_STARTS_PROGRAMS = {"subprocess", "Popen", "check_output", "system", "popen", "create_subprocess_exec"}
#: The same where the system does not tell which files loading opens.
_READS_FILES = {"open", "read_text", "read_bytes", "get_data", "get_source", "fromfile", "read_binary", "open_code"}
_READS_NAMES = {
    "getattr", "hasattr", "dir", "vars", "globals", "locals", "eval", "exec", "getmembers", "attrgetter",
    "methodcaller", "getattr_static", "__dict__", "__getattribute__", "__getattr__", "*",
}  # fmt: skip
_TORCHSERVE = f"{os.sep}ts{os.sep}torch_handler{os.sep}"  # of ts, what is given the context and is no part of it
_READS_ALL = {"items", "values", "copy", "deepcopy", "update", "dumps", "vars", "__dict__", "popitem", "asdict"}
_READS_FOLDER = {"parent", "parents", "dirname", "with_name"}  # what `__file__` is mostly asked for
_CHANGE_VOCABULARY = {
    "train", "train_from_iterator", "attrgetter", "methodcaller", "__setattr__", "getattr", "setattr", "eval", "exec",
    "model",
}  # fmt: skip
_NAME = re.compile(r"\w+")
#: The summary where every file has the contents that are loaded.
NOTHING_CHANGED = "nothing changed"
_DOCSTRINGS = {"__doc__", "getdoc", "help"}


@dataclass(frozen=True, repr=False)
class Reload:
    """What `Worker.reload` did: whether the loaded model was kept, and why. Its text says both."""

    kept: bool
    reason: str

    def __repr__(self) -> str:
        return f"{'model kept' if self.kept else 'loaded again'}: {self.reason}"


def _called(path: Node) -> str:
    """What to call a function: a comprehension is part of the one around it."""
    while path[-1].startswith("<") and not path[-1].startswith("<lambda>") and len(path) > 1:
        path = path[:-1]
    return path[-1].partition("#")[0].replace("<lambda>", "a lambda")


def _may_change_vocabulary(code: CodeType) -> bool:
    """Whether code trains something, gives another thing than `self` a `model`, or does what cannot be told from it:
    tokenizers.Tokenizer takes no other way to its vocabulary."""
    if not _CHANGE_VOCABULARY & {*code.co_names}:
        return False
    before: object = None
    for step in dis.get_instructions(code):
        if step.argval in ("train", "train_from_iterator", "attrgetter", "methodcaller", "__setattr__"):
            return True
        if step.argval in ("getattr", "setattr", "eval", "exec") and step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            return True
        holder = before[-1] if isinstance(before, tuple) and before else before
        if step.opname == "STORE_ATTR" and step.argval == "model" and holder != "self":
            return True
        before = step.argval
    return False


def _reads_docstrings(code: CodeType) -> bool:
    """A class stores its own as `__doc__`; this is about loading one."""
    if not _DOCSTRINGS & {*code.co_names}:
        return False
    return any(one.argval in _DOCSTRINGS and one.opname.startswith("LOAD") for one in dis.get_instructions(code))


class Swap:
    """What one load left behind, and how an edit is put into it.

    Args:
        files: the model's files.
        record: what ran during the load.
        rngs: the random number generators, as they were before the load.
        modules: the handler's own modules, by name.
        handler: the handler itself: an instance, or a function.
        context: the `ts.context.Context` it was loaded with.
        word: the manifest's word for the handler.
    """

    def __init__(
        self,
        files: ModelFiles,
        record: LoadRecord,
        rngs: RngStates,
        modules: Mapping[str, ModuleType],
        handler: object,
        context: Any,
        word: str,
    ) -> None:
        self._files = files
        self._modules = {name: module for name, module in modules.items() if files.holds(module.__file__)}
        self._handler = handler
        self._properties: dict[str, Any] = context.system_properties
        self._roots = {"the context": context, **rngs.used()}
        stem, _, entry = word.partition(":")
        self._stem, self._entry = stem.removesuffix(".py"), entry or "handle"
        self._environment = variables_now().copy()
        self._trouble = "" if record.codes is not None else "another profiler was at work while it was loaded"
        self._read_while_loading = {files.staged(file) for file in record.read}
        self._reads = _READS_CODE | _READS_DATES | _STARTS_PROGRAMS | (set() if record.knows_opens else _READS_FILES)
        self._foreign = [code for code in record.codes or () if not files.holds(code.co_filename)]
        self._sources = self._read(record.codes or set())
        self._snapshot = self._shoot()

    def swap(self, *, called: bool, put_back: Callable[[], object], batch_size: int | None = None) -> tuple[str, bool]:
        """Read the files again and put what changed into the loaded handler.

        Args:
            called: whether the handler was called since the load, or since the last swap.
            put_back: puts back what the caller keeps of the handler's state.
            batch_size: what the context is to tell of the size of batches; None for what it told.

        Returns what changed, as half a sentence, and whether functions came or went.
        Raises ReloadRequired if the handler has to be loaded again; it may then be in no state to be called.
        """
        written = self._files.edited()
        self._check_surroundings()
        edits = {file: self._edit(file, source) for file, source in written.items()}
        edited = {file: edit for file, edit in edits.items() if edit is not None}
        self._check_readers(edited)
        if batch_size is not None:
            self._check_batch_size()
        if called:
            self._put_back()
            put_back()
        if edited:
            if name := scripted(self._files.holds):
                raise ReloadRequired(f"TorchScript has compiled {name}")
            forget()
        users = holders(self._snapshot.functions)
        for file, edit in edited.items():
            self._sources[file].check(edit, users)
        for file, edit in edited.items():
            replace(self._sources[file], edit, users)
        self._snapshot.recompiled()
        for file, source in written.items():
            self._files.write(file, source)
        if batch_size is not None:
            self._properties["batch_size"] = batch_size
        structural = any(edit.added or edit.removed or edit.constants for edit in edited.values())
        if structural or batch_size is not None or any(edit.described or edit.notes for edit in edited.values()):
            self._snapshot = self._shoot(self._snapshot)
        summary = self._summary(written, edited)
        if batch_size is not None:
            summary = f"{'' if summary == NOTHING_CHANGED else f'{summary}, and '}the batch size is {batch_size}"
        return summary, structural

    def _read(self, ran: set[CodeType]) -> dict[str, LoadedSource]:
        """The code of every own module, by its file."""
        own: dict[str, list[CodeType]] = {}
        for code in ran:
            if self._files.holds(code.co_filename):
                own.setdefault(self._files.staged(code.co_filename), []).append(code)
        sources = {}
        for module in self._modules.values():
            file = str(module.__file__)
            codes = own.pop(file, [])
            roots = [code for code in codes if code.co_name == "<module>"]
            if len(roots) != 1:
                continue
            nodes = tree(roots[0])
            paths = {id(code): path for path, code in nodes.items()}
            places = {(code.co_qualname, code.co_firstlineno): path for path, code in nodes.items()}
            reached: set[Node] = set()
            for code in codes:
                # torch.compile runs code of its own making, under the name and line of the original
                path = paths.get(id(code), places.get((code.co_qualname, code.co_firstlineno)))
                if path is None:
                    self._trouble = self._trouble or f"loading runs code that is not in {Path(file).name}"
                else:
                    reached.add(path)
            sources[file] = LoadedSource(module, nodes, reached)
        if own:
            self._trouble = self._trouble or f"loading runs {Path(min(own)).name} as more than a module"
        return sources

    def _shoot(self, before: Snapshot | None = None) -> Snapshot:
        codes = [code for source in self._sources.values() for code in source.tree.values()]
        mentioned = {name for code in codes for name in code.co_names}
        files = {self._files.carried(str(module.__file__)) for module in self._modules.values()}
        vocabularies = any(map(_may_change_vocabulary, codes))
        return Snapshot(self._modules, mentioned, self._handler, self._roots, files, before, vocabularies=vocabularies)

    def _check_surroundings(self) -> None:
        """Raises ReloadRequired if the process is not what it was, for a load or for the loaded handler."""
        if self._trouble:
            raise ReloadRequired(self._trouble)
        if (now := variables_now()) != self._environment:
            changed = min(name for name, _ in now.items() ^ self._environment.items())
            raise ReloadRequired(f"the environment variable {os.fsdecode(changed)} changed")
        for thread in threading.enumerate():
            target = getattr(thread, "_target", None) or getattr(thread, "function", None) or type(thread).run
            code = getattr(getattr(target, "__func__", target), "__code__", None)
            if code is not None and self._files.holds(code.co_filename):
                raise ReloadRequired(f"a thread of the handler is running ({code.co_name})")

    def _edit(self, file: str, source: bytes) -> Edit | None:
        """What changed in a file; None for one that loading did not import, and that requests import again."""
        if file in self._sources:
            loaded = self._sources[file]
            return difference(self._files.carried(file), loaded.tree, self._files.read(file), source, loaded.ran)
        name = Path(file).name
        if any(module.__file__ == file for module in self._modules.values()):
            raise ReloadRequired(f"{name} changed")
        stem = name.removesuffix(".py")
        if any(name in word or stem == word for word in self._words(self._ran())):
            raise ReloadRequired(f"{name} changed, which loading may read")
        return None

    def _check_readers(self, edits: Mapping[str, Edit]) -> None:
        """Raises ReloadRequired if something reads what changed otherwise than by running it."""
        if not edits:
            return
        ran = list(self._ran(edits))
        for code in ran:
            names = set(self._words([code]))
            if found := names & self._reads or ("__file__" in names and not names & _READS_FOLDER and {"__file__"}):
                raise ReloadRequired(f"loading may read source code ({min(found)})")
        if files := edits.keys() & self._read_while_loading:
            raise ReloadRequired(f"loading reads {Path(min(files)).name} as a file")
        everything = (code for source in self._sources.values() for code in source.tree.values())
        if any(edit.described for edit in edits.values()) and any(map(_reads_docstrings, everything)):
            raise ReloadRequired("a docstring changed, and the handler reads them")
        came = {path for edit in edits.values() for path in (*edit.added, *edit.removed)}
        constants = {name for edit in edits.values() for name in edit.constants}
        if not came and not constants:
            return
        words = set(self._words(ran))
        texts = {name for word in words for name in _NAME.findall(word)}
        for name in constants:
            if name in texts or name in (self._entry, "handle") or self._files.mention(name):
                raise ReloadRequired(f"{name} changed")
        if found := words & _READS_NAMES:
            name = f"{min(constants)} changed" if constants else "a function came or went"
            raise ReloadRequired(f"{name}, and loading looks for names ({min(found)})")
        outside = set(self._words(self._foreign)) if any(len(path) > 1 for path in came) else set()
        for path in came:
            name = path[-1]
            if name in texts or name in (self._entry, "handle") or (len(path) > 1 and name in outside):
                raise ReloadRequired(f"{name} came or went, and loading looks for that name")
        if came and self._snapshot.micro_batching:
            raise ReloadRequired("a function came or went, and threads of the micro-batching hold them")

    def _check_batch_size(self) -> None:
        """Raises ReloadRequired if loading may have asked for the batch size."""
        for code in (*self._ran(), *(code for code in self._foreign if _TORCHSERVE in code.co_filename)):
            words = set(self._words([code]))
            if "batch_size" in words:
                raise ReloadRequired(f"the batch size changed, which {code.co_name} may read")
            if found := words & _READS_ALL:
                raise ReloadRequired(f"the batch size changed, and loading reads all of something ({min(found)})")
        if where := self._snapshot.mentions("batch_size", self._properties):
            raise ReloadRequired(f"the batch size changed, which is in {where}")

    def _ran(self, edits: Mapping[str, Edit] | None = None) -> Iterable[CodeType]:
        """The own code that ran while loading; without what an edit removed, where it did."""
        for file, source in self._sources.items():
            edit = (edits or {}).get(file)
            nodes = edit.rest if edit is not None and edit.rest else source.tree
            yield from (nodes[path] for path in source.ran if path in nodes)

    @staticmethod
    def _words(codes: Iterable[CodeType]) -> Iterable[str]:
        """The names and texts in code."""
        for code in codes:
            yield from code.co_names
            for constant in code.co_consts:
                for one in constant if isinstance(constant, tuple | frozenset) else (constant,):
                    if isinstance(one, str):
                        yield one
                    elif isinstance(one, bytes):
                        yield one.decode("latin-1")

    def _put_back(self) -> None:
        if self._snapshot.doubtful:
            raise ReloadRequired(f"requests may have changed {next(iter(self._snapshot.doubtful))}")
        if where := self._snapshot.put_back():
            raise ReloadRequired(f"requests changed {where}")

    def _summary(self, written: Iterable[str], edits: Mapping[str, Edit]) -> str:
        names: dict[str, None] = {}
        for file in written:
            stem = Path(file).stem
            edit = edits.get(file)
            if edit is None:
                names[Path(file).name] = None
                continue
            changed = [_called(path) for path in (*edit.changed, *edit.added, *edit.removed)]
            for name in (*changed, *edit.constants):
                names[name if stem == self._stem else f"{stem}.{name}"] = None
        shown = list(names)
        if len(shown) > 3:
            shown = [*shown[:2], f"{len(shown) - 2} more"]
        if not shown:
            return "only comments changed" if edits else NOTHING_CHANGED
        return f"only {', '.join(shown[:-1])}{' and ' * (len(shown) > 1)}{shown[-1]} changed"
