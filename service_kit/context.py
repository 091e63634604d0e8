"""What a command needs beside its session: settings, business clock, schemas; kept in `session.info`."""

from dataclasses import dataclass
from typing import TypeVar, cast

from service_kit.clock import Clock
from service_kit.database import CONTEXT, ReadSession
from service_kit.schema_client import SchemaClient
from service_kit.settings import ServiceSettings

S = TypeVar("S", bound=ServiceSettings)


@dataclass(frozen=True)
class Context:
    """Made once per process by its composition root."""

    settings: ServiceSettings
    clock: Clock
    schemas: SchemaClient


def context(session: ReadSession) -> Context:
    return cast("Context", session.info[CONTEXT])


def clock(session: ReadSession) -> Clock:
    return context(session).clock


def settings(session: ReadSession, kind: type[S]) -> S:
    """The service's own settings, checked to be of the expected class."""
    found = context(session).settings
    if not isinstance(found, kind):
        raise TypeError(f"the session belongs to {type(found).__name__}, not to {kind.__name__}")
    return found
