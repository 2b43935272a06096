"""Whether unpickling a name runs something, or reads and writes what no model's weights need."""

from __future__ import annotations

import operator
import sys
from typing import Literal

from handlerkit.check.weights.pickled import Global

#: "runs": it runs commands or code, or reaches files, the network or other pickles. "reaches": it gives anything that
#: an object has, which is how such a thing is reached by another name. "code": it carries byte code.
Danger = Literal["runs", "reaches", "code"]

#: Modules of the standard library whose objects hold values, or whose functions reckon with them.
_VALUES = frozenset(
    """
    abc argparse array binascii bisect calendar cmath collections copy copyreg dataclasses datetime decimal enum
    fractions hashlib heapq ipaddress itertools json keyword math numbers queue random re statistics string struct
    textwrap time types unicodedata weakref zlib zoneinfo collections.abc json.decoder json.encoder
    """.split()
)
#: What in them runs what it is given.
_BUT = {
    "collections": {"namedtuple"},
    "dataclasses": {"make_dataclass"},
    "hashlib": {"file_digest"},
    "weakref": {"finalize"},
}
#: Modules whose names are also those of another.
_PUBLIC = {
    "_operator": "operator", "_io": "io", "_collections": "collections", "_decimal": "decimal", "_struct": "struct",
    "_random": "random", "_thread": "threading", "pathlib._local": "pathlib", "__builtin__": "builtins",
}  # fmt: skip
#: Modules that run something, and whose names no package gives to a class or function of its own.
_RUNNING = frozenset(
    "os posix nt sys subprocess pty runpy importlib ctypes builtins shutil socket multiprocessing".split()
)
#: The names that are harmless in modules which hold others too.
_HARMLESS = {
    "_codecs": {"encode", "decode"},
    "codecs": {"encode", "decode"},
    "builtins": set(
        """
        bool bytearray bytes complex dict enumerate filter float frozenset int iter list map memoryview object property
        range reversed set slice str tuple type zip abs all any divmod hash id isinstance len max min pow print repr
        round sorted sum Ellipsis NotImplemented NoneType
        """.split()
    ),
    "functools": {"partial", "partialmethod", "reduce", "cached_property", "cmp_to_key"},
    "inspect": {"Parameter", "Signature", "_ParameterKind", "_empty"},
    "io": {"BytesIO", "StringIO"},
    "logging": {"Logger", "getLogger", "RootLogger"},
    "pathlib": {"Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath"},
    "operator": set(dir(operator)) - {"attrgetter", "methodcaller"},
    "threading": {"Lock", "RLock", "Event", "Condition", "local", "_local"},
    "uuid": {"UUID", "SafeUUID"},
}
_REACHES = {("builtins", "getattr"), ("operator", "attrgetter"), ("operator", "methodcaller")}
_CODE = {("types", "CodeType"), ("types", "FunctionType"), ("builtins", "code"), ("builtins", "function")}
#: Packages outside the standard library, and what in them runs code or other pickles; {"*"} is all of it.
_OTHERS = {
    "IPython": {"*"}, "distutils": {"*"}, "pip": {"*"}, "setuptools": {"*"}, "requests": {"*"}, "urllib3": {"*"},
    "httpx": {"*"}, "aiohttp": {"*"}, "paramiko": {"*"}, "fabric": {"*"}, "sh": {"*"}, "pexpect": {"*"},
    "numpy": {"load", "fromfile", "memmap", "DataSource", "f2py", "distutils", "testing", "lib.npyio", "loadtxt"},
    "torch": {
        "load", "hub", "ops.load_library", "classes.load_library", "_ops", "package", "serialization.load",
        "jit.load", "utils.collect_env", "utils.cpp_extension", "utils.bottleneck", "utils._config_module",
        "utils.data.datapipes.utils.decoder", "_inductor.codecache", "_dynamo.guards", "multiprocessing",
        "fx.experimental.symbolic_shapes", "jit.unsupported_tensor_ops", "distributed.run", "save",
    },
    "joblib": {"load", "numpy_pickle.load", "numpy_pickle_utils"},
    "pandas": {"eval", "read_pickle", "io.pickle", "core.computation"},
    "sympy": {"sympify", "parsing", "lambdify"},
    "yaml": {"load", "unsafe_load", "full_load", "load_all", "unsafe_load_all"},
    "ts": {"*"},
}  # fmt: skip


def danger(found: Global) -> Danger | None:
    """What unpickling the name does beside making a value; None if it does nothing else, as far as is known."""
    if found.is_computed:
        return "runs"
    module, name = _PUBLIC.get(found.module, found.module), found.name
    top = module.partition(".")[0]
    if (module, name) in _REACHES:
        return "reaches"
    if (module, name) in _CODE or (top in ("cloudpickle", "dill") and _carries_code(name)):
        return "code"
    if _by_way_of_another(top, name):
        return "runs"
    if top in sys.stdlib_module_names:
        return None if _is_harmless(module, name) else "runs"
    return "runs" if _matches(_OTHERS.get(top, set()), f"{module}.{name}".removeprefix(f"{top}.")) else None


def _by_way_of_another(top: str, name: str) -> bool:
    """Whether it is a module of the standard library, or a name in one, taken from a module that imports it:
    "os.system" of torch.serialization."""
    parts = [part.lstrip("_") for part in name.split(".")]
    for position, part in enumerate(parts[:-1]):
        inner = Global(part, ".".join(parts[position + 1 :]))
        if part in sys.stdlib_module_names and part != top and danger(inner) is not None:
            return True
    return parts[-1] in _RUNNING and parts[-1] != top.lstrip("_")


def _is_harmless(module: str, name: str) -> bool:
    if module in _VALUES:
        return name not in _BUT.get(module, ()) and (name[0].isupper() or "." not in name)
    if module == "typing":
        return name[0].isupper()
    if module == "builtins" and name.endswith(("Error", "Exception", "Warning", "Iteration", "Exit")):
        return True
    return name in _HARMLESS.get(module, ())


def _matches(names: set[str], name: str) -> bool:
    return "*" in names or any(name == one or name.startswith(f"{one}.") for one in names)


def _carries_code(name: str) -> bool:
    return any(
        word in name for word in ("code", "function", "cell", "skeleton", "subimport", "import_module", "_builtin")
    )
