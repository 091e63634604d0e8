"""What an application may do while nobody is signed in (scope offline_access), and when that ends."""

from typing import Any

import httpx2
import pytest

from tests.auth_service.conftest import MakeAuth
from tests.auth_service.exchange import CLIENTS, ORIGIN, Auth, Browser, Login

BACKUP = httpx2.BasicAuth("backup", "secret-of-the-backup")
BACK = f"{ORIGIN}/backup"
SCOPE = "openid profile offline_access"
CLIENT = {
    "secret": "secret-of-the-backup",
    "name": "Nightly copies",
    "redirect_uris": [BACK],
    "scopes": ["openid", "profile", "offline_access"],
    "third_party": True,
    "backchannel_logout_uri": "https://backup.example.org/out",
}


@pytest.fixture
async def with_backup(make_auth: MakeAuth) -> Auth:
    without_renewal = CLIENT | {"grant_types": ["authorization_code"]}
    return await make_auth(clients=CLIENTS | {"backup": CLIENT, "once": without_renewal})


async def let_in(auth: Auth, who: Login, scope: str = SCOPE, name: str = "backup") -> tuple[Browser, Any]:
    """The person allows it on the page, and the application redeems its code."""
    browser = await auth.signed_in(who)
    page = await browser.ask(client_id=name, redirect_uri=BACK, scope=scope)
    assert page.status_code == 200, page.text
    assert ("Acts for you when you are signed out" in page.text) == (scope == SCOPE and name == "backup")
    form = {"request": str(page.url.query, "ascii"), "allowed": "true"}
    answer = await browser.http.post("/consent", data=form)
    code = httpx2.URL(answer.headers["Location"]).params["code"]
    redeemed = {"grant_type": "authorization_code", "code": code, "code_verifier": "v" * 43}
    response = await auth.token(redeemed, httpx2.BasicAuth(name, "secret-of-the-backup"))
    assert response.status_code == 200, response.text
    return browser, response.json()


async def user_info(auth: Auth, token: str) -> httpx2.Response:
    async with auth.client(headers={"Authorization": f"Bearer {token}"}) as client:
        return await client.get("/userinfo")


async def test_it_goes_on_after_a_sign_out(with_backup: Auth) -> None:
    """Its refresh token and user info hold when the person is gone; it is told of the sign-out."""
    auth = with_backup
    person = await auth.person()
    browser, tokens = await let_in(auth, person)
    assert "offline_access" in tokens["scope"]
    await browser.http.post("/logout")
    assert (await user_info(auth, tokens["access_token"])).json()["sub"] == person.id
    renewed = (await auth.refresh(tokens["refresh_token"], BACKUP)).json()
    assert (await user_info(auth, renewed["access_token"])).status_code == 200
    assert (await auth.introspected(renewed["access_token"]))["active"] is True
    claims = await auth.claims(renewed["access_token"])
    # A service refuses the tokens of an ended session by its id.
    assert "sid" not in claims
    assert await auth.value("select string_agg(client_id, ',') from logout_notices") == "backup"
    forgotten = "update sign_on_sessions set expires_at = now() - interval '9 d'"
    await auth.execute(forgotten)
    assert (await auth.refresh(renewed["refresh_token"], BACKUP)).status_code == 200


async def test_without_the_scope_it_ends_with_the_session(with_backup: Auth) -> None:
    browser, tokens = await let_in(with_backup, await with_backup.person(), "openid")
    await browser.http.post("/logout")
    assert (await with_backup.refresh(tokens["refresh_token"], BACKUP)).json()["error"] == "invalid_grant"
    assert (await user_info(with_backup, tokens["access_token"])).status_code == 401


async def test_without_renewal_it_is_not_granted(with_backup: Auth) -> None:
    """Who gets no refresh token is not told that it may go on."""
    _browser, tokens = await let_in(with_backup, await with_backup.person(), name="once")
    assert tokens["scope"] == "openid profile"
    assert "refresh_token" not in tokens


@pytest.mark.parametrize("way", ["everywhere", "block", "password", "withdrawn"])
async def test_what_ends_it(with_backup: Auth, way: str) -> None:
    """Signed out everywhere, a block, a new password and consent withdrawn end refresh and access tokens."""
    auth = with_backup
    person = await auth.person()
    browser, tokens = await let_in(auth, person)
    elsewhere = await auth.signed_in(person)
    await browser.http.post("/logout")
    if way == "everywhere":
        await elsewhere.http.post("/security/sessions/end")
    elif way == "block":
        await auth.change(person, blocked=True)
    elif way == "password":
        form = {"present": person.password, "new": "a-brand-new-password"}
        assert (await elsewhere.http.post("/profile/password", data=form)).status_code == 303
    else:
        await elsewhere.http.post("/security/applications/withdraw", data={"client_id": "backup"})
    assert (await auth.refresh(tokens["refresh_token"], BACKUP)).json()["error"] == "invalid_grant"
    assert (await user_info(auth, tokens["access_token"])).status_code == 401
    assert await auth.introspected(tokens["access_token"]) == {"active": False}


async def test_its_own_end(with_backup: Auth) -> None:
    """Days of its own, with and without use; no rotation carries it further."""
    _browser, tokens = await let_in(with_backup, await with_backup.person())
    await with_backup.refresh(tokens["refresh_token"], BACKUP)
    days = "select round(extract(epoch from max({}) - now()) / 86400) from {}"
    assert await with_backup.value(days.format("expires_at", "token_families where offline")) == 90
    newest = "refresh_tokens where family_id in (select id from token_families where offline)"
    assert await with_backup.value(days.format("expires_at", newest)) == 30
