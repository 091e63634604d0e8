"""The chain of hashes checked from its first block: what was sealed is still there, byte for byte."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Row, func, select

from billing.domain import COMPANY, GENESIS, LEAF_BYTES, PAYOUTS, seal_hash
from billing.models import LEAVES, postings, seals
from service_kit.database import ReadSession


@dataclass
class Chain:
    """How far the journal is sealed."""

    blocks: int = 0
    head: bytes = GENESIS
    """Hash of the newest block. Noted elsewhere, it proves later that nothing before it was changed."""
    sealed: dict[UUID, int] = field(default_factory=lambda: {COMPANY: 0, PAYOUTS: 0})
    """Newest sealed posting by account."""
    unsealed: int = 0
    passed_head: bool = False
    """Whether the head that was asked for is in the chain."""


async def chain_problems(session: ReadSession, chain: Chain, known_head: bytes | None) -> AsyncIterator[str]:
    """One sentence for each broken block or changed entry; fills `chain` on the way."""
    number = 0
    while True:
        block = (
            await session.execute(
                select(seals).where(seals.c.number > number).limit(1).order_by(seals.c.number)
            )
        ).one_or_none()
        if block is None:
            break
        if block.number != number + 1:
            yield f"block {number + 1} of the chain is missing before block {block.number}"
        number = block.number
        for problem in _link_problems(chain, block):
            yield problem
        async for problem in _leaf_problems(session, block):
            yield problem
        chain.blocks += 1
        chain.head = block.hash
        chain.sealed[block.account_id] = block.last_version
        chain.passed_head |= block.hash == known_head
    if known_head is not None and not chain.passed_head:
        yield f"no block has the hash {known_head.hex()}: the chain was written anew since that was noted"
    for account_id, version in chain.sealed.items():
        newest = await session.scalar(
            select(func.coalesce(func.max(postings.c.version), 0)).where(postings.c.account_id == account_id)
        )
        if (newest or 0) < version:
            yield f"account {account_id}: posting {version} was sealed, the newest is {newest}"
        chain.unsealed += max(0, (newest or 0) - version)


def _link_problems(chain: Chain, block: Row[tuple[object, ...]]) -> list[str]:
    found = []
    expected = seal_hash(
        chain.head, block.number, block.account_id, block.first_version, block.last_version, block.leaves
    )
    if block.hash != expected:
        found.append(f"block {block.number} of the chain does not follow from its content and the one before")
    if block.first_version != chain.sealed.get(block.account_id, 0) + 1:
        found.append(f"block {block.number} begins at posting {block.first_version} of {block.account_id}")
    return found


async def _leaf_problems(session: ReadSession, block: Row[tuple[object, ...]]) -> AsyncIterator[str]:
    """Each entry of the block against the hash it was sealed with."""
    rows = await session.execute(
        LEAVES,
        {"account": block.account_id, "after": block.first_version - 1, "until": block.last_version},
    )
    now = {row.version: row for row in rows}
    for place, version in enumerate(range(block.first_version, block.last_version + 1)):
        sealed = block.leaves[place * LEAF_BYTES : (place + 1) * LEAF_BYTES]
        row = now.get(version)
        where = f"posting {version} of account {block.account_id}, sealed in block {block.number}"
        if row is None:
            yield f"an entry is gone: {where}"
        elif row.leaf != sealed:
            yield f"entry {row.entry_id} was changed after it was sealed: {where}"
