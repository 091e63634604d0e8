"""OAuth clients of our own, kept as the setting AUTH_CLIENTS describes them."""

from datetime import UTC, datetime

from sqlalchemy.dialects.postgresql import insert

from auth_service.domain.tokens import digest
from auth_service.models import OAuthClient
from auth_service.settings import AuthSettings, ClientDefinition
from service_kit.database import Session


async def upsert_clients(session: Session, settings: AuthSettings) -> None:
    """Write every client of the settings; clients that only the database knows are left alone."""
    # In one order always, so that two processes that start together do not lock each other out.
    for client_id, definition in sorted(settings.clients.items()):
        row = _row(client_id, definition, settings)
        statement = insert(OAuthClient).values(client_id=client_id, **row)
        await session.execute(statement.on_conflict_do_update(index_elements=["client_id"], set_=row))


def _row(client_id: str, definition: ClientDefinition, settings: AuthSettings) -> dict[str, object]:
    secret = definition.secret.get_secret_value() if definition.secret else None
    own_address = settings.public_urls.get(client_id)
    default_logout = f"{own_address.rstrip('/')}/backchannel-logout" if own_address else None
    return {
        "name": definition.name or client_id,
        "secret_digest": digest(secret) if secret else None,
        "jwks": definition.jwks,
        "redirect_uris": list(definition.redirect_uris),
        "post_logout_redirect_uris": list(definition.post_logout_redirect_uris),
        "backchannel_logout_uri": definition.backchannel_logout_uri or default_logout,
        "grant_types": list(definition.grant_types),
        "scopes": list(definition.scopes),
        "updated_at": datetime.now(UTC),
    }
