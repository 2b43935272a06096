"""Files that the code reads and the archive does not hold: absolute paths, home folders, what was left out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from handlerkit.check.code.program import Program
from handlerkit.check.code.source import SourceFile, argument, dotted, text_of
from handlerkit.check.code.values import RootedPath, place_of
from handlerkit.check.rules.effects import after, shown, when
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding, Severity
from handlerkit.serving import torchserve_facts as facts
from handlerkit.targets import Target

#: Functions that read the file they are given -> the argument, by its position and name.
_READERS = {
    "open": (0, "file"), "io.open": (0, "file"), "codecs.open": (0, "filename"), "gzip.open": (0, "filename"),
    "PIL.Image.open": (0, "fp"), "PIL.ImageFont.truetype": (0, "font"), "cv2.CascadeClassifier": (0, "filename"),
    "cv2.dnn.readNet": (0, "model"), "cv2.dnn.readNetFromONNX": (0, "onnxFile"), "cv2.imread": (0, "filename"),
    "fasttext.load_model": (0, "path"), "h5py.File": (0, "name"), "joblib.load": (0, "filename"),
    "lightgbm.Booster": (9, "model_file"), "numpy.fromfile": (0, "file"), "numpy.genfromtxt": (0, "fname"),
    "numpy.load": (0, "file"), "numpy.loadtxt": (0, "fname"), "numpy.memmap": (0, "filename"), "onnx.load": (0, "f"),
    "onnxruntime.InferenceSession": (0, "path_or_bytes"), "os.listdir": (0, "path"), "os.scandir": (0, "path"),
    "pandas.read_csv": (0, "filepath_or_buffer"), "pandas.read_excel": (0, "io"), "pandas.read_feather": (0, "path"),
    "pandas.read_json": (0, "path_or_buf"), "pandas.read_parquet": (0, "path"),
    "pandas.read_pickle": (0, "filepath_or_buffer"), "safetensors.safe_open": (0, "filename"),
    "safetensors.torch.load_file": (0, "filename"), "sentencepiece.SentencePieceProcessor": (0, "model_file"),
    "tarfile.open": (0, "name"), "tokenizers.Tokenizer.from_file": (0, "path"), "torch.jit.load": (0, "f"),
    "torch.load": (0, "f"), "torch.package.PackageImporter": (0, "file_or_buffer"), "zipfile.ZipFile": (0, "file"),
}  # fmt: skip
#: Functions that make the file or folder they are given -> the argument.
_MAKING = {
    "os.makedirs": (0, "name"), "os.mkdir": (0, "path"), "logging.FileHandler": (0, "filename"),
    "logging.handlers.RotatingFileHandler": (0, "filename"), "sqlite3.connect": (0, "database"),
    "logging.handlers.TimedRotatingFileHandler": (0, "filename"), "logging.basicConfig": (9, "filename"),
    "torch.save": (1, "f"), "numpy.save": (0, "file"), "shutil.copy": (1, "dst"), "shutil.copytree": (1, "dst"),
}  # fmt: skip
#: Where everybody may write, and TorchServe's own folder in its images.
_WRITABLE = re.compile(r"/(tmp|var/tmp|dev|proc|home/model-server|opt/ml)(/|$)|[A-Za-z]:")
#: Methods of a Path that read it.
_PATH_READERS = {"read_text", "read_bytes"}
#: What asks whether a file is there, and what makes files.
_ASKERS = {"exists", "isfile", "isdir", "is_file", "is_dir", "access", "stat", "glob"}
_MAKERS = {
    "extractall", "extract", "unpack_archive", "urlretrieve", "snapshot_download", "hf_hub_download", "system", "run",
    "check_call", "check_output", "Popen", "copy", "copyfile", "copytree", "move", "rename", "replace", "symlink",
    "download", "download_file", "cached_download", "load_state_dict_from_url", "download_url_to_file", "write_text",
    "write_bytes", "save", "savez", "dump", "getstatusoutput", "call", "hard_link", "link",
}  # fmt: skip
#: Functions that read nothing.
_PLAIN = {"str", "repr", "print", "len", "setattr", "RuntimeError", "ValueError", "FileNotFoundError", "Exception"}
#: Methods that make no file, whatever they are given.
_NO_MAKERS = {
    *_ASKERS, "debug", "info", "warning", "error", "exception", "log", "format", "append", "join", "joinpath", "get",
    "pop", "startswith", "endswith", "split", "strip", "count", "index", "isinstance", "listdir", "scandir",
    "load_label_mapping",
}  # fmt: skip
#: Functions that read a file, as their names say.
_READING = re.compile(r"^(load|read)(_file)?$|from_file|from_\w*json|from_path", re.IGNORECASE)
#: Functions that make no file, as their names say.
_TAKING = re.compile(r"^(load|read|parse|from)(_|$)")
_READING_CLASS = re.compile(r"^from_pretrained$|(Tokenizer|Vocab|Vocabulary|Reader|Loader|Interpreter|Session)$")
#: Folders that a container has, and those of a person's machine.
_OF_SYSTEM = re.compile(r"/(tmp|var/tmp|dev|proc|sys|etc|home/model-server|opt/ml|run)(/|$)|/$")
_PERSONAL = re.compile(
    r"/(home|Users|root|content|kaggle|mnt|media|Volumes|workspace|gpfs|scratch)/[\w.~-]+|[A-Za-z]:[\\/]\w|~[\w-]*/[\w.]"
)
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]")
#: Names of variables, arguments and keys that hold paths, and functions that take them.
_PATH_NAME = re.compile(r"path|dir$|dir_|folder|file|root|weights|checkpoint|ckpt|vocab|models?$|data$", re.IGNORECASE)
_PATH_TAKER = re.compile(
    r"(^|\.)(open|Path|join|expanduser|abspath|load\w*|read\w*|from_\w+)$|sys\.path\.|^(os|shutil|glob|pathlib)\."
)
_LISTING = re.compile(r"\b(listdir|scandir|iterdir|glob|rglob|walk)\(")
#: What reads and sets environment variables.
_SETTERS = {"os.getenv", "os.environ.get", "os.environ.setdefault", "os.environ.update", "os.environ.pop", "os.putenv"}


class _FileRead(NamedTuple):
    """A call that reads a file, for sure or as it seems, and the file that it reads as far as that is known."""

    source: SourceFile
    node: ast.Call
    place: RootedPath
    is_sure: bool = True


def absolute_paths(subject: Subject, target: Target) -> Iterator[Finding]:
    """Paths of a person's machine, and files that are read outside the archive."""
    program = subject.program(target.python)
    asked = _asked_for(program)
    seen: dict[str, tuple[SourceFile, ast.expr]] = {}
    for reading in _readings(program):
        if reading.place.root == "absolute" and not _OF_SYSTEM.match(reading.place.text):
            seen.setdefault(reading.place.text, (reading.source, reading.node))
    read = set(seen)
    made = {place.text for _, _, place, _ in _makings(program)}
    for source, constant in program.nodes(ast.Constant):
        text = text_of(constant)
        if text is None or "\n" in text or not _PERSONAL.match(text) or _OF_SYSTEM.match(text):
            continue
        if _names_file(source, constant, text) and not _is_setting(source, constant):
            seen.setdefault(text, (source, constant))
    for text, (source, node) in seen.items():
        if text in asked | made or source.tried(node, ("FileNotFoundError", "OSError")):
            continue
        name = re.split(r"[\\/]", text.rstrip("\\/"))[-1]
        message = f"{text!r} lies outside the archive: on another machine it is not there."
        effect = when(program, source, node) if text in read else "Whatever opens it fails."
        fix = f"Put {name} into the archive (extra_files), and open it in model_dir: "
        if name in subject.sizes:
            fix = f"{name} is in the archive: open it in model_dir, "
        fix += f'os.path.join(properties.get("model_dir"), {name!r}).'
        yield Finding("absolute_path", message, source.place(node), effect, fix, "warning")


def foreign_folders(subject: Subject, target: Target) -> Iterator[Finding]:
    """Folders and files that the code makes where the user of TorchServe's images may not write."""
    program = subject.program(target.python)
    reported: set[str] = set()
    for source, node, place, _ in _makings(program):
        if source.tried(node, ("OSError", "PermissionError")) or any(place.text.startswith(one) for one in reported):
            continue
        reported.add(place.text)
        message = f"`{shown(node)}` makes {place.text!r}, outside the model's folder."
        effect = after(
            "TorchServe's images run as the user model-server, who may not write there", when(program, source, node)
        )
        fix = 'Write into a temporary folder (tempfile), or into properties.get("model_dir").'
        yield Finding("foreign_folder", message, source.place(node), effect, fix, "warning")


def outer_folders(subject: Subject, target: Target) -> Iterator[Finding]:
    """Files beside or above model_dir, as `../data` is."""
    program = subject.program(target.python)
    asked = _asked_for(program)
    for source, node, place, _ in _readings(program):
        leads_out = place.root in ("model_dir", "cwd") and place.in_archive is None
        if not leads_out or place.text in asked or source.tried(node, ("FileNotFoundError", "OSError")):
            continue
        name = place.text.rpartition("/")[2]
        message = f"{place.text!r} leads out of model_dir, where TorchServe has put nothing."
        fix = f"Open {name} in model_dir, where extra_files puts it."
        yield Finding("outer_path", message, source.place(node), when(program, source, node), fix)


def home_folders(subject: Subject, target: Target) -> Iterator[Finding]:
    """The home folder, which is another one in a container."""
    program = subject.program(target.python)
    for source, node in program.nodes(ast.Call, ast.Subscript):
        if not _asks_for_home(source, node) or _is_setting(source, node):
            continue
        if source.tried(node, ("KeyError", "RuntimeError", "OSError")):
            continue
        message = f"`{shown(node)}` is the home folder of whoever runs TorchServe (/home/model-server in its images)."
        effect = "What you have in yours is not there."
        fix = 'Put the file into the archive (extra_files), and open it in properties.get("model_dir").'
        yield Finding("home_folder", message, source.place(node), effect, fix, "warning")


def missing_files(subject: Subject, target: Target) -> Iterator[Finding]:
    """Files in model_dir that are read, and that the archive does not hold."""
    program = subject.program(target.python)
    if any(_method(node) in _MAKERS for _, node in program.nodes(ast.Call)):
        return  # they may be made there
    asked, written = _asked_for(program), _written(program)
    moves = any(source.name(node.func) == "os.chdir" for source, node in program.nodes(ast.Call))
    reported: set[str] = set()
    for reading in (*_readings(program), *_given(program)):
        source, node, place, is_sure = reading
        name = place.in_archive
        if not name or name in reported | written or _is_held(name, subject) or (moves and place.root == "cwd"):
            continue
        if place.text in asked or source.tried(node, ("FileNotFoundError", "OSError")) or program.asked(source, node):
            continue
        reported.add(name)
        severity: Severity = "error" if is_sure and not source.conditional(node) else "warning"
        base = name.rpartition("/")[2]
        message = f"{name} is {'read' if is_sure else 'given to a function'}, and is not in the archive"
        fix = f"Put {base} into the archive (extra_files)."
        if base in subject.sizes:
            message += f", whose root holds {base}"
            fix = f"Open {base}: extra_files puts the contents of a folder into the root."
        yield Finding("missing_file", f"{message}.", source.place(node), when(program, source, node), fix, severity)


def manifest_keys(subject: Subject, target: Target) -> Iterator[Finding]:
    """Files that the code takes from the manifest, which names none."""
    program = subject.program(target.python)
    options = {"serializedFile": "--serialized-file", "modelFile": "--model-file"}
    for source, node in program.nodes(ast.Subscript):
        key = text_of(node.slice)
        if key not in options or subject.said.get(key) or not isinstance(node.ctx, ast.Load):
            continue
        asks = {text_of(part) for outer in source.around(node) if isinstance(outer, ast.If | ast.IfExp)
                for part in ast.walk(outer.test)}  # fmt: skip
        if "manifest" not in ast.unparse(node.value) and text_of(getattr(node.value, "slice", None)) != "model":
            continue
        if key in asks or source.tried(node, ("KeyError",)):
            continue
        message = f"The manifest names no {key}, which `{shown(node)}` asks for: a KeyError."
        fix = f"Name the file ({options[key]}), or ask with .get({key!r})."
        yield Finding("missing_file", message, source.place(node), when(program, source, node), fix)


def vocabulary(subject: Subject, target: Target) -> Iterator[Finding]:
    """What TorchServe's text_classifier reads beside the weights."""
    if subject.default_handler == "text_classifier" and not _is_held("source_vocab.pt", subject):
        message = "text_classifier reads source_vocab.pt, which is not in the archive."
        effect = "The handler does not load: Missing the source_vocab file."
        yield Finding("missing_file", message, "", effect, "Put source_vocab.pt into the archive (extra_files).")


# --- what is read -----------------------------------------------------------------------------------------------------


def _readings(program: Program) -> Iterator[_FileRead]:
    for source, node in program.nodes(ast.Call):
        path: ast.expr | None = None
        name, method = source.name(node.func), _method(node)
        if name in _READERS:
            if method == "open" and not _reads(node, 1):
                continue
            path = argument(node, *_READERS[name])
        elif isinstance(node.func, ast.Attribute) and method in _PATH_READERS:
            path = node.func.value
        elif isinstance(node.func, ast.Attribute) and method == "open" and _is_path(source, node.func.value):
            path = node.func.value if _reads(node, 0) else None
        elif method == "from_pretrained" and node.args:
            path = node.args[0]
        place = place_of(source, path)
        if place is None or (method == "from_pretrained" and place.root != "model_dir"):  # else a name of the hub
            continue
        yield _FileRead(source, node, place)


def _given(program: Program) -> Iterator[_FileRead]:
    """Calls of functions that are not looked into, and that read a file as their names say."""
    for source, node, place in _handed(program):
        is_class = place.root == "model_dir" and _READING_CLASS.search(_method(node))
        if (is_class or _READING.search(_method(node))) and re.search(r"\w\.\w+$", place.text):
            yield _FileRead(source, node, place, is_sure=False)


def _handed(program: Program) -> Iterator[tuple[SourceFile, ast.Call, RootedPath]]:
    """Calls of functions that may do anything with a path in model_dir that they are given."""
    for source, node in program.nodes(ast.Call):
        name, method = source.name(node.func), _method(node)
        is_known = name in _READERS and not (method == "open" and not _reads(node, 1))
        if is_known or name in _PLAIN or name.startswith(("os.path.", "pathlib.")) or method in _NO_MAKERS:
            continue
        for given in (*node.args, *(one.value for one in node.keywords)):
            place = place_of(source, given)
            if place is not None and place.in_archive and "://" not in place.text:
                yield source, node, place


def _makings(program: Program) -> Iterator[_FileRead]:
    """Calls that make a file or a folder at an absolute path that is not everybody's."""
    for source, node in program.nodes(ast.Call):
        name, method = source.name(node.func), _method(node)
        path: ast.expr | None = None
        if name in _MAKING:
            path = argument(node, *_MAKING[name])
        elif name in ("open", "io.open") and not _reads(node, 1) and text_of(argument(node, 1, "mode")):
            path = argument(node, 0, "file")
        elif method in ("mkdir", "touch", "write_text", "write_bytes") and isinstance(node.func, ast.Attribute):
            path = node.func.value
        place = place_of(source, path)
        if place is not None and place.root == "absolute" and not _WRITABLE.match(place.text):
            yield _FileRead(source, node, place)


def _is_path(source: SourceFile, node: ast.expr) -> bool:
    """Whether an expression is a pathlib.Path, as far as its text says; zip files have an open() too."""
    place = place_of(source, node)
    return place is not None and not isinstance(node, ast.Constant)


def _reads(node: ast.Call, position: int) -> bool:
    """Whether the mode that a call of open() names is one of reading."""
    mode = argument(node, position, "mode")
    text = "r" if mode is None else text_of(mode)
    return text is not None and not set(text) & set("wax+")


def _written(program: Program) -> set[str]:
    """The files that some call makes, or may make: it is given the name, and is not known to read."""
    return {
        place.in_archive or ""
        for _, node, place in _handed(program)
        if not any(one.search(_method(node)) for one in (_READING, _READING_CLASS, _TAKING))
    }


def _asked_for(program: Program) -> set[str]:
    """The paths of which the code asks whether they are there: by a function, or in a listing of a folder."""
    found = set()
    for source, node in program.nodes(ast.expr):
        asked: list[ast.expr] = []
        if isinstance(node, ast.Call) and _method(node) in _ASKERS:
            asked = [*node.args[:1], *([node.func.value] if isinstance(node.func, ast.Attribute) else [])]
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            is_place = isinstance(node.left, ast.Name) or text_of(node.left) is not None
            listing = (node.comparators[0], *program.meant(node.comparators[0])) if is_place else ()
            asked = [node.left] if any(_LISTING.search(ast.unparse(one)) for one in listing) else []
        for one in asked:
            if (place := place_of(source, one)) is not None:
                found.add(place.text)
            elif isinstance(one, ast.Name) and (looped := source.looped(one)) is not None:
                found |= {
                    text
                    for value in (looped, *program.meant(looped))
                    for part in ast.walk(value)
                    if (text := text_of(part))
                }
    return found


def _is_held(name: str, subject: Subject) -> bool:
    return (
        name in subject.sizes
        or name.split("/")[0] == facts.ARCHIVE_FOLDER
        or any(file.startswith(f"{name}/") for file in subject.sizes)
    )


def _method(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else dotted(node.func)


# --- what is written down ---------------------------------------------------------------------------------------------


def _names_file(source: SourceFile, node: ast.Constant, text: str) -> bool:
    """Whether a text that looks like a path is one: by its own form, by the function that it is given to, or by the
    name that it is given to. Routes and patterns are none."""
    if re.search(r"\w\.\w{1,11}$", text) or text.startswith("~") or _WINDOWS.match(text):
        return not isinstance(source.parents.get(node), ast.Expr)
    inner: ast.AST = node
    for outer in source.around(node):
        if isinstance(outer, ast.keyword):
            return outer.arg is not None and _PATH_NAME.search(outer.arg) is not None
        if isinstance(outer, ast.Call) and inner is not outer.func:
            return _PATH_TAKER.search(dotted(outer.func)) is not None
        if isinstance(outer, ast.Dict):
            keys = [text_of(key) or "" for key, value in zip(outer.keys, outer.values, strict=True) if value is inner]
            return any(_PATH_NAME.search(key) for key in keys)
        if isinstance(outer, ast.Assign | ast.AnnAssign):
            targets = outer.targets if isinstance(outer, ast.Assign) else [outer.target]
            return any(_PATH_NAME.search(dotted(one).rpartition(".")[2]) for one in targets)
        if not isinstance(outer, ast.BinOp | ast.JoinedStr | ast.IfExp | ast.BoolOp):
            return False
        inner = outer
    return False


def _is_setting(source: SourceFile, node: ast.AST) -> bool:
    """Whether a path is where something may be kept: the value or the default of an environment variable, a cache."""
    if isinstance(source.parents.get(node), ast.Compare):
        return True
    for outer in source.around(node):
        if isinstance(outer, ast.keyword) and "cache" in (outer.arg or ""):
            return True
        if isinstance(outer, ast.Call) and source.name(outer.func) in _SETTERS:
            return True
        if isinstance(outer, ast.Assign) and any(_is_environ(source, one) for one in outer.targets):
            return True
        if isinstance(outer, ast.stmt):
            return False
    return False


def _is_environ(source: SourceFile, node: ast.expr) -> bool:
    return isinstance(node, ast.Subscript) and source.name(node.value) == "os.environ"


def _asks_for_home(source: SourceFile, node: ast.expr) -> bool:
    if isinstance(node, ast.Subscript):
        return source.name(node.value) == "os.environ" and text_of(node.slice) in ("HOME", "USERPROFILE")
    if not isinstance(node, ast.Call):
        return False
    name = source.name(node.func)
    if name in ("os.environ.get", "os.getenv"):
        return bool(node.args) and text_of(node.args[0]) in ("HOME", "USERPROFILE") and len(node.args) == 1
    if name == "pathlib.Path.home":
        return True
    return name == "os.path.expanduser" and bool(node.args) and (text_of(node.args[0]) or "") in ("~", "~/")


PATH_RULES = (absolute_paths, foreign_folders, outer_folders, home_folders, missing_files, manifest_keys, vocabulary)
