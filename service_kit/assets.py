"""Files that browsers load, named by their content so that they may be kept for ever."""

import hashlib
import mimetypes
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from fastapi import Request
from starlette.responses import Response

from service_kit.errors import NotFound
from service_kit.serving.runtime import runtime_of
from service_kit.text import message as _

FOR_EVER = "public, max-age=31536000, immutable"
ASK_EACH_TIME = "no-cache"


@dataclass(frozen=True, slots=True)
class Asset:
    body: bytes
    media_type: str
    version: str


@lru_cache
def asset(package: str, name: str) -> Asset | None:
    """Read a file of the service's own `static` folder, or else of the kit's."""
    if "/" in name or "\\" in name or name.startswith("."):
        return None
    for owner in dict.fromkeys((package, "service_kit")):
        file = files(owner) / "static" / name
        if file.is_file():
            body = file.read_bytes()
            media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
            return Asset(body, media_type, hashlib.sha256(body).hexdigest()[:16])
    return None


async def serve_asset(request: Request, name: str, v: str = "") -> Response:
    """Answer `/static/<name>?v=<version>`; only the version that is asked for is worth keeping."""
    found = asset(runtime_of(request).package, name)
    if found is None:
        raise NotFound(_("There is no such file."))
    etag = f'"{found.version}"'
    headers = {"Cache-Control": FOR_EVER if v == found.version else ASK_EACH_TIME, "ETag": etag}
    if request.headers.get("If-None-Match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(found.body, media_type=found.media_type, headers=headers)
