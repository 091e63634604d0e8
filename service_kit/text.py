"""Texts for people in their language: marking, catalogues, the language of the present request.

English source texts are the ids. `message(...)` marks a text and keeps it translatable until the edge shows
it; catalogues are compiled in memory from the .po files, so there is no build step to forget.
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Self

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from markupsafe import escape

LOCALES = ("en", "ru")
"""The languages people can choose; the first one is that of the source texts."""

LOCALE_NAMES = {"en": "English", "ru": "Русский"}
KIT = "service_kit"

_locale: ContextVar[str] = ContextVar("locale", default=LOCALES[0])
_packages: list[str] = [KIT]
_alone: ContextVar[str | None] = ContextVar("speaking_package", default=None)


class Message(str):
    """A text marked for translation. As a plain string it reads in English, for logs and machines."""

    __slots__ = ("number", "params", "plural", "source")
    source: str
    plural: str | None
    number: int
    params: Mapping[str, Any]

    @classmethod
    def of(cls, source: str, plural: str | None, number: int, params: Mapping[str, Any]) -> Self:
        english = source if plural is None or number == 1 else plural
        text = cls(_filled(english, params))
        text.source, text.plural, text.number, text.params = source, plural, number, params
        return text

    def translated(self) -> str:
        """Read the text in the language of the present request."""
        locale = _locale.get()
        catalogue = _catalogue(locale, catalogues())
        params = {name: shown(value) for name, value in self.params.items()}
        if self.plural is None:
            return _filled(catalogue.gettext(self.source), params)
        found = catalogue.ngettext(self.source, self.plural, self.number)
        return _filled(found, {**params, "n": format_decimal(self.number, locale=locale)})

    def __html__(self) -> str:
        """What a template writes."""
        return escape(self.translated())


def message(source: str, /, **params: Any) -> Message:
    """Mark a text; `{name}` in it is filled from the parameters."""
    return Message.of(source, None, 1, params)


def messages(singular: str, plural: str, n: int, /, **params: Any) -> Message:
    """Mark a text that depends on a number, which the text may show as `{n}`."""
    return Message.of(singular, plural, n, {"n": n, **params})


def shown(value: Any) -> Any:
    """Translate a marked text, leave everything else as it is."""
    return value.translated() if isinstance(value, Message) else value


def gettext(source: str, /, **params: Any) -> str:
    """Translate at once; what templates call `_`."""
    return message(source, **params).translated()


def ngettext(singular: str, plural: str, n: int, /, **params: Any) -> str:
    """Translate at once, in the form that the number asks for."""
    return messages(singular, plural, n, **params).translated()


def locale_in_use() -> str:
    return _locale.get()


def use_locale(locale: str) -> None:
    """Let the rest of this request be answered in `locale`; an unknown one changes nothing."""
    if locale in LOCALES:
        _locale.set(locale)


@contextmanager
def in_locale(locale: str) -> Iterator[None]:
    """Speak `locale` inside, for instance in a letter to somebody else."""
    token = _locale.set(locale if locale in LOCALES else LOCALES[0])
    try:
        yield
    finally:
        _locale.reset(token)


def preferred_locale(accept_language: str) -> str:
    """Choose the language of ours that an Accept-Language header likes best."""
    best, best_weight = LOCALES[0], 0.0
    for part in accept_language[:1000].split(","):
        tag, _, quality = part.strip().partition(";")
        language = tag.strip().lower().partition("-")[0]
        try:
            weight = float(quality.strip().removeprefix("q=")) if quality else 1.0
        except ValueError:
            continue
        if language in LOCALES and weight > best_weight:
            best, best_weight = language, weight
    return best


def add_catalogues(package: str) -> None:
    """Lay the catalogues in `<package>/locale` over those of the kit."""
    if package not in _packages:
        _packages.append(package)


def speak_as(package: str) -> None:
    """From here on, and in what is begun from here, this service's catalogues alone lie over the kit's.

    For a process that holds several services, whose texts may say the same in other words.
    """
    _alone.set(package)


def catalogues() -> tuple[str, ...]:
    """The packages whose catalogues are in use."""
    alone = _alone.get()
    return tuple(_packages) if alone is None else (KIT, alone)


def catalogue_file(package: str, locale: str) -> Traversable:
    return files(package) / "locale" / locale / "LC_MESSAGES" / "messages.po"


@lru_cache
def _catalogue(locale: str, packages: tuple[str, ...]) -> NullTranslations:
    if locale == LOCALES[0]:
        return NullTranslations()
    merged: NullTranslations | None = None
    for package in packages:
        source = catalogue_file(package, locale)
        if not source.is_file():
            continue
        compiled = io.BytesIO()
        with source.open("rb") as file:
            write_mo(compiled, read_po(file, locale=locale))
        compiled.seek(0)
        translations = GNUTranslations(compiled)
        if merged is not None:
            # The later package answers first and asks the earlier ones for what it does not know.
            translations.add_fallback(merged)
        merged = translations
    return merged or NullTranslations()


def _filled(text: str, params: Mapping[str, Any]) -> str:
    return text.format_map(params) if params else text
