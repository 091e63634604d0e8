"""The contracts as AsyncAPI 3 documents, whole in themselves: no address has to be fetched to read one.

Shapes: AsyncAPI 3.0.0 with Kafka bindings 0.5.0.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schema_registry.domain.contracts import Contract, ContractVersion

BINDING = "0.5.0"
PAYLOAD_FORMAT = "application/vnd.aai.asyncapi+json;version=3.0.0"
LEFT_OUT = frozenset({"$schema", "$id", "examples", "title"})
"""Words of the schema that the message says itself, or that would lead a reader elsewhere."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where the events are found."""

    kafka_servers: str
    """`host:port` joined by commas."""
    registry_url: str
    framing: Mapping[str, str]
    """`confluent` or `plain` by topic; a topic that is not named has the Confluent frame."""

    def framed(self, topic: str) -> bool:
        return self.framing.get(topic, "confluent") == "confluent"


def services_of(contracts: Sequence[Contract]) -> list[str]:
    """Everybody who says or hears something."""
    return sorted({name for one in contracts for name in (one.producer, *one.consumers)})


def document(
    contracts: Sequence[Contract], surroundings: Surroundings, service: str | None = None
) -> dict[str, Any]:
    """What one service says and hears, or, without a service, everything that is said by anybody."""
    about = _about(contracts, service)
    used = [(contract, version) for contract, version, _actions in about]
    topics = list(dict.fromkeys(contract.topic for contract, _version in used))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"aTES: events of {service}" if service else "aTES: all events",
            "version": "1.0.0",
            "description": (
                f"What {service} says, and what it hears."
                if service
                else "What the services tell each other."
            ),
        },
        "defaultContentType": "application/json",
        "servers": _servers(surroundings),
        "channels": {topic: _channel(topic, used) for topic in topics},
        "operations": dict(_operations(about, service)),
        "components": {
            "messages": {
                _key(contract, version): _message(contract, version, surroundings)
                for contract, version in used
            }
        },
    }


_About = list[tuple[Contract, ContractVersion, list[tuple[str, str]]]]
"""Each version with who does what with it: (service, send or receive)."""


def _about(contracts: Sequence[Contract], service: str | None) -> _About:
    found: _About = []
    for contract in contracts:
        for version in contract.versions:
            actions = [(contract.producer, "send")]
            actions += [(name, "receive") for name in contract.readers_of(version.number)]
            actions = [one for one in actions if service in {None, one[0]}]
            if actions:
                found.append((contract, version, actions))
    return found


def _servers(surroundings: Surroundings) -> dict[str, Any]:
    return {
        f"kafka{number or ''}": {
            "host": host,
            "protocol": "kafka",
            "description": "The broker.",
            "bindings": {
                "kafka": {
                    "schemaRegistryUrl": surroundings.registry_url,
                    "schemaRegistryVendor": "confluent",
                    "bindingVersion": BINDING,
                }
            },
        }
        for number, host in enumerate(surroundings.kafka_servers.split(","))
    }


def _channel(topic: str, used: Sequence[tuple[Contract, ContractVersion]]) -> dict[str, Any]:
    here = [(contract, version) for contract, version in used if contract.topic == topic]
    return {
        "address": topic,
        "description": f"Said by {here[0][0].producer}, in order for each {here[0][0].key}.",
        "messages": {
            _key(contract, version): {"$ref": f"#/components/messages/{_key(contract, version)}"}
            for contract, version in here
        },
        "bindings": {"kafka": {"topic": topic, "bindingVersion": BINDING}},
    }


def _operations(about: _About, service: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for contract, version, actions in about:
        for name, action in actions:
            grouped.setdefault((name, action, contract.topic), []).append(_key(contract, version))
    for (name, action, topic), keys in sorted(grouped.items()):
        who = "" if service else f"{name}-"
        words = "says" if action == "send" else "hears"
        yield (
            f"{who}{action}-{topic}",
            {
                "action": action,
                "summary": f"{name} {words} this.",
                "channel": {"$ref": f"#/channels/{topic}"},
                "messages": [{"$ref": f"#/channels/{topic}/messages/{key}"} for key in keys],
            },
        )


def _message(contract: Contract, version: ContractVersion, surroundings: Surroundings) -> dict[str, Any]:
    schema = version.schema
    framed = surroundings.framed(contract.topic)
    until = contract.until.get(version.number)
    found: dict[str, Any] = {
        "name": contract.name,
        "title": f"{contract.name} v{version.number}",
        "summary": contract.summary,
        "description": schema.get("description", ""),
        "contentType": "application/json",
        "headers": _headers(contract, version),
        "payload": {
            "schemaFormat": PAYLOAD_FORMAT,
            "schema": {key: value for key, value in schema.items() if key not in LEFT_OUT},
        },
        "examples": [{"name": "example", "payload": one} for one in schema.get("examples", [])],
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"The {contract.key} of the data."},
                "bindingVersion": BINDING,
            }
            | (_FRAME if framed else {})
        },
        "x-subject": contract.subject,
        "x-version": version.number,
    }
    return found if until is None else found | {"x-said-until": until.isoformat()}


_FRAME = {
    "schemaIdLocation": "payload",
    "schemaIdPayloadEncoding": "confluent",
    "schemaLookupStrategy": "TopicRecordNameStrategy",
}


def _headers(contract: Contract, version: ContractVersion) -> dict[str, Any]:
    """Attributes of CloudEvents 1.0 in the binary mode of its Kafka binding."""
    texts = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"format": "uuid", "description": "The fact: all its versions have the same."},
        "ce_type": {"const": contract.type_name(version.number)},
        "ce_source": {"description": "Who says it."},
        "ce_time": {"format": "date-time", "description": "When it happened."},
        "ce_subject": {"description": "What it is about; also the key of the record."},
        "ce_dataschema": {"description": "The schema, by its address in the registry."},
    }
    return {
        "type": "object",
        "properties": {name: {"type": "string"} | more for name, more in texts.items()},
        "required": ["ce_specversion", "ce_id", "ce_type", "ce_source"],
    }


def _key(contract: Contract, version: ContractVersion) -> str:
    return f"{contract.name}V{version.number}"
