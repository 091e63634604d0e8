"""Prices, double entry, business days and closing, as rules without a database."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing.domain import (
    COMPANY,
    PAYOUTS,
    AtClose,
    EntryKind,
    Movement,
    Price,
    business_date,
    day_bounds,
    entry_id,
    fact_id,
    figures_of,
    is_due,
    legs,
    may_close,
    payouts_due,
    price_task,
)

KEY = b"a-key-for-prices"
BERLIN, NEW_YORK, KOLKATA = (
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("America/New_York"),
    ZoneInfo("Asia/Kolkata"),
)
ZONES = (BERLIN, NEW_YORK, KOLKATA, ZoneInfo("UTC"), ZoneInfo("Europe/Moscow"))
# Zones whose clocks jump at midnight, so that a day may begin at 01:00 or pass midnight twice.
MIDNIGHT_JUMPERS = (ZoneInfo("America/Sao_Paulo"), ZoneInfo("America/Havana"), ZoneInfo("Asia/Beirut"))

zones = st.sampled_from(ZONES + MIDNIGHT_JUMPERS)
dates = st.dates(date(2000, 1, 1), date(2037, 12, 30))
moments = st.datetimes(datetime(2000, 1, 1), datetime(2037, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
amounts = st.integers(1, 10**9)
DAY = date(2026, 3, 2)


class TestPrices:
    @given(st.uuids())
    def test_bounds(self, task_id: UUID) -> None:
        """A fee is 10 to 20 whole dollars, a reward 20 to 40 (A4, R7)."""
        price = price_task(task_id, KEY)
        assert price.fee_cents in range(1000, 2001, 100)
        assert price.reward_cents in range(2000, 4001, 100)

    @given(st.uuids())
    def test_a_replay_prices_alike(self, task_id: UUID) -> None:
        """The same task has the same price whenever it is asked for (R4)."""
        assert price_task(task_id, KEY) == price_task(UUID(str(task_id)), KEY)

    def test_prices_are_fixed_for_ever(self) -> None:
        """The derivation is part of the journal's history: it may not change by accident."""
        assert price_task(UUID(int=1), KEY) == Price(fee_cents=1500, reward_cents=2900)

    def test_every_amount_occurs_about_equally_often(self) -> None:
        """Prices are spread evenly over both ranges, and the reward does not follow the fee."""
        prices = [price_task(UUID(int=n), KEY) for n in range(11 * 21 * 40)]
        fees, rewards = Counter(p.fee_cents for p in prices), Counter(p.reward_cents for p in prices)
        assert len(fees) == 11
        assert len(rewards) == 21
        assert min(fees.values()) > 0.85 * len(prices) / 11
        assert min(rewards.values()) > 0.8 * len(prices) / 21
        assert len(set(prices)) == 11 * 21

    def test_another_key_prices_otherwise(self) -> None:
        """Without the key nobody can tell a price before it is drawn."""
        ids = [UUID(int=n) for n in range(100)]
        assert sum(price_task(i, KEY) == price_task(i, b"another key") for i in ids) < 10


class TestPostings:
    @given(st.sampled_from(EntryKind), st.uuids(), amounts)
    def test_every_entry_sums_to_zero(self, kind: EntryKind, worker: UUID, amount: int) -> None:
        """What one side gives the other takes."""
        assert sum(cents for _, cents in legs(kind, worker, amount)) == 0

    @pytest.mark.parametrize(
        ("kind", "of_worker", "other"),
        [
            (EntryKind.FEE, -500, COMPANY),
            (EntryKind.REWARD, 500, COMPANY),
            (EntryKind.PAYOUT, -500, PAYOUTS),
        ],
    )
    def test_directions(self, kind: EntryKind, of_worker: int, other: UUID) -> None:
        """A fee and a payout lower the worker's balance, a reward raises it."""
        worker = uuid4()
        assert legs(kind, worker, 500) == ((worker, of_worker), (other, -of_worker))

    @pytest.mark.parametrize("amount", [0, -1])
    def test_amounts_are_positive(self, amount: int) -> None:
        """An entry that moves nothing, or backwards, is a mistake of ours."""
        with pytest.raises(ValueError, match="positive"):
            legs(EntryKind.FEE, uuid4(), amount)

    @given(st.uuids(version=4), st.uuids(version=4))
    def test_entry_ids_follow_from_their_facts(self, one: UUID, other: UUID) -> None:
        """One fact always causes the same entry, two facts two; the ids are of version 7 in their form."""
        assert entry_id(one) == entry_id(one) != one
        assert (entry_id(one) == entry_id(other)) == (one == other)
        assert entry_id(one).version == 7
        assert entry_id(one).bytes[:6] == one.bytes[:6]

    @given(st.uuids(version=4), st.uuids(version=4))
    def test_facts_about_one_subject_have_ids_beside_it_one_for_each_name(
        self, one: UUID, other: UUID
    ) -> None:
        said = fact_id("EntryPosted", one)

        assert said == fact_id("EntryPosted", one) != fact_id("TaskPriced", one)
        assert (said == fact_id("EntryPosted", other)) == (one == other)
        assert said.bytes[:6] == one.bytes[:6]


class TestBusinessDays:
    @given(moments, zones)
    def test_a_moment_lies_in_its_day(self, moment: datetime, zone: ZoneInfo) -> None:
        """The bounds of a moment's business date hold it."""
        start, end = day_bounds(business_date(moment, zone), zone)
        assert start <= moment < end

    @given(dates, zones)
    def test_days_are_seamless(self, day: date, zone: ZoneInfo) -> None:
        """One day ends where the next begins; the bounds belong to the day that they open."""
        start, end = day_bounds(day, zone)
        assert end == day_bounds(day + timedelta(days=1), zone)[0]
        assert business_date(start, zone) == day
        assert business_date(end - timedelta(microseconds=1), zone) == day
        assert business_date(end, zone) == day + timedelta(days=1)

    @given(dates, st.sampled_from(ZONES))
    def test_lengths(self, day: date, zone: ZoneInfo) -> None:
        """A day lasts 23, 24 or 25 hours; always 24 where clocks are never moved."""
        start, end = day_bounds(day, zone)
        allowed = {24} if zone in {KOLKATA, ZoneInfo("UTC")} else {23, 24, 25}
        assert (end - start) / timedelta(hours=1) in allowed

    @pytest.mark.parametrize(
        ("day", "zone", "hours"),
        [
            (date(2026, 3, 29), BERLIN, 23),
            (date(2026, 10, 25), BERLIN, 25),
            (date(2026, 3, 8), NEW_YORK, 23),
            (date(2026, 11, 1), NEW_YORK, 25),
            (date(2026, 3, 30), BERLIN, 24),
        ],
    )
    def test_days_of_the_clock_change(self, day: date, zone: ZoneInfo, hours: int) -> None:
        """The days on which clocks are moved are an hour shorter or longer."""
        start, end = day_bounds(day, zone)
        assert end - start == timedelta(hours=hours)

    @given(st.sampled_from(ZONES), st.integers(2020, 2036))
    @example(BERLIN, 2026)
    @example(NEW_YORK, 2026)
    def test_a_year_closes_each_day_once(self, zone: ZoneInfo, year: int) -> None:
        """Ticking through a year finds each day due exactly once, in order, on the night after it."""
        delay = timedelta(minutes=1)
        day = date(year, 1, 1)
        now = day_bounds(day, zone)[0]
        closed = []
        while day.year == year:
            now += timedelta(hours=1)
            while is_due(day, zone, now, delay):
                closed.append(day)
                assert business_date(now, zone) == day + timedelta(days=1)
                day += timedelta(days=1)
        assert closed == [date(year, 1, 1) + timedelta(days=n) for n in range(len(closed))]
        assert len(closed) in {365, 366}

    @given(dates, zones, st.integers(0, 3600))
    def test_due_after_midnight_and_the_delay(self, day: date, zone: ZoneInfo, delay_s: int) -> None:
        """Not a microsecond earlier."""
        delay = timedelta(seconds=delay_s)
        due = day_bounds(day, zone)[1] + delay
        assert is_due(day, zone, due, delay)
        assert not is_due(day, zone, due - timedelta(microseconds=1), delay)

    @pytest.mark.parametrize(
        ("lag", "waited_s", "expected"), [(0, 0, True), (1, 899, False), (1, 900, True), (0, 5, True)]
    )
    def test_a_close_waits_for_unread_events(self, lag: int, waited_s: float, *, expected: bool) -> None:
        """Unread events hold the close up, but not for ever."""
        assert may_close(lag=lag, waited_s=waited_s, max_wait_s=900) is expected


class TestClosing:
    @given(st.lists(st.tuples(st.integers(-(10**6), 0), st.integers(-(10**6), 10**6)), max_size=30))
    def test_payouts(self, raw: list[tuple[int, int]]) -> None:
        """Every positive balance is paid in full, every debt is left alone (A7, S3-31, S3-32)."""
        accounts = [AtClose(UUID(int=n), *figures) for n, figures in enumerate(raw, 1)]
        paid = {entry.account_id: entry.amount_cents for entry in payouts_due(DAY, accounts)}
        assert paid == {a.account_id: a.balance_cents for a in accounts if a.balance_cents > 0}

    @given(st.lists(st.uuids(), min_size=1, max_size=20, unique=True), st.randoms())
    def test_payouts_do_not_depend_on_order(self, owners: list[UUID], random: object) -> None:
        """Two runs that read the accounts in another order write the same entries under the same ids."""
        accounts = [AtClose(owner, 0, 100) for owner in owners]
        shuffled = list(accounts)
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        assert payouts_due(DAY, accounts) == payouts_due(DAY, shuffled)

    def test_one_payout_id_per_day_and_account(self) -> None:
        """The id names day and account, so a second payout of the same day meets the first."""
        owner = uuid4()
        (one,) = payouts_due(DAY, [AtClose(owner, 0, 100)])
        (again,) = payouts_due(DAY, [AtClose(owner, 0, 999)])
        (next_day,) = payouts_due(DAY + timedelta(days=1), [AtClose(owner, 0, 100)])
        assert one.id == again.id != next_day.id

    def test_an_empty_day(self) -> None:
        """A day without work has figures of zero and no dearest task."""
        figures = figures_of([])
        assert figures.income_cents == 0
        assert figures.max_cost_cents is None

    def test_figures(self) -> None:
        """R9: per task fees less rewards; profit above zero, deficit below, nothing at zero."""
        a, b, c, d = (UUID(int=n) for n in range(1, 5))
        figures = figures_of(
            [
                Movement(EntryKind.FEE, a, 1500),
                Movement(EntryKind.FEE, a, 1500),  # reassigned: the second assignee pays as well (R1)
                Movement(EntryKind.FEE, b, 1000),
                Movement(EntryKind.REWARD, b, 3000, late=True),
                Movement(EntryKind.FEE, c, 2000),
                Movement(EntryKind.REWARD, c, 2000),
                Movement(EntryKind.REWARD, d, 3000),  # assigned on an earlier day
                Movement(EntryKind.PAYOUT, None, 700),
            ]
        )
        assert (figures.fees_cents, figures.rewards_cents, figures.income_cents) == (6000, 8000, -2000)
        assert (figures.task_count_profit, figures.task_count_deficit) == (1, 2)
        assert (figures.max_cost_cents, figures.max_cost_task_id) == (3000, b)
        assert (figures.payouts_cents, figures.payout_count, figures.late_count) == (700, 1, 1)

    @given(
        st.lists(
            st.tuples(st.sampled_from([EntryKind.FEE, EntryKind.REWARD]), st.integers(1, 5), amounts),
            max_size=30,
        )
    )
    def test_income_is_the_sum_of_all_nets(self, raw: list[tuple[EntryKind, int, int]]) -> None:
        """Income equals fees less rewards, however the entries fall upon tasks (A5)."""
        figures = figures_of([Movement(kind, UUID(int=task), cents) for kind, task, cents in raw])
        assert figures.income_cents == sum(c if k is EntryKind.FEE else -c for k, _, c in raw)
        assert figures.task_count_profit + figures.task_count_deficit <= len({task for _, task, _ in raw})
