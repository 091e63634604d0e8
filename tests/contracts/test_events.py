"""Every event class of every service holds to its contract, at both ends."""

import inspect
import json
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from schema_registry.domain.contracts import Contract, read_contracts
from service_kit.consuming import EventRouter
from service_kit.events import Event
from tests.support.schemas import SCHEMAS

SERVICES = {"auth": "auth_service", "tracker": "tracker", "billing": "billing", "analytics": "analytics"}
SAMPLES = Path(__file__).parent / "samples"
CONTRACTS = {(one.topic, one.name): one for one in read_contracts(SCHEMAS)}


def said_by(service: str) -> list[type[Event]]:
    return list(getattr(import_module(f"{SERVICES[service]}.events"), "SAYS", ()))


def heard_by(service: str) -> list[type[Event]]:
    """What the service's consumers are routed for, whatever else its `events.py` declares."""
    if service == "auth":
        return []
    router = import_module(f"{SERVICES[service]}.consumers").router
    assert isinstance(router, EventRouter)
    return router.hears


def samples(event: type[Event]) -> list[tuple[str, Any]]:
    contract = contract_of(event)
    folder = SAMPLES / contract.producer / contract.folder / str(event.version)
    return [(path.stem, json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]


def contract_of(event: type[Event]) -> Contract:
    contract = CONTRACTS.get((event.topic, event.name))
    assert contract is not None, f"{event.type_name()} has no contract"
    assert contract.version(event.version) is not None, f"{event.type_name()} has no contract of this version"
    return contract


def cases(events_of: Any) -> list[Any]:
    return [
        pytest.param(event, data, id=f"{service}-{event.type_name()}-{name}")
        for service in SERVICES
        for event in events_of(service)
        for name, data in samples(event)
    ]


@pytest.mark.parametrize(("event", "data"), cases(said_by))
def test_what_a_producer_says(event: type[Event], data: dict[str, Any]) -> None:
    """A golden sample survives the producer's class: the same fields and values, valid under the contract."""
    version = contract_of(event).version(event.version)
    assert version is not None
    said = json.loads(event.model_validate(data).to_json())
    jsonschema_rs.validator_for(version.schema, validate_formats=True).validate(said)
    assert set(said) == set(version.schema["properties"])
    kept = event.model_validate(data)
    assert event.model_validate(said) == kept


@pytest.mark.parametrize(("event", "data"), cases(heard_by))
def test_what_a_consumer_hears(event: type[Event], data: dict[str, Any]) -> None:
    """A consumer reads every golden sample, and each field it declares is one of the contract."""
    version = contract_of(event).version(event.version)
    assert version is not None
    heard = event.model_validate(data)
    aliases = {field.alias or name for name, field in event.model_fields.items()}
    assert aliases <= set(version.schema["properties"])
    assert {alias for alias in aliases if alias in data} == aliases
    assert heard == event.model_validate_json(json.dumps(data))


def test_every_version_has_its_producer() -> None:
    """Each version of each contract is said by the service it belongs to, and nothing else is said."""
    said = {
        (service, event.topic, event.name, event.version)
        for service in SERVICES
        for event in said_by(service)
    }
    promised = {
        (one.producer, one.topic, one.name, version.number)
        for one in CONTRACTS.values()
        for version in one.versions
    }
    assert said == promised


def test_consumers_are_those_that_listen() -> None:
    """The consumers named beside a contract are the services whose routers hear it, in those versions."""
    heard: dict[tuple[str, str], dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for service in SERVICES:
        for event in heard_by(service):
            heard[event.topic, event.name][service].add(event.version)
    for key, contract in CONTRACTS.items():
        named = {service: set(numbers) for service, numbers in contract.consumers.items()}
        assert named == heard[key], f"{contract.producer}/{contract.folder}/event.json"


def test_nobody_hears_both_versions_apart() -> None:
    """Versions of one fact share an event id: whoever hears two of them acts on the first only."""
    for service in SERVICES:
        names = [(event.topic, event.name) for event in heard_by(service)]
        assert len(names) == len(set(names)), service


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_classes_that_nobody_uses(service: str) -> None:
    """Every event class of a service is either said or heard."""
    module = import_module(f"{SERVICES[service]}.events")
    declared = {
        found
        for _name, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, Event) and found.__module__ == module.__name__
    }
    assert declared <= {*said_by(service), *heard_by(service)}
