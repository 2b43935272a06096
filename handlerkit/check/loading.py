"""How an archive's handler loads its weights, as far as its source says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from packaging.version import Version

from handlerkit.check.code.source import SourceFile, dotted, keyword, text_of
from handlerkit.check.subject import Subject
from handlerkit.check.weights import Kind
from handlerkit.check.weights.operators import WEIGHTS_ONLY_SINCE
from handlerkit.targets import Target

#: TorchServe's own handlers that load as BaseHandler does, and their classes.
_BASE_HANDLERS = {"base_handler", "image_classifier", "image_segmenter", "object_detector", "text_classifier"}
BASE_CLASSES = {
    "BaseHandler", "VisionHandler", "ImageClassifier", "ImageSegmenter", "ObjectDetector", "TextHandler",
    "TextClassifier", "DenseNetHandler",
}  # fmt: skip
#: What tells torch or pickle to let other types in.
_LETTING_IN = {"add_safe_globals", "safe_globals", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "find_class"}
_LOADERS = {"_load_pickled_model", "_load_torchscript_model", "_load_torch_export_aot_compile"}
#: Modules whose load, loads, Unpickler or read_pickle unpickles.
_UNPICKLING = {"pickle", "cPickle", "joblib", "dill", "cloudpickle", "pandas", "pd", "shelve", "numpy", "np"}
_UNPICKLERS = {"load", "loads", "read_pickle", "Unpickler", "open"}


#: Functions that load weights, by the ends of their names, and the containers that they take.
_TAKES: dict[str, tuple[Kind, ...]] = {
    "torch.jit.load": ("torchscript",),
    "jit.load": ("torchscript",),
    "torch.load": ("torch", "legacy torch", "torchscript"),
    "torch.export.load": ("exported program",),
    "onnxruntime.InferenceSession": ("onnx",),
    "ort.InferenceSession": ("onnx",),
    "InferenceSession": ("onnx",),
    "safetensors.torch.load_file": ("safetensors",),
    "load_file": ("safetensors",),
    "safe_open": ("safetensors",),
    "joblib.load": ("pickle",),
    "pickle.load": ("pickle",),
    "np.load": ("numpy", "pickle"),
    "numpy.load": ("numpy", "pickle"),
}


@dataclass(frozen=True)
class Load:
    """A call that loads weights.

    Attributes:
        function: its name, as it is there.
        takes: the containers that it takes.
        file: the file of the archive that its arguments name, or the manifest's weights where they name none.
        has_device: whether it says where tensors go (map_location).
    """

    place: str
    function: str
    takes: tuple[Kind, ...]
    file: str | None
    has_device: bool


@dataclass(frozen=True)
class TorchLoad:
    """A call of torch.load: `weights_only` as it is written there, "default" or "unknown"."""

    place: str
    weights_only: bool | str

    def is_strict(self, torch: Version | None) -> bool:
        """Whether it unpickles nothing but tensors, with that torch."""
        if self.weights_only == "default":
            return torch is not None and torch >= WEIGHTS_ONLY_SINCE
        return self.weights_only is True


class Loading:
    """How the weights are loaded.

    Attributes:
        program: the archive's code.
    """

    def __init__(self, subject: Subject, target: Target) -> None:
        self._subject = subject
        self.program = subject.program(target.python)

    @cached_property
    def is_base(self) -> bool:
        """Whether BaseHandler's own code loads the file that the manifest names, and nothing catches what it raises."""
        if self._subject.default_handler is not None:
            return self._subject.default_handler in _BASE_HANDLERS
        if self._subject.handler_file is None or ":" in str(self._subject.said.get("handler", "")):
            return False
        source = self._subject.source(self._subject.handler_file)
        classes = [node for node in source.tree.body if isinstance(node, ast.ClassDef)]
        if len(classes) != 1 or "handle" in source.names or self._writes_manifest():
            return False
        return self._reaches_base(source, classes[0], ())

    @cached_property
    def torch_loads(self) -> tuple[TorchLoad, ...]:
        """The calls of torch.load that can run, except for BaseHandler's own."""
        return tuple(
            TorchLoad(source.place(node), _weights_only(node))
            for source, node in self.program.nodes(ast.Call)
            if dotted(node.func) == "torch.load" or (dotted(node.func) == "load" and _takes_load(source, "torch"))
        )

    @cached_property
    def loads(self) -> tuple[Load, ...]:
        """The calls that load a file of the archive's."""
        found = []
        for source, node in self.program.nodes(ast.Call):
            function = dotted(node.func)
            if function not in _TAKES or _replaces(source, function):
                continue
            texts = [text for inner in ast.walk(node) if (text := text_of(inner)) is not None]
            named = [file for file in self._subject.sizes if any(_ends(text, file) for text in texts)]
            if len(named) > 1 or (not named and any("." in text for text in texts)):
                continue  # which of them, or a name that is not in the archive
            file = named[0] if named else self._subject.serialized_file if self._asks_manifest else None
            has_device = len(node.args) > 1 or keyword(node, "map_location") is not None or any(
                one.arg is None for one in node.keywords
            )  # fmt: skip
            found.append(Load(source.place(node), function, _TAKES[function], file, has_device))
        return tuple(found)

    @cached_property
    def _asks_manifest(self) -> bool:
        """Whether the code takes the weights' name from the manifest, and loads no more than one file."""
        calls = [node for _, node in self.program.nodes(ast.Call) if dotted(node.func) in _TAKES]
        return len(calls) == 1 and any(
            text_of(node) == "serializedFile" for _, node in self.program.nodes(ast.Constant)
        )

    @cached_property
    def unpickles(self) -> str | None:
        """Where something other than torch.load unpickles; None if nothing does."""
        for source, node in self.program.nodes(ast.Call):
            owner, _, name = dotted(node.func).rpartition(".")
            if name in _UNPICKLERS and owner.rpartition(".")[2] in _UNPICKLING:
                allowed = keyword(node, "allow_pickle")
                if owner not in ("np", "numpy") or (isinstance(allowed, ast.Constant) and allowed.value is True):
                    return source.place(node)
            if not owner and name in _UNPICKLERS and any(_takes_load(source, one) for one in _UNPICKLING):
                return source.place(node)
        return None

    @cached_property
    def allows_more(self) -> bool:
        """Whether the code tells torch which other types torch.load may let in, or replaces modules, so that what a
        pickle imports is not what its names say."""
        for _, node in self.program.nodes(ast.expr):
            word = dotted(node).rpartition(".")[2] or text_of(node)
            if word in _LETTING_IN or dotted(node) == "sys.modules":
                return True
        return any(one.module == "__main__" for one in self.program.imports)

    @cached_property
    def loads_libraries(self) -> bool:
        """Whether the code loads libraries that register operators with torch."""
        return any(
            dotted(node.func).rpartition(".")[2] in ("load_library", "CDLL", "load_inline", "cpp_extension")
            for _, node in self.program.nodes(ast.Call)
        )

    def names(self, file: str) -> bool:
        """Whether the code names a file of the archive."""
        last = file.rpartition("/")[2]
        return any(isinstance(node.value, str) and last in node.value for _, node in self.program.nodes(ast.Constant))

    def _reaches_base(self, source: SourceFile, found: ast.ClassDef, seen: tuple[ast.ClassDef, ...]) -> bool:
        if found in seen:
            return False
        methods = {node.name: node for node in found.body if isinstance(node, ast.FunctionDef)}
        if methods.keys() & _LOADERS:
            return False
        if (initialize := methods.get("initialize")) is not None and not _calls_base(source, initialize):
            return False
        for base in found.bases:
            name = dotted(base).rpartition(".")[2]
            if name in BASE_CLASSES or _imported_as(source, name) in BASE_CLASSES:
                return True
            for other, node in self._classes(name):
                return self._reaches_base(other, node, (*seen, found))
        return False

    def _classes(self, name: str) -> Iterator[tuple[SourceFile, ast.ClassDef]]:
        for source in self.program.sources.values():
            for node in source.tree.body:
                if isinstance(node, ast.ClassDef) and node.name == name:
                    yield source, node

    def _writes_manifest(self) -> bool:
        """Whether the code names other weights than the manifest does."""
        return any(
            isinstance(node.ctx, ast.Store)
            and isinstance(node.slice, ast.Constant)
            and node.slice.value in ("serializedFile", "modelFile")
            for _, node in self.program.nodes(ast.Subscript)
        )


def _calls_base(source: SourceFile, initialize: ast.FunctionDef) -> bool:
    """Whether an initialize calls the one that it overrides, and lets its exceptions pass."""
    for node in ast.walk(initialize):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "initialize":
            owner = node.func.value
            is_super = isinstance(owner, ast.Call) and dotted(owner.func) == "super"
            if is_super or dotted(owner).rpartition(".")[2] in BASE_CLASSES:
                errors = ("RuntimeError", "AttributeError")
                return source.tried(node, errors) is None and not source.conditional(node)
    return False


def _ends(text: str, file: str) -> bool:
    """Whether a text names a file of the archive."""
    return f"/{text}".endswith(f"/{file}") or f"/{file}".endswith(f"/{text}")


def _replaces(source: SourceFile, function: str) -> bool:
    """Whether a file defines the name itself, so that it means something else there."""
    return "." not in function and any(
        isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == function for node in ast.walk(source.tree)
    )


def _weights_only(call: ast.Call) -> bool | str:
    if any(one.arg is None for one in call.keywords):
        return "unknown"
    given = keyword(call, "weights_only")
    if given is None:
        return "default" if keyword(call, "pickle_module") is None else False
    if isinstance(given, ast.Constant) and given.value in (True, False):
        return bool(given.value)
    return "default" if isinstance(given, ast.Constant) and given.value is None else "unknown"


def _takes_load(source: SourceFile, module: str) -> bool:
    """Whether a file says `from module import load`."""
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == module
        and any((alias.asname or alias.name) in _UNPICKLERS for alias in node.names)
        for node in ast.walk(source.tree)
    )


def _imported_as(source: SourceFile, name: str) -> str:
    """What a name that an import binds was called there."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return alias.name
    return ""
