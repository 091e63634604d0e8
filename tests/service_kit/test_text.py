"""Texts: marked once, shown in the reader's language, complete in every catalogue."""

import string
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path

import pytest
from babel.messages.catalog import Message as Entry
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from service_kit import text
from service_kit.text import gettext, in_locale, message, messages, ngettext, preferred_locale, shown

ROOT = Path(__file__).parents[2]
PACKAGES = ("service_kit", "auth_service", "tracker", "billing", "analytics", "schema_registry")
KEYWORDS = {"_": None, "gettext": None, "messages": (1, 2), "ngettext": (1, 2)}
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2.ext:babel_extract")]
OPTIONS = {"**/templates/**.html": {"silent": "false", "trim_blocks": "true"}}


def marked_texts(package: str) -> Iterator[tuple[str, str | tuple[str, ...]]]:
    folder = ROOT / package
    for file, line, found, *_ in extract_from_dir(folder, METHODS, OPTIONS, KEYWORDS):
        yield f"{package}/{file}:{line}", found


def entries(package: str) -> dict[str, Entry]:
    catalogue = ROOT / package / "locale" / "ru" / "LC_MESSAGES" / "messages.po"
    if not catalogue.is_file():
        return {}
    with catalogue.open("rb") as file:
        found = read_po(file, locale="ru", abort_invalid=True)
    return {entry.id if isinstance(entry.id, str) else entry.id[0]: entry for entry in found if entry.id}


class TestCatalogues:
    @pytest.mark.parametrize("package", PACKAGES)
    def test_every_text_is_translated(self, package: str) -> None:
        """Whatever is marked in code or templates has its Russian, with three forms where it counts."""
        known = entries("service_kit") | entries(package)
        missing = []
        for place, found in marked_texts(package):
            singular = found[0] if isinstance(found, tuple) else found
            entry = known.get(singular)
            forms = entry.string if entry is not None else ""
            wanted = 3 if isinstance(found, tuple) else 1
            given = [form for form in (forms if isinstance(forms, tuple) else (forms,)) if form]
            if len(given) != wanted or (entry is not None and entry.fuzzy):
                missing.append(f"{place}: {singular}")
        assert missing == []

    @pytest.mark.parametrize("package", PACKAGES)
    def test_placeholders_survive_translation(self, package: str) -> None:
        """A translation names no parameter that the source text does not have."""

        def names(pattern: str) -> set[str]:
            return {name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None}

        for source, entry in entries(package).items():
            forms = [entry.string] if isinstance(entry.string, str) else entry.string or []
            for form in forms:
                assert names(form) <= names(source) | {"n"}, source

    @pytest.mark.parametrize("package", PACKAGES)
    def test_no_translation_outlives_its_text(self, package: str) -> None:
        """What is no longer marked anywhere in a package leaves its catalogue."""
        used = {found[0] if isinstance(found, tuple) else found for _, found in marked_texts(package)}
        assert set(entries(package)) - used == set()


class TestMessages:
    def test_reads_in_english_by_itself(self) -> None:
        """A marked text is a plain English string for logs and machines."""
        told = message("At most {le}.", le=3)
        assert (told, f"{told}!", told.upper()) == ("At most 3.", "At most 3.!", "AT MOST 3.")

    def test_is_translated_when_it_is_shown(self) -> None:
        """The same object reads in the language of whoever sees it."""
        told = message("At most {le}.", le=3)
        with in_locale("ru"):
            assert shown(told) == "Не больше 3."  # noqa: RUF001  it is Russian
        assert shown(told) == "At most 3."

    def test_parameters_are_translated_too(self) -> None:
        """A marked text inside another one follows the language of the outer one."""
        outer = message("Only these are possible: {expected}.", expected=message("Worker"))
        with in_locale("ru"):
            assert shown(outer) == "Возможно только: Исполнитель."

    def test_braces_in_parameters_are_text(self) -> None:
        """What people typed is never read as a pattern."""
        assert gettext("At most {le}.", le="{0.__class__}") == "At most {0.__class__}."

    def test_plain_strings_pass(self) -> None:
        """Only what is marked is looked up."""
        with in_locale("ru"):
            assert shown("Worker") == "Worker"
            assert shown(17) == 17

    def test_unknown_locale_speaks_the_source(self) -> None:
        """A language we do not have falls back to English."""
        with in_locale("eo"):
            assert gettext("Sign out") == "Sign out"

    def test_plural_forms_without_catalogue(self) -> None:
        """English has two forms."""
        assert [ngettext("{n} bird", "{n} birds", n) for n in (1, 2, 0)] == ["1 bird", "2 birds", "0 birds"]
        assert messages("{n} bird", "{n} birds", 5) == "5 birds"

    def test_large_numbers_are_written_as_elsewhere_on_the_page(self) -> None:
        """Ten thousand has its separator, each language its own."""
        assert ngettext("{n} bird", "{n} birds", 10_000) == "10,000 birds"
        with in_locale("ru"):
            assert ngettext("{n} bird", "{n} birds", 10_000) == "10\N{NO-BREAK SPACE}000 birds"


class TestCataloguesOfPackages:
    def test_three_russian_forms(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One, few and many are three different words."""
        folder = tmp_path / "aviary" / "locale" / "ru" / "LC_MESSAGES"
        folder.mkdir(parents=True)
        (tmp_path / "aviary" / "__init__.py").touch()
        (folder / "messages.po").write_text(
            'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
            'msgid "{n} bird"\nmsgid_plural "{n} birds"\n'
            'msgstr[0] "{n} птица"\nmsgstr[1] "{n} птицы"\nmsgstr[2] "{n} птиц"\n\n'
            'msgid "Sign out"\nmsgstr "Улететь"\n'
        )
        monkeypatch.syspath_prepend(tmp_path)
        text.add_catalogues("aviary")
        try:
            with in_locale("ru"):
                told = [ngettext("{n} bird", "{n} birds", n) for n in (1, 3, 5, 11, 21, 112)]
                assert told == ["1 птица", "3 птицы", "5 птиц", "11 птиц", "21 птица", "112 птиц"]
                assert gettext("Sign out") == "Улететь", "the package's own words stand above the kit's"
                assert gettext("Cancel") == "Отмена"
                assert gettext_as("tracker", "Sign out") == "Выйти", "as another service of the same process"
        finally:
            text._packages.remove("aviary")


def gettext_as(package: str, source: str) -> str:
    def speak() -> str:
        text.speak_as(package)
        return gettext(source)

    return copy_context().run(speak)


class TestPreferredLocale:
    @pytest.mark.parametrize(
        ("header", "locale"),
        [
            ("", "en"),
            ("ru", "ru"),
            ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
            ("en-US,ru;q=0.9", "en"),
            ("de,fr;q=0.9", "en"),
            ("de,ru;q=0.1", "ru"),
            ("en;q=0.2,ru;q=0.7", "ru"),
            ("ru;q=nonsense,en", "en"),
            ("ru;q=0", "en"),
            (",;;,=", "en"),
        ],
    )
    def test_follows_the_weights(self, header: str, locale: str) -> None:
        """The best liked language of ours wins; noise in the header harms nobody."""
        assert preferred_locale(header) == locale
