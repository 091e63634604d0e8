"""Applications of others: consent, audiences, and what else clients may ask at the authorization endpoint."""

import re
from html import unescape

import httpx2
import pytest

from tests.auth_service.exchange import (
    CALLBACK,
    ISSUER,
    PUBLIC_URLS,
    TRACKER,
    Asked,
    Auth,
    Browser,
    Login,
    challenge_of,
)
from tests.auth_service.test_factors import code_of, secret_in

GUEST = httpx2.BasicAuth("guest", "secret-of-the-guest")
GUEST_BACK = "https://guest.example.org/back"


@pytest.fixture(scope="module")
async def guests(auth: Auth) -> Auth:
    """The shared service, with two applications of others beside our own."""
    for client_id, audiences in (("guest", None), ("helper", [PUBLIC_URLS["tracker"]])):
        await auth.execute(
            "insert into oauth_clients (client_id, name, secret_digest, redirect_uris,"
            " post_logout_redirect_uris, grant_types, scopes, updated_at, third_party, audiences)"
            " values (:id, 'A guest', sha256(cast(:secret as bytea)), array[:back], '{}',"
            " '{authorization_code,refresh_token}', '{openid,profile,email,phone,address}', now(), true,"
            " cast(:audiences as text[]))",
            id=client_id,
            secret=f"secret-of-the-{client_id}".encode(),
            back=GUEST_BACK,
            audiences=audiences,
        )
    return auth


async def asked_by_guest(browser: Browser, **parameters: str | None) -> httpx2.Response:
    return await browser.ask(
        client_id="guest", redirect_uri=GUEST_BACK, code_challenge=challenge_of("v" * 43), **parameters
    )


def request_in(page: httpx2.Response) -> str:
    found = re.search(r'name="request" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return unescape(found[1])


async def decide(browser: Browser, page: httpx2.Response, *, allowed: bool) -> httpx2.Response:
    form = {"request": request_in(page), "allowed": str(allowed).lower()}
    return await browser.http.post("/consent", data=form)


async def let_in(auth: Auth, who: Login, **parameters: str | None) -> tuple[Browser, httpx2.Response]:
    """Somebody lets the guest in; the answer is that of the token endpoint."""
    browser = await auth.signed_in(who)
    answer = await decide(browser, await asked_by_guest(browser, **parameters), allowed=True)
    assert answer.status_code == 303, answer.text
    asked = Asked(answer.headers["Location"], "v" * 43)
    return browser, await auth.redeem(asked, GUEST, redirect_uri=GUEST_BACK)


class TestConsent:
    async def test_it_works(self, guests: Auth) -> None:
        """A guest is let in on a page that says what it learns; it is asked once."""
        person = await guests.person(email="of-consent@example.org")
        browser = await guests.signed_in(person)
        page = await asked_by_guest(browser, scope="openid email")
        assert page.status_code == 200
        assert "A guest" in page.text
        assert "E-mail address" in page.text
        assert "https://guest.example.org" in page.headers["Content-Security-Policy"]
        answer = await decide(browser, page, allowed=True)
        asked = Asked(answer.headers["Location"], "v" * 43)
        assert (asked.answer["state"], asked.answer["iss"]) == ("a-state", ISSUER)
        tokens = (await guests.redeem(asked, GUEST, redirect_uri=GUEST_BACK)).json()
        assert (await guests.claims(tokens["id_token"]))["email"] == "of-consent@example.org"
        assert (await asked_by_guest(browser, scope="openid email")).status_code == 303
        more = await asked_by_guest(browser, scope="openid email phone")
        assert "Telephone number" in more.text, "whoever wants more asks again"

    async def test_sent_away(self, guests: Auth) -> None:
        """A no is told to the client, and is no yes the next time."""
        browser = await guests.signed_in(await guests.person())
        answer = await decide(browser, await asked_by_guest(browser), allowed=False)
        location = answer.headers["Location"]
        assert location.startswith(f"{GUEST_BACK}?error=access_denied")
        assert "state=a-state" in location
        assert (await asked_by_guest(browser)).status_code == 200

    async def test_silently(self, guests: Auth) -> None:
        """`prompt=none` never shows a page."""
        browser = await guests.signed_in(await guests.person())
        answer = await asked_by_guest(browser, prompt="none")
        assert "error=consent_required" in answer.headers["Location"]

    async def test_asked_for(self, guests: Auth) -> None:
        """`prompt=consent` asks even for our own, and the answer leads on."""
        browser = await guests.signed_in(await guests.person())
        page = await browser.ask(prompt="consent")
        assert page.status_code == 200
        answer = await decide(browser, page, allowed=True)
        assert answer.headers["Location"].startswith(f"{CALLBACK}?code=")

    async def test_forged_answers(self, guests: Auth) -> None:
        """What is posted is checked like a request: no code goes to an address that is not registered."""
        browser = await guests.signed_in(await guests.person())
        asked = request_in(await asked_by_guest(browser))
        forged = asked.replace("guest.example.org", "evil.example.org")
        answer = await browser.http.post("/consent", data={"request": forged, "allowed": "true"})
        assert (answer.status_code, "Location" in answer.headers) == (400, False)
        foreign = {"Sec-Fetch-Site": "cross-site"}
        answer = await browser.http.post(
            "/consent", data={"request": asked, "allowed": "true"}, headers=foreign
        )
        assert answer.status_code == 403
        assert (await asked_by_guest(browser)).status_code == 200, "nothing was let in"

    async def test_withdraw(self, guests: Auth) -> None:
        """What was let in stands in a list and is shut out there, with its refresh tokens."""
        person = await guests.person()
        browser, answer = await let_in(guests, person)
        tokens = answer.json()
        page = (await browser.http.get("/security/applications")).text
        assert "A guest" in page
        form = {"client_id": "guest"}
        assert (await browser.http.post("/security/applications/withdraw", data=form)).status_code == 303
        assert "A guest" not in (await browser.http.get("/security/applications")).text
        assert (await guests.refresh(tokens["refresh_token"], GUEST)).json()["error"] == "invalid_grant"
        assert (await asked_by_guest(browser)).status_code == 200
        acts = (
            "select string_agg(act, ' ' order by id) from audit_log"
            " where client_id = 'guest' and actor_id = :id"
        )
        assert await guests.value(acts, id=person.id) == "consent_given consent_withdrawn"


class TestAudiences:
    async def test_guests_open_no_service(self, guests: Auth) -> None:
        """A guest's token is for user info alone: no service of ours takes it, whoever the person is."""
        admin = await guests.person(role="admin")
        _browser, answer = await let_in(guests, admin)
        token = answer.json()["access_token"]
        assert (await guests.claims(token))["aud"] == [f"{ISSUER}/userinfo"]
        async with guests.client(headers={"Authorization": f"Bearer {token}"}) as client:
            assert (await client.get("/userinfo")).status_code == 200
            assert (await client.get("/api/v1/accounts")).status_code == 401

    @pytest.mark.parametrize(("scope", "told_role"), [("openid profile", True), ("openid", False)])
    async def test_the_role_belongs_to_the_profile(
        self, guests: Auth, scope: str, *, told_role: bool
    ) -> None:
        """A guest reads a role in its token only where that was granted; a new role ends it anyway."""
        person = await guests.person(role="worker")
        _browser, answer = await let_in(guests, person, scope=scope)
        token = answer.json()["access_token"]
        async with guests.client(headers={"Authorization": f"Bearer {token}"}) as client:
            told = (await client.get("/userinfo")).json()
            for said in (await guests.claims(token), await guests.introspected(token), told):
                assert (said["sub"], "role" in said) == (person.id, told_role)
            await guests.change(person, role="manager")
            assert (await client.get("/userinfo")).status_code == 401
        assert await guests.introspected(token) == {"active": False}

    async def test_who_may_call_a_service_brings_the_role(self, guests: Auth) -> None:
        """A service decides by the role in the token, whatever its client was told about the person."""
        browser = await guests.signed_in(await guests.person(role="worker"))
        asked = await browser.authorize(scope="openid", resource=PUBLIC_URLS["billing"])
        token = (await guests.redeem(asked)).json()["access_token"]
        assert (await guests.claims(token))["role"] == "worker"

    async def test_narrower(self, guests: Auth) -> None:
        """A token for one service is asked for by its address, also later by a refresh; never for more."""
        browser = await guests.signed_in()
        asked = await browser.authorize(resource=PUBLIC_URLS["billing"] + "/")
        first = (await guests.redeem(asked)).json()
        assert (await guests.claims(first["access_token"]))["aud"] == [PUBLIC_URLS["billing"]]
        wider = await guests.refresh(first["refresh_token"], resource=PUBLIC_URLS["tracker"])
        assert (wider.status_code, wider.json()["error"]) == (400, "invalid_target")
        again = (await guests.refresh(first["refresh_token"], resource=PUBLIC_URLS["billing"])).json()
        assert (await guests.claims(again["access_token"]))["aud"] == [PUBLIC_URLS["billing"]]

    async def test_several(self, guests: Auth) -> None:
        """The one parameter that may be repeated."""
        form = [("grant_type", "client_credentials")]
        form += [("resource", PUBLIC_URLS[name]) for name in ("tracker", "billing")]
        async with guests.client() as client:
            answer = await client.post(
                "/token",
                content="&".join(f"{k}={v}" for k, v in form),
                auth=TRACKER,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
            )
        assert (await guests.claims(answer.json()["access_token"]))["aud"] == [
            PUBLIC_URLS["tracker"],
            PUBLIC_URLS["billing"],
        ]

    @pytest.mark.parametrize("resource", ["https://elsewhere.example/", "x", PUBLIC_URLS["billing"]])
    async def test_not_allowed(self, guests: Auth, resource: str) -> None:
        """A client gets no token for what it may not call, and learns it at once."""
        browser = await guests.signed_in()
        answer = await browser.ask(client_id="helper", redirect_uri=GUEST_BACK, resource=resource)
        assert "error=invalid_target" in answer.headers["Location"]

    async def test_chosen_by_an_admin(self, guests: Auth) -> None:
        """The page of consent names the service that a guest may call."""
        browser = await guests.signed_in()
        page = await browser.ask(client_id="helper", redirect_uri=GUEST_BACK)
        assert "act in your name in: tracker" in page.text


class TestFurtherParameters:
    async def test_form_post(self, auth: Auth) -> None:
        """The answer travels in a form; a button does it without scripts; errors too."""
        browser = await auth.signed_in()
        page = await browser.ask(response_mode="form_post", code_challenge=challenge_of("v" * 43))
        assert (page.status_code, "Location" in page.headers) == (200, False)
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        assert f'action="{CALLBACK}"' in page.text
        assert (fields["state"], fields["iss"]) == ("a-state", ISSUER)
        answer = await auth.redeem(Asked(f"{CALLBACK}?code={fields['code']}", "v" * 43))
        assert answer.status_code == 200
        refused = await browser.ask(response_mode="form_post", scope="openid", prompt="none login")
        assert 'name="error" value="invalid_request"' in refused.text

    async def test_form_post_escapes(self, auth: Auth) -> None:
        """What a client sends as its state is text, not markup."""
        browser = await auth.signed_in()
        page = await browser.ask(response_mode="form_post", state='"><script>alert(1)</script>')
        assert "<script>alert" not in page.text

    async def test_id_token_hint(self, auth: Auth) -> None:
        """The client says who it means: that person goes on, another one signs in."""
        person, other = await auth.person(), await auth.person()
        hint = (await auth.tokens(person))["id_token"]
        assert (
            (await (await auth.signed_in(person)).ask(id_token_hint=hint))
            .headers["Location"]
            .startswith(f"{CALLBACK}?code=")
        )
        browser = await auth.signed_in(other)
        silent = await browser.ask(id_token_hint=hint, prompt="none")
        assert "error=login_required" in silent.headers["Location"]
        answer = await browser.ask(id_token_hint=hint)
        assert f"login={person.login}" in answer.headers["Location"]
        assert "again=1" in answer.headers["Location"]
        assert "id_token_hint" not in answer.headers["Location"]
        broken = await browser.ask(id_token_hint=hint[:-5])
        assert "error=invalid_request" in broken.headers["Location"]

    async def test_ui_locales(self, auth: Auth) -> None:
        """The pages speak like those of the client, unless the person chose otherwise here."""
        browser = auth.browser()
        answer = await browser.ask(ui_locales="fr-FR ru-RU en")
        page = await browser.http.get(answer.headers["Location"].removeprefix("/auth"))
        assert 'lang="ru"' in page.text
        chosen = auth.browser()
        await chosen.http.post("/locale", data={"locale": "en"})
        answer = await chosen.ask(ui_locales="ru")
        assert 'lang="en"' in (await chosen.http.get(answer.headers["Location"].removeprefix("/auth"))).text

    async def test_acr_values(self, auth: Auth) -> None:
        """Two factors are asked of whoever has two; the others go on, and the ID token says so."""
        wanted = "urn:ates:acr:two-factors"
        person = await auth.person()
        browser = await auth.signed_in(person)
        assert (await browser.ask(acr_values=wanted)).headers["Location"].startswith(CALLBACK)
        await browser.http.post("/security/totp/begin")
        secret = await secret_in(browser)
        await browser.http.post("/security/totp", data={"code": code_of(secret, -1)})
        answer = await browser.ask(acr_values=wanted)
        assert answer.headers["Location"].startswith("/auth/sign-in?")
        assert "acr_values" not in answer.headers["Location"]
        await browser.sign_in(person)
        await browser.http.post("/sign-in/code", data={"code": code_of(secret)})
        tokens = (await auth.redeem(await browser.authorize(acr_values=wanted))).json()
        assert (await auth.claims(tokens["id_token"]))["acr"] == wanted

    async def test_forms_lead_to_the_client(self, guests: Auth) -> None:
        """A browser lets the sign-in end at the client's site, and at no other that an address names."""
        for address, named in ((GUEST_BACK, True), ("https://evil.example.org/", False)):
            target = f"/auth/authorize?client_id=guest&redirect_uri={address}"
            page = await guests.browser().http.get("/sign-in", params={"next": target})
            assert ("example.org" in page.headers["Content-Security-Policy"]) is named


class TestAddressAndTelephone:
    async def test_by_scope(self, guests: Auth) -> None:
        """Told to whoever was granted the scope, in the shapes of the standard."""
        person = await guests.person()
        browser = await guests.signed_in(person)
        form = {"name": "x", "locale": "en", "time_zone": "UTC"}
        form |= {"phone": "+7 (495) 123-45-67", "postal_address": "Tverskaya 1\r\nMoscow"}
        assert (await browser.http.post("/profile", data=form)).status_code == 303
        assert "+74951234567" in (await browser.http.get("/profile")).text
        _browser, answer = await let_in(guests, person, scope="openid phone address")
        claims = await guests.claims(answer.json()["id_token"])
        assert (claims["phone_number"], claims["phone_number_verified"]) == ("+74951234567", False)
        assert claims["address"] == {"formatted": "Tverskaya 1\nMoscow"}
        assert "phone_number" not in await guests.claims((await guests.tokens(person))["id_token"])
        assert "74951234567" not in str(await guests.service.said())

    @pytest.mark.parametrize("phone", ["123", "+0 495", "call me", "+7495123456789012", "\x00"])
    async def test_no_number(self, auth: Auth, phone: str) -> None:
        """Something else than a number is refused."""
        browser = await auth.signed_in(await auth.person())
        form = {"name": "x", "locale": "en", "time_zone": "UTC", "phone": phone}
        assert (await browser.http.post("/profile", data=form)).status_code == 422
