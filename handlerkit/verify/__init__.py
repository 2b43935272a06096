"""Does another endpoint give the same bytes, and another envelope the same answer?

Requests are sent again and their answers compared, one by one.

report.py       verify: a Run beside another endpoint's answers, and its Report
endpoints.py    compare_endpoints: two endpoints, side by side
envelopes.py    compare_envelopes: one endpoint, in each envelope
responses.py    where two answers differ: values.py of JSON, boxes.py, pictures.py; difference.py says it
handed_over.py  where a handler gets something else
tolerance.py    what may differ

It may import endpoints and below, and nothing of bench and check. What else may differ is a member of
`tolerance.MayDiffer`; another kind of content is compared in a file of its own, which responses.py asks.
"""

from handlerkit.verify.difference import Difference
from handlerkit.verify.endpoints import ComparedEndpoints, compare_endpoints
from handlerkit.verify.envelopes import Enveloped, Envelopes, Sample, compare_envelopes
from handlerkit.verify.report import Report, verify
from handlerkit.verify.responses import ComparedResponse
from handlerkit.verify.tolerance import MayDiffer

__all__ = [
    "ComparedEndpoints",
    "ComparedResponse",
    "Difference",
    "Enveloped",
    "Envelopes",
    "MayDiffer",
    "Report",
    "Sample",
    "compare_endpoints",
    "compare_envelopes",
    "verify",
]
