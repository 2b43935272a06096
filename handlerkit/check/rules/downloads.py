"""What the code downloads, by name: a container without a network has none of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from handlerkit.check.code.program import Program
from handlerkit.check.code.source import SourceFile, argument, keyword, text_of
from handlerkit.check.code.values import default_of, place_of
from handlerkit.check.rules.effects import after, listed, shown, when
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding
from handlerkit.targets import Target

_WITHOUT = "Without a network, as in many deployments"
_URL = re.compile(r"https?://[^\s/]+|[sg]s3?://|gs://", re.IGNORECASE)
#: Detectors and segmenters of torchvision that fetch a backbone, unless they are told not to.
_WITH_BACKBONE = re.compile(
    r"(fasterrcnn|maskrcnn|keypointrcnn|retinanet|fcos|ssd|ssdlite|deeplabv3|fcn|lraspp)\w*_(resnet|mobilenet|vgg)\w*"
)


def downloads(subject: Subject, target: Target) -> Iterator[Finding]:
    """Models and files that are fetched from a hub or a URL."""
    program = subject.program(target.python)
    reported: set[tuple[str, str]] = set()
    for source, node in program.nodes(ast.Call):
        what = _fetched(subject, program, source, node)
        if what is None or (source.file, what) in reported:
            continue
        if source.tried(node, ("OSError",)) or program.asked(source, node):
            continue
        reported.add((source.file, what))
        message = f"`{shown(node)}` fetches {what} from the network, unless a cache there has {_them(what)}."
        is_sure = not source.conditional(node)
        effect = after(_WITHOUT, when(program, source, node) if is_sure else "It fails where this line runs.")
        fix = 'Save it to files, archive them (extra_files), and load them from properties.get("model_dir").'
        yield Finding("download", message, source.place(node), effect, fix, "warning")


def _them(what: str) -> str:
    return "them" if what.startswith(("the models ", "the weights ")) else "it"


def pip_installs(subject: Subject, target: Target) -> Iterator[Finding]:
    """Distributions that the code has pip install while it runs."""
    program = subject.program(target.python)
    for source, node, words in program.pip_calls:
        if source.tried(node, ("OSError", "CalledProcessError")) or program.asked(source, node):
            continue
        behind = words[words.index("install") + 1 :]
        named = [word for word in behind if re.match(r"[A-Za-z]", word)]
        when_it_runs = "while it loads" if program.loading(source, node) else "while a request waits"
        message = f"pip installs {listed(named) or 'what the code names'} {when_it_runs}, from the network."
        effect = f"{_WITHOUT}: pip fails, and what it was to install is not there. Each worker installs it again."
        fix = "Name it in the requirements file (--requirements-file), for which TorchServe runs pip at registration."
        yield Finding("download", message, source.place(node), effect, fix, "warning")


def _fetched(subject: Subject, program: Program, source: SourceFile, node: ast.Call) -> str | None:
    """What a call fetches; None for one that fetches nothing, as far as its text says."""
    name = source.name(node.func)
    last = name.rpartition(".")[2] or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
    if (rule := _BY_NAME.get(name) or _BY_LAST.get(last)) is not None:
        return rule(subject, source, node)
    if name.startswith("torchvision.models."):
        return _of_torchvision(last, node)
    if last in ("get_model", "get_labels_and_model") and ast.unparse(node.func).startswith(_pipelines(source)):
        return f"the weights of {ast.unparse(node.func).split('.')[-2]}"
    if name in _GETTERS and program.loading(source, node):
        url = text_of(argument(node, 0, "url"))
        return repr(url) if url and _URL.match(url) else None
    return None


def _hub_name(subject: Subject, source: SourceFile, node: ast.Call) -> str | None:
    """The name of a model of the hub: a text that is no folder of the archive."""
    given = argument(node, 0, "pretrained_model_name_or_path") or keyword(node, "model") or keyword(node, "repo_id")
    return _named(subject, source, given)


def _pipelines(source: SourceFile) -> tuple[str, ...]:
    """How a file names torchaudio.pipelines."""
    names = [name for name, meant in source.aliases.items() if meant == "torchaudio.pipelines"]
    return ("torchaudio.pipelines.", *(f"{name}." for name in names))


def _dataset(subject: Subject, source: SourceFile, node: ast.Call) -> str | None:
    """The name of a data set of the hub; names of formats read local files."""
    found = _named(subject, source, argument(node, 0, "path"))
    return None if found is None or found.strip("'") in _FORMATS else f"the data set {found}"


_FORMATS = {"csv", "json", "parquet", "text", "arrow", "pandas", "imagefolder", "audiofolder", "webdataset", "xml"}


def _encoding(subject: Subject, source: SourceFile, node: ast.Call) -> str | None:
    if b"TIKTOKEN_CACHE_DIR" in source.text:
        return None
    return f"the encoding {text_of(argument(node, 0, 'encoding_name')) or 'that is named'}"


def _named(subject: Subject, source: SourceFile, node: ast.expr | None) -> str | None:
    if node is None:
        return None
    if (value := default_of(source, node)) is not None:
        node = value
    place = place_of(source, node)
    if place is None or place.root != "cwd" or not place.text or place.text.startswith("."):
        return None
    held = place.text in subject.sizes or any(file.startswith(f"{place.text}/") for file in subject.sizes)
    return None if held else repr(place.text)


def _first(*names: str) -> Callable[[Subject, SourceFile, ast.Call], str | None]:
    """What the first argument names, or one of these keywords."""

    def fetched(subject: Subject, source: SourceFile, node: ast.Call) -> str | None:
        given = node.args[0] if node.args else next((one.value for one in node.keywords if one.arg in names), None)
        return _named(subject, source, given)

    return fetched


def _url(subject: Subject, source: SourceFile, node: ast.Call) -> str | None:
    place = place_of(source, node.args[0] if node.args else keyword(node, "url"))
    return repr(place.text) if place is not None and _URL.match(place.text) else "what a URL names"


def _torch_hub(subject: Subject, source: SourceFile, node: ast.Call) -> str | None:
    if text_of(keyword(node, "source")) == "local":
        return None
    return repr(text_of(argument(node, 0, "repo_or_dir")) or "a model")


def _pipeline(subject: Subject, source: SourceFile, node: ast.Call) -> str | None:
    model = argument(node, 1, "model")
    if model is None:
        task = text_of(argument(node, 0, "task"))
        return f"the default model for {task!r}" if task else None
    return _named(subject, source, model)


def _pretrained(subject: Subject, source: SourceFile, node: ast.Call) -> str | None:
    given = keyword(node, "pretrained")
    named = text_of(given)
    if isinstance(given, ast.Constant) and given.value is True:
        return f"the weights of {text_of(argument(node, 0, 'model_name'))!r}"
    return _named(subject, source, given) if named else None


def _always(what: str) -> Callable[[Subject, SourceFile, ast.Call], str | None]:
    return lambda subject, source, node: what


def _of_torchvision(model: str, node: ast.Call) -> str | None:
    """The weights that a function of torchvision.models is asked for."""
    for name in ("weights", "pretrained"):
        given = keyword(node, name)
        if given is not None and not (isinstance(given, ast.Constant) and given.value in (None, False)):
            is_asked = isinstance(given, ast.Constant) and (given.value is True or isinstance(given.value, str))
            if is_asked or re.search(r"_Weights\b", ast.unparse(given)):
                return f"the weights of {_modelled(model, node)}"
    if _WITH_BACKBONE.fullmatch(model):
        backbone = keyword(node, "weights_backbone") or keyword(node, "pretrained_backbone")
        if backbone is None or not (isinstance(backbone, ast.Constant) and backbone.value in (None, False)):
            return f"the weights of {model}'s backbone (weights_backbone=None leaves them out)"
    return None


def _modelled(function: str, node: ast.Call) -> str:
    """The model's name, which torchvision.models.get_model is given."""
    return (text_of(argument(node, 0, "name")) or function) if function == "get_model" else function


#: Functions that fetch a URL; those of a handler's requests may be meant.
_GETTERS = {
    "requests.get", "requests.post", "requests.request", "urllib.request.urlopen", "httpx.get",
    "urllib.request.urlretrieve", "wget.download",
}  # fmt: skip
_BY_NAME = {
    "torch.hub.load": _torch_hub,
    "torch.hub.load_state_dict_from_url": _url,
    "torch.utils.model_zoo.load_url": _url,
    "torch.hub.download_url_to_file": _url,
    "nltk.download": _always("data of NLTK"),
    "transformers.pipeline": _pipeline,
    "timm.create_model": _pretrained,
    "open_clip.create_model": _pretrained,
    "open_clip.create_model_and_transforms": _pretrained,
    "clip.load": _first("name"),
    "whisper.load_model": _first("name"),
    "tensorflow_hub.load": _url,
    "gdown.download": _url,
    "datasets.load_dataset": _dataset,
    "tiktoken.get_encoding": _encoding,
    "tiktoken.encoding_for_model": _encoding,
    "easyocr.Reader": _always("the models of EasyOCR"),
    "spacy.cli.download": _always("a model of spaCy"),
}
_BY_LAST = {
    "load_state_dict_from_url": _url,
    "from_pretrained": _hub_name,
    "hf_hub_download": _hub_name,
    "snapshot_download": _hub_name,
    "SentenceTransformer": _first("model_name_or_path"),
    "CrossEncoder": _first("model_name"),
    "YOLO": _first("model"),
}

DOWNLOAD_RULES = (downloads, pip_installs)
