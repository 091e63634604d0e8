"""Facts of auth_service, as the kit's consumer hands them over."""

from datetime import timedelta
from uuid import UUID, uuid4

from service_kit.events import Event, Received
from tests.support.services import Service
from tests.tracker.makers import LONG_AGO
from tracker.consumers import router
from tracker.events import AccountBlocked, AccountCreated, AccountRoleChanged


def received(fact: Event, key: UUID) -> Received[Event]:
    return Received(
        data=fact,
        event_id=uuid4(),
        occurred_at=LONG_AGO,
        key=str(key),
        correlation_id=None,
        topic="auth.accounts",
        partition=0,
        offset=0,
        sent_at=LONG_AGO,
        raw=fact.to_json(),
    )


async def test_facts_about_accounts_become_the_replica(tracker: Service) -> None:
    created, moved, blocked = uuid4(), uuid4(), uuid4()
    later = LONG_AGO + timedelta(days=1)
    facts: list[Event] = [
        *(
            AccountCreated(user_guid=guid, role="worker", active=True, created_at=LONG_AGO)
            for guid in (created, moved, blocked)
        ),
        AccountRoleChanged(user_guid=moved, role="manager", changed_at=later),
        AccountBlocked(user_guid=blocked, blocked=True, changed_at=later),
    ]
    async with tracker.transaction() as session:
        await router.handle(session, [received(fact, fact.user_guid) for fact in facts])  # type: ignore[attr-defined]

    async def replica(guid: UUID) -> str:
        found: str = await tracker.scalar(
            "select role || ' ' || active from accounts where id = :id", id=guid
        )
        return found

    assert [await replica(guid) for guid in (created, moved, blocked)] == [
        "worker true",
        "manager true",
        "worker false",
    ]


def test_the_tracker_hears_accounts_and_prices_alone() -> None:
    assert router.topics == {"auth.accounts", "billing.prices"}
