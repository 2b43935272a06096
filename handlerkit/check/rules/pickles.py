"""What unpickling weights imports: names that run something, that torch.load refuses, that are not there."""

from __future__ import annotations

from collections.abc import Iterator

from handlerkit.check.loading import Loading
from handlerkit.check.rules.effects import LOAD, listed
from handlerkit.check.subject import Subject
from handlerkit.check.there import There
from handlerkit.check.weights import Global, Weights
from handlerkit.check.weights.dangers import danger
from handlerkit.check.weights.operators import HIGH_PROTOCOL, WEIGHTS_ONLY_SINCE
from handlerkit.messages import Finding, Severity
from handlerkit.targets import Target
from handlerkit.why.findings.weights import SAVE_STATE_DICT

#: Modules that a distribution has only since a version.
_PARTS_SINCE = {"numpy._core": ("numpy", (1, 26))}
_VOCABULARY = "source_vocab.pt"  # what TorchServe's text_classifier loads beside the weights


def dangers(subject: Subject, target: Target) -> Iterator[Finding]:
    """What unpickling would run, whoever unpickles it."""
    own = subject.program(target.python).resolve
    for name, found in subject.weights.items():
        kinds = {one: danger(one) for one in _imported(found) if one.is_computed or own(one.module) is None}
        if runs := [str(one) for one, kind in kinds.items() if kind == "runs"]:
            message = f"Unpickling {name} calls {listed(runs)}: it runs what it wants, or reads what it names."
            fix = "Do not load it. Ask whoever made it for the weights alone: a state_dict, or safetensors."
            yield Finding("dangerous_pickle", message, "", "Whoever loads it runs it, with the worker's rights.", fix)
        elif unclear := [str(one) for one, kind in kinds.items() if kind is not None]:
            message = f"Unpickling {name} uses {listed(unclear)}, which can reach or carry any code."
            effect = "What it does is only known once it is loaded; byte code loads only in the Python that wrote it."
            fix = "Load it only if you know who made it; better, save values instead of functions."
            yield Finding("unclear_pickle", message, "", effect, fix, "warning")


def unread(subject: Subject, target: Target) -> Iterator[Finding]:
    """Pickles that cannot be read to their end."""
    for name, found in subject.weights.items():
        problem = found.problem or next((one.problem for one in found.pickles if one.problem), "")
        if not problem or found.kind == "cut short":
            continue
        is_named = name == subject.serialized_file
        if is_named or found.kind != "pickle" or _imported(found):
            message = f"{name} cannot be read to its end, so what it would import there is not known: {problem}."
            effect = "Loading it fails, or runs what nobody saw."
            yield Finding("unread_pickle", message, "", effect, "Save it again.", "error" if is_named else "warning")


def refused(subject: Subject, target: Target) -> Iterator[Finding]:
    """What torch.load(weights_only=True) does not let in."""
    if not _pickled(subject):
        return
    loading, there = Loading(subject, target), There(subject, target)
    torch = there.torch()
    if torch is None or loading.allows_more:
        return
    for name, found in _pickled(subject).items():
        if (where := _strict(name, subject, loading, there)) is None or _is_no_state_dict(
            name, found, subject, loading
        ):
            continue
        names = [one for pickle in found.pickles if not pickle.problem for one in torch.refuses(pickle)]
        if names:
            message = f"{name} holds {listed(list(dict.fromkeys(names)))}, and torch.load lets only tensors in "
            message += f"(weights_only=True, the default since torch 2.6; the target has torch {torch.version})."
            fix = SAVE_STATE_DICT if names != [HIGH_PROTOCOL] else "Save it without pickle_protocol."
            if where:
                fix += " If you made the file yourself: torch.load(..., weights_only=False)."
            yield Finding("weights_only", message, where, LOAD, fix)


def imports(subject: Subject, target: Target) -> Iterator[Finding]:
    """Names that a pickle imports and that are not there."""
    if not _pickled(subject):
        return
    loading, there = Loading(subject, target), There(subject, target)
    if loading.allows_more:
        return
    for name, found in _pickled(subject).items():
        if not _is_unpickled(name, subject, loading) or _is_no_state_dict(name, found, subject, loading):
            continue
        if _strict(name, subject, loading, there) is not None:
            continue
        missing: dict[str, list[str]] = {}
        causes: dict[str, tuple[str, str]] = {}
        for one in _imported(found):
            if danger(one) is None and (cause := _missing(one, subject, target, there)) is not None:
                missing.setdefault(one.module, []).append(str(one))
                causes.setdefault(one.module, cause)
        for module, names in missing.items():
            message, fix = causes[module]
            is_sure = name == subject.serialized_file or loading.names(name)
            yield Finding(
                "pickled_import", f"{name} was pickled with {listed(names)}. {message}", "", LOAD, fix,
                "error" if is_sure else "warning",
            )  # fmt: skip


def devices(subject: Subject, target: Target) -> Iterator[Finding]:
    """Tensors that lay on a GPU, and that torch.load puts there again unless it is told otherwise."""
    if target.name.endswith("-gpu"):
        return
    for load in Loading(subject, target).loads:
        found = subject.weights.get(load.file or "")
        if found is None or load.function != "torch.load" or load.has_device:
            continue
        if on := sorted({one for pickle in found.pickles for one in pickle.devices if one.partition(":")[0] in _GPUS}):
            message = f"The tensors in {load.file} lay on {listed(on)} when they were saved, and torch.load puts them "
            message += "there again."
            fix = 'Write torch.load(..., map_location="cpu"), or the device that the handler uses.'
            severity: Severity = "error" if target.name.endswith("-cpu") else "warning"
            yield Finding("saved_device", message, load.place, f"Without such a device: {LOAD}", fix, severity)


_GPUS = {"cuda", "mps", "xpu", "hpu", "npu"}


def scikit_learn(subject: Subject, target: Target) -> Iterator[Finding]:
    """Estimators are for the version that pickled them, says scikit-learn."""
    there = There(subject, target).version("scikit-learn") if _pickled(subject) else None
    for name, found in _pickled(subject).items():
        said = [
            pickle.versions["_sklearn_version"] for pickle in found.pickles if "_sklearn_version" in pickle.versions
        ]
        if said and there is not None and said[0].split(".")[:2] != [str(part) for part in there.release[:2]]:
            message = f"{name} was pickled with scikit-learn {said[0]}, and the target has {there}."
            effect = "It may fail to load, or answer otherwise; scikit-learn only warns."
            fix = f"Name scikit-learn=={said[0]} in the requirements file, or save it again."
            yield Finding("pickled_version", message, "", effect, fix, "warning")


def _pickled(subject: Subject) -> dict[str, Weights]:
    return {name: found for name, found in subject.weights.items() if found.pickles and found.kind != "cut short"}


def _imported(found: Weights) -> list[Global]:
    return list(dict.fromkeys(one for pickle in found.pickles for one in pickle.globals))


# --- who loads them ---------------------------------------------------------------------------------------------------


def _strict(name: str, subject: Subject, loading: Loading, there: There) -> str | None:
    """Where a file is loaded by a torch.load that lets only tensors in, "" for BaseHandler; None if it is not, or
    that is not known."""
    torch = there.version("torch")
    if loading.is_base and _is_base_file(name, subject):
        return "" if torch is not None and torch >= WEIGHTS_ONLY_SINCE else None
    calls = loading.torch_loads
    if name != subject.serialized_file and not loading.names(name):
        return None
    if not calls or loading.unpickles is not None or not all(call.is_strict(torch) for call in calls):
        return None
    return calls[0].place


def _is_unpickled(name: str, subject: Subject, loading: Loading) -> bool:
    """Whether something in the handler unpickles a file of this kind."""
    if loading.is_base and _is_base_file(name, subject):
        return True
    return loading.unpickles is not None or bool(loading.torch_loads)


def _is_no_state_dict(name: str, found: Weights, subject: Subject, loading: Loading) -> bool:
    """Whether BaseHandler would not take it, however torch.load reads it; rules/weights.py says so."""
    return loading.is_base and name == subject.serialized_file and found.whole is not None


def _is_base_file(name: str, subject: Subject) -> bool:
    """Whether TorchServe's own code gives the file to torch.load."""
    if name == subject.serialized_file:
        return subject.model_file is not None
    return name == _VOCABULARY and subject.default_handler == "text_classifier"


# --- what is there ----------------------------------------------------------------------------------------------------


def _missing(one: Global, subject: Subject, target: Target, there: There) -> tuple[str, str] | None:
    """What is wrong with importing a name in a worker, and what to change."""
    top, first = one.module.partition(".")[0], one.name.partition(".")[0]
    if one.is_computed:
        return None
    if top == "__main__":
        message = "__main__ is where it was defined: a notebook, or a script. In a worker __main__ is TorchServe's."
        fix = f"Define {first} in a file that travels (--model-file, --extra-files), import it from there, and save "
        return message, fix + "again; or save model.state_dict()."
    if (files := subject.program(target.python).resolve(one.module)) is not None:
        held = [file for module, file in files if module == one.module]
        source = subject.source(held[0]) if held else None
        if source is None or source.problem is not None or source.is_open or first in source.names:
            return None
        return f"{held[0]} in the archive has no {first}.", f"Archive the version of {held[0]} that has it."
    if there.packages.verdict(one.module) == "missing":
        requirement = there.packages.requirement(one.module)
        message = f"{top} is not in the archive, its requirements or the target {target.name}."
        travel = f"Put {top}.py into the archive (--extra-files)."
        return message, f"Add {requirement} to the requirements file." if requirement else travel
    return _missing_part(one, there, target.python)


def _missing_part(one: Global, there: There, python: tuple[int, int]) -> tuple[str, str] | None:
    """A module inside a package that is there in another version."""
    if one.module == "pathlib._local" and python != (3, 13):
        message = f"pathlib._local is in Python 3.13 alone, and the target has {'.'.join(map(str, python))}."
        return message, "Save paths as texts."
    for part, (name, since) in _PARTS_SINCE.items():
        version = there.version(name)
        if f"{one.module}.".startswith(f"{part}.") and version is not None and version.release[:2] < since:
            message = f"{part} is not in {name} {version}, which the target has."
            return message, f"Save it with {name} {version}, or save a state_dict of tensors."
    names = there.packages.bringing(one.module)
    site = there.site(names[0]) if names else None
    if site is None or not (site / one.module.partition(".")[0]).is_dir():
        return None
    place = site / one.module.replace(".", "/")
    if place.is_dir() or any(place.parent.glob(f"{place.name}.*")):
        return None
    version = there.version(names[0])
    message = f"{names[0]} {version}, which the target has, holds no module {one.module}."
    fix = f"Save it with {names[0]} {version}, or name the version that wrote it in the requirements file."
    return message, fix


#: In the order in which they are asked.
PICKLE_RULES = (dangers, unread, refused, imports, devices, scikit_learn)
