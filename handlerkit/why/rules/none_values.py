"""A value that is None where the handler uses it."""

from __future__ import annotations

import re

from handlerkit.messages import Finding
from handlerkit.serving import torchserve_facts as facts
from handlerkit.why import live_values, source_search
from handlerkit.why.effects import FAILED
from handlerkit.why.evidence import Evidence, Rule


def no_mapping(evidence: Evidence) -> Finding | None:
    """BaseHandler's self.mapping comes from index_to_name.json."""
    frame, folder = evidence.frame, evidence.source.folder
    if not isinstance(evidence.error, AttributeError | TypeError) or "NoneType" not in evidence.text or frame is None:
        return None
    if folder is None or not live_values.is_none(evidence, "self.mapping"):
        return None
    if (folder / facts.LABELS).exists():
        message = (
            f"self.mapping is None, though the archive holds {facts.LABELS}: BaseHandler.initialize reads it, and the "
            "handler's own initialize does not call that."
        )
        fix = "Call super().initialize(context), or in initialize: self.mapping = load_label_mapping(os.path.join("
        fix += f'model_dir, "{facts.LABELS}")), from ts.utils.util.'
        return Finding("no_mapping", message, evidence.where, FAILED, fix)
    message = (
        "self.mapping is None: the archive has no index_to_name.json, from which BaseHandler reads the classes' names."
    )
    fix = 'Add it: --extra-files index_to_name.json, an object such as {"0": "cat", "1": "dog"}.'
    return Finding("no_mapping", message, evidence.where, FAILED, fix)


#: Whose value a stage is given.
_BEFORE = {"inference": "preprocess", "postprocess": "inference"}
_HEADER = r"""(?:get_request_header\(\s*\w+\s*,|get_request_property\()\s*["']([\w-]+)["']\s*\)"""
_PATTERN = re.compile(r"\bre\.(match|search|fullmatch)\(")


def none_value(evidence: Evidence) -> Finding | None:
    if not isinstance(evidence.error, AttributeError | TypeError) or "NoneType" not in evidence.text:
        return None
    if (found := source_search.in_place_call(evidence)) is not None and evidence.frame is not None:
        method, number = found
        message = f"{method} changes its object in place and returns None, and the handler uses that None."
        enclosing = source_search.enclosing(source_search.tree(evidence, evidence.frame.file), number)
        where = source_search.line(evidence, evidence.frame.file, number, enclosing.name if enclosing else "<module>")
        fix = f"Call {method} on a line of its own, and then use the object: image.putalpha(mask); return image."
        if method not in ("putalpha", "paste", "thumbnail", "putdata"):
            fix = f"Call {method} on a line of its own, and then use the object it was called on."
        return Finding("none_value", message, where, FAILED, fix)
    if missing := live_values.none_source(evidence):
        message = f"{missing} is None here ({evidence.text})."
        given = source_search.assigned(evidence, missing)
        if "get_request_header(" in given:
            message = f"{missing} is None: the request has no such header ({evidence.text})."
        fix = f"It gets its value in {given}." if given else "Find what gives None for this request."
        if not given and evidence.frame is not None and ".get(" in evidence.frame.source:
            fix = ".get gives None for a key that is not there, or a default: .get(key, default)."
        if (before := _BEFORE.get(evidence.frame.function if evidence.frame else "")) and not given:
            returns = source_search.none_returns(evidence, before)
            fix = f"{before} returns None{f' ({returns})' if returns else ''}: have it return a value for each row."
        return Finding("none_value", message, evidence.where, FAILED, fix)
    if evidence.frame is not None and (header := re.search(_HEADER, evidence.frame.source)) is not None:
        message = f"The request has no header {header[1]!r}, so the handler gets None ({evidence.text})."
        return Finding(
            "none_value",
            message,
            evidence.where,
            FAILED,
            f"Send it, or take a default: context.get_request_header(index, '{header[1]}') or 'none'.",
        )
    if evidence.frame is not None and (asked := _PATTERN.search(evidence.frame.source)) is not None:
        message = f"re.{asked[1]} gives None where the pattern does not fit ({evidence.text})."
        fix = f"Look for None first: found = re.{asked[1]}(...); if found is None: ..."
        return Finding("none_value", message, evidence.where, FAILED, f"{fix.rstrip('. ')}.")
    message = f"A value is None where one was expected ({evidence.text})."
    fix = "Look at what gives it: a function without a return statement, or .get of a key that is not there."
    return Finding("none_value", message, evidence.where, FAILED, fix)


RULES: tuple[Rule, ...] = (no_mapping, none_value)
