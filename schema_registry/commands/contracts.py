"""The contract files become versions of their subjects."""

from collections.abc import Sequence

from schema_registry.commands.configuring import configure
from schema_registry.commands.guarding import lock_everything
from schema_registry.commands.registering import add_version, schema_row
from schema_registry.domain.contexts import DEFAULT
from schema_registry.domain.contracts import Contract, ContractError
from schema_registry.domain.documents import Document
from schema_registry.domain.levels import Level, incompatibilities
from schema_registry.domain.registered import JSON_TYPE, Candidate, Registered
from schema_registry.models.lookups import earlier_versions, settings_of, versions_of
from service_kit.database import Session


async def register_contracts(session: Session, contracts: Sequence[Contract]) -> list[str]:
    """Take over the contract files: version n of a file is version n of its subject, for ever.

    Safe to repeat and to run in several processes at once. Answers the versions that are new. Raises
    `ContractError` when a file that was registered has changed, or a new version breaks its promise.
    """
    await lock_everything(session)
    added: list[str] = []
    for contract in contracts:
        settings = await settings_of(session, contract.subject)
        if settings is None or settings.level != Level.FORWARD_TRANSITIVE:
            await configure(session, contract.subject, Level.FORWARD_TRANSITIVE, {})
        known = {one.version: one for one in await versions_of(session, contract.subject, deleted=True)}
        for version in contract.versions:
            if version.number in known:
                _refuse_changed(contract, version.path, version.document, known[version.number])
                continue
            if version.number != max(known, default=0) + 1:
                raise ContractError(
                    f"{version.path}: subject {contract.subject} is at version {max(known)} already; "
                    "somebody registered versions that are not in the files"
                )
            earlier = await earlier_versions(session, list(known.values()))
            reasons = incompatibilities(Level.FORWARD_TRANSITIVE, version.document, earlier)
            if reasons:
                raise ContractError(f"{version.path} is not compatible with an earlier version: {reasons[0]}")
            candidate = Candidate(version.document.text, JSON_TYPE)
            schema = await schema_row(session, DEFAULT, version.document, candidate)
            known[version.number] = await add_version(
                session, contract.subject, version.number, schema, candidate
            )
            added.append(version.path)
    return added


def _refuse_changed(contract: Contract, path: str, document: Document, known: Registered) -> None:
    if known.text != document.text:
        raise ContractError(
            f"{path} differs from version {known.version} of {contract.subject} as it was registered; "
            "a published version never changes, write the next one"
        )
