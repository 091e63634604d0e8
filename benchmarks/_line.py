"""A client that costs next to nothing, for loads that share the machine with what they measure."""

import asyncio
import re
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit


class Line:
    """One kept-open connection to a server, for one request at a time."""

    def __init__(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = host
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, address: str) -> "Line":
        parts = urlsplit(address)
        return cls(parts.netloc, *await asyncio.open_connection(parts.hostname, parts.port))

    async def post(
        self, path: str, headers: Mapping[str, str], form: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Status and content. Raises `OSError` or `asyncio.IncompleteReadError` when the line is cut."""
        body = urlencode(form or {}).encode()
        told = {"Host": self._host, "Content-Length": str(len(body)), **headers}
        if form:
            told["Content-Type"] = "application/x-www-form-urlencoded"
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        self._writer.write(f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        content = await self._reader.readexactly(int(length[1])) if length else b""
        return int(head.split(b" ", 2)[1]), content

    def close(self) -> None:
        self._writer.close()
