"""Operators that TorchScript names, and programs that a newer torch exported."""

from __future__ import annotations

from collections.abc import Iterator

from handlerkit.check.loading import Loading
from handlerkit.check.rules.effects import LOAD, listed
from handlerkit.check.subject import Subject
from handlerkit.check.there import There, public
from handlerkit.check.weights.operators import NEWEST, OLDEST, own_namespace
from handlerkit.messages import Finding
from handlerkit.targets import Target

#: TorchServe's own handlers that import torchvision.
_IMPORT_TORCHVISION = {"image_classifier", "image_segmenter", "object_detector", "densenet_handler"}


def operators(subject: Subject, target: Target) -> Iterator[Finding]:
    """Operators that the target's torch does not know: a file that names one does not load, used or not."""
    scripts = {name: found.script for name, found in subject.weights.items() if found.script is not None}
    if not scripts or (torch := There(subject, target).torch()) is None:
        return
    for name, script in scripts.items():
        there = f"torch {torch.version}"
        if unknown := [one for one in script.operators if torch.lacks(one)]:
            message = f"{name} names {listed(unknown)}, which {there} does not know (in its "
            message += f"{min(script.operators[unknown[0]])})."
            yield Finding("unknown_operator", message, "", LOAD, _save_for(unknown, there))
        elif more := [one for one, count in script.arguments.items() if count > torch.takes(one)]:
            message = f"{name} calls {listed(more)} with more arguments than {there} takes."
            yield Finding("unknown_operator", message, "", LOAD, _save_for(more, there))
        elif unsure := [one for one in script.operators if torch.may_lack(one)]:
            message = f"{name} names {listed(unsure)}, which torch {NEWEST} knows and torch {OLDEST} does not; whether "
            message += f"{there} does is not certain as long as the target is not built."
            yield Finding("unknown_operator", message, "", LOAD, _save_for(unsure, there), "warning")


def registered(subject: Subject, target: Target) -> Iterator[Finding]:
    """Operators that a library makes known when it is imported, which loading the weights does not do."""
    scripts = {name: found.script for name, found in subject.weights.items() if found.script is not None}
    loading = Loading(subject, target)
    if not scripts or loading.loads_libraries:
        return
    modules = [one.module for one in loading.program.imports]
    imported = {module.partition(".")[0] for module in modules}
    handlers = {module.rpartition(".")[2] for module in modules if module.startswith("ts.")}
    if _IMPORT_TORCHVISION & {subject.default_handler, *handlers}:
        imported.add("torchvision")
    for name, script in scripts.items():
        foreign = [one for one in script.operators if not own_namespace(one)]
        for namespace in dict.fromkeys(one.partition("::")[0] for one in foreign):
            named = listed([one for one in foreign if one.startswith(f"{namespace}::")])
            if namespace in ("torchvision", "image") and "torchvision" not in imported:
                message = f"{name} names {named}, known only once torchvision is imported, which nothing here does."
                fix = "Write `import torchvision` at the top of the handler's file."
                yield Finding("unknown_operator", message, "", LOAD, fix)
            elif namespace not in ("torchvision", "image") and namespace not in imported:
                message = f"{name} names {named}, which is none of torch's."
                fix = "Import what registers it at the top of the handler's file, and name it in the requirements file."
                yield Finding("unknown_operator", message, "", LOAD, fix, "warning")


def exported(subject: Subject, target: Target) -> Iterator[Finding]:
    """Programs that a newer torch exported."""
    said = any(found.torch_version for found in subject.weights.values())
    there = There(subject, target).version("torch") if said else None
    for name, found in subject.weights.items():
        made = public(found.torch_version)
        if made is not None and there is not None and made.release[:2] > there.release[:2]:
            message = (
                f"{name} was exported with torch {made}, and the target has torch {there}: an older one often does "
            )
            message += "not read it, which is not certain before it is loaded there."
            yield Finding("newer_torch", message, "", LOAD, f"Export it with torch {there}.", "warning")


def _save_for(names: list[str], torch: str) -> str:
    if any("_upsample_" in name for name in names):
        return (
            "Scripting torch.nn.functional.interpolate saves everything that it could do. Call the one you need in its "
            f"place, such as torch.ops.aten.upsample_bilinear2d, or script the model with {torch}."
        )
    return f"Script or trace the model with {torch}, or do without them."


#: In the order in which they are asked.
OPERATOR_RULES = (operators, registered, exported)
