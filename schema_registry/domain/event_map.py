"""The event map as a document: who says what, in which fields, and who listens."""

from collections.abc import Iterator, Sequence

from schema_registry.domain.contracts import Contract, ContractVersion
from schema_registry.domain.fields import fields_of, pretty

HEAD = """# Events

Written by `python -m schema_registry events` from `schema_registry/schemas`; do not edit.
How to change an event: [evolving-events.md](evolving-events.md).

Every event is JSON data on a topic of its producer, in Confluent's framing (a zero byte and the schema's
id in four bytes), with CloudEvents attributes as `ce_*` headers; `ce_type` is `<topic>.<Event>.v<version>`.
Records with one key keep their order. Versions of one fact share one `ce_id`: whoever reads two versions
acts once. Fields that are not listed may appear at any time and are to be ignored.

The catalogue at `/registry` gives a program to copy that reads the event (Python, Java, JavaScript), with the
addresses of broker and registry, and shows the last records. `./ates up` and `./ates status --json` tell the
addresses too. A record that breaks its contract can lie in any topic: put it aside, and go on behind it.

## Map
"""


def event_map(contracts: Sequence[Contract]) -> str:
    return "\n".join([*_lines(contracts), ""])


def _lines(contracts: Sequence[Contract]) -> Iterator[str]:
    yield HEAD
    yield "| producer | event | versions | topic | key | consumers |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for one in contracts:
        versions = ", ".join(str(version.number) for version in one.versions)
        yield (
            f"| {one.producer} | [{one.name}](#{one.name.lower()}) | {versions} | `{one.topic}` "
            f"| `{one.key}` | {_consumers(one)} |"
        )
    for one in contracts:
        yield from _event(one)


def _consumers(contract: Contract) -> str:
    if not contract.consumers:
        return "none"
    if len(contract.versions) == 1:
        return ", ".join(sorted(contract.consumers))
    return ", ".join(
        f"{service} ({', '.join(f'v{number}' for number in numbers)})"
        for service, numbers in sorted(contract.consumers.items())
    )


def _event(contract: Contract) -> Iterator[str]:
    yield f"\n## {contract.name}\n"
    yield f"{contract.summary} Topic `{contract.topic}`, key `{contract.key}`, subject `{contract.subject}`."
    for version in contract.versions:
        yield from _version(contract, version)


def _version(contract: Contract, version: ContractVersion) -> Iterator[str]:
    yield f"\n### {contract.name} v{version.number}\n"
    yield f"{version.schema['description']}\n"
    yield "| field | type | meaning |"
    yield "| --- | --- | --- |"
    for field in fields_of(version.schema):
        limits = f" ({'; '.join(field.limits)})" if field.limits else ""
        optional = "" if field.required else " (optional)"
        meaning = f"{field.meaning}{limits}".replace("|", "\\|")
        yield f"| `{field.name}`{optional} | {' or '.join(field.kinds)} | {meaning} |"
    for example in version.schema.get("examples", [])[:1]:
        yield f"\n```json\n{pretty(example)}\n```"
