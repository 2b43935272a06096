"""Models that a handler reads from a folder or downloads, and what else it asks other servers for."""

from __future__ import annotations

import re

from handlerkit.messages import Finding
from handlerkit.why.evidence import Evidence


def from_pretrained(evidence: Evidence) -> Finding | None:
    """from_pretrained, of a folder without the files it reads, or of a name that it would download."""
    text, archive = evidence.text, evidence.source.folder
    if not isinstance(evidence.error, OSError | ValueError) or not _HUB.search(text):
        return None
    fix = "Archive what save_pretrained(folder) wrote (--extra-files folder), and load it from "
    fix += 'context.system_properties["model_dir"].'
    if archive is not None and (str(archive) in text or "<server>" in text):
        named = re.search(r"have a file named (?:either )?([\w-]+(?:\.[\w-]+)+)", text)
        lacks = f"has no {named[1]}" if named else "lacks files"
        message = f"The archive {lacks} that from_pretrained reads from model_dir ({evidence.said.partition('. ')[0]})."
        return Finding("pretrained", message, evidence.where, evidence.effect, fix)
    if "backend tokenizer" in text:
        message = "The folder that from_pretrained reads holds no tokenizer's files that this transformers can use."
        return Finding("pretrained", message, evidence.where, evidence.effect, fix)
    message = "from_pretrained looks for this model on huggingface.co, for there is no such folder where the handler "
    message += f"runs, and does not get it ({evidence.said.partition('. ')[0]})."
    return Finding("pretrained", message, evidence.where, evidence.effect, fix)


def no_connection(evidence: Evidence) -> Finding | None:
    """Another server that the worker does not reach."""
    kinds = {kind.__name__ for kind in type(evidence.error).__mro__}
    if not kinds & _CONNECTION and not _NO_NETWORK.search(evidence.text):
        return None
    if kinds & _CONNECTED or evidence.raised_in_own:
        return None
    if evidence.attempt.loading:
        message = f"The handler downloads something while it loads, and gets no connection ({evidence.error_line})."
        fix = "Archive the file instead (--serialized-file, --extra-files): each worker loads it at each start."
        return Finding("no_connection", message, evidence.where, evidence.effect, fix)
    message = f"The handler asks another server for something, and gets no connection ({evidence.error_line})."
    fix = "See that the worker reaches that address; or send the contents in the request instead of an address."
    return Finding("no_connection", message, evidence.where, evidence.effect, fix)


_CONNECTION = {"URLError", "ConnectionError", "ConnectTimeout", "NewConnectionError", "MaxRetryError", "gaierror"}
_CONNECTED = {"HTTPError", "BrokenPipeError", "ConnectionResetError", "ConnectionAbortedError"}
_NO_NETWORK = re.compile(r"no internet connection|Name or service not known|name resolution|Connection refused")
#: What transformers says of a model that is neither in a folder nor on the hub.
_HUB = re.compile(
    r"huggingface\.co|is not a local folder|is not the path to a directory|instantiate the backend tokenizer"
)
