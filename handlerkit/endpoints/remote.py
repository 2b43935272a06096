"""Remote: a TorchServe, or an exported app, that runs already, as an Endpoint."""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import replace
from urllib.parse import quote

from handlerkit.endpoints.http import bearer
from handlerkit.endpoints.http.address import Address
from handlerkit.endpoints.http.client import HttpClient, Outgoing
from handlerkit.endpoints.http.failures import refusal, why
from handlerkit.errors import RequestError
from handlerkit.messages import Exchange, ForcedHead, HeadersLike, Request, Response, Run
from handlerkit.messages.secret_names import is_secret_name
from handlerkit.serving.http import lookup, pairs
from handlerkit.serving.requests import routes
from handlerkit.serving.requests.headers import TOKEN

#: Headers of what is between a model's server and its client.
_OF_THE_WAY = frozenset({"connection", "date", "keep-alive", "server", "transfer-encoding", "via"})


class Remote:
    """A TorchServe or an exported app at a URL. It may be anywhere; what is sent goes there and nowhere else: redirects
    are answers, and the environment's proxies are not used.

    Args:
        url: of the inference API, such as "https://staging.example:8443"; a path in it comes before each request's.
        model: the model that is meant by requests without a path; without it, these are refused.
        token: sent as "Authorization: Bearer TOKEN" with requests that have no Authorization header of their own. It is
            in no Run, display or message.
        headers: added to each request that has none of that name; they are in no Run either.
        timeout: seconds that the server may be silent: before it takes a connection, before it answers, and between two
            pieces of an answer. None waits for ever.
        verify_tls: whether the server's certificate is checked; the file of the CA that signed it, if this machine
            does not know that; or an ssl.SSLContext, such as one with a client's certificate.

        forces: what is on the way to the model, such as a gateway, and does to the head of each answer, for `verify` to
            name. Without it, it is seen: what writes a Server and a Date header, which TorchServe and app.py do not.

    Raises RequestError for a URL that names no server, for a token or header that no request can have, and for a file
    that holds no certificate.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        token: str | None = None,
        headers: HeadersLike = (),
        timeout: float | None = 60,
        verify_tls: bool | str | os.PathLike[str] | ssl.SSLContext = True,
        forces: ForcedHead | None = None,
    ) -> None:
        if timeout is not None and not timeout > 0:
            raise RequestError(f"timeout is in seconds, more than 0, not {timeout}")
        self._address = Address.read(url)
        self._model = model
        self._timeout = timeout
        self._forces = forces
        self._seen: ForcedHead | None = None
        self._headers = pairs(headers)
        if token is not None:
            if problem := bearer.wrong(token):
                raise RequestError(problem)
            if lookup(self._headers, "authorization") is not None:
                raise RequestError("a token is an Authorization header: leave one of the two out")
            self._headers += (bearer.header(token),)
        if wrong := [name for name, value in self._headers if not _is_header(name, value)]:
            raise RequestError(f"the header {wrong[0]!r} holds a character that none may have, such as a line break")
        tls = _context(verify_tls) if self._address.scheme == "https" else None
        self._client = HttpClient(self._address.host, self._address.authority, tls)

    def predict(self, *requests: Request) -> Run:
        """Send the requests a few milliseconds apart, each on a connection of its own, and wait for all answers.

        A request without an answer has a Response whose status is None; the Run's findings say why. Raises RequestError
        for a request that names no model, for one that is meant for another host, and for one that is not HTTP.
        """
        outgoing = [self._outgoing(request) for request in requests]
        received = self._client.exchange(*outgoing)
        found = [
            why(one, self._address, self._timeout) or refusal(one.response, self._address, each)
            for one, each in zip(received, outgoing, strict=True)
        ]
        self._seen = next(filter(None, (_forced_on(one.response) for one in received)), self._seen)
        sent = [replace(request, sent_to=(self.url, self._model or request.sent_to[1])) for request in requests]
        return Run(
            tuple(Exchange(request, one.response) for request, one in zip(sent, received, strict=True)),
            findings=tuple(dict.fromkeys(filter(None, found))),
            endpoint=self.url,
            model=self._model or next(map(_model_of, requests), ""),
            secrets=tuple(value.rpartition(" ")[2] for name, value in self._headers if is_secret_name(name)),
        )

    def for_model(self, name: str) -> Remote:
        """This one; if it has no model, the same for that model."""
        if self._model is not None or not name:
            return self
        other = object.__new__(type(self))
        vars(other).update(vars(self), _model=name)
        return other

    @property
    def forces(self) -> ForcedHead | None:
        """What is done to the heads of its answers, as it was given, or as the last answers show it; None where
        nothing is."""
        return self._forces or self._seen

    @property
    def url(self) -> str:
        """Where it sends, without a slash at the end."""
        return self._address.url

    @property
    def is_local(self) -> bool:
        """Whether the URL names this machine: localhost, or a loopback address."""
        return self._address.is_loopback

    def close(self) -> None:
        """Close the connections that it keeps open between requests. It can be used again."""
        self._client.close()

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Remote: {self.url}{f', model {self._model}' if self._model else ''}>"

    def _outgoing(self, request: Request) -> Outgoing:
        if request.path is None and self._model is None:
            raise RequestError(
                "this request names no model: give hk.Remote(url, model=NAME), or the request a path such as "
                "/predictions/NAME"
            )
        if request.path is not None and not request.path.startswith("/"):
            raise RequestError(
                f"a request to {self.url} has a path that begins with /, not {request.path!r}: Remote sends to no "
                "other host"
            )
        target = self._address.prefix + request.target(quote(self._model or "", safe=""))
        added = tuple(pair for pair in self._headers if lookup(request.headers, pair[0]) is None)
        return Outgoing(
            self._address.port, request.method, target, added + request.headers, request.body, self._timeout
        )


def _forced_on(response: Response) -> ForcedHead | None:
    """What an ASGI server or a gateway did to an answer's head; None for an answer that comes from none."""
    server = response.header("server")
    if server is None or response.header("date") is None:
        return None
    lower_case = all(name == name.lower() for name, _ in response.headers)
    return ForcedHead(server, _OF_THE_WAY, lower_case, http_reasons=True, highest_status=599)


def _is_header(name: str, value: str) -> bool:
    return TOKEN.fullmatch(name) is not None and not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value)


def _context(verify_tls: bool | str | os.PathLike[str] | ssl.SSLContext) -> ssl.SSLContext:
    if isinstance(verify_tls, ssl.SSLContext):
        return verify_tls
    if isinstance(verify_tls, bool):
        context = ssl.create_default_context()
        if not verify_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
    try:
        return ssl.create_default_context(cafile=os.fspath(verify_tls))
    except OSError as problem:  # ssl.SSLError is one
        reason = "it holds no certificate" if isinstance(problem, ssl.SSLError) else problem.strerror
        raise RequestError(f"verify_tls names {os.fspath(verify_tls)}, which cannot be used: {reason}") from None


def _model_of(request: Request) -> str:
    """The model that a request's path names; "" if it names none."""
    try:
        return routes.find(request.method, request.path or "", request.query).model or ""
    except routes.RouteError:
        return ""
