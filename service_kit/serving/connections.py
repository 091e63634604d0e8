"""What reads HTTP from a connection: httptools, which is fast; h11 where another protocol is offered."""

from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

_OFFER = b"\r\nupgrade:"


class HttpConnection(HttpToolsProtocol):
    """Answers requests that offer another protocol like any other.

    Java's own client and curl offer HTTP/2 over plain HTTP with their first request (`Upgrade: h2c`), and a
    server may ignore that (RFC 9110, 7.8). httptools stops there: the request arrives without its body, and
    its body is taken for another request (uvicorn's issue 2722). h11 reads on, so it gets the connection.
    """

    def data_received(self, data: bytes) -> None:
        request: RequestResponseCycle | None = self.cycle
        between_requests = request is None or request.response_complete
        if between_requests and _OFFER in data.lower():
            self._hand_over(data)
        else:
            super().data_received(data)

    def _hand_over(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        reader: Any = H11Protocol(self.config, self.server_state, self.app_state, self.loop)
        reader.connection_made(self.transport)
        self.transport.set_protocol(reader)
        reader.data_received(data)
