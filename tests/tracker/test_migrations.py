"""The schema the migrations make is the one the models mean."""

from service_kit import migrating
from tests.support.databases import in_a_thread
from tests.support.services import Service


async def test_models_and_migrations_agree(tracker: Service) -> None:
    in_a_thread(lambda: migrating.check("tracker", "tracker", tracker.addresses.owner))


async def test_the_index_of_eligible_accounts_is_the_one_a_draw_reads(tracker: Service) -> None:
    definition = await tracker.scalar(
        "select indexdef from pg_indexes where indexname = 'ix_accounts_eligible'"
    )
    assert "'admin'" in definition
    assert "'client'" in definition
    assert "'manager'" in definition
