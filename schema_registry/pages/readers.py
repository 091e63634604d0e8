"""Who hears an event: what services declare, beside what their consumers really read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request

from schema_registry.domain.asyncapi import services_of
from schema_registry.domain.contracts import Contract
from schema_registry.pages.known import contracts_of
from service_kit.readings import Readers, Reading

Noted = Mapping[str, Mapping[str, Reading]]
"""By service and type of event."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A service that declares some versions of an event, or read some."""

    service: str
    declares: tuple[int, ...]
    read: Mapping[int, datetime]
    """When it last acted on each version, the newest version first; of those it ever did."""
    latest: int
    """The newest version there is."""

    @property
    def behind(self) -> int:
        """The lag of versions: from the newest that it reads, or else declares, to the newest there is."""
        if self.last is None or self.last in self.declares:
            # Both versions of a fact lie in the topic side by side: which of them came last says nothing.
            reads = [number for number in self.declares if number in self.read] or self.declares
        else:
            reads = [self.last]
        return self.latest - max(reads)

    @property
    def last(self) -> int | None:
        """The version that it read last; of two that it read in the same second the newer one."""
        return max(self.read, key=lambda number: (self.read[number], number), default=None)

    @property
    def differs(self) -> bool:
        """Whether what it read last is not what it declares: another release runs."""
        return self.last is not None and self.last not in self.declares

    def reads(self, number: int) -> bool:
        return number in self.declares or number == self.last


@dataclass(frozen=True, slots=True)
class Readership:
    """Everybody who hears one event."""

    readers: tuple[Reader, ...]
    said: Mapping[int, datetime]
    """When the latest record of each version was sent that any consumer came by."""
    known: bool
    """Whether the broker told what was read; else there are the declarations alone."""

    def of(self, number: int) -> list[str]:
        """Who still reads a version."""
        return [reader.service for reader in self.readers if reader.reads(number)]


async def noted(request: Request) -> Noted | None:
    """What the consumers of our services noted; None while the broker does not answer."""
    readers: Readers = request.app.state.readers
    return await readers.readings(services_of(contracts_of(request)))


def readership(contract: Contract, found: Noted | None) -> Readership:
    types = {contract.type_name(version.number): version.number for version in reversed(contract.versions)}
    by_service = {
        service: {number: readings[name] for name, number in types.items() if name in readings}
        for service, readings in (found or {}).items()
    }
    said: dict[int, datetime] = {}
    for seen in by_service.values():
        for number, reading in seen.items():
            said[number] = max(reading.said_at, said.get(number, reading.said_at))
    readers = [
        _reader(contract, service, by_service.get(service, {}))
        for service in sorted(contract.consumers.keys() | by_service.keys())
    ]
    return Readership(
        readers=tuple(one for one in readers if one.declares or one.read),
        said=dict(sorted(said.items())),
        known=found is not None,
    )


def _reader(contract: Contract, service: str, seen: Mapping[int, Reading]) -> Reader:
    read = {number: one.read_at for number, one in seen.items() if one.read_at is not None}
    return Reader(service, contract.consumers.get(service, ()), read, contract.latest.number)
