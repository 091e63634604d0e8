"""`/contexts/<context>/...`: the same routes, inside of a context."""

from urllib.parse import parse_qsl, urlencode

from starlette.types import ASGIApp, Receive, Scope, Send

from schema_registry.api.answers import refusal
from schema_registry.api.names import kept_apart
from schema_registry.domain.contexts import context_name, name_in
from schema_registry.domain.errors import RegistryError

PREFIX = "/contexts/"
NOT_FOUND = 404


class ContextPaths:
    """Brings a path to the form that the routes know: the context named in the subject."""

    def __init__(self, app: ASGIApp, public_path: str) -> None:
        self._app = app
        self._public_path = public_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if not scope["path"].isprintable():
                # No name is like that; a line break at the end would even pass for the end of the path.
                await refusal(NOT_FOUND, "HTTP 404 Not Found", NOT_FOUND)(scope, receive, send)
                return
            scope["path"] = kept_apart(scope["path"], scope.get("raw_path"))
            try:
                self._rewrite(scope)
            except RegistryError as error:
                await refusal(error.code, error.message, error.status)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _rewrite(self, scope: Scope) -> None:
        path: str = scope["path"]
        own = path.removeprefix(self._public_path) if path.startswith(self._public_path + PREFIX) else path
        if not own.startswith(PREFIX):
            return
        context, slash, rest = own.removeprefix(PREFIX).partition("/")
        if not slash:
            return
        name = name_in(context_name(context), "")
        parts = rest.split("/")
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        match parts:
            case ["subjects"] | ["schemas"]:
                query["subjectPrefix"] = _inside(name, query.get("subjectPrefix", ""))
            case ["config" | "mode"]:
                parts = [*parts, name] if name else parts
            case ["subjects" | "config" | "mode", subject, *_]:
                parts[1] = _inside(name, subject)
            case ["compatibility", "subjects", subject, *_]:
                parts[2] = _inside(name, subject)
            case ["schemas", "ids", *_]:
                query["subject"] = _inside(name, query.get("subject", ""))
        scope["path"] = path.removesuffix(own) + "/" + "/".join(parts)
        scope["query_string"] = urlencode(query).encode()


def _inside(context: str, subject: str) -> str:
    """A subject that names a context itself keeps it."""
    return subject if subject.startswith(":") else context + subject
