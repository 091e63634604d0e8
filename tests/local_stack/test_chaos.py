"""The schedule of faults: the same for a seed, complete, and aimed at what exists."""

from local_stack.chaos.schedule import SECOND_CLOSER, Kind, Parts, drawn

PARTS = Parts(
    processes=["tracker-web", "tracker-worker", "gateway"],
    services=["tracker", "billing"],
    lines=["tracker-postgres", "gateway-tracker"],
)


def test_a_seed_draws_the_same_faults() -> None:
    """A run that broke something can be played again."""
    assert drawn(7, 300, PARTS) == drawn(7, 300, PARTS)
    assert drawn(7, 300, PARTS) != drawn(8, 300, PARTS)


def test_every_kind_strikes() -> None:
    """Two minutes are enough for each kind of fault, and for several nights."""
    for seed in range(20):
        plan = drawn(seed, 120, PARTS)
        assert {fault.kind for fault in plan} == set(Kind)
        assert sum(fault.kind is Kind.MIDNIGHT for fault in plan) >= 3


def test_faults_come_in_order_and_strike_what_there_is() -> None:
    plan = drawn(3, 600, PARTS)
    assert [fault.at_s for fault in plan] == sorted(fault.at_s for fault in plan)
    assert plan[-1].at_s < 600
    struck = {fault.target for fault in plan if fault.kind in {Kind.KILL, Kind.PAUSE}}
    assert struck <= {*PARTS.processes, SECOND_CLOSER, "kafka"}
    broken = {Kind.RESET, Kind.STILL, Kind.SLOW, Kind.HALF_OPEN}
    assert {fault.target for fault in plan if fault.kind in broken} == set(PARTS.lines)
    lasting = {Kind.PAUSE, *broken} - {Kind.RESET}
    assert all(fault.seconds > 0 for fault in plan if fault.kind in lasting)
