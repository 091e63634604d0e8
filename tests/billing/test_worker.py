"""When the tick closes days, and when it waits."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from billing import worker
from billing.settings import BillingSettings
from service_kit.ids import new_id
from service_kit.schema_client import SchemaClient
from service_kit.streaming import WorkerContext
from tests.billing.facts import a_working_day, next_night
from tests.support.services import Service


@dataclass
class Bench:
    """The keeper of days with a consumer whose lag the test decides, and a stop-watch it moves."""

    billing: Service
    keeper: worker.DayKeeper
    context: WorkerContext
    now_s: float = 1000.0
    lag: int | None = 0

    async def tick(self, seconds: float = 0) -> int:
        """Tick after so many seconds; answers how many days are closed by then."""
        self.now_s += seconds
        await self.keeper.close_days(self.context)
        count: int = await self.billing.scalar("select count(*) from days where state = 'closed'")
        return count


@pytest.fixture
async def bench(billing: Service) -> Bench:
    settings = billing.settings
    assert isinstance(settings, BillingSettings)
    found: list[Bench] = []
    keeper = worker.DayKeeper(settings, stop_watch=lambda: found[0].now_s)

    class Context(WorkerContext):
        async def group_lag(self) -> int | None:
            return found[0].lag

    context = Context(settings, billing.clock, SchemaClient("http://registry.test"), billing.database)
    found.append(Bench(billing, keeper, context))
    async with billing.transaction():
        pass
    await a_working_day(billing, [new_id(), new_id()])
    return found[0]


class TestDayKeeper:
    async def test_nothing_is_due_by_day(self, bench: Bench) -> None:
        """While the day lasts the tick changes nothing but putting the day on record."""
        assert await bench.tick() == 0
        assert await bench.tick(3600) == 0

    async def test_closes_after_a_quiet_moment(self, bench: Bench) -> None:
        """A day that is due is closed when it was seen due for a moment and nothing is unread."""
        next_night(bench.billing)
        assert await bench.tick() == 0
        assert await bench.tick(1.5) == 1

    @pytest.mark.parametrize("lag", [7, None])
    async def test_waits_for_unread_events(self, bench: Bench, lag: int | None) -> None:
        """Unread events, or a consumer that knows no position yet, hold the close up."""
        next_night(bench.billing)
        bench.lag = lag
        assert await bench.tick() == 0
        assert await bench.tick(600) == 0
        bench.lag = 0
        assert await bench.tick(1) == 1
        assert await bench.billing.scalar("select unread_at_close from days where state = 'closed'") == 0

    async def test_does_not_wait_for_ever(self, bench: Bench) -> None:
        """After the longest wait the day is closed, and how much was unread stays on record."""
        next_night(bench.billing)
        bench.lag = 7
        await bench.tick()
        assert await bench.tick(899) == 0
        assert await bench.tick(1) == 1
        assert await bench.billing.scalar("select unread_at_close from days where state = 'closed'") == 7

    async def test_catches_up(self, bench: Bench) -> None:
        """A process that was away for weeks closes all the days it missed, in order."""
        next_night(bench.billing, nights=30)
        await bench.tick()
        assert await bench.tick(2) == 30

    async def test_a_moved_clock_does_not_shorten_the_wait(self, bench: Bench) -> None:
        """Waiting is measured apart from business time, which may jump."""
        next_night(bench.billing)
        bench.lag = 7
        await bench.tick()
        bench.billing.clock.advance(timedelta(days=1))
        assert await bench.tick(10) == 0
