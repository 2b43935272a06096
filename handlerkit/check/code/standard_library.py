"""The modules of Python's standard library, version by version."""

from __future__ import annotations

import functools
import sys

#: The first version that has a module.
SINCE = {
    "zoneinfo": (3, 9), "graphlib": (3, 9), "tomllib": (3, 11), "annotationlib": (3, 14), "compression": (3, 14),
}  # fmt: skip
#: The first version that has it no longer.
_UNTIL = {
    (3, 10): "formatter parser symbol",
    (3, 11): "binhex",
    (3, 12): "asynchat asyncore distutils imp smtpd",
    (3, 13): "aifc audioop cgi cgitb chunk crypt imghdr lib2to3 mailcap msilib nis nntplib ossaudiodev pipes sndhdr "
    "spwd sunau telnetlib uu xdrlib",
}
#: When each went.
GONE = {name: version for version, names in _UNTIL.items() for name in names.split()}
#: The top-level modules of any version's.
EVERY = sys.stdlib_module_names | SINCE.keys() | GONE.keys() | {"test"}


@functools.cache
def modules(python: tuple[int, int]) -> frozenset[str]:
    """The top-level modules of that Python's standard library."""
    return frozenset(
        name for name in EVERY if SINCE.get(name, python) <= python and python < GONE.get(name, (python[0] + 1, 0))
    )


#: What a worker has imported when it comes to the handler, in Python 3.9 and torch 2.4 as in 3.11 and 2.14, as far as
#: it comes from files: model_dir comes before them.
IMPORTED_BY_WORKERS = frozenset(
    "abc argparse array ast asyncio base64 binascii bisect bz2 calendar cmath codecs collections concurrent contextlib "
    "contextvars copy copyreg ctypes dataclasses datetime difflib dis email encodings enum fnmatch functools "
    "genericpath gettext glob grp gzip hashlib heapq http importlib inspect io json keyword linecache locale logging "
    "lzma math mmap multiprocessing ntpath numbers opcode operator os pathlib pickle pickletools platform posixpath "
    "pprint queue quopri random re reprlib resource select selectors shutil signal site socket ssl stat string struct "
    "subprocess tarfile tempfile textwrap threading timeit token tokenize traceback types typing unittest urllib uuid "
    "warnings weakref zipfile zipimport zlib".split()
)
#: Modules inside the interpreter itself, which come before every file.
BUILT_IN = frozenset("atexit builtins errno faulthandler gc itertools marshal posix pwd sys time".split())
