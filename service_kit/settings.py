"""What a process is told by its environment: `<SERVICE>_X` wins over `ATES_X`."""

from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

SHARED_PREFIX = "ATES_"


class ServiceSettings(BaseSettings):
    """Settings every service has. A service adds its own in its `settings.py`.

    Raises `pydantic.ValidationError` at start when something is missing or malformed; values of secrets
    are never shown.
    """

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    name: ClassVar[str]
    """Short name of the service: prefix of its settings, name of its database and of its OAuth client."""

    environment: Literal["local", "production"] = "production"
    """`local` opens the doors that only a developer's machine may have: moved clocks, demo tokens."""

    database_url: SecretStr
    """PostgreSQL address of the service's role, which may not change the schema."""

    database_owner_url: SecretStr | None = None
    """PostgreSQL address of the owner's role; only `migrate` needs it."""

    database_pool_size: int = Field(default=15, ge=2)
    kafka_servers: str
    """Bootstrap servers, `host:port` joined by commas."""

    topic_partitions: int = Field(default=8, ge=1)
    topic_replicas: int = Field(default=1, ge=1)
    outbox_keep_days: int = Field(default=90, ge=1)
    """How long facts stay in the outbox after every consumer has confirmed them."""

    topic_framing: dict[str, Literal["confluent", "plain"]] = {}
    """Framing of the values by topic; a topic that is not named has the Confluent frame."""

    consumer_linger_s: float = Field(default=0, ge=0)
    """How long a consumer lets events gather before it takes a batch: fewer, larger transactions."""

    relay_linger_s: float = Field(default=0, ge=0)
    """How long a relay that was rung lets facts gather before it sends them: fewer, larger batches."""

    registry_url: str
    """Address of the schema registry's own port, without a path."""

    schema_cache_folder: Path | None = None
    """Where event schemas are kept for starts without the registry; none are when absent."""

    public_urls: dict[str, str]
    """Where browsers find the gateway and each service: `{"gateway": ..., "auth": ..., "tracker": ...}`."""

    internal_auth_url: str | None = None
    """How this process reaches auth_service, where that differs from the public issuer."""

    client_secret: SecretStr = SecretStr("")
    """Secret of the service's OAuth client; its id is the service's short name."""

    secret_key: SecretStr = SecretStr("")
    """Key for what is encrypted at rest, 32 or more random bytes as text."""

    business_time_zone: str = "Europe/Moscow"
    """IANA zone in which a business day begins and ends (R8)."""

    clock_file: Path | None = None
    """Local only: a JSON file `{"offset_s": number}` by which the business clock is moved."""

    smtp_url: SecretStr | None = None
    """Mail server that takes letters: `smtp[s]://[user:password@]host[:port][?starttls=never]`."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    otlp_endpoint: str | None = None
    """Where traces are sent (OTLP over HTTP); none are exported when absent."""

    @field_validator("business_time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{value!r} is not an IANA time zone") from error
        return value

    @model_validator(mode="after")
    def _local_doors_stay_local(self) -> Self:
        if self.clock_file is not None and self.environment != "local":
            raise ValueError("clock_file moves business time and is refused outside the local environment")
        return self

    # Every page asks for these dozens of times.
    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.business_time_zone)

    @cached_property
    def public_url(self) -> str:
        return self.public_urls[self.name].rstrip("/")

    @cached_property
    def public_path(self) -> str:
        """Path of the public address, `/tracker` or empty: the prefix of every link we write."""
        return urlsplit(self.public_url).path.rstrip("/")

    @cached_property
    def issuer(self) -> str:
        return self.public_urls["auth"].rstrip("/")

    @property
    def auth_url(self) -> str:
        """Where this process itself reaches auth_service."""
        return (self.internal_auth_url or self.issuer).rstrip("/")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del env_settings, dotenv_settings, file_secret_settings
        return (
            init_settings,
            EnvSettingsSource(settings_cls, env_prefix=f"{cls.name.upper()}_"),
            EnvSettingsSource(settings_cls, env_prefix=SHARED_PREFIX),
        )
