"""Seals the journal: a chain of hashes that follows the order of commits, beside the work and never in it.

Every entry has one posting of the company's account or of the account through which money leaves. Those two
count their postings under a lock that is held to the commit, so their versions are the order of commits, and
whoever sees a version sees all before it: nothing that commits late can slip behind the seal.
"""

from uuid import UUID

from sqlalchemy import func, insert, select

from billing.domain import COMPANY, GENESIS, PAYOUTS, seal_hash
from billing.models import LEAVES, seals
from service_kit.context import clock
from service_kit.database import Session, lock_key

ENTRIES_AT_ONCE = 1000
_LOCK = lock_key("billing.seals")


async def seal_entries(session: Session) -> int:
    """Seal entries that are not sealed yet, some hundred at a time; answers how many were sealed.

    Call it until it answers 0. While another process seals, there is nothing to do.
    """
    if not await session.scalar(select(func.pg_try_advisory_xact_lock(_LOCK))):
        return 0
    return await _seal(session, COMPANY) + await _seal(session, PAYOUTS)


async def _seal(session: Session, account_id: UUID) -> int:
    # The account's newest block; the index stands on the first versions, and blocks follow each other.
    sealed = await session.scalar(
        select(seals.c.last_version)
        .where(seals.c.account_id == account_id)
        .order_by(seals.c.first_version.desc())
        .limit(1)
    )
    after = int(sealed or 0)
    found = await session.execute(
        LEAVES, {"account": account_id, "after": after, "until": after + ENTRIES_AT_ONCE}
    )
    rows = found.all()
    if not rows:
        return 0
    newest = select(seals.c.number, seals.c.hash).order_by(seals.c.number.desc()).limit(1)
    number, previous = (await session.execute(newest)).one_or_none() or (0, GENESIS)
    first, last = rows[0].version, rows[-1].version
    leaves = b"".join(row.leaf for row in rows)
    await session.execute(
        insert(seals).values(
            number=number + 1,
            account_id=account_id,
            first_version=first,
            last_version=last,
            leaves=leaves,
            hash=seal_hash(previous, number + 1, account_id, first, last, leaves),
            sealed_at=clock(session).now(),
        )
    )
    return len(rows)
