"""Contexts: registries inside of the registry, each with subjects and ids of its own.

A subject of the default context is known by its plain name, one of another context as `:.context:name`. The
same form without a name stands for the context itself, to which a level or a mode can be given.
"""

from schema_registry.domain.errors import Code, RegistryError

DEFAULT = "."
EVERY = ":*:"
EVERYWHERE = ":.__GLOBAL:"
"""Name under which settings for all contexts are kept."""

SUBJECT_LENGTH_MAX = 255


def subject_name(name: str) -> str:
    """The one form of a subject's name. Raises `RegistryError` for what cannot be one."""
    context, plain = _taken_apart(name)
    if not plain or plain in {"__GLOBAL", "__EMPTY"}:
        raise invalid_name(name)
    return name_in(context, plain)


def setting_name(name: str) -> str:
    """The same for settings, which a context may have as well; the default context's name is empty."""
    context, plain = _taken_apart(name)
    return name_in(context, plain)


def name_in(context: str, plain: str) -> str:
    return plain if context == DEFAULT else f":{context}:{plain}"


def context_of(subject: str) -> str:
    """`.` or `.name`."""
    return subject[1 : subject.index(":", 1)] if subject.startswith(":.") else DEFAULT


def context_name(text: str) -> str:
    """The context of a path, written `.name`, `name` or `:.name:`. Raises `RegistryError`."""
    plain = text.strip(":")
    found = plain if plain.startswith(".") else f".{plain}"
    if ":" in found or not found.isprintable() or len(found) > SUBJECT_LENGTH_MAX:
        raise invalid_name(text)
    return found


def levels_above(subject: str) -> list[str]:
    """Where a setting of a subject is looked for: itself, its context, everything."""
    return list(dict.fromkeys([subject, name_in(context_of(subject), ""), EVERYWHERE]))


def prefix_of(text: str) -> str | None:
    """What the names of a listing begin with; None stands for the names of the default context."""
    if text.startswith(EVERY):
        return text.removeprefix(EVERY)
    if text.startswith(":."):
        context, plain = _taken_apart(text)
        return name_in(context, plain) or None
    return text or None


def _taken_apart(name: str) -> tuple[str, str]:
    if not name.isprintable() or len(name) > SUBJECT_LENGTH_MAX:
        raise invalid_name(name)
    if not name.startswith(":."):
        return DEFAULT, name
    context, colon, plain = name[1:].partition(":")
    if not colon:
        raise invalid_name(name)
    return context, plain


def invalid_name(name: str) -> RegistryError:
    return RegistryError(Code.INVALID_SUBJECT, f"The specified subject '{name}' is not a valid.")
