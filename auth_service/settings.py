"""What auth_service is told by its environment, beside what every service is told."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from service_kit.settings import ServiceSettings


def _redirect_address(value: str) -> str:
    """An address a browser may be sent to: absolute, without a fragment, http only on this machine."""
    scheme, _, rest = value.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2]
    local = host.rpartition(":")[0] in {"localhost", "127.0.0.1", "[::1]"} or host in {
        "localhost",
        "127.0.0.1",
    }
    if not value.isprintable() or set(value) & set(" \\"):
        raise ValueError(f"{value!r} has characters that no address has")
    if "#" in value or not host or not (scheme == "https" or (scheme == "http" and local)):
        raise ValueError(f"{value!r} is not https, not http on this machine, or has a fragment")
    return value


RedirectAddress = Annotated[str, AfterValidator(_redirect_address)]


class ClientDefinition(BaseModel):
    """One OAuth client of our own, as the setting AUTH_CLIENTS describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: SecretStr | None = None
    """Absent for a public client, which cannot keep one."""

    jwks: dict[str, Any] | None = None
    """Public keys of a client that signs its own proofs instead of having a secret (private_key_jwt)."""

    name: str | None = None
    redirect_uris: tuple[RedirectAddress, ...] = ()
    post_logout_redirect_uris: tuple[RedirectAddress, ...] = ()
    backchannel_logout_uri: str | None = None
    """Where sign-outs are announced; by default `/backchannel-logout` of the service with this name."""

    grant_types: tuple[str, ...] = ("authorization_code", "refresh_token", "client_credentials")
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    third_party: bool = False
    """Not a part of the exchange: people are asked whether they let it in."""

    audiences: tuple[str, ...] | None = None
    """Services it may call; by default all for a part of the exchange, none for others."""

    id_token_alg: Literal["ES256", "RS256"] = "RS256"  # noqa: S105  the name of an algorithm
    """By which algorithm its ID and logout tokens are signed; every library knows RS256, ES256 is cheaper."""


class AuthSettings(ServiceSettings):
    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    name: ClassVar[str] = "auth"

    clients: dict[str, ClientDefinition] = Field(default_factory=dict)
    """Our own OAuth clients by client id; written to the database at every start."""

    first_admin_login: str | None = None
    first_admin_password: SecretStr | None = None
    """The account that is created when there is none at all, so that somebody can sign in."""

    relay_linger_s: float = Field(default=0.1, ge=0)
    """Who is told of sessions and accounts has two seconds, and a sign-in tells something every time."""

    access_token_s: int = Field(default=300, ge=30, le=300)
    authorization_code_s: int = Field(default=60, ge=5, le=60)
    session_idle_s: int = Field(default=12 * 3600, ge=300)
    session_absolute_s: int = Field(default=7 * 24 * 3600, ge=300)
    """A single sign-on session ends after this time even when it is used."""

    offline_life_days: int = Field(default=90, ge=1)
    """An application that may act while nobody is signed in (`offline_access`) asks again after this time."""

    offline_idle_days: int = Field(default=30, ge=1)
    """Such a refresh token ends after so long without use."""

    key_life_days: int = Field(default=90, ge=1)
    """Signing keys are replaced after this time."""

    attempts_per_account: int = Field(default=10, ge=1)
    attempts_per_address: int = Field(default=200, ge=1)
    """Failed sign-ins before a wait begins, which doubles with each further one."""

    letters_folder: Path | None = None
    """Where letters to people are written where no mail server takes them, one `.eml` file each."""

    letters_from: str = Field(default="accounts@exchange.invalid", pattern=r"^[^@\s<>,;]+@[A-Za-z0-9.-]+$")
    """Sender of these letters."""

    registration: bool = False
    """Whether strangers may ask for an account; an administrator decides about each."""

    client_registration_token: SecretStr | None = None
    """Whoever has it may register clients by the protocol (RFC 7591); without one nobody may."""

    @property
    def audiences(self) -> list[str]:
        """Every first-party resource server, by its public address (claim `aud`)."""
        return sorted({url.rstrip("/") for name, url in self.public_urls.items() if name != "gateway"})

    @property
    def secure(self) -> bool:
        """Whether browsers reach us by https, so that cookies can be bound to it."""
        return self.public_url.startswith("https://")
