"""What can be imported where an archive is served: the target's distributions and those that its requirements bring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from handlerkit.check.code import standard_library
from handlerkit.targets import Environment, Target
from handlerkit.targets.distributions import Distribution, closure, installed
from handlerkit.targets.requirements import RequirementLine, markers_environment

#: Whether a module can be imported. "unsure" where a distribution might bring it that is not installed here, so that
#: nothing tells what it needs.
Verdict = Literal["there", "missing", "unsure"]

#: Modules whose distribution has another name, the usual one first.
_BROUGHT_BY = {
    "Bio": "biopython", "Crypto": "pycryptodome", "Levenshtein": "levenshtein python-levenshtein",
    "MeCab": "mecab-python3", "OpenSSL": "pyopenssl", "PIL": "pillow pillow-simd", "attr": "attrs",
    "bs4": "beautifulsoup4", "clip": "openai-clip clip",
    "cv2": "opencv-python opencv-python-headless opencv-contrib-python opencv-contrib-python-headless",
    "dateutil": "python-dateutil", "docx": "python-docx", "dotenv": "python-dotenv", "faiss": "faiss-cpu faiss-gpu",
    "fitz": "pymupdf", "git": "gitpython", "google.protobuf": "protobuf", "grpc": "grpcio", "hydra": "hydra-core",
    "jose": "python-jose", "jwt": "pyjwt", "kafka": "kafka-python", "magic": "python-magic", "mmcv": "mmcv mmcv-full",
    "model_archiver": "torch-model-archiver", "mpl_toolkits": "matplotlib",
    "onnxruntime": "onnxruntime onnxruntime-gpu",
    "open_clip": "open-clip-torch", "paddle": "paddlepaddle paddlepaddle-gpu", "pkg_resources": "setuptools",
    "pptx": "python-pptx", "pylab": "matplotlib", "pynvml": "nvidia-ml-py pynvml", "pytorch_lightning":
    "pytorch-lightning", "serial": "pyserial", "skimage": "scikit-image", "sklearn": "scikit-learn",
    "slugify": "python-slugify", "snappy": "python-snappy", "tensorflow": "tensorflow tensorflow-cpu tensorflow-gpu",
    "tlz": "toolz", "ts": "torchserve", "umap": "umap-learn", "usb": "pyusb", "websocket": "websocket-client",
    "whisper": "openai-whisper", "yaml": "pyyaml", "zmq": "pyzmq",
}  # fmt: skip


class Packages:
    """What a target holds once an archive's requirements are installed there.

    Args:
        target: where the archive is to run.
        lines: the lines of its requirements file.
    """

    def __init__(self, target: Target, lines: Sequence[RequirementLine] = ()) -> None:
        self._target = target
        self._here = installed()
        #: Canonical name -> the marker of a line of the requirements file, which does not hold there.
        self.excluded: dict[str, str] = {
            canonicalize_name(line.requirement.name): str(line.requirement.marker)
            for line in lines
            if line.requirement is not None and not _holds(line, target.python)
        }
        asked = [line.requirement for line in lines if line.requirement is not None and _holds(line, target.python)]
        #: The distributions that the requirements file names.
        self.declared = frozenset(canonicalize_name(one.name) for one in asked)
        environment = self._environment
        if environment is not None:
            base, is_whole = set(environment.packages), True
        elif not target.installs:  # its pins are all that it holds
            base, is_whole = set(target.pins), True
        else:
            base = _with_needed(target.pins, self._here)
            is_whole = all(target.pins.values()) and base <= target.pins.keys()  # as pip freeze writes it
        #: The canonical names of all that are there.
        self.names = frozenset(self.declared | base | closure(asked, self._here).keys())
        nameless = any(line.requirement is None and not line.is_option for line in lines)
        unknown: list[str] = [name for name in self.declared if name not in self._here and name not in target.pins]
        if not is_whole:
            unknown += [name for name in target.pins if name not in self._here and name not in _LEAVES]
        #: Distributions there of which nothing here tells what they need.
        self.unknown = tuple(sorted(unknown)) + (("a requirement that names no distribution",) if nameless else ())

    def verdict(self, module: str) -> Verdict:
        """Whether a module, by its absolute name, can be imported, as far as its first part tells."""
        top = module.partition(".")[0]
        if top in standard_library.modules(self._target.python):
            return "there"
        if self.names.intersection(self._guessed(module)) or self.names.intersection(self._bringing_here(module)):
            return "there"
        is_shared = "." in module and len(self._brought.get(top, ())) > 1  # a folder such as google, or nvidia
        environment = self._environment
        if environment is not None and top in environment.modules() and not is_shared:
            return "there"
        if top == "distutils" and "setuptools" in self.names:  # brings one of its own
            return "there"
        here = self.installed(module)
        if (here is not None and here.is_editable) or top in standard_library.EVERY:
            return "missing"  # what no requirement brings
        if any(_alike(top, name) for name in self.unknown):
            return "there"
        return "unsure" if self.unknown else "missing"

    def bringing(self, module: str) -> list[str]:
        """The canonical names of distributions that bring a module, the likeliest first."""
        return list(dict.fromkeys([*self._bringing_here(module), *self._guessed(module)]))

    def knows(self, module: str) -> bool:
        """Whether it is known which distribution brings a module."""
        return bool(self._bringing_here(module)) or module.partition(".")[0] in _BROUGHT_BY

    def installed(self, module: str) -> Distribution | None:
        """The distribution that brings a module here, None if none does."""
        found = self._bringing_here(module)
        return self._here[found[0]] if found else None

    def requirement(self, module: str) -> str:
        """The line of a requirements file that would bring the module: with the version installed here, if that runs
        on the target's Python; "" if no distribution is known."""
        if (one := self.installed(module)) is not None:
            return f"{one.name}=={one.version.partition('+')[0]}" if self.runs(one) else one.name
        top = module.partition(".")[0]
        return (_BROUGHT_BY.get(module) or _BROUGHT_BY.get(top, "")).partition(" ")[0]

    def runs(self, one: Distribution) -> bool:
        """Whether the version that is installed here is for the target's Python too."""
        return one.runs_on(self._target.python)

    @cached_property
    def _environment(self) -> Environment | None:
        """What the target holds, if that is not said by its pins, and is built already."""
        return self._target.built() if self._target.installs else None

    @cached_property
    def _brought(self) -> Mapping[str, list[str]]:
        """Top-level module -> the distributions that bring it here."""
        found: dict[str, list[str]] = {}
        for one in self._here.values():
            for module in one.modules:
                found.setdefault(module, []).append(one.name)
        return found

    def _guessed(self, module: str) -> list[str]:
        """The distributions that bring a module by their names."""
        top = module.partition(".")[0]
        names = (_BROUGHT_BY.get(module) or _BROUGHT_BY.get(top, top)).split()
        dashed = module.replace(".", "-")  # google.protobuf and google-cloud-storage share a folder
        prefixes = [dashed.rsplit("-", count)[0] for count in range(dashed.count("-"))]
        return [canonicalize_name(name) for name in (*names, *prefixes)]

    def _bringing_here(self, module: str) -> list[str]:
        names = self._brought.get(module.partition(".")[0], [])
        if len(names) < 2 or "." not in module:
            return names
        path = module.replace(".", "/")  # in a folder that several share
        return [
            name for name in names if any(file.startswith((f"{path}/", f"{path}.")) for file in self._here[name].files)
        ]


#: Distributions of the official images that bring nothing with them.
_LEAVES = {
    "torchaudio", "ninja", "cython", "pynvml", "wheel", "setuptools", "psutil", "pillow", "numpy", "pyyaml",
    "packaging", "torch-workflow-archiver", "torch-model-archiver", "torchserve",
}  # fmt: skip


def _with_needed(names: Iterable[str], here: Mapping[str, Distribution]) -> set[str]:
    """These distributions, and what they need by their metadata here."""
    return {*names, *closure([Requirement(name) for name in names], here)}


def _alike(module: str, distribution: str) -> bool:
    """Whether one's name is part of the other's: fasttext and fasttext-wheel."""
    one, other = (name.lower().replace("-", "").replace("_", "") for name in (module, distribution))
    return len(one) > 2 and (one in other or (len(other) > 2 and other in one))


def _holds(line: RequirementLine, python: tuple[int, int]) -> bool:
    """Whether pip would install the line with that Python."""
    marker = line.requirement.marker if line.requirement else None
    return marker is None or marker.evaluate(dict(markers_environment(python)))
