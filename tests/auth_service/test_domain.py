"""Rules that need no database."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from auth_service.domain.accounts import (
    LOGIN,
    MalformedAccount,
    WeakPassword,
    check_new_password,
    clean_email,
    clean_login,
    clean_name,
)
from auth_service.domain.guesses import LONGEST_WAIT_S, wait_after
from auth_service.domain.keys import KeyRing, StoredKey, UnreadableKeyError, generate_key, seal, unseal
from auth_service.settings import ClientDefinition

SECRET = "a-secret-key-of-32-characters-or-more"


class TestLogins:
    @given(st.text(max_size=80))
    def test_cleaning_is_final(self, text: str) -> None:
        """A cleaned login is lower case, of the allowed form, and stays as it is when cleaned again."""
        try:
            login = clean_login(text)
        except MalformedAccount:
            return
        assert LOGIN.fullmatch(login)
        assert login == login.lower() == clean_login(login)

    @pytest.mark.parametrize("spelling", ["Anna", " anna ", "ANNA", "ａｎｎａ"])  # noqa: RUF001  full-width on purpose
    def test_spellings_are_one_login(self, spelling: str) -> None:
        """Case, blanks and full-width letters make no second account."""
        assert clean_login(spelling) == "anna"

    @pytest.mark.parametrize("text", ["", "a b", ".anna", "anna-", "a" * 65, "a\x00b", "../a"])
    def test_others_are_refused(self, text: str) -> None:
        """Whatever could be mistaken, or used as a path, is no login."""
        with pytest.raises(MalformedAccount):
            clean_login(text)


class TestNames:
    @given(st.text(max_size=200))
    def test_a_clean_name_fits_one_line(self, text: str) -> None:
        """A name has no control characters, no line breaks, and a length that fits."""
        try:
            name = clean_name(text)
        except MalformedAccount:
            return
        assert 1 <= len(name) <= 120
        assert name.isprintable()
        assert name == name.strip()

    @pytest.mark.parametrize("text", ["no-at", "a@b", "a b@c.d", "a@@b.c"])
    def test_malformed_addresses_are_refused(self, text: str) -> None:
        """An e-mail address has one @, a dot behind it, and no blanks."""
        with pytest.raises(MalformedAccount):
            clean_email(text)


class TestPasswords:
    @pytest.mark.parametrize("password", ["short", "a" * 257, "aaaaaaaaaaaa", "my-name-is-anna"])
    def test_weak_ones_are_refused(self, password: str) -> None:
        """Too short, too long, one letter again and again, or the login inside."""
        with pytest.raises(WeakPassword):
            check_new_password(password, "anna")

    def test_a_sentence_is_good(self) -> None:
        """Length is enough; no rules about digits and signs."""
        check_new_password("correct horse battery", "anna")

    @pytest.mark.parametrize(
        "password",
        [
            "password123",
            "Passw0rd!2026",
            "1234567890",
            "0987654321",
            "qwertyuiop",
            "Summer2026!!",
            "!!Administrator1",
            "парольпароль",
            "abcd1abcd1",
            "йцукенгшщз",
            "gfhjkm123456",
        ],
    )
    def test_common_ones_are_refused(self, password: str) -> None:
        """What guessers try first is refused, however it is decorated."""
        with pytest.raises(WeakPassword):
            check_new_password(password, "anna")

    @pytest.mark.parametrize(
        "password", ["ember-amber-maple-5230", "my password is long", "9a8a7a6a5a4a", "summer in moscow"]
    )
    def test_others_are_not(self, password: str) -> None:
        """Common words in company are no common password."""
        check_new_password(password, "anna")


class TestWaits:
    @given(st.integers(1, 20), st.integers(0, 200))
    def test_waits_grow_and_end(self, free: int, failures: int) -> None:
        """No wait while tries are free; then each is at least as long as the one before,never endless."""
        wait = wait_after(failures, free=free)
        assert (wait > timedelta()) == (failures >= free)
        assert wait <= wait_after(failures + 1, free=free) <= timedelta(seconds=LONGEST_WAIT_S)


class TestKeys:
    @given(st.binary(max_size=500))
    def test_sealed_is_read_back(self, plain: bytes) -> None:
        """What was sealed is read back with the same secret and the same id only."""
        sealed = seal(SECRET, "kid", plain)
        assert unseal(SECRET, "kid", sealed) == plain
        assert len(plain) < 8 or plain not in sealed
        with pytest.raises(UnreadableKeyError):
            unseal(SECRET, "another kid", sealed)
        with pytest.raises(UnreadableKeyError):
            unseal(SECRET[::-1], "kid", sealed)

    def test_short_secrets_are_refused(self) -> None:
        """A key for encryption is not a word."""
        with pytest.raises(ValueError, match="32"):
            seal("short", "kid", b"")

    def test_the_newest_that_has_begun_signs(self) -> None:
        """A key that waits for its hour is published and does not sign; then it takes over."""
        now = datetime(2026, 3, 2, tzinfo=UTC)
        old, new, waiting = (generate_key("ES256") for _ in range(3))
        ring = KeyRing(
            [
                StoredKey(old, "ES256", now - timedelta(days=1)),
                StoredKey(new, "ES256", now + timedelta(minutes=1)),
                StoredKey(waiting, "ES256", None),
            ]
        )
        assert [key.kid for key in ring.signing("ES256", now).keys] == [old.kid]
        assert [key.kid for key in ring.signing("ES256", now + timedelta(minutes=2)).keys] == [new.kid]
        published = ring.published()["keys"]
        assert {key["kid"] for key in published} == {old.kid, new.kid, waiting.kid}
        assert not any("d" in key for key in published)


class TestClientSettings:
    @pytest.mark.parametrize(
        "address",
        [
            "javascript:alert(1)",
            "data:text/html,x",
            "http://example.org/callback",
            "https://example.org/callback#part",
            "/callback",
            "http://localhost.example.org/callback",
        ],
    )
    def test_unsafe_addresses_are_refused(self, address: str) -> None:
        """Browsers are sent to https, or to this very machine, and never to a fragment or a script."""
        with pytest.raises(ValidationError):
            ClientDefinition.model_validate({"redirect_uris": [address]})

    @pytest.mark.parametrize(
        "address", ["https://example.org/callback", "http://localhost:8080/x", "http://127.0.0.1/x"]
    )
    def test_safe_addresses_pass(self, address: str) -> None:
        """https anywhere, http on this machine."""
        ClientDefinition.model_validate({"redirect_uris": [address]})
