"""Signing in and out, as people and guessers do it."""

import asyncio
import re
import statistics
import time

import httpx2
import pytest
from argon2 import PasswordHasher
from sqlalchemy import text

from tests.auth_service.conftest import MakeAuth
from tests.auth_service.exchange import ADMIN, CALLBACK, COOKIE, PASSWORD, TRACKER, Auth, Browser, Login
from tests.auth_service.test_bad_input import addresses
from tests.support.running import eventually

RETURN = "https://exchange.test/tracker/"


def shown(response: httpx2.Response) -> str:
    """A page without what differs from request to request."""
    text = response.text
    for marker in ('nonce="', "inlineScriptNonce&#34;:&#34;", 'inlineScriptNonce":"'):
        while marker in text:
            before, _, rest = text.partition(marker)
            text = before + rest[24:]
    return text


class TestForm:
    async def test_it_works(self, auth: Auth) -> None:
        """The right password brings a cookie that scripts cannot read, and leads on with 303."""
        person = await auth.person()
        response = await auth.browser().sign_in(person, next="/auth/profile")
        assert response.status_code == 303
        assert response.headers["Location"] == "/auth/profile"
        cookie = response.headers["Set-Cookie"]
        assert cookie.startswith(f"{COOKIE}=")
        for attribute in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"):
            assert attribute in cookie
        assert "Domain" not in cookie

    @pytest.mark.parametrize(
        "target",
        [
            "https://evil.test/",
            "//evil.test/",
            "/\\evil.test",
            "/auth/\\evil.test",
            "/auth/\n/evil.test",
            "javascript:alert(1)",
            "/elsewhere",
            "",
        ],
    )
    async def test_leads_nowhere_else(self, auth: Auth, target: str) -> None:
        """The way on is a page of ours, whatever the address of the form said."""
        response = await auth.browser().sign_in(ADMIN, next=target)
        assert response.headers["Location"] == "/auth/begin"

    async def test_new_session_id_at_each_sign_in(self, auth: Auth) -> None:
        """A cookie that somebody planted before is not taken over."""
        browser = auth.browser()
        browser.http.cookies.set(COOKIE, "planted", domain="exchange.test")
        first = (await browser.sign_in(ADMIN)).headers["Set-Cookie"]
        second = (await browser.sign_in(ADMIN)).headers["Set-Cookie"]
        assert "planted" not in first
        assert first != second

    async def test_a_hash_made_elsewhere_with_other_parameters(self, auth: Auth) -> None:
        """It is taken as it stands, and made anew; both ways other implementations read the same hash."""
        person = await auth.person()
        elsewhere = PasswordHasher(memory_cost=8192, time_cost=1, parallelism=2).hash(person.password)
        await auth.execute(
            "update accounts set password_hash = :h where login = :l", h=elsewhere, l=person.login
        )
        assert (await auth.browser().sign_in(Login(person.login, "wrong"))).status_code == 401
        assert (await auth.browser().sign_in(person)).status_code == 303
        own = "account_id = (select id from accounts where login = :l)"
        renewed = await auth.value("select password_hash from accounts where login = :l", l=person.login)
        assert renewed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert PasswordHasher().verify(renewed, person.password)
        counted = f"select count(*) from audit_log where {own} and act = 'password_rehashed'"  # noqa: S608
        assert await auth.value(counted, l=person.login) == 1
        assert (await auth.browser().sign_in(person)).status_code == 303
        assert await auth.value(counted, l=person.login) == 1

    async def test_foreign_forms_are_refused(self, auth: Auth) -> None:
        """Another site can neither sign somebody in nor out."""
        async with auth.client(headers={"Sec-Fetch-Site": "cross-site"}) as client:
            taken = [
                (method, path)
                for method, path in addresses(auth)
                if method not in {"GET", "HEAD", "OPTIONS"}
                and (await client.request(method, path, data={"login": "admin"})).status_code != 403
            ]
        # What a form may ask there, a link could ask as well.
        assert taken == [("POST", "/authorize"), ("POST", "/logout")]


class TestRefusals:
    async def test_all_look_the_same(self, make_auth: MakeAuth) -> None:
        """Unknown, wrong, blocked, without a password and locked: one answer for all."""
        auth = await make_auth(attempts_per_account=3)
        blocked = await auth.person()
        await auth.change(blocked, blocked=True)
        locked = await auth.person()
        for _ in range(4):
            await auth.browser().sign_in(Login(locked.login, "wrong"))
        async with await auth.api() as api:
            account = {"login": "no-password", "name": "x", "role": "worker"}
            assert (await api.post("/api/v1/accounts", json=account)).status_code == 201
        tries = [
            Login("nobody-has-this"),
            Login("admin", "wrong"),
            blocked,
            locked,
            Login("no-password"),
            Login("no login at all \x00"),
        ]
        answers = [await auth.browser().sign_in(who) for who in tries]
        assert {answer.status_code for answer in answers} == {401}
        pages = {
            shown(answer).replace(who.login, "").replace(who.login.replace("\x00", "\ufffd"), "")
            for who, answer in zip(tries[:-1], answers[:-1], strict=True)
        }
        assert len(pages) == 1
        assert not any("Set-Cookie" in answer.headers for answer in answers)

    async def test_all_take_as_long(self, make_auth: MakeAuth) -> None:
        """The time of an answer does not tell whether the account exists."""
        auth = await make_auth(attempts_per_account=1000)
        browser = auth.browser()

        async def seconds(login: str) -> float:
            begun = time.perf_counter()
            await browser.sign_in(Login(login, "wrong-password"))
            return time.perf_counter() - begun

        known, unknown = [], []
        for number in range(12):
            known.append(await seconds("admin"))
            unknown.append(await seconds(f"nobody-{number}"))
        # The hash alone takes some 10 ms; without the decoy an unknown name would be several times faster.
        assert statistics.median(unknown) > 0.6 * statistics.median(known)

    async def test_fifty_guesses_at_once(self, make_auth: MakeAuth) -> None:
        """However many guess at the same time, no more than the limit are checked."""
        auth = await make_auth(attempts_per_account=5)
        person = await auth.person()
        browsers = [auth.browser() for _ in range(50)]
        guesses = [Login(person.login, f"guess-{number}") for number in range(50)]
        await asyncio.gather(*(b.sign_in(guess) for b, guess in zip(browsers, guesses, strict=True)))
        checked = await auth.value(
            "select count(*) from audit_log"
            " where act = 'sign_in_failed' and details->>'reason' = 'wrong password'"
        )
        assert checked == 5
        # Even the right password waits now. The wait begins anew: fifty tries may take longer than it does.
        await auth.execute("update guess_counters set waits_until = now() + (waits_until - last_at)")
        assert (await auth.browser().sign_in(person)).status_code == 401

    async def test_a_try_that_waited_for_another(self, own_auth: Auth) -> None:
        """Two tries at once are counted one after the other: the later is not refused for having waited."""
        person = await own_auth.person()
        await own_auth.browser().sign_in(Login(person.login, "wrong"))
        async with own_auth.service.transaction() as holder:
            await holder.execute(text("select 1 from guess_counters for update"))
            later = asyncio.create_task(own_auth.browser().sign_in(person))
            await eventually(own_auth.service.somebody_waits)
            await holder.execute(
                text("update guess_counters set last_at = clock_timestamp(), waits_until = clock_timestamp()")
            )
        assert (await later).status_code == 303

    @pytest.mark.parametrize("change", ["blocked = true", "password_hash = password_hash || ' '"])
    async def test_an_account_that_changes_while_its_password_is_checked(
        self, own_auth: Auth, change: str
    ) -> None:
        """Who was blocked, or whose password was changed, between check and session gets no session."""
        person = await own_auth.person()
        async with own_auth.service.transaction() as holder:
            held = text(f"update accounts set {change} where login = :login")  # noqa: S608  our own words
            await holder.execute(held, {"login": person.login})
            later = asyncio.create_task(own_auth.browser().sign_in(person))
            await eventually(own_auth.service.somebody_waits)
        assert (await later).status_code == 401
        own = f"account_id = (select id from accounts where login = '{person.login}')"  # noqa: S608  our own words
        assert await own_auth.value(f"select count(*) from sign_on_sessions where {own}") == 0  # noqa: S608
        noted = f"select string_agg(act, ' ') from audit_log where {own} and act like '%sign%'"  # noqa: S608
        assert await own_auth.value(noted) == "sign_in_failed"
        # The guess still counts.
        assert await own_auth.value("select max(failures) from guess_counters") == 1

    async def test_the_wait_ends_and_grows(self, own_auth: Auth) -> None:
        """A wait is not for ever; the next wrong guess makes it longer; the right password wipes it out."""
        person = await own_auth.person()
        wrong = Login(person.login, "wrong")
        for _ in range(10):
            await own_auth.browser().sign_in(wrong)
        longest = "select max(extract(epoch from waits_until - last_at)) from guess_counters"
        first = await own_auth.value(longest)
        await own_auth.execute("update guess_counters set waits_until = now()")
        await own_auth.browser().sign_in(wrong)
        assert await own_auth.value(longest) > first > 0
        await own_auth.execute("update guess_counters set waits_until = now()")
        assert (await own_auth.browser().sign_in(person)).status_code == 303
        await own_auth.browser().sign_in(wrong)
        assert (await own_auth.browser().sign_in(person)).status_code == 303

    async def test_per_address(self, make_auth: MakeAuth) -> None:
        """One address that tries many accounts waits too."""
        auth = await make_auth(attempts_per_address=6)
        for number in range(8):
            await auth.browser().sign_in(Login(f"nobody-{number}", "wrong"))
        assert (await auth.browser().sign_in(ADMIN)).status_code == 401


class TestSessions:
    async def test_block_ends_it(self, auth: Auth) -> None:
        """A blocked person is signed out in the same moment."""
        person = await auth.person()
        browser = await auth.signed_in(person)
        assert (await browser.http.get("/profile")).status_code == 200
        await auth.change(person, blocked=True)
        assert (
            (await browser.http.get("/profile"))
            .headers["Location"]
            .startswith("https://exchange.test/auth/sign-in")
        )

    async def test_role_change_ends_it(self, auth: Auth) -> None:
        """With a new role one signs in anew, and every token says the new one."""
        person = await auth.person()
        browser = await auth.signed_in(person)
        await auth.change(person, role="manager")
        assert (await browser.http.get("/profile")).status_code == 303
        assert (await auth.claims((await auth.tokens(person))["access_token"]))["role"] == "manager"

    async def test_idle_and_absolute_end(self, own_auth: Auth) -> None:
        """A session that nobody used, or that is too old, has ended."""
        for statement in (
            "update sign_on_sessions set seen_at = now() - interval '13 h'",
            "update sign_on_sessions set expires_at = now()",
        ):
            browser = await own_auth.signed_in()
            assert (await browser.http.get("/profile")).status_code == 200
            await own_auth.execute(statement)
            assert (await browser.http.get("/profile")).status_code == 303

    async def test_forged_cookies(self, auth: Auth) -> None:
        """A cookie we did not give is nobody's."""
        for value in ("x", "x" * 5000, "%00", "'; drop table accounts; --"):
            browser = auth.browser()
            browser.http.cookies.set(COOKIE, value, domain="exchange.test")
            assert (await browser.http.get("/profile")).status_code == 303


class TestFacts:
    async def test_sign_in_and_out_are_said(self, auth: Auth) -> None:
        """A session's begin and end are facts with ids alone, in this order under one key."""
        person = await auth.person()
        browser = await auth.signed_in(person)
        await browser.http.post("/logout")
        said = [fact for fact in await auth.service.said() if fact["data"].get("userGuid") == person.id]
        begun, ended = (fact for fact in said if fact["topic"] == "auth.sessions")
        assert (begun["name"], ended["name"]) == ("SessionBegan", "SessionEnded")
        assert begun["key"] == ended["key"] == begun["data"]["sessionId"]
        assert set(ended["data"]) == {"sessionId", "userGuid", "endedAt"}

    async def test_a_block_ends_each_session_by_a_fact(self, auth: Auth) -> None:
        """Every open session of a blocked person is said to have ended."""
        person = await auth.person()
        for _ in range(3):
            await auth.signed_in(person)
        await auth.change(person, blocked=True)
        said = [fact for fact in await auth.service.said() if fact["data"].get("userGuid") == person.id]
        assert [fact["name"] for fact in said].count("SessionEnded") == 3


class TestSigningOut:
    async def test_own_button(self, auth: Auth) -> None:
        """The session and its refresh tokens end, the cookie goes, and the farewell page is shown."""
        person = await auth.person()
        browser = await auth.signed_in(person)
        tokens = (await auth.redeem(await browser.authorize())).json()
        response = await browser.http.post("/logout")
        assert response.headers["Location"] == "/auth/signed-out"
        assert (await browser.http.get("/signed-out")).status_code == 200
        assert (await browser.http.get("/profile")).status_code == 303
        assert (await auth.refresh(tokens["refresh_token"])).status_code == 400

    async def test_by_a_client(self, auth: Auth) -> None:
        """A client ends the session it has the ID token of, and gets the person back at its address."""
        browser, tokens = await self._at_the_tracker(auth)
        response = await browser.http.get(
            "/logout",
            params={
                "id_token_hint": tokens["id_token"],
                "post_logout_redirect_uri": RETURN,
                "client_id": "tracker",
                "state": "s 1",
            },
        )
        assert response.headers["Location"] == f"{RETURN}?state=s+1"
        assert (await browser.http.get("/profile")).status_code == 303

    async def test_unregistered_way_back(self, auth: Auth) -> None:
        """Nobody is sent to an address that the client did not register."""
        for address in ("https://evil.test/", f"{RETURN}x", CALLBACK, "javascript:alert(1)"):
            browser, tokens = await self._at_the_tracker(auth)
            response = await browser.http.get(
                "/logout",
                params={"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": address},
            )
            assert response.headers["Location"] == "/auth/signed-out"

    async def test_without_proof_one_is_asked(self, auth: Auth) -> None:
        """A link without the session's ID token signs nobody out; the person decides."""
        _, others = await self._at_the_tracker(auth)
        for hint in ("", "x.y.z", others["id_token"]):
            browser = await auth.signed_in()
            response = await browser.http.get(
                "/logout", params={"id_token_hint": hint, "post_logout_redirect_uri": RETURN}
            )
            assert response.status_code == 200
            assert (await browser.http.get("/profile")).status_code == 200

    async def test_clients_are_to_be_told(self, own_auth: Auth) -> None:
        """Each other client that took part in the session gets a notice."""
        browser, _ = await self._at_the_tracker(own_auth)
        await browser.http.post("/logout")
        assert await own_auth.value("select string_agg(client_id, ',') from logout_notices") == "tracker"

    @staticmethod
    async def _at_the_tracker(auth: Auth) -> tuple[Browser, dict[str, str]]:
        browser = await auth.signed_in()
        response = await auth.redeem(await browser.authorize(), TRACKER)
        return browser, response.json()


class TestOwnProfile:
    async def test_name_language_zone(self, auth: Auth) -> None:
        """What is saved is shown; language and zone are said to the others, the name is not."""
        person = await auth.person()
        browser = await auth.signed_in(person)
        form = {"name": "Анна  Ли", "locale": "en", "time_zone": "Asia/Tokyo"}
        assert (await browser.http.post("/profile", data=form)).status_code == 303
        page = (await browser.http.get("/profile")).text
        assert "Анна Ли" in page
        assert 'lang="en"' in page
        said = [fact for fact in await auth.service.said() if fact["key"] == person.id]
        assert said[-1]["name"] == "AccountUpdated"
        assert said[-1]["data"]["timeZone"] == "Asia/Tokyo"
        assert "Анна" not in str(said)

    async def test_a_refused_form_in_another_language(self, auth: Auth) -> None:
        """Its address takes forms alone; whoever comes back to it is led to the page of the form."""
        browser = await auth.signed_in(await auth.person())
        refused = await browser.http.post("/profile/password", data={"present": "x", "new": "y"})
        (back,) = re.findall(r'name="back" value="([^"]*)"', refused.text)
        answer = await browser.http.get(back.removeprefix("/auth"), headers={"Accept": "text/html"})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/auth/profile")
        # What is no page, and a program that asks, hear what they did wrong.
        for path, kind in (("/token", "text/html"), ("/profile/password", "application/json")):
            wrong = await browser.http.get(path, headers={"Accept": kind})
            assert (wrong.status_code, wrong.headers["Allow"]) == (405, "POST")

    async def test_nothing_chosen_is_a_choice(self, auth: Auth) -> None:
        """The browser's language again, and a telephone number and an address that are taken away."""
        person = await auth.person()
        browser = await auth.signed_in(person)
        kept = "select concat_ws(' ', locale, phone, postal_address) from accounts where login = :l"
        full = {"locale": "ru", "phone": "+74951234567", "postal_address": "Moscow"}
        for chosen, stands in ((full, "ru +74951234567 Moscow"), (dict.fromkeys(full, ""), "")):
            form = {"name": "Anna", "time_zone": "Asia/Tokyo", **chosen}
            assert (await browser.http.post("/profile", data=form)).status_code == 303
            assert await auth.value(kept, l=person.login) == stands

    @pytest.mark.parametrize(
        ("field", "value"),
        [("name", ""), ("time_zone", ""), ("phone", "12"), ("postal_address", "x" * 301)],
    )
    async def test_a_mistake_is_told_at_its_field(self, auth: Auth, field: str, value: str) -> None:
        """What was typed stands there still, and nothing is saved."""
        person = await auth.person()
        browser = await auth.signed_in(person)
        form = {"name": "Anna Lee", "locale": "en", "time_zone": "Asia/Tokyo", field: value}
        refused = await browser.http.post("/profile", data=form)
        assert refused.status_code == 422
        assert refused.text.count('aria-invalid="true"') == 1
        assert f'id="field-{field}-error"' in refused.text
        assert ('<option value="Asia/Tokyo" selected' in refused.text) == (field != "time_zone")
        kept = await auth.value("select time_zone from accounts where login = :l", l=person.login)
        assert kept != "Asia/Tokyo"

    async def test_password(self, auth: Auth) -> None:
        """A new password needs the old one; it ends the other sessions and keeps this one."""
        person = await auth.person()
        here, elsewhere = await auth.signed_in(person), await auth.signed_in(person)
        wrong = await here.http.post("/profile/password", data={"present": "x", "new": "a-brand-new-one"})
        assert wrong.status_code == 422
        weak = await here.http.post("/profile/password", data={"present": PASSWORD, "new": "short"})
        assert weak.status_code == 422
        done = await here.http.post("/profile/password", data={"present": PASSWORD, "new": "a-brand-new-one"})
        assert done.status_code == 303
        assert (await here.http.get("/profile")).status_code == 200
        assert (await elsewhere.http.get("/profile")).status_code == 303
        assert (await auth.browser().sign_in(person)).status_code == 401
        assert (await auth.browser().sign_in(Login(person.login, "a-brand-new-one"))).status_code == 303
