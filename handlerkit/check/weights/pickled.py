"""What a pickle would import: read from its opcodes, and nothing of it is run.

An unpickler is a machine with a stack and a memo. Here its opcodes are followed with names in the place of objects, so
that a name is found wherever it comes from: the stack, the memo, a duplicate, another pickle inside this one.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

#: Opcodes that are followed at most; a second or two. No model's pickle has as many, a hostile one may.
_MOST_OPCODES = 5_000_000
#: How deep pickles in the bytes of a pickle are read.
_DEEPEST = 4
#: Opcodes that hold bytes, and the bytes of their length; and from where on they are sought past.
_SIZED = {"BINBYTES": 4, "BINBYTES8": 8, "BYTEARRAY8": 8}
_LONG = 1 << 16
#: Pickles behind each other that are read at most.
_MOST_PICKLES = 64
#: Bytes of one number of each type.
_BYTES = {
    "ComplexDouble": 16, "Double": 8, "Long": 8, "ComplexFloat": 8, "Float": 4, "Int": 4, "Half": 2, "BFloat16": 2,
    "Short": 2, "Char": 1, "Byte": 1, "Bool": 1,
}  # fmt: skip
_ORDERED = ("collections", "OrderedDict")
#: What makes bytes of a text where the protocol is one of Python 2's.
_ENCODE = ("_codecs", "encode")
#: What is in joblib's files where an array's bytes follow.
_JOBLIB_ARRAY = ("joblib.numpy_pickle", "NumpyArrayWrapper")


class Global(NamedTuple):
    """Something that a pickle imports: `name` of `module`; "" stands for one that is only known once it runs."""

    module: str
    name: str

    @property
    def is_computed(self) -> bool:
        """Whether what it imports is only known once it runs."""
        return not (self.module and self.name)

    def __str__(self) -> str:
        return f"{self.module or '?'}.{self.name or '?'}"


@dataclass
class Pickled:
    """What is known of a pickle.

    Attributes:
        globals: what it imports, in order, each once.
        opcodes: the names of the opcodes it uses.
        root: what the object itself is: "dict", the Global that makes it, or None if that is not known.
        keys: where it is a dict, or an OrderedDict, its keys that are texts.
        devices: the devices on which its tensors lay, such as "cuda:0".
        stored: bytes of its tensors' numbers, by the names of their storages.
        versions: texts that follow a key ending in "_version", such as {"_sklearn_version": "1.4.2"}.
        problem: why it could not be read to its end; "" if it could.
    """

    globals: list[Global] = field(default_factory=list)
    opcodes: set[str] = field(default_factory=set)
    root: Global | str | None = None
    keys: list[str] = field(default_factory=list)
    devices: set[str] = field(default_factory=set)
    stored: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    problem: str = ""


class _Made(NamedTuple):
    """An object that calling a Global made."""

    by: Global
    arguments: Any = None


class _Dict(dict[str, Any]):
    """A dict, or what `by` makes as one: its items whose keys are texts."""

    by: Global | None = None


def read(file: IO[bytes], *, depth: int = 0) -> Pickled:
    """The pickle that begins where `file` is; afterwards the file is behind it, if it has no `problem`."""
    machine = _Machine(file, depth)
    found, do = machine.found, machine.do
    try:
        for name, argument in _opcodes(file):
            found.opcodes.add(name)
            do[name](argument)
    except Exception as problem:  # whatever pickletools raises on bytes that are no pickle
        found.problem = " ".join(str(problem).split()) or type(problem).__name__
    return found


def read_all(file: IO[bytes]) -> list[Pickled]:
    """Each of the pickles that follow each other; only the last one may have a `problem`."""
    pickles: list[Pickled] = []
    while file.read(1) and len(pickles) < _MOST_PICKLES and not (pickles and pickles[-1].problem):
        file.seek(-1, io.SEEK_CUR)
        pickles.append(read(file))
    return pickles


def _opcodes(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """The names of the opcodes and their arguments up to STOP, as pickletools.genops has them; the bytes of an array
    are sought past, except for their beginning."""
    for _ in range(_MOST_OPCODES):
        code = file.read(1)
        if code not in _CODES:
            raise ValueError(f"opcode {code!r} is unknown" if code else "it ends before STOP")
        name, reader = _CODES[code]
        yield name, reader(file) if reader is not None else None
        if code == b".":
            return
    raise ValueError(f"it has more than {_MOST_OPCODES:,} opcodes")


def _sized(file: IO[bytes], size: int) -> bytes:
    """Bytes of that size; of many, those that tell whether they are a pickle, which is then read for itself."""
    if size < _LONG:
        content = file.read(size)
    else:
        at = file.tell()
        content = file.read(2)
        content = content + file.read(size - 2) if _begins(content) else content
        file.seek(0, io.SEEK_END)
        if file.tell() < at + size:
            raise ValueError("it ends before STOP")
        file.seek(at + size)
        return content
    if len(content) < size:
        raise ValueError("it ends before STOP")
    return content


def _readers() -> Iterator[tuple[bytes, tuple[str, Callable[[IO[bytes]], Any] | None]]]:
    """The opcodes' names, and what reads the argument of each, by their byte."""
    for opcode in pickletools.opcodes:
        reader = opcode.arg.reader if opcode.arg is not None else None
        if (width := _SIZED.get(opcode.name)) is not None:
            reader = _sized_reader(width)
        yield opcode.code.encode("latin-1"), (opcode.name, reader)


def _sized_reader(width: int) -> Callable[[IO[bytes]], bytes]:
    return lambda file: _sized(file, int.from_bytes(file.read(width), "little"))


_CODES = dict(_readers())


def _begins(content: bytes) -> bool:
    """Whether bytes begin as a pickle does."""
    return len(content) > 1 and content[0] == 0x80 and content[1] <= pickle.HIGHEST_PROTOCOL


class _Machine:
    """The stack and the memo of an unpickler, holding texts, Globals and what they make; None stands for all else.

    `do` has a function of the opcode's argument for the name of each opcode. A pickle that takes more from the stack
    than is there ends the reading: an unpickler stops there too.
    """

    def __init__(self, file: IO[bytes], depth: int) -> None:
        self.found = Pickled()
        self._file = file
        self._depth = depth
        self._protocol = 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self.do: dict[str, Callable[[Any], object]] = {}
        for opcode in pickletools.opcodes:
            takes, leaves = len(opcode.stack_before), len(opcode.stack_after)
            sliced = pickletools.markobject in opcode.stack_before
            self.do[opcode.name] = self._any(opcode.stack_before.index(pickletools.markobject) if sliced else takes,
                                             sliced, leaves)  # fmt: skip
        self.do |= dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), self._stack.append)
        self.do |= dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), self._text_or_bytes)
        self.do |= dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), self._bytes)
        self.do |= dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), self._put)
        self.do |= dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), self._get)
        self.do |= dict.fromkeys(("EXT1", "EXT2", "EXT4"), self._extension)
        self.do |= dict.fromkeys(("REDUCE", "NEWOBJ", "NEWOBJ_EX"), self._call)
        self.do |= dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1"), self._stack.append)
        self.do |= dict.fromkeys(("APPENDS", "ADDITEMS"), lambda _: self._slice())
        self.do |= {f"TUPLE{size}": self._tuple(size) for size in (1, 2, 3)}
        self.do |= {
            "PROTO": self._proto, "MEMOIZE": self._memoize, "DUP": self._dup, "MARK": self._mark, "POP": self._pop,
            "GLOBAL": self._global, "STACK_GLOBAL": self._stack_global, "INST": self._inst, "OBJ": self._obj,
            "EMPTY_DICT": lambda _: self._stack.append(_Dict()), "DICT": self._dict, "SETITEM": self._set_item,
            "SETITEMS": lambda _: self._add(self._slice()), "APPEND": lambda _: self._stack.pop(), "BUILD": self._build,
            "TUPLE": lambda _: self._stack.append(tuple(self._slice())), "STOP": self._stop,
            "BINPERSID": self._persistent,
        }  # fmt: skip

    def _any(self, takes: int, sliced: bool, leaves: int) -> Callable[[Any], object]:
        """An opcode whose objects nobody asks for: how much it takes, and down to the mark if it is `sliced`."""
        stack, marks = self._stack, self._marks
        if not takes and not sliced:
            return (lambda _: stack.append(None)) if leaves else (lambda _: None)

        def act(_: Any) -> None:
            if sliced:
                del stack[marks.pop() :]
            for _ in range(takes):
                stack.pop()
            stack.extend([None] * leaves)

        return act

    def _slice(self) -> list[Any]:
        """Take all down to the mark."""
        at = self._marks.pop()
        taken = self._stack[at:]
        del self._stack[at:]
        return taken

    def _proto(self, argument: Any) -> None:
        self._protocol = int(argument)

    def _mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def _pop(self, _: Any) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._stack.pop()

    def _dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _put(self, argument: Any) -> None:
        self._memo[int(argument)] = self._stack[-1]

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, argument: Any) -> None:
        self._stack.append(self._memo[int(argument)])

    def _text_or_bytes(self, argument: Any) -> None:
        """Python 2 wrote both texts and bytes like that."""
        self._stack.append(argument)
        self._nested(argument.encode("latin-1", "replace") if isinstance(argument, str) else argument)

    def _bytes(self, argument: Any) -> None:
        self._stack.append(None)
        self._nested(argument)

    def _global(self, argument: str) -> None:
        self._stack.append(self._imported(argument))

    def _imported(self, argument: str) -> Global:
        """ "module name", as Python 2 called it where the protocol is one of Python 2's."""
        module, _, name = argument.partition(" ")
        if self._protocol < 3:
            module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        return self._named(module, name)

    def _stack_global(self, _: Any) -> None:
        name, module = (part if isinstance(part, str) else "" for part in (self._stack.pop(), self._stack.pop()))
        self._stack.append(self._named(module, name))

    def _extension(self, argument: Any) -> None:
        self._stack.append(self._named(f"copyreg's extension {argument}", ""))

    def _named(self, module: str, name: str) -> Global:
        made = Global(module, name)
        if made not in self.found.globals:
            self.found.globals.append(made)
        return made

    def _tuple(self, size: int) -> Callable[[Any], object]:
        def act(_: Any) -> None:
            self._stack[-size:] = [tuple(self._stack[-size:])]

        return act

    def _call(self, _: Any) -> None:
        arguments, by = self._stack.pop(), self._stack.pop()
        if by == _ENCODE and isinstance(arguments, tuple) and arguments and isinstance(arguments[0], str):
            self._nested(arguments[0].encode("latin-1", "replace"))
        self._made(by, arguments)

    def _inst(self, argument: str) -> None:
        self._slice()
        self._made(self._imported(argument))

    def _obj(self, _: Any) -> None:
        self._made(self._slice()[0])

    def _made(self, by: Any, arguments: Any = None) -> None:
        made: Any = _Made(by, arguments) if isinstance(by, Global) else None
        if by == _ORDERED:
            made = _Dict()
            made.by = by
        self._stack.append(made)

    def _build(self, _: Any) -> None:
        state, made = self._stack.pop(), self._stack[-1]
        if isinstance(made, _Made) and made.by == _JOBLIB_ARRAY and isinstance(state, _Dict):
            self._skip_array(state)

    def _skip_array(self, state: _Dict) -> None:
        """joblib writes an array's own bytes between the opcodes, behind the description of it."""
        kind = state["dtype"].arguments[0]
        if kind[0] == "O":
            self._nested_at(self._file)
            return
        if state.get("numpy_array_alignment_bytes") is not None:
            self._file.seek(self._file.read(1)[0], io.SEEK_CUR)
        size = int(kind[1:]) * (4 if kind[0] == "U" else 1) * math.prod(state["shape"])
        self._file.seek(size, io.SEEK_CUR)

    def _persistent(self, _: Any) -> None:
        """torch.save wrote a class before 1.6 as ("module", class, its file, its source); a tensor's numbers it writes
        as ("storage", type, name, device, count)."""
        said = self._stack.pop()
        if isinstance(said, tuple) and len(said) > 3 and said[0] == "storage" and isinstance(said[3], str):
            self.found.devices.add(said[3])
            kind, count = said[1], said[4] if len(said) > 4 else 0
            if isinstance(kind, Global) and isinstance(count, int):
                self.found.stored[str(said[2])] = count * _BYTES.get(kind.name.removesuffix("Storage"), 0)
        is_class = isinstance(said, tuple) and len(said) > 1 and said[0] == "module" and isinstance(said[1], Global)
        self._stack.append(said[1] if is_class else None)

    def _dict(self, _: Any) -> None:
        items = self._slice()
        self._stack.append(_Dict())
        self._add(items)

    def _set_item(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._add([key, value])

    def _add(self, items: list[Any]) -> None:
        into = self._stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=False):
            if isinstance(key, str):
                if isinstance(value, str) and key.endswith("_version"):
                    self.found.versions.setdefault(key, value)
                if isinstance(into, _Dict):
                    into[key] = value

    def _stop(self, _: Any) -> None:
        top = self._stack.pop()
        if isinstance(top, _Dict):
            self.found.root, self.found.keys = top.by or "dict", list(top)
        elif isinstance(top, Global | _Made):
            self.found.root = top.by if isinstance(top, _Made) else top

    def _nested(self, content: bytes) -> None:
        """A pickle in the bytes of a pickle: pickle.loads, or torch.load for a tensor, would be called with it."""
        if len(content) < 4 or not _begins(content) or self._depth == _DEEPEST:
            return
        file = io.BytesIO(content)
        for _ in range(_MOST_PICKLES):
            if self._nested_at(file).problem or file.tell() >= len(content):
                return

    def _nested_at(self, file: IO[bytes]) -> Pickled:
        inner = read(file, depth=self._depth + 1)
        for each in inner.globals:
            self._named(*each)
        return inner
