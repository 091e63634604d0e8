"""What must hold of the contract files before anybody relies on them, and the seal on those published."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs

from schema_registry.domain.contracts import (
    MANIFEST,
    Contract,
    ContractError,
    ContractVersion,
    read_contracts,
    version_files,
)
from schema_registry.domain.levels import Earlier, Level, incompatibilities


def problems(schemas: Path, samples: Path, against: str | None = None) -> list[str]:
    """Everything that is wrong, one sentence each; nothing when all is well."""
    try:
        contracts = read_contracts(schemas)
    except ContractError as error:
        return [str(error)]
    return [
        *_unsealed(schemas),
        *(_unsealed_since(schemas, against) if against else ()),
        *(problem for contract in contracts for problem in _wrong_with(contract)),
        *(
            problem
            for contract in contracts
            for version in contract.versions
            for problem in _samples_of(samples, contract, version)
        ),
    ]


def seal(schemas: Path) -> list[str]:
    """Note the digests of new files, answer their names. Raises `ContractError` when a sealed one changed."""
    sealed = _sealed(schemas)
    found = _digests(schemas)
    changed = [name for name, digest in sealed.items() if found.get(name) != digest]
    if changed:
        raise ContractError(
            f"{', '.join(changed)}: published already and must not change; write the next version"
        )
    (schemas / MANIFEST).write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return sorted(found.keys() - sealed.keys())


def _unsealed(schemas: Path) -> Iterator[str]:
    sealed, found = _sealed(schemas), _digests(schemas)
    for name in sorted(sealed.keys() | found.keys()):
        if name not in found:
            yield f"{name} was published and is gone"
        elif name not in sealed:
            yield f"{name} is new: publish it with python -m schema_registry seal"
        elif sealed[name] != found[name]:
            yield f"{name} was published and has changed; write the next version instead"


def _unsealed_since(schemas: Path, revision: str) -> Iterator[str]:
    """The manifest could be edited together with a file; the history could not."""
    asked = ["git", "-C", str(schemas), "show", f"{revision}:./{MANIFEST}"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603  no shell, fixed words
    if answer.returncode != 0:
        # Before the first manifest there was nothing published.
        return
    found = _digests(schemas)
    for name, digest in json.loads(answer.stdout).items():
        if found.get(name) != digest:
            yield f"{name} differs from what was published in {revision}"


def _wrong_with(contract: Contract) -> Iterator[str]:
    for version in contract.versions:
        yield from _wrong_words(contract, version)
        yield from _wrong_examples(version)
        earlier = [
            Earlier(one.number, one.document) for one in contract.versions if one.number < version.number
        ]
        reasons = incompatibilities(Level.FORWARD_TRANSITIVE, version.document, earlier)
        for reason in reasons[:-3]:
            yield f"{version.path} breaks readers of an earlier version: {reason}"


def _wrong_words(contract: Contract, version: ContractVersion) -> Iterator[str]:
    """Names stand in the file, in its folder and beside it; they must tell one story."""
    schema = version.schema
    expected = {
        "title": contract.name,
        "x-producer": contract.producer,
        "x-topic": contract.topic,
        "x-key": contract.key,
        "$id": f"urn:ates:{contract.producer}:{contract.folder}:{version.number}",
    }
    for keyword, value in expected.items():
        if schema.get(keyword) != value:
            yield f"{version.path}: {keyword} must be {value!r}, not {schema.get(keyword)!r}"
    if not contract.topic.startswith(f"{contract.producer}."):
        yield f"{version.path}: topic {contract.topic} does not belong to {contract.producer}"
    if "additionalProperties" in schema:
        yield f"{version.path}: events are open, so that fields can be added; additionalProperties must go"
    for name, field in schema.get("properties", {}).items():
        if not isinstance(field, dict) or not field.get("description"):
            yield f"{version.path}: field {name} has no description"


def _wrong_examples(version: ContractVersion) -> Iterator[str]:
    examples = version.schema.get("examples", [])
    if not examples:
        yield f"{version.path} has no example"
    validator = jsonschema_rs.validator_for(version.schema, validate_formats=True)
    for example in examples:
        for error in validator.iter_errors(example):
            yield f"{version.path}: the example is not valid: {error.message}"


def _samples_of(samples: Path, contract: Contract, version: ContractVersion) -> Iterator[str]:
    folder = samples / contract.producer / contract.folder / str(version.number)
    files = sorted(folder.glob("*.json"))
    if not files:
        yield f"{version.path} has no golden samples in {folder}"
    validator = jsonschema_rs.validator_for(version.schema, validate_formats=True)
    for file in files:
        for error in validator.iter_errors(json.loads(file.read_text(encoding="utf-8"))):
            yield f"{file}: the sample is not valid: {error.message}"


def _sealed(schemas: Path) -> dict[str, str]:
    path = schemas / MANIFEST
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def _digests(schemas: Path) -> dict[str, str]:
    return {
        path.relative_to(schemas).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in version_files(schemas)
    }
