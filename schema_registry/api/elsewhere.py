"""Another registry of the same protocol, read as a client reads it, to be brought in whole."""

from typing import Any
from urllib.parse import quote

import httpx2

from schema_registry.domain.moving import Export, MovedSetting, MovedVersion, MoveError

TIMEOUT_S = 30


async def export_of(client: httpx2.AsyncClient) -> Export:
    """Everything the registry at the client's address holds, what was deleted softly included.

    Raises `MoveError` when it does not answer as a registry does.
    """
    versions: list[MovedVersion] = []
    settings = [await _setting(client, "", "")]
    for subject in await _asked(client, "/subjects", deleted="true"):
        path = f"/subjects/{quote(subject, safe='')}/versions"
        live = set(await _asked(client, path) or [])
        for number in await _asked(client, path, deleted="true"):
            found = await _asked(client, f"{path}/{number}", deleted="true")
            versions.append(MovedVersion.model_validate(found | {"deleted": number not in live}))
        settings.append(await _setting(client, f"/{quote(subject, safe='')}", subject))
    held = [one for one in settings if one.level or one.mode or one.others]
    return Export(settings=held, versions=versions)


async def _setting(client: httpx2.AsyncClient, path: str, subject: str) -> MovedSetting:
    config: dict[str, Any] = dict(await _asked(client, f"/config{path}") or {})
    mode = (await _asked(client, f"/mode{path}") or {}).get("mode")
    return MovedSetting(
        subject=subject,
        level=config.pop("compatibilityLevel", None),
        mode=None if mode == "READWRITE" else mode,
        others=config,
    )


async def _asked(client: httpx2.AsyncClient, path: str, **query: str) -> Any:
    """The answer; None for what is not there."""
    try:
        answer = await client.get(path, params=query)
    except httpx2.HTTPError as error:
        raise MoveError(f"The other registry does not answer ({type(error).__name__}).") from None
    if answer.status_code == httpx2.codes.NOT_FOUND:
        return None
    if not answer.is_success:
        raise MoveError(f"The other registry answers {answer.status_code} to {path}: {answer.text[:200]}")
    try:
        return answer.json()
    except ValueError:
        raise MoveError(f"The other registry answers {path} with something that is no JSON.") from None
