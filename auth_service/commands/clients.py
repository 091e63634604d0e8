"""OAuth clients: our own as the setting AUTH_CLIENTS describes them, others as administrators keep them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from auth_service.commands.audit import record
from auth_service.domain.clients import (
    ADDRESS_LENGTH_MAX,
    ADDRESSES_MAX,
    ClientForm,
    ClientNotFound,
    ClientTaken,
    KeptInSettings,
    MalformedClient,
    Proof,
    clean_algorithm,
    clean_client_id,
    clean_client_name,
    clean_grants,
    clean_scopes,
    clean_without_pkce,
)
from auth_service.domain.tokens import digest, new_secret
from auth_service.models import OAuthClient, TokenFamily
from auth_service.settings import AuthSettings, ClientDefinition, RedirectAddress
from service_kit.database import Session
from service_kit.errors import cleaned
from service_kit.text import message as _

FORMER_SECRET_KEPT = timedelta(hours=1)
"""So long a replaced secret is taken as well."""

ADDRESS: TypeAdapter[str] = TypeAdapter(RedirectAddress)


@dataclass(frozen=True)
class Registered:
    """An application that described itself; secret and token are told once."""

    client_id: str
    secret: str | None
    registration_token: str
    issued_at: int


@dataclass(frozen=True)
class CreatedClient:
    client_id: str
    secret: str | None
    """Shown once, here: only its digest is kept. Absent for a client that cannot keep one."""


async def upsert_clients(session: Session, settings: AuthSettings) -> None:
    """Write every client of the settings; clients that only the database knows are left alone."""
    # In one order always, so that two processes that start together do not lock each other out.
    for client_id, definition in sorted(settings.clients.items()):
        row = _row(client_id, definition, settings)
        statement = insert(OAuthClient).values(client_id=client_id, **row)
        await session.execute(statement.on_conflict_do_update(index_elements=["client_id"], set_=row))


async def create_client(
    session: Session, actor_id: UUID | None, *, client_id: str, form: ClientForm, confidential: bool
) -> CreatedClient:
    """Add an application. Raises `ClientTaken`, `MalformedClient`."""
    row = cleaned(client_id=lambda: clean_client_id(client_id), **_rules(form, confidential=confidential))
    secret = new_secret() if confidential else None
    made = await session.scalar(
        insert(OAuthClient)
        .values(
            secret_digest=None if secret is None else digest(secret),
            origin="admin",
            disabled=False,
            updated_at=datetime.now(UTC),
            **row,
        )
        .on_conflict_do_nothing()
        .returning(OAuthClient.client_id)
    )
    if made is None:
        raise ClientTaken.of("client_id", _("Another application has this id."))
    lifted = {"without_pkce": True} if form.without_pkce else {}
    record(session, "client_created", actor_id=actor_id, client_id=made, details=lifted)
    return CreatedClient(made, secret)


async def register_client(session: Session, form: ClientForm, proof: Proof) -> Registered:
    """Add an application that described itself. Raises `MalformedClient`."""
    made = await create_client(
        session, None, client_id=f"app-{token_hex(8)}", form=form, confidential=proof.has_secret
    )
    client = await session.get_one(OAuthClient, made.client_id)
    client.origin = "registration"
    token = _take_proof(client, proof)
    return Registered(made.client_id, made.secret, token, int(client.updated_at.timestamp()))


async def replace_registration(session: Session, client_id: str, form: ClientForm, proof: Proof) -> str:
    """What an administrator has let it call or do stays. Raises `MalformedClient`.

    Answers the token for the next change: the present one has been shown and is good no longer.
    """
    client = await _kept_by_hand(session, client_id)
    await change_client(
        session,
        None,
        client_id,
        replace(
            form,
            audiences=None if client.audiences is None else tuple(client.audiences),
            without_pkce=client.without_pkce,
        ),
    )
    return _take_proof(client, proof)


async def withdraw_registration(session: Session, client_id: str) -> None:
    """Switched off, not removed: the audit log goes on to name it."""
    await switch_client(session, None, client_id, disabled=True)
    client = await _kept_by_hand(session, client_id)
    client.registration_digest = None


async def change_client(session: Session, actor_id: UUID | None, client_id: str, form: ClientForm) -> None:
    """Change what is described; id and secret stay. Raises `MalformedClient`, `KeptInSettings`."""
    client = await _kept_by_hand(session, client_id)
    confidential = client.secret_digest is not None or client.jwks is not None
    row = cleaned(**_rules(form, confidential=confidential))
    changed = sorted(name for name, value in row.items() if getattr(client, name) != value)
    for name, value in row.items():
        setattr(client, name, value)
    client.updated_at = datetime.now(UTC)
    if changed:
        record(session, "client_changed", actor_id=actor_id, client_id=client_id, details={"fields": changed})


async def change_safety(
    session: Session,
    actor_id: UUID | None,
    client_id: str,
    *,
    without_pkce: bool | None,
    id_token_alg: str | None,
) -> None:
    """Change only what concerns safety; what is absent stays. Raises `MalformedClient`, `KeptInSettings`."""
    form = form_of(await _kept_by_hand(session, client_id))
    if without_pkce is not None:
        form = replace(form, without_pkce=without_pkce)
    if id_token_alg is not None:
        form = replace(form, id_token_alg=id_token_alg)
    await change_client(session, actor_id, client_id, form)


def form_of(client: OAuthClient) -> ClientForm:
    """An application as it is described now."""
    return ClientForm(
        name=client.name,
        redirect_uris=tuple(client.redirect_uris),
        post_logout_redirect_uris=tuple(client.post_logout_redirect_uris),
        backchannel_logout_uri=client.backchannel_logout_uri,
        grant_types=tuple(client.grant_types),
        scopes=tuple(client.scopes),
        third_party=client.third_party,
        audiences=None if client.audiences is None else tuple(client.audiences),
        without_pkce=client.without_pkce,
        id_token_alg=client.id_token_alg,
    )


async def rotate_client_secret(session: Session, actor_id: UUID | None, client_id: str) -> CreatedClient:
    """Make a new secret; the present one is taken for another hour. Raises `KeptInSettings`."""
    client = await _kept_by_hand(session, client_id)
    if client.secret_digest is None:
        raise MalformedClient(_("This application has no secret."))
    secret = new_secret()
    client.former_secret_digest = client.secret_digest
    client.former_secret_until = datetime.now(UTC) + FORMER_SECRET_KEPT
    client.secret_digest = digest(secret)
    record(session, "client_secret_rotated", actor_id=actor_id, client_id=client_id)
    return CreatedClient(client_id, secret)


async def switch_client(session: Session, actor_id: UUID | None, client_id: str, *, disabled: bool) -> None:
    """Switch an application off, with every refresh token it holds, or on again. Raises `KeptInSettings`."""
    client = await _kept_by_hand(session, client_id)
    if client.disabled == disabled:
        return
    client.disabled = disabled
    now = client.updated_at = datetime.now(UTC)
    act = "client_disabled" if disabled else "client_enabled"
    record(session, act, actor_id=actor_id, client_id=client_id)
    if disabled:
        await session.execute(
            update(TokenFamily)
            .where(TokenFamily.client_id == client_id, TokenFamily.revoked_at.is_(None))
            .values(revoked_at=now, revoked_because="application switched off")
        )


def _take_proof(client: OAuthClient, proof: Proof) -> str:
    """Keep how it proves itself; answers a new token by which it changes its description."""
    client.auth_method, client.jwks = proof.method, proof.jwks
    token = new_secret()
    client.registration_digest = digest(token)
    return token


def _rules(form: ClientForm, *, confidential: bool) -> dict[str, Callable[[], object]]:
    """What a row of each described field would hold; each raises `MalformedClient` about its field."""
    logout = form.backchannel_logout_uri
    return {
        "name": lambda: clean_client_name(form.name),
        "redirect_uris": lambda: _ways_back(form),
        "post_logout_redirect_uris": lambda: _addresses(
            "post_logout_redirect_uris", form.post_logout_redirect_uris
        ),
        "backchannel_logout_uri": lambda: (
            _addresses("backchannel_logout_uri", (logout,))[0] if logout else None
        ),
        "grant_types": lambda: clean_grants(form.grant_types, confidential=confidential),
        "scopes": lambda: clean_scopes(form.scopes),
        "third_party": lambda: form.third_party,
        # What is no service of ours opens nothing, whatever stands here: see commands.oauth.resources.
        "audiences": lambda: None if form.audiences is None else list(form.audiences),
        "without_pkce": lambda: clean_without_pkce(form.without_pkce, confidential=confidential),
        "id_token_alg": lambda: clean_algorithm(form.id_token_alg),
    }


def _ways_back(form: ClientForm) -> list[str]:
    if "authorization_code" in form.grant_types and not form.redirect_uris:
        raise MalformedClient.of(
            "redirect_uris", _("To sign people in an application needs an address to come back to.")
        )
    return _addresses("redirect_uris", form.redirect_uris)


def _addresses(field: str, typed: tuple[str, ...]) -> list[str]:
    if len(typed) > ADDRESSES_MAX:
        raise MalformedClient.of(field, _("These are too many addresses."))
    for address in typed:
        try:
            ADDRESS.validate_python(address)
        except ValidationError as error:
            raise MalformedClient.of(
                field,
                _(
                    "{address} is no address that fits: https, or http on this machine, without a #.",
                    address=address[:ADDRESS_LENGTH_MAX],
                ),
            ) from error
        if len(address) > ADDRESS_LENGTH_MAX:
            raise MalformedClient.of(field, _("An address is too long."))
    return list(typed)


async def _kept_by_hand(session: Session, client_id: str) -> OAuthClient:
    found = await session.get(OAuthClient, client_id.replace("\x00", ""), with_for_update=True)
    if found is None:
        raise ClientNotFound(_("There is no such application."))
    if found.origin == "settings":
        raise KeptInSettings(_("This application stands in the setting AUTH_CLIENTS and is changed there."))
    return found


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
        "third_party": definition.third_party,
        "audiences": None if definition.audiences is None else list(definition.audiences),
        "without_pkce": False,
        "id_token_alg": definition.id_token_alg,
        "updated_at": datetime.now(UTC),
        "origin": "settings",
        "disabled": False,
        "former_secret_digest": None,
        "former_secret_until": None,
    }
