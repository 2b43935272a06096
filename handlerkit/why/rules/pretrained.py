"""Models that transformers reads from a folder or downloads."""

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


#: What transformers says of a model that is neither in a folder nor on the hub.
_HUB = re.compile(
    r"huggingface\.co|is not a local folder|is not the path to a directory|instantiate the backend tokenizer"
)
