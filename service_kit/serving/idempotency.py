"""Idempotency-Key: an unsafe request that is repeated gets the first answer again and changes nothing twice.

The row is written in the request's own transaction: either the effect and the answer are both kept or neither
is. A second request that arrives while the first still runs waits at the unique key for its outcome.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta

from fastapi import Request, Response
from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Uuid,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from service_kit.database import Session, kit_metadata
from service_kit.errors import IdempotencyKeyReused, Malformed
from service_kit.identity.people import current_user
from service_kit.serving.runtime import own_path
from service_kit.text import message as _

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotent-Replayed"
KEPT_FOR = timedelta(hours=24)
KEPT_HEADERS = ("content-type", "location", "etag")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")

idempotency_keys = Table(
    "idempotency_keys",
    kit_metadata,
    Column("account_guid", Uuid, nullable=False),
    Column("key", String(255), nullable=False),
    Column("fingerprint", LargeBinary(32), nullable=False),
    Column("status", Integer),
    Column("headers", JSONB),
    Column("body", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now(), index=True),
    PrimaryKeyConstraint("account_guid", "key", name="pk_idempotency_keys"),
)


def wants_once(request: Request) -> bool:
    return HEADER in request.headers


async def answer_once(
    request: Request,
    writing: Callable[[], Awaitable[Session]],
    handle: Callable[[Request], Awaitable[Response]],
) -> Response:
    """Handle the request unless this account has sent the same one under the same key before."""
    key = request.headers[HEADER]
    if not _KEY.fullmatch(key):
        raise Malformed.of(HEADER, _("An idempotency key is 1 to 255 visible ASCII characters."))
    user = await current_user(request)
    fingerprint = await _fingerprint(request)
    session = await writing()
    mine = (idempotency_keys.c.account_guid == user.guid) & (idempotency_keys.c.key == key)
    stale = idempotency_keys.c.created_at < func.now() - KEPT_FOR
    await session.execute(delete(idempotency_keys).where(idempotency_keys.c.account_guid == user.guid, stale))
    first = await session.scalar(
        insert(idempotency_keys)
        .values(account_guid=user.guid, key=key, fingerprint=fingerprint)
        .on_conflict_do_nothing()
        .returning(idempotency_keys.c.key)
    )
    if first is None:
        row = (await session.execute(select(idempotency_keys).where(mine))).one()
        if row.fingerprint != fingerprint:
            raise IdempotencyKeyReused(_("Use a new key for a new request."))
        return Response(row.body, row.status, headers={**row.headers, REPLAYED_HEADER: "true"})
    response = await handle(request)
    kept = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    await session.execute(
        update(idempotency_keys)
        .where(mine)
        .values(status=response.status_code, headers=kept, body=bytes(response.body))
    )
    return response


async def _fingerprint(request: Request) -> bytes:
    digest = hashlib.sha256()
    for part in (request.method, own_path(request), request.url.query):
        digest.update(part.encode() + b"\n")
    digest.update(await request.body())
    return digest.digest()
