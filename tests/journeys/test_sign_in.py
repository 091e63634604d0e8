"""A person joins, is let in, guards the account, works, is blocked: as browsers show it."""

import base64
import email
import re
import time
from datetime import timedelta
from email.message import Message
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from playwright.async_api import Browser, Page, expect

from service_kit.identity.sessions import ENDED
from tests.journeys.conftest import PHONE, SignIn, picture, shut_out
from tests.support.exchange import Exchange
from tests.support.running import eventually

pytestmark = [pytest.mark.journey, pytest.mark.slow]

PASSWORD = "a-password-of-the-journey"
AUTHENTICATOR = {
    "options": {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
}


async def link_to(exchange: Exchange, address: str) -> str:
    """The link in the newest letter to somebody."""
    found: list[str] = []

    async def written() -> bool:
        letters = sorted(Path(exchange.home).glob("letters/accounts/*/*.eml"), key=lambda one: one.name)
        for letter in letters:
            mail: Message = email.message_from_bytes(letter.read_bytes())
            if mail["To"] == address:
                found.extend(re.findall(r"https?://\S+link=\S+", str(mail.get_payload())))
        return bool(found)

    await eventually(written)
    return found[-1]


def code_of(typed: str, steps: int = 0) -> str:
    secret = base64.b32decode(typed.replace(" ", ""))
    return TOTP(secret, 6, SHA1(), 30).generate(int(time.time()) + 30 * steps).decode()  # noqa: S303  as apps do


async def ask_for_account(page: Page, login: str) -> None:
    await page.goto("/auth/join")
    await page.get_by_label("Name", exact=True).fill("Jane of the journey")
    await page.get_by_label("E-mail").fill(f"{login}@example.org")
    await page.get_by_label("Login you would like").fill(login)
    await page.get_by_role("button", name="Send the request").click()
    await expect(page.get_by_role("heading", name="We have your request")).to_be_visible()


async def set_up_app(page: Page) -> str:
    await page.goto("/auth/security")
    await page.get_by_role("button", name="Set up").click()
    typed = await page.locator("code.typed").inner_text()
    await page.get_by_label("Code the app shows now").fill(code_of(typed, -1))
    await page.get_by_role("button", name="Turn on").click()
    await page.get_by_role("link", name="I have kept them").click()
    return typed


async def choose_password(page: Page, link: str) -> None:
    await page.goto(link)
    await page.get_by_label("New password").fill(PASSWORD)
    # On a phone one looks at what one has typed; it is sent and kept as a password all the same.
    typed = page.get_by_label("New password")
    await page.get_by_role("button", name="Show password").click()
    await expect(typed).to_have_attribute("type", "text")
    await page.get_by_role("button", name="Show password", pressed=True).click()
    await expect(typed).to_have_attribute("type", "password")
    await page.get_by_role("button", name="Save").click()
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.locator(".who")).to_contain_text("Jane of the journey")


async def add_passkey(page: Page) -> None:
    """In a device that the browser makes believe."""
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("WebAuthn.enable")
    await devtools.send("WebAuthn.addVirtualAuthenticator", AUTHENTICATOR)
    await page.get_by_role("button", name="Add a passkey").click()
    await expect(page.get_by_role("button", name="Remove", exact=True)).to_be_visible()
    await picture(page, "security")
    await page.get_by_role("button", name="Sign out", exact=True).click()


async def sign_in_by_code(page: Page, login: str, typed: str) -> None:
    await page.goto("/auth/sign-in")
    await page.get_by_label("Login", exact=True).fill(login)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await page.get_by_label("Code").fill(code_of(typed))
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.locator(".who")).to_contain_text("Jane of the journey")


async def sign_in_by_passkey(page: Page) -> None:
    await page.goto("/auth/sign-in")
    await page.get_by_role("button", name="Sign in with a passkey").click()
    await expect(page.locator(".who")).to_contain_text("Jane of the journey")


async def test_from_request_to_block(browser: Browser, exchange: Exchange, signed_in: SignIn) -> None:
    login = f"jane-{int(time.time())}"
    gateway = exchange.addresses["gateway"]
    options: dict[str, Any] = {"viewport": PHONE, "locale": "en-GB", "base_url": gateway}
    context = await browser.new_context(**options)
    page = await context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    await ask_for_account(page, login)
    async with signed_in("admin") as admin:
        await admin.goto("/auth/applications")
        await admin.get_by_role("row", name=f"{login}@example.org").get_by_role("link").first.click()
        await admin.get_by_role("button", name="Approve").click()
        await expect(admin.get_by_role("heading", name="Jane of the journey")).to_be_visible()
        account = admin.url

        await choose_password(page, await link_to(exchange, f"{login}@example.org"))
        typed = await set_up_app(page)
        await add_passkey(page)
        await sign_in_by_code(page, login, typed)
        await page.get_by_role("button", name="Sign out", exact=True).click()
        await sign_in_by_passkey(page)
        await page.goto("/tracker/")
        await expect(page.get_by_role("heading", level=1)).to_be_visible()

        # A new role ends the sessions and shows after the next sign-in.
        await admin.goto(account)
        await admin.get_by_label("Role").select_option("manager")
        await admin.get_by_role("button", name="Change role").click()
        await sign_in_by_passkey(page)
        await expect(page.locator(".who")).to_contain_text("Manager")
        await page.goto("/tracker/all")
        await expect(page.get_by_role("heading", name="All tasks")).to_be_visible()

        await admin.goto(account)
        await admin.get_by_role("button", name="Block").click()
        await admin.get_by_role("dialog").get_by_role("button", name="Block").click()
        await expect(admin.get_by_text("blocked", exact=True).first).to_be_visible()

        async def shut_out() -> bool:
            await page.goto("/tracker/all")
            return "/auth/sign-in" in page.url

        await eventually(shut_out)
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await expect(page.get_by_role("alert")).to_be_visible()
    await context.close()
    assert failures == []


async def token_ends_in(exchange: Exchange, login: str, seconds: float) -> None:
    """As if so much of the five minutes of somebody's tokens at the tracker had passed."""
    ((account,),) = await exchange.rows("auth", "select id from accounts where login = $1", login)
    connection = await asyncpg.connect(exchange.addresses["databases"]["tracker"])
    try:
        await connection.execute(
            "update web_sessions set fresh_until = now() + $1 where account_guid = $2",
            timedelta(seconds=seconds),
            account,
        )
        # The processes look at it anew, as at a session that may have ended.
        await connection.execute(f"notify {ENDED}")
    finally:
        await connection.close()


async def tokens_left_s(exchange: Exchange, login: str) -> float:
    ((account,),) = await exchange.rows("auth", "select id from accounts where login = $1", login)
    newest = (
        "select extract(epoch from fresh_until - now())::float from web_sessions where account_guid = $1"
        " order by created_at desc limit 1"
    )
    ((left_s,),) = await exchange.rows("tracker", newest, account)
    return float(left_s)


async def test_sign_out_everywhere(signed_in: SignIn) -> None:
    """Said in one browser, it ends the work in the other one too, in every service."""
    async with signed_in("worker2", viewport=PHONE) as lost, signed_in("worker2") as here:
        for page in (lost, here):
            await page.goto("/tracker/")
            await expect(page.get_by_role("heading", name="My tasks")).to_be_visible()
        await lost.goto("/billing/")
        await here.goto("/auth/security")
        await here.get_by_role("button", name="Sign out everywhere", exact=True).click()
        await here.get_by_role("dialog").get_by_role("button", name="Sign out everywhere").click()
        await expect(here.get_by_role("heading", name="You are signed out")).to_be_visible()

        for page, path in (
            (lost, "/billing/"),
            (lost, "/tracker/"),
            (here, "/tracker/"),
            (here, "/auth/security"),
        ):
            await eventually(partial(shut_out, page, path))


async def test_renewal_is_never_seen(exchange: Exchange, signed_in: SignIn) -> None:
    """A worker clicks on while tokens end, and while the sign-in service is killed and started again."""
    async with signed_in("worker3") as page:
        await page.goto("/tracker/")
        seen: list[str] = []
        page.on("framenavigated", lambda frame: seen.append(frame.url))

        async def click() -> None:
            await page.get_by_role("link", name="My tasks").first.click()
            await expect(page.get_by_role("heading", name="My tasks")).to_be_visible()

        async def clicked_and_renewed() -> bool:
            await click()
            return await tokens_left_s(exchange, "worker3") > 240

        # In the last half minute of its token a page is answered at once; after the end it waits a moment.
        for left_s in (30, -1):
            await token_ends_in(exchange, "worker3", left_s)
            await eventually(clicked_and_renewed)
        exchange.kill("auth-web")
        await token_ends_in(exchange, "worker3", 30)
        for _ in range(3):
            await click()
        await eventually(clicked_and_renewed)
        assert {urlsplit(url).path for url in seen} == {"/tracker/"}
