"""A line between two parts of the exchange that breaks in the ways in which networks break."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress

from local_stack.ports import LOOPBACK
from local_stack.services import Service

_RESET = struct.pack("ii", 1, 0)
"""Linger for no time: closing then resets the connection instead of ending it."""


class Line:
    """Carries bytes from a port of its own to the one that `far_end` names, and back."""

    def __init__(self, far_end: Callable[[], tuple[str, int]]) -> None:
        self._far_end = far_end
        self._carries = asyncio.Event()
        self._carries.set()
        self._delay_s = 0.0
        self._ends: set[asyncio.StreamWriter] = set()
        self._lost: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def connections(self) -> int:
        return len(self._ends) // 2

    def pause(self) -> None:
        """Carry nothing until `go_on`; nothing is lost and nobody is told."""
        self._carries.clear()

    def slow(self, delay_s: float) -> None:
        """Carry everything so much later, until `go_on`."""
        self._delay_s = delay_s

    def go_on(self) -> None:
        self._delay_s = 0.0
        self._carries.set()

    def reset(self) -> None:
        """Both ends of every connection are told that it is broken; new ones get through."""
        _reset(self._ends)

    def lose(self) -> None:
        """Half open: what is said on these connections vanishes, nobody is told; new ones get through."""
        self._lost |= self._ends

    def tell_of_lost(self) -> None:
        """The ends of the lost connections give them up, as they do when nobody has answered for long."""
        _reset(self._lost & self._ends)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._far_end())
        except OSError:
            _reset({writer})
            return
        ends = {writer, far_writer}
        self._ends |= ends
        try:
            await asyncio.gather(self._one_way(reader, far_writer), self._one_way(far_reader, writer))
        finally:
            self._ends -= ends
            self._lost -= ends

    async def _one_way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                data = await reader.read(65536)
                await self._carries.wait()
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                if writer in self._lost:
                    if data:
                        continue
                    # That this end has closed is not told either.
                    return
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()


def _reset(ends: Iterable[asyncio.StreamWriter]) -> None:
    for end in ends:
        with suppress(OSError):  # closed by itself just now
            end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.transport.abort()


def lines_between(services: Sequence[Service]) -> list[str]:
    """The names of all ways from one part of the exchange to another, as `Layout.lines` has them."""
    return [
        f"{near}-{far}"
        for service in services
        for near, far in (
            ("gateway", service.name),
            *((service.name, part) for part in ("postgres", "kafka", "registry", "auth")),
        )
        if near != far
    ]


@asynccontextmanager
async def open_line(far_end: Callable[[], tuple[str, int]], port: int = 0) -> AsyncIterator[Line]:
    """A line that listens at `port`, or at a free one. Its far end is asked for at each new connection."""
    line = Line(far_end)
    server = await asyncio.start_server(line.carry, LOOPBACK, port)
    line.port = server.sockets[0].getsockname()[1]
    async with server:
        yield line
        line.go_on()
        line.reset()
