"""What a person has let an application know, written in the request in which they said so."""

from uuid import UUID

from auth_service.commands.audit import record
from auth_service.commands.oauth.server import ProviderServer
from auth_service.models import Consent


def give_consent(server: ProviderServer, account_id: UUID, client_id: str, scopes: list[str]) -> None:
    """Add to what was let before: a smaller request later withdraws nothing."""
    given = server.session.get(Consent, (account_id, client_id), with_for_update=True)
    if given is None:
        given = Consent(account_id=account_id, client_id=client_id, scopes=[])
        server.session.add(given)
    given.scopes = list(dict.fromkeys([*given.scopes, *scopes]))
    given.given_at = server.now
    record(
        server.session,
        "consent_given",
        actor_id=account_id,
        account_id=account_id,
        client_id=client_id,
        details={"scopes": scopes},
    )
