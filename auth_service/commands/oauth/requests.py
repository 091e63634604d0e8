"""A protocol request as plain data, and the same in the shape Authlib reads."""

import base64
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from authlib.oauth2.rfc6749 import OAuth2Payload, OAuth2Request

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class OAuthCall:
    """What came over HTTP, already read and decoded by the edge."""

    method: str
    uri: str
    """Address of the endpoint as the public knows it, without the query."""

    query: Pairs = ()
    form: Pairs | None = ()
    """None where the body is no form as RFC 6749 means it: JSON and multipart bodies are not read."""

    authorization: str | None = None
    address: str | None = None
    """Network address of the caller, for limits and the log of reused tokens."""

    @property
    def parameters(self) -> Pairs:
        """The query for a GET, the form for a POST: a token never travels in an address."""
        return self.query if self.method == "GET" else self.form or ()

    @property
    def basic(self) -> str | None:
        """Id and secret in a header; a bearer token there is of somebody else and proves no client."""
        scheme, _space, text = (self.authorization or "").partition(" ")
        return text if scheme.lower() == "basic" else None

    @property
    def claimed_client(self) -> str:
        """Which client this says it is of, proven or not; empty when it says nothing readable."""
        if self.basic is not None:
            try:
                return unquote(base64.b64decode(self.basic, validate=True).decode().partition(":")[0])
            except ValueError:
                return ""
        return self.one("client_id") or ""

    def doubled(self) -> str | None:
        """The first parameter that is there twice, which RFC 6749 forbids."""
        names: set[str] = set()
        for name, _ in self.parameters:
            # A token may be asked for several services (RFC 8707, 2).
            if name in names and name != "resource":
                return name
            names.add(name)
        return None

    def one(self, name: str) -> str | None:
        """The value of a parameter; an empty one counts as absent (RFC 6749, 3.1)."""
        return next((value for key, value in self.parameters if key == name and value), None)

    @property
    def resources(self) -> list[str]:
        """The services that a token is asked for; with or without a slash at the end they are the same."""
        return [value.rstrip("/") for name, value in self.parameters if name == "resource" and value]


@dataclass(frozen=True)
class OAuthAnswer:
    """What goes back over HTTP."""

    status: int
    body: Mapping[str, Any] | str
    headers: Sequence[tuple[str, str]] = field(default=())


class Payload(OAuth2Payload):
    def __init__(self, pairs: Pairs) -> None:
        self._data = {name: value for name, value in pairs if value}
        self._lists: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in pairs:
            self._lists[name].append(value)

    @property
    def data(self) -> dict[str, str]:
        return self._data

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        return self._lists


class ProviderRequest(OAuth2Request):
    """An `OAuthCall` as Authlib sees it."""

    def __init__(self, call: OAuthCall) -> None:
        headers = {"Authorization": call.authorization} if call.authorization else {}
        super().__init__(call.method, call.uri, headers=headers)
        self.call = call
        self.payload = Payload(call.parameters)

    @property
    def args(self) -> dict[str, str]:
        return dict(self.call.query)

    @property
    def form(self) -> dict[str, str]:
        return {name: value for name, value in self.call.form or () if value}
