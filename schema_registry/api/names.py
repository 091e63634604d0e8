"""Names of subjects in paths: one segment, in which `%2F` is a slash of the name and `/` ends it."""

import re
from urllib.parse import unquote

from starlette.convertors import StringConvertor, register_url_convertor

SUBJECT = "{subject:name}"
"""The part of a route's path that is a subject."""

_SLASH = "\ue000"
"""Stands for `%2F` until a route has taken the name. What is not printable is refused: nobody can send it."""

_ESCAPED_SLASH = re.compile(b"%2f", re.IGNORECASE)


class NameConvertor(StringConvertor):
    """Takes one segment of a path and puts the slashes back into it."""

    def convert(self, value: str) -> str:
        return with_slashes(value)

    def to_string(self, value: str) -> str:
        return value.replace("/", _SLASH)


register_url_convertor("name", NameConvertor())


def kept_apart(path: str, raw_path: bytes | None) -> str:
    """The path with a mark for each slash that was sent escaped, so that routes do not take it for theirs."""
    if raw_path is None or not _ESCAPED_SLASH.search(raw_path):
        return path
    return unquote(_ESCAPED_SLASH.sub(_SLASH.encode(), raw_path))


def with_slashes(text: str) -> str:
    return text.replace(_SLASH, "/")
