"""What goes to a handler and what comes back: Request, Response, Call, Run, and who answers: Endpoint.

All of it is plain data. A Run holds no worker, handler, context, tensor or exception, so a cell's output keeps no
model alive.

request.py, part.py, curl.py, har.py, shell_words.py
                a Request, and the ways to make one
secret_names.py which headers and parameters have secrets
texts.py        the texts that a Request carries, and its name among others
response.py     a response in a word or two (serving has the Response itself)
run.py          an Exchange, a Run, and the Endpoint that answers
forced_head.py  what a proxy before an endpoint makes of the answers' heads
call.py         one call of the handler: its log, metrics and error
rows.py         a worker's message as TorchServe decodes it: each request's headers and row of `data`
finding.py, side_effect.py, geometry.py
                what is known of a call besides its answer

It may import serving, timing, memory and below. What crosses from a worker or an endpoint to a display is a frozen
dataclass here; how it is drawn is `view`'s. A new one is a file here.
"""

from handlerkit.messages.call import Call, ErrorInfo, Frame, LogLine, Metric
from handlerkit.messages.finding import Finding, Severity
from handlerkit.messages.forced_head import ForcedHead
from handlerkit.messages.geometry import Geometry
from handlerkit.messages.part import Part
from handlerkit.messages.request import Request
from handlerkit.messages.response import describe_response
from handlerkit.messages.rows import HandedOver
from handlerkit.messages.run import Endpoint, Exchange, Run
from handlerkit.messages.side_effect import SideEffect, SideEffectKind
from handlerkit.serving.http import Headers, HeadersLike, HttpRequest, Response

__all__ = [
    "Call",
    "Endpoint",
    "ErrorInfo",
    "Exchange",
    "Finding",
    "ForcedHead",
    "Frame",
    "Geometry",
    "HandedOver",
    "Headers",
    "HeadersLike",
    "HttpRequest",
    "LogLine",
    "Metric",
    "Part",
    "Request",
    "Response",
    "Run",
    "Severity",
    "SideEffect",
    "SideEffectKind",
    "describe_response",
]
