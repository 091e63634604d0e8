"""For which services a token is (RFC 8707): what was asked for, within what the client may."""

from authlib.oauth2 import OAuth2Error

from auth_service.models import OAuthClient
from auth_service.settings import AuthSettings


class InvalidTargetError(OAuth2Error):
    error = "invalid_target"
    description = "The resource is unknown, or this client may not call it."


def allowed_audiences(settings: AuthSettings, client: OAuthClient) -> list[str]:
    """The services this client may call; ours call all of them, others what an administrator chose.

    Who may call none gets tokens for user info alone: our own API does not take them.
    """
    chosen = client.audiences
    if chosen is None:
        chosen = [] if client.third_party else settings.audiences
    return [one for one in settings.audiences if one in chosen] or [f"{settings.issuer}/userinfo"]


def opens_services(settings: AuthSettings, audiences: list[str]) -> bool:
    """Whether a token for these is for anything beyond user info."""
    return any(one in settings.audiences for one in audiences)


def chosen_audiences(allowed: list[str], granted: list[str] | None, asked: list[str]) -> list[str]:
    """What a token is good for. Raises `InvalidTargetError` for anything that was not granted before."""
    possible = allowed if granted is None else [one for one in allowed if one in granted]
    if set(asked) - set(possible) or not possible:
        raise InvalidTargetError
    return list(dict.fromkeys(asked)) if asked else possible
