"""Accounts as lists, single rows and names."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import or_, select

from auth_service.domain.accounts import AccountNotFound
from auth_service.models import Account
from service_kit.database import ReadSession
from service_kit.roles import Role
from service_kit.text import message as _


async def accounts(
    session: ReadSession,
    *,
    limit: int,
    after: tuple[str] | None = None,
    search: str = "",
    role: Role | None = None,
) -> Sequence[Account]:
    """Accounts by login, from `after` on; one more than `limit` tells that the list goes on."""
    statement = select(Account).order_by(Account.login).limit(limit + 1)
    if after is not None:
        statement = statement.where(Account.login > after[0])
    if role is not None:
        statement = statement.where(Account.role == role.value)
    if words := search.replace("\x00", "").strip():
        statement = statement.where(
            or_(
                Account.login.icontains(words, autoescape=True),
                Account.name.icontains(words, autoescape=True),
                Account.email.icontains(words, autoescape=True),
            )
        )
    return (await session.scalars(statement)).all()


async def account(session: ReadSession, account_id: UUID) -> Account:
    found = await session.get(Account, account_id)
    if found is None:
        raise AccountNotFound(_("There is no such account."))
    return found


async def account_by_login(session: ReadSession, login: str) -> Account | None:
    found: Account | None = await session.scalar(select(Account).where(Account.login == login))
    return found


async def all_accounts(session: ReadSession) -> Sequence[Account]:
    return (await session.scalars(select(Account).order_by(Account.login))).all()


async def anybody_in(session: ReadSession, roles: Collection[Role]) -> bool:
    """Whether an account that is not blocked has one of these roles."""
    held = select(Account.id).where(Account.role.in_([role.value for role in roles]), ~Account.blocked)
    return bool(await session.scalar(select(held.exists())))


async def names(session: ReadSession, ids: Collection[UUID]) -> dict[str, str]:
    """Names by guid; ids that nobody has are left out."""
    rows = await session.execute(select(Account.id, Account.name).where(Account.id.in_(ids)))
    return {str(guid): name for guid, name in rows}
