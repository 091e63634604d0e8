"""What comes over a connection: nothing of a request is lost, whatever else its sender offers."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.support.web import serving

OFFERS = {
    "nothing": "",
    "HTTP/2 in the clear": (
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    ),
    "a socket": "Connection: upgrade\r\nUpgrade: websocket\r\n",
}
BODIES = {
    "whole": "Content-Length: 11\r\n\r\nhello world",
    "in chunks": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    "when asked for": "Content-Length: 11\r\nExpect: 100-continue\r\n\r\n",
}


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Of a server that answers a request with its body."""

    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await request.body())

    async with serving(Starlette(routes=[Route("/", echo, methods=["POST"])])) as found:
        yield found


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_body_arrives_whatever_is_offered_beside_it(port: int, offer: str, body: str) -> None:
    """And the connection is good for the next request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(10):
            for _ in range(2):
                writer.write(f"POST / HTTP/1.1\r\nHost: here\r\n{offer}{body}".encode())
                if "Expect" in body:
                    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
                    writer.write(b"hello world")
                assert (await reader.readuntil(b"hello world")).startswith(b"HTTP/1.1 200")
    finally:
        writer.close()
        await writer.wait_closed()
