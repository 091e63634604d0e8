"""Clients without a secret or without a browser: keys of their own, devices, programs on a desktop."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.auth_service.exchange import DEVICE_CODE, ISSUER, ROBOT_KEY, TRACKER, Auth, Browser

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def assertion(key: ECKey = ROBOT_KEY, kid: str = "robot-1", **changed: Any) -> str:
    now = int(time.time())
    usual = {"iss": "robot", "sub": "robot", "aud": ISSUER, "exp": now + 60, "iat": now, "jti": str(uuid4())}
    claims = {name: value for name, value in (usual | changed).items() if value is not None}
    return jwt.encode({"alg": "ES256", "kid": kid}, claims, key)


async def proven(auth: Auth, proof: str, **further: str) -> httpx2.Response:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION,
        "client_assertion": proof,
        **further,
    }
    return await auth.token(form, None)


class TestPrivateKeyJwt:
    async def test_it_works(self, auth: Auth) -> None:
        """A client proves itself with its own key, and no secret is shared."""
        response = await proven(auth, assertion())
        assert response.status_code == 200, response.text
        assert (await auth.claims(response.json()["access_token"]))["sub"] == "client:robot"

    async def test_good_once(self, auth: Auth) -> None:
        """Of several uses of one proof, at the same time, one succeeds."""
        proof = assertion()
        answers = await asyncio.gather(*(proven(auth, proof) for _ in range(5)))
        assert [answer.status_code for answer in answers].count(200) == 1
        assert {a.json().get("error") for a in answers if a.status_code != 200} == {"invalid_client"}

    @pytest.mark.parametrize(
        "changed",
        [
            {"aud": "https://elsewhere.test/token"},
            {"aud": f"{ISSUER}/token"},
            {"aud": [ISSUER, "https://elsewhere.test"]},
            {"aud": None},
            {"exp": 1},
            {"exp": int(time.time()) + 86400},
            {"exp": None},
            {"jti": None},
            {"iss": "tracker"},
            {"sub": "tracker"},
            {"sub": ["robot"]},
            {"sub": "nobody", "iss": "nobody"},
        ],
        ids=[
            *("another server", "the endpoint", "two servers", "no audience", "past", "too long", "endless"),
            *("no id", "other issuer", "other subject", "list", "unknown client"),
        ],
    )
    async def test_proofs_that_do_not_hold(self, auth: Auth, changed: dict[str, Any]) -> None:
        """A proof names us alone, ends within five minutes, has an id, and speaks for its own client."""
        response = await proven(auth, assertion(**changed))
        assert response.status_code in {400, 401}
        assert response.json()["error"] == "invalid_client"

    async def test_forgeries(self, auth: Auth) -> None:
        """Another key, no proof at all, or a second way of proving beside it is refused."""
        assert (await proven(auth, assertion(ECKey.generate_key("P-256")))).json()[
            "error"
        ] == "invalid_client"
        for proof in ("", "x", "a.b.c", "x" * 9000):
            assert (await proven(auth, proof)).status_code in {400, 401}
        both = await proven(auth, assertion(), client_secret="x")
        assert both.json()["error"] == "invalid_request"
        other = await proven(auth, assertion(), client_id="tracker")
        assert other.json()["error"] == "invalid_client"
        alone = await auth.token({"grant_type": "client_credentials", "client_id": "robot"}, None)
        assert alone.json()["error"] == "invalid_client"


async def begun(auth: Auth) -> dict[str, Any]:
    async with auth.client() as client:
        form = {"client_id": "television", "scope": "openid profile"}
        response = await client.post("/device_authorization", data=form)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def polled(auth: Auth, device_code: str, client_id: str = "television") -> httpx2.Response:
    form = {"grant_type": DEVICE_CODE, "device_code": device_code, "client_id": client_id}
    return await auth.token(form, None)


async def decided(browser: Browser, user_code: str, *, allowed: bool = True) -> httpx2.Response:
    form = {"user_code": user_code, "allowed": str(allowed).lower()}
    return await browser.http.post("/device/decide", data=form)


class TestDevices:
    async def test_it_works(self, auth: Auth) -> None:
        """The device shows a short code; a person sees what asks, lets it in, and the device has tokens."""
        person = await auth.person()
        device = await begun(auth)
        assert device["verification_uri"] == f"{ISSUER}/device"
        assert (await polled(auth, device["device_code"])).json()["error"] == "authorization_pending"
        browser = await auth.signed_in(person)
        typed = device["user_code"].lower().replace("-", " ")
        shown = await browser.http.post("/device", data={"user_code": typed})
        assert "A television" in shown.text
        assert device["user_code"] in shown.text, "as the device shows it"
        assert "Name, login, language, role" in shown.text
        assert (await decided(browser, typed)).status_code == 303
        tokens = (await polled(auth, device["device_code"])).json()
        claims = await auth.claims(tokens["access_token"])
        assert (claims["sub"], claims["client_id"]) == (person.id, "television")
        assert (await auth.claims(tokens["id_token"]))["name"] == f"Name of {person.login}"
        renewed = await auth.refresh(tokens["refresh_token"], None, client_id="television")
        assert renewed.status_code == 200

    async def test_the_code(self, auth: Auth) -> None:
        """Eight of twenty consonants, for ten minutes."""
        device = await begun(auth)
        letters = device["user_code"].replace("-", "")
        assert len(letters) == 8
        assert set(letters) <= set("BCDFGHJKLMNPQRSTVWXZ")
        assert device["expires_in"] == 600

    async def test_too_often(self, auth: Auth) -> None:
        """A device that asks before its time is told to slow down, by five seconds each time."""
        device = await begun(auth)
        answers = [(await polled(auth, device["device_code"])).json()["error"] for _ in range(3)]
        assert answers == ["authorization_pending", "slow_down", "slow_down"]
        assert await auth.value("select max(interval_s) from device_grants") == 15

    async def test_once(self, auth: Auth) -> None:
        """A device code buys tokens once, also at the same time; its replay ends what it bought."""
        device = await begun(auth)
        await decided(await auth.signed_in(), device["user_code"])
        answers = await asyncio.gather(*(polled(auth, device["device_code"]) for _ in range(5)))
        good = [answer for answer in answers if answer.status_code == 200]
        assert len(good) == 1
        assert {a.json()["error"] for a in answers if a is not good[0]} == {"invalid_grant"}
        renewed = await auth.refresh(good[0].json()["refresh_token"], None, client_id="television")
        assert renewed.status_code == 400

    async def test_sent_away_and_late(self, own_auth: Auth) -> None:
        """A device that was refused, or that nobody let in within its time, gets nothing."""
        refused, late = await begun(own_auth), await begun(own_auth)
        browser = await own_auth.signed_in()
        await decided(browser, refused["user_code"], allowed=False)
        assert (await polled(own_auth, refused["device_code"])).json()["error"] == "access_denied"
        await own_auth.execute("update device_grants set expires_at = now()")
        assert (await polled(own_auth, late["device_code"])).json()["error"] == "expired_token"
        assert (await decided(browser, late["user_code"])).status_code == 422

    async def test_foreign_and_invented_codes(self, auth: Auth) -> None:
        """Codes belong to their client; a client that has not registered for it may not begin."""
        device = await begun(auth)
        assert (await polled(auth, "invented")).json()["error"] == "invalid_grant"
        assert (await polled(auth, device["device_code"], "phone")).json()["error"] == "unauthorized_client"
        async with auth.client() as client:
            response = await client.post("/device_authorization", auth=TRACKER)
        assert response.status_code == 400

    async def test_guesses_are_counted(self, auth: Auth) -> None:
        """Whoever tries out codes waits after twenty, even with a right one."""
        person = await auth.person()
        browser = await auth.signed_in(person)
        for _ in range(20):
            wrong = await browser.http.post("/device", data={"user_code": "BBBB-BBBB"})
            assert wrong.status_code == 422
        device = await begun(auth)
        refused = await browser.http.post("/device", data={"user_code": device["user_code"]})
        assert refused.status_code == 422

    async def test_only_somebody_signed_in(self, auth: Auth) -> None:
        """Without a sign-in there is nobody to let a device in."""
        device = await begun(auth)
        assert (await decided(auth.browser(), device["user_code"])).status_code == 303
        assert (await polled(auth, device["device_code"])).json()["error"] == "authorization_pending"


class TestDesktop:
    async def test_the_port_is_the_programs_own(self, auth: Auth) -> None:
        """A program on the person's machine may come back at any port of its registered address."""
        browser = await auth.signed_in()
        for port in (1024, 51234):
            address = f"http://127.0.0.1:{port}/done"
            asked = await browser.authorize(client_id="desktop", redirect_uri=address)
            assert asked.location.startswith(f"{address}?code=")
            assert (
                await auth.redeem(asked, None, client_id="desktop", redirect_uri=address)
            ).status_code == 200

    @pytest.mark.parametrize(
        "address",
        [
            "http://127.0.0.1:1024/other",
            "http://127.0.0.1:1024/done?x=1",
            "http://127.0.0.1:1024/done#x",
            "https://127.0.0.1:1024/done",
            "http://127.0.0.1.evil.test/done",
            "http://127.0.0.1:1024@evil.test/done",
            "http://127.0.0.1:x/done",
            "http://localhost:1024/done",
            "http://127.0.0.2/done",
        ],
    )
    async def test_nothing_else_varies(self, auth: Auth, address: str) -> None:
        """Only the port, and only of the machine's own number."""
        asked = await (await auth.signed_in()).ask(client_id="desktop", redirect_uri=address)
        assert asked.status_code == 400
        assert "Location" not in asked.headers
