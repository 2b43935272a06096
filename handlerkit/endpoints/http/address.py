"""What a URL says of a server."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from handlerkit.errors import RequestError

_PORTS = {"http": 80, "https": 443}
_FORM = "a server's URL is http://HOST:PORT or https://HOST:PORT, and a path if the server is below one"


@dataclass(frozen=True)
class Address:
    """Where a server is. `authority` is the host with the port if the URL names one; `prefix` is before each path,
    "" or such as "/models"."""

    scheme: str
    host: str
    port: int
    authority: str
    prefix: str = ""

    @classmethod
    def read(cls, url: str) -> Address:
        """The address of http://HOST[:PORT][/PREFIX], or of https. Raises RequestError, which does not repeat the URL:
        it may hold a password."""
        try:
            read = urlsplit(url)
            port = read.port
            host = (read.hostname or "").encode("idna").decode()
        except ValueError:  # and UnicodeError, for a name with an empty part
            raise RequestError(_FORM) from None
        if read.scheme not in _PORTS or not host:
            raise RequestError(_FORM)
        if "@" in read.netloc:
            raise RequestError("a server's URL holds no user and no password: give token=... or headers=...")
        if read.query or read.fragment:
            raise RequestError("a server's URL has no query: give it to each Request as query=...")
        if "/predictions/" in read.path:
            before, _, model = read.path.partition("/predictions/")
            raise RequestError(
                f"a server's URL ends before /predictions: leave {read.path.removeprefix(before)} out, "
                f"and give model={model.strip('/')!r}"
            )
        shown = f"[{host}]" if ":" in host else host
        authority = shown if port is None else f"{shown}:{port}"
        return cls(read.scheme, host, port or _PORTS[read.scheme], authority, read.path.rstrip("/"))

    @property
    def url(self) -> str:
        """As it was read, without a slash at its end."""
        return f"{self.scheme}://{self.authority}{self.prefix}"

    @property
    def place(self) -> str:
        """The host and the port, for sentences."""
        return self.authority if self.authority.endswith(f":{self.port}") else f"{self.authority}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine by its very name, which is not looked up."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
