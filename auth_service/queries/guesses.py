"""Who has to wait after too many failures."""

from datetime import UTC, datetime

from sqlalchemy import select

from auth_service.domain.guesses import caller_key
from auth_service.models import GuessCounter
from service_kit.database import ReadSession


async def caller_waits_s(session: ReadSession, address: str) -> int:
    """Seconds this address has to wait before it may show another token; 0 when it may at once."""
    until = await session.scalar(
        select(GuessCounter.waits_until).where(GuessCounter.key == caller_key(address))
    )
    if until is None or until <= (now := datetime.now(UTC)):
        return 0
    return int((until - now).total_seconds()) + 1
