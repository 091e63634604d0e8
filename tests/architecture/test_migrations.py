"""Models and migrations tell the same story, for every service."""

import pytest

from service_kit import migrating
from tests.support.databases import Databases, in_a_thread, settings_class


@pytest.mark.parametrize("package", ["auth_service", "tracker", "billing", "analytics", "schema_registry"])
def test_models_match_the_migrated_schema(databases: Databases, package: str) -> None:
    database = databases.fresh(package)
    try:
        in_a_thread(lambda: migrating.check(package, settings_class(package).name, database.owner))
    finally:
        databases.drop(database)
