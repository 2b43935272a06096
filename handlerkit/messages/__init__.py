"""What goes to a handler and what comes back: Request, Response, Call, Run, and who answers: Endpoint.

All of it is plain data. A Run holds no worker, handler, context, tensor or exception, so a cell's output
keeps no model alive.
"""

from handlerkit.messages.call import Call, ErrorInfo, Frame, LogLine, Metric
from handlerkit.messages.finding import Finding, Severity
from handlerkit.messages.geometry import Geometry
from handlerkit.messages.part import GUESS, Part
from handlerkit.messages.request import Request
from handlerkit.messages.response import describe_response
from handlerkit.messages.run import Endpoint, Exchange, Run
from handlerkit.messages.side_effect import SideEffect, SideEffectKind
from handlerkit.serving.http import Headers, HeadersLike, HttpRequest, Response

__all__ = [
    "GUESS",
    "Call",
    "Endpoint",
    "ErrorInfo",
    "Exchange",
    "Finding",
    "Frame",
    "Geometry",
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
