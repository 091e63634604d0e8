"""What the documents name exists, and what exists is named in them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from service_kit import telemetry
from service_kit.settings import ServiceSettings
from tests.support.databases import settings_class

ROOT = Path(__file__).parents[2]
OPERATING = (ROOT / "docs" / "operating.md").read_text()
PACKAGES = ("auth_service", "tracker", "billing", "analytics", "schema_registry")
COMMANDS = (
    "up",
    "down",
    "reset",
    "status",
    "logs",
    "demo",
    "night",
    "token",
    "trace",
    "reconcile",
    "chaos",
    "test",
    "bench",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    assert f"`./ates {command}" in OPERATING


@pytest.mark.parametrize("field", list(ServiceSettings.model_fields))
def test_every_shared_setting_is_documented(field: str) -> None:
    assert f"`ATES_{field.upper()}`" in OPERATING


def own_settings() -> Iterator[str]:
    for package in PACKAGES:
        kind = settings_class(package)
        for field in sorted(set(kind.model_fields) - set(ServiceSettings.model_fields)):
            yield f"{kind.name.upper()}_{field.upper()}"


@pytest.mark.parametrize("key", list(own_settings()))
def test_every_setting_of_a_service_is_documented(key: str) -> None:
    assert f"`{key}`" in OPERATING


def test_no_setting_is_documented_that_does_not_exist() -> None:
    known = {f"ATES_{field.upper()}" for field in ServiceSettings.model_fields}
    known |= set(own_settings()) | {"ATES_HOME", "ATES_INSTANCE"}
    named = set(
        re.findall(
            r"^\| `((?:ATES|AUTH|TRACKER|BILLING|ANALYTICS|REGISTRY)_[A-Z_]+)`", OPERATING, re.MULTILINE
        )
    )
    assert named - known == set()


def test_every_metric_is_documented() -> None:
    assert telemetry.OUTBOX_AGE is not None
    ours = {metric.name for metric in REGISTRY.collect() if metric.name.startswith("ates_")}
    missing = {name for name in ours if f"`{name}" not in OPERATING}
    assert missing == set()


@pytest.mark.parametrize(
    "document", [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))], ids=str
)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", document.read_text())
    dead = [link for link in links if not (document.parent / link).exists()]
    assert dead == []


def test_decisions_are_numbered() -> None:
    """Each has a number of its own, without gaps, and its title says the same one."""
    files = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [file.name[:4] for file in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    assert [file.name for file in files if not file.read_text().startswith(f"# {file.name[:4]} ")] == []
