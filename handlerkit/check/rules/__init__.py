"""The rules of a check, one file for each subject.

A rule is a generator function `(Subject, Target) -> Iterator[Finding]` that speaks only where it is sure: where the
environment is needed for that and is not built, it says nothing. A Finding's `where` is "handler.py, line 3".

To add one: write it in the file of its subject, and name it in the tuple at the end of that file; a new file's tuple
goes into RULES here. A rule reads the model through its Subject (`handlerkit.check.subject`):
`subject.program(target.python)` gives the code that can run. tests/check has a file for each of these; each rule has a
test in which it speaks, and one with a handler that passes without it.

Rules may import the rest of check, why.findings and below; effects.py has the words that they share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from handlerkit.check.rules.arguments import ARGUMENT_RULES
from handlerkit.check.rules.batches import BATCH_RULES
from handlerkit.check.rules.context import CONTEXT_RULES
from handlerkit.check.rules.devices import DEVICE_RULES
from handlerkit.check.rules.downloads import DOWNLOAD_RULES
from handlerkit.check.rules.entry_point import ENTRY_POINT_RULES
from handlerkit.check.rules.hubs import HUB_RULES
from handlerkit.check.rules.imports import IMPORT_RULES
from handlerkit.check.rules.labels import LABEL_RULES
from handlerkit.check.rules.names import NAME_RULES
from handlerkit.check.rules.onnx import ONNX_RULES
from handlerkit.check.rules.operators import OPERATOR_RULES
from handlerkit.check.rules.package_names import PACKAGE_NAME_RULES
from handlerkit.check.rules.paths import PATH_RULES
from handlerkit.check.rules.pickles import PICKLE_RULES
from handlerkit.check.rules.ran import RAN_RULES
from handlerkit.check.rules.requirements import REQUIREMENT_RULES
from handlerkit.check.rules.settings import SETTINGS_RULES
from handlerkit.check.rules.shadows import SHADOW_RULES
from handlerkit.check.rules.signatures import SIGNATURE_RULES
from handlerkit.check.rules.sizes import SIZE_RULES
from handlerkit.check.rules.surroundings import SURROUNDING_RULES
from handlerkit.check.rules.syntax import SYNTAX_RULES
from handlerkit.check.rules.weights import WEIGHTS_RULES
from handlerkit.check.subject import Subject
from handlerkit.messages import Finding
from handlerkit.targets import Target

Rule = Callable[[Subject, Target], Iterator[Finding]]

#: In the order in which their findings are listed among those of the same severity.
RULES: tuple[Rule, ...] = (
    *IMPORT_RULES, *SYNTAX_RULES, *ARGUMENT_RULES, *SHADOW_RULES, *NAME_RULES, *DEVICE_RULES, *LABEL_RULES,
    *PATH_RULES, *HUB_RULES, *DOWNLOAD_RULES, *SIGNATURE_RULES, *CONTEXT_RULES, *BATCH_RULES, *SURROUNDING_RULES,
    *PACKAGE_NAME_RULES, *WEIGHTS_RULES, *PICKLE_RULES, *OPERATOR_RULES, *ONNX_RULES, *RAN_RULES, *ENTRY_POINT_RULES,
    *REQUIREMENT_RULES, *SETTINGS_RULES, *SIZE_RULES,
)  # fmt: skip
