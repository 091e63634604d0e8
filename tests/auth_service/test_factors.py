"""The second factor and one's own sessions, as people meet them."""

import asyncio
import base64
import re
import time

import httpx2
import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from auth_service.domain.factors import STEP_S, new_recovery_codes, recovery_digest, totp_step
from tests.auth_service.exchange import ADMIN, COOKIE, Auth, Browser, Login

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def code_of(secret: bytes, steps: int = 0) -> str:
    return TOTP(secret, 6, SHA1(), STEP_S).generate(int(time.time()) + steps * STEP_S).decode()  # noqa: S303


async def secret_in(browser: Browser) -> bytes:
    """What the page shows for typing."""
    page = (await browser.http.get("/security/totp")).text
    typed = re.search(r'id="typed">([A-Z2-7 ]+)<', page)
    assert typed is not None, page
    assert "<svg" in page
    return base64.b32decode(typed[1].replace(" ", ""))


async def with_app(auth: Auth, who: Login) -> tuple[bytes, list[str]]:
    """Set up the app; answers its secret and the recovery codes."""
    browser = await auth.signed_in(who)
    assert (await browser.http.post("/security/totp/begin")).status_code == 303
    secret = await secret_in(browser)
    page = await browser.http.post("/security/totp", data={"code": code_of(secret, -1)})
    assert page.status_code == 200
    codes = re.findall(r"<code>([a-z0-9-]{14})</code>", page.text)
    assert len(codes) == 10
    return secret, codes


async def half_signed_in(auth: Auth, who: Login, **form: str) -> Browser:
    browser = auth.browser()
    response = await browser.sign_in(who, **form)
    assert response.headers["Location"] == "/auth/sign-in/code"
    assert COOKIE not in browser.http.cookies
    return browser


async def show(browser: Browser, code: str) -> httpx2.Response:
    return await browser.http.post("/sign-in/code", data={"code": code})


class TestCodes:
    def test_published_examples(self) -> None:
        """The codes of RFC 6238, appendix B, in six digits."""
        secret = b"12345678901234567890"
        for moment, code in ((59, "287082"), (1111111109, "081804"), (20000000000, "353130")):
            assert totp_step(secret, code, moment, 0) == moment // 30

    def test_one_step_around(self) -> None:
        """A clock may be one step off, not two."""
        secret, now = b"x" * 20, 1_000_000_000
        codes = [TOTP(secret, 6, SHA1(), 30).generate(now + 30 * step).decode() for step in range(-2, 3)]  # noqa: S303
        found = [totp_step(secret, code, now, 0) is not None for code in codes]
        assert found == [False, True, True, True, False]

    def test_each_step_once(self) -> None:
        """A code whose step was used is no code any more, nor is an earlier one."""
        secret, now = b"x" * 20, 1_000_000_000
        code = TOTP(secret, 6, SHA1(), 30).generate(now).decode()  # noqa: S303
        step = totp_step(secret, code, now, 0)
        assert step is not None
        assert totp_step(secret, code, now, step) is None

    @pytest.mark.parametrize(
        "code", ["", "12345", "1234567", "12345a", "\u0661\u0662\u0663\u0664\u0665\u0666"]
    )
    def test_what_is_no_code(self, code: str) -> None:
        """Six ASCII digits or nothing."""
        assert totp_step(b"x" * 20, code, 0, -10) is None

    def test_recovery_codes(self) -> None:
        """Spelled with or without dashes, in either case; other things are none."""
        code = new_recovery_codes()[0]
        assert recovery_digest(code) == recovery_digest(f" {code[:4]}-{code[4:8]}-{code[8:].upper()} ")
        assert recovery_digest("287082") is None
        assert recovery_digest("l" * 12) is None


class TestSignIn:
    async def test_it_works(self, auth: Auth) -> None:
        """With an app the password is half of the way; the code is the other, and tokens tell of both."""
        person = await auth.person()
        secret, _ = await with_app(auth, person)
        browser = await half_signed_in(auth, person, next="/auth/profile")
        assert (await browser.http.get("/profile")).status_code == 303
        response = await show(browser, code_of(secret))
        assert (response.status_code, response.headers["Location"]) == (303, "/auth/profile")
        assert (await browser.http.get("/profile")).status_code == 200
        claims = await auth.claims((await auth.redeem(await browser.authorize())).json()["id_token"])
        assert claims["amr"] == ["pwd", "otp", "mfa"]
        assert claims["acr"] == "urn:ates:acr:two-factors"

    async def test_without_an_app(self, auth: Auth) -> None:
        """The password alone is told as such."""
        claims = await auth.claims((await auth.tokens(ADMIN))["id_token"])
        assert (claims["amr"], claims["acr"]) == (["pwd"], "urn:ates:acr:one-factor")

    async def test_a_code_is_good_once(self, auth: Auth) -> None:
        """The same code does not open a second session, not even at the same time."""
        person = await auth.person()
        secret, _ = await with_app(auth, person)
        first, second = await half_signed_in(auth, person), await half_signed_in(auth, person)
        code = code_of(secret)
        answers = await asyncio.gather(show(first, code), show(second, code))
        assert sorted(answer.status_code for answer in answers) == [303, 401]

    async def test_a_recovery_code_is_good_once(self, auth: Auth) -> None:
        """Without the phone a recovery code signs in, one time each; the log tells of it."""
        person = await auth.person()
        _, codes = await with_app(auth, person)
        assert (await show(await half_signed_in(auth, person), codes[0])).status_code == 303
        assert (await show(await half_signed_in(auth, person), codes[0])).status_code == 401
        browser = await half_signed_in(auth, person)
        assert (await show(browser, codes[1])).status_code == 303
        assert "8" in (await browser.http.get("/security")).text
        used = "select count(*) from audit_log where act = 'recovery_code_used' and account_id = :id"
        assert await auth.value(used, id=person.id) == 2

    async def test_forty_codes_at_once(self, auth: Auth) -> None:
        """However many codes are shown at the same time, no more than five are checked."""
        person = await auth.person()
        secret, _ = await with_app(auth, person)
        browser = await half_signed_in(auth, person)
        right = code_of(secret)
        wrong = [f"{(int(right) + number) % 1_000_000:06}" for number in range(1000, 1040)]
        await asyncio.gather(*(show(browser, code) for code in wrong))
        checked = (
            "select count(*) from audit_log where act = 'sign_in_failed' and account_id = :id"
            " and details->>'reason' = 'wrong code'"
        )
        assert await auth.value(checked, id=person.id) == 5
        assert (await show(browser, right)).status_code == 401

    async def test_a_new_password_ends_the_half_way(self, auth: Auth) -> None:
        """A first half that was done with the old password is worth nothing after a change."""
        person = await auth.person()
        secret, _ = await with_app(auth, person)
        half = await half_signed_in(auth, person)
        await auth.execute("update accounts set password_hash = 'another' where id = :id", id=person.id)
        assert (await show(half, code_of(secret))).status_code == 401

    async def test_a_forged_half_way(self, auth: Auth) -> None:
        """Nobody begins at the second half."""
        browser = auth.browser()
        for value in ("", "x", "gAAAAA" + "x" * 100):
            browser.http.cookies.set(f"{COOKIE}-half", value, domain="exchange.test")
            response = await show(browser, "123456")
            assert response.headers["Location"] == "/auth/sign-in"
            assert (await browser.http.get("/sign-in/code")).headers["Location"] == "/auth/sign-in"


class TestSettingUp:
    async def test_an_unconfirmed_app_asks_nobody(self, auth: Auth) -> None:
        """Before the first right code nothing has changed; a wrong one says so."""
        person = await auth.person()
        browser = await auth.signed_in(person)
        await browser.http.post("/security/totp/begin")
        wrong = await browser.http.post("/security/totp", data={"code": "000000"})
        assert wrong.status_code == 422
        assert 'role="alert"' in wrong.text
        assert (await auth.browser().sign_in(person)).headers["Location"] == "/auth/begin"

    async def test_a_recent_sign_in_is_asked_for(self, auth: Auth) -> None:
        """Whoever finds an open browser changes no factor."""
        person = await auth.person()
        browser = await auth.signed_in(person)
        await browser.http.post("/security/totp/begin")
        await auth.execute(
            "update sign_on_sessions set authenticated_at = now() - interval '11 min' where account_id = :id",
            id=person.id,
        )
        for path in ("totp/begin", "totp", "totp/remove", "recovery-codes"):
            response = await browser.http.post(f"/security/{path}", data={"code": "000000"})
            assert response.headers["Location"].startswith("/auth/sign-in?next=%2Fauth%2Fsecurity"), path
        assert "typed" not in (await browser.http.get("/security/totp")).text
        sessions = "select count(*) from sign_on_sessions where account_id = :id"
        await browser.sign_in(person)
        assert await auth.value(sessions, id=person.id) == 1, "the session goes on, with a new secret"
        assert (await browser.http.post("/security/totp/begin")).headers["Location"] == "/auth/security/totp"

    async def test_removal(self, auth: Auth) -> None:
        """Without the app and its recovery codes the password alone signs in again."""
        person = await auth.person()
        secret, _ = await with_app(auth, person)
        browser = await half_signed_in(auth, person)
        await show(browser, code_of(secret))
        page = (await browser.http.get("/security")).text
        assert "/security/totp/remove" in page
        assert len(re.findall("<code>", (await browser.http.post("/security/recovery-codes")).text)) == 10
        assert (await browser.http.post("/security/totp/remove")).status_code == 303
        assert (await auth.browser().sign_in(person)).headers["Location"] == "/auth/begin"
        assert (
            await auth.value("select count(*) from recovery_codes where account_id = :id", id=person.id) == 0
        )

    async def test_nothing_readable_is_stored(self, auth: Auth) -> None:
        """Neither the app's secret nor a recovery code stands in the database."""
        person = await auth.person()
        secret, codes = await with_app(auth, person)
        for table in ("totp_factors", "recovery_codes", "audit_log"):
            stored = await auth.value(f"select coalesce(string_agg(t::text, ' '), '') from {table} t")  # noqa: S608
            for kept in (secret.hex(), codes[0], codes[0].replace("-", "").encode().hex()):
                assert kept not in stored


class TestOwnSessions:
    async def test_list_and_end(self, auth: Auth) -> None:
        """Each browser stands in the list; one can be ended, and only one's own."""
        person, other = await auth.person(), await auth.person()
        here, there = await auth.signed_in(person), auth.browser()
        there.http.headers["User-Agent"] = FIREFOX
        await there.sign_in(person)
        page = (await here.http.get("/security")).text
        assert "Firefox, Linux" in page
        (path,) = set(re.findall(r"/security/sessions/[0-9a-f-]{36}/end", page))
        stranger = await auth.signed_in(other)
        await stranger.http.post(path)
        assert (await there.http.get("/profile")).status_code == 200
        await here.http.post(path)
        assert (await there.http.get("/profile")).status_code == 303
        assert (await here.http.get("/profile")).status_code == 200

    @pytest.mark.parametrize("here_too", [False, True])
    async def test_everywhere(self, auth: Auth, *, here_too: bool) -> None:
        """Signing out everywhere ends every other session, and this one when it is said so."""
        person = await auth.person()
        here, there = await auth.signed_in(person), await auth.signed_in(person)
        tokens = (await auth.redeem(await there.authorize())).json()
        form = {"here_too": "true"} if here_too else {}
        assert (await here.http.post("/security/sessions/end", data=form)).status_code == 303
        assert (await there.http.get("/profile")).status_code == 303
        assert (await auth.refresh(tokens["refresh_token"])).status_code == 400
        ended = "select details->>'reason' from audit_log where act = 'session_ended' and actor_id = :id"
        assert await auth.value(ended, id=person.id) == "signed out everywhere"
        assert (await auth.introspected(tokens["access_token"])) == {"active": False}
        assert (await here.http.get("/profile")).status_code == (303 if here_too else 200)

    async def test_somebody_else_in_the_same_browser(self, auth: Auth) -> None:
        """Whoever signs in where another person was signed in ends that person's session."""
        first, second = await auth.person(), await auth.person()
        browser = await auth.signed_in(first)
        await browser.sign_in(second)
        ended = "select count(*) from sign_on_sessions where account_id = :id and ended_at is not null"
        assert await auth.value(ended, id=first.id) == 1
