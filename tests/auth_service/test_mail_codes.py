"""Sign-in by a code in a letter."""

import asyncio
import re

import httpx2
import pytest

from tests.auth_service.exchange import COOKIE, Auth, Browser
from tests.auth_service.test_factors import code_of, with_app
from tests.auth_service.test_letters import letters_to, with_mail

pytestmark = pytest.mark.usefixtures("patient_auth")


async def asked(auth: Auth, name: str, target: str = "") -> Browser:
    browser = auth.browser()
    answer = await browser.http.post("/sign-in/letter", data={"name": name, "next": target})
    assert answer.headers["Location"] == "/auth/sign-in/letter/code"
    return browser


async def shown(browser: Browser, code: str) -> httpx2.Response:
    return await browser.http.post("/sign-in/letter/code", data={"code": code})


async def code_to(auth: Auth, address: str) -> str:
    lines = (await letters_to(auth, address))[-1].splitlines()
    (found,) = [line for line in lines if re.fullmatch(r"\d{4} \d{4}", line)]
    return found


class TestSignIn:
    async def test_it_works(self, auth: Auth) -> None:
        """A code from a letter signs in, once, and the tokens say by what, and that letters arrive."""
        _person, address = await with_mail(auth)
        browser = await asked(auth, address, "/auth/profile")
        code = await code_to(auth, address)
        answer = await shown(browser, code)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/auth/profile")
        tokens = (await auth.redeem(await browser.authorize(scope="openid email"))).json()
        claims = await auth.claims(tokens["id_token"])
        assert (claims["amr"], claims["acr"]) == (["email"], "urn:ates:acr:one-factor")
        assert claims["email_verified"] is True

    async def test_of_a_former_address(self, auth: Auth) -> None:
        """A code that went to an address which is the person's no longer signs nobody in."""
        person, address = await with_mail(auth)
        browser = await asked(auth, address)
        code = await code_to(auth, address)
        await auth.change(person, email=f"new.{address}")
        assert (await shown(browser, code)).status_code == 401

    async def test_good_once(self, auth: Auth) -> None:
        """Of two uses at the same time one opens a session."""
        _person, address = await with_mail(auth)
        browser = await asked(auth, address)
        code = await code_to(auth, address)
        answers = await asyncio.gather(shown(browser, code), shown(browser, code))
        assert sorted(answer.status_code for answer in answers) == [303, 401]

    async def test_with_an_app(self, auth: Auth) -> None:
        """A letter is the first half only where an app was set up."""
        person, address = await with_mail(auth)
        secret, _codes = await with_app(auth, person)
        browser = await asked(auth, address)
        answer = await shown(browser, await code_to(auth, address))
        assert answer.headers["Location"] == "/auth/sign-in/code"
        assert COOKIE not in browser.http.cookies
        done = await browser.http.post("/sign-in/code", data={"code": code_of(secret)})
        assert done.status_code == 303
        claims = await auth.claims((await auth.redeem(await browser.authorize())).json()["id_token"])
        assert claims["amr"] == ["email", "otp", "mfa"]

    async def test_twenty_guesses_at_once(self, auth: Auth) -> None:
        """Five are checked, then even the right one is refused."""
        _person, address = await with_mail(auth)
        browser = await asked(auth, address)
        code = await code_to(auth, address)
        wrong = [f"{(int(code.replace(' ', '')) + number) % 10**8:08}" for number in range(1, 21)]
        answers = await asyncio.gather(*(shown(browser, guess) for guess in wrong))
        assert {answer.status_code for answer in answers} == {401}
        assert (await shown(browser, code)).status_code == 401

    async def test_bound_to_browser_and_time(self, auth: Auth) -> None:
        """Another browser, a later hour, a block: the code is worth nothing."""
        person, address = await with_mail(auth)
        await asked(auth, address)
        code = await code_to(auth, address)
        assert (await shown(await asked(auth, "nobody-is-called-so"), code)).status_code == 401
        assert (await shown(auth.browser(), code)).headers["Location"] == "/auth/sign-in/letter"
        late = await asked(auth, address)
        code = await code_to(auth, address)
        await auth.execute("update mail_codes set expires_at = now() where account_id = :id", id=person.id)
        assert (await shown(late, code)).status_code == 401
        blocked = await asked(auth, address)
        code = await code_to(auth, address)
        await auth.change(person, blocked=True)
        assert (await shown(blocked, code)).status_code == 401

    async def test_strangers_learn_nothing(self, auth: Auth) -> None:
        """Known and unknown names lead to the same page; nobody else gets a letter."""
        _person, address = await with_mail(auth)
        pages = []
        for name in (address, "nobody-is-called-so", "admin", "", "a\x00b"):
            browser = await asked(auth, name)
            page = await browser.http.get("/sign-in/letter/code")
            pages.append(re.sub(r'nonce="[^"]+"|Nonce":"[^"]+"', "", page.text))
        assert len(set(pages)) == 1
        assert len(await letters_to(auth, address)) == 1
        browser = await asked(auth, "nobody-is-called-so")
        for code in ("", "0" * 8, "x" * 900, "\u0661" * 8):
            assert (await shown(browser, code)).status_code == 401
