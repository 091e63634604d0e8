"""Passkeys, by a device in software that answers like a real one."""

import asyncio
import base64
import hashlib
import json
import os
import struct
from dataclasses import dataclass, field
from typing import Any

import cbor2
import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from tests.auth_service.exchange import COOKIE, ORIGIN, Auth, Browser
from tests.auth_service.test_letters import letters_to

HOST = "exchange.test"
SCRIPT = {"Accept": "application/json"}
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40

pytestmark = pytest.mark.usefixtures("patient_auth")


def text_of(plain: bytes) -> str:
    return base64.urlsafe_b64encode(plain).rstrip(b"=").decode()


def bytes_of(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Device:
    """One key in one device. What a test changes about it is what a thief would."""

    origin: str = ORIGIN
    host: str = HOST
    flags: int = PRESENT | VERIFIED
    count: int = 0
    owner: bytes = b""
    credential_id: bytes = field(default_factory=lambda: os.urandom(32))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        self.owner = bytes_of(options["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        public = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        attested = bytes(16) + struct.pack(">H", len(self.credential_id)) + self.credential_id
        data = self._data(self.flags | ATTESTED) + attested + cbor2.dumps(public)
        statement = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        response = {
            "clientDataJSON": text_of(self._client_data("webauthn.create", options)),
            "attestationObject": text_of(statement),
        }
        return self._credential(response)

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        self.count += 1
        client_data = self._client_data("webauthn.get", options)
        data = self._data(self.flags)
        signature = self.key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(SHA256()))
        response = {
            "clientDataJSON": text_of(client_data),
            "authenticatorData": text_of(data),
            "signature": text_of(signature),
            "userHandle": text_of(self.owner),
        }
        return self._credential(response)

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.host.encode()).digest() + bytes([flags]) + struct.pack(">I", self.count)

    def _client_data(self, kind: str, options: dict[str, Any]) -> bytes:
        return json.dumps({"type": kind, "challenge": options["challenge"], "origin": self.origin}).encode()

    def _credential(self, response: dict[str, str]) -> dict[str, Any]:
        name = text_of(self.credential_id)
        return {
            "id": name,
            "rawId": name,
            "type": "public-key",
            "response": response,
            "clientExtensionResults": {},
        }


async def added(browser: Browser, device: Device, name: str = "Telephone") -> httpx2.Response:
    options = (await browser.http.post("/security/passkeys/begin")).json()
    form = {"name": name, "credential": device.create(options)}
    return await browser.http.post("/security/passkeys", json=form, headers=SCRIPT)


async def asked(browser: Browser) -> dict[str, Any]:
    found: dict[str, Any] = (await browser.http.post("/sign-in/passkey/begin")).json()
    return found


async def shown(browser: Browser, credential: object, target: str = "") -> httpx2.Response:
    form = {"credential": credential, "next": target}
    return await browser.http.post("/sign-in/passkey", json=form, headers=SCRIPT)


class TestSignIn:
    async def test_it_works(self, auth: Auth) -> None:
        """A passkey signs in without name and password, and counts as two factors."""
        person, device = await auth.person(), Device()
        assert (await added(await auth.signed_in(person), device)).status_code == 200
        browser = auth.browser()
        answer = await shown(browser, device.get(await asked(browser)), "/auth/profile")
        assert (answer.status_code, answer.json()) == (200, {"location": "/auth/profile"})
        assert person.login in (await browser.http.get("/profile")).text
        claims = await auth.claims((await auth.redeem(await browser.authorize())).json()["id_token"])
        assert claims["sub"] == person.id
        assert (claims["amr"], claims["acr"]) == (["pop", "user", "mfa"], "urn:ates:acr:two-factors")

    @pytest.mark.parametrize(
        "changed",
        [
            {"origin": "https://evil.test"},
            {"host": "evil.test"},
            {"flags": PRESENT},
            {"flags": VERIFIED},
            {"count": -1},
            {"key": ec.generate_private_key(ec.SECP256R1())},
            {"owner": bytes(16)},
            {"credential_id": bytes(32)},
        ],
        ids=["site", "host", "not verified", "not present", "copied", "key", "owner", "unknown"],
    )
    async def test_not_taken(self, auth: Auth, changed: dict[str, Any]) -> None:
        """Another site, an unchecked person, a copy that lags behind, another key: the same no for all."""
        device = Device(count=5)
        await added(await auth.signed_in(await auth.person()), device)
        for name, value in changed.items():
            setattr(device, name, value)
        browser = auth.browser()
        answer = await shown(browser, device.get(await asked(browser)))
        assert (answer.status_code, answer.json()["code"]) == (422, "wrong_passkey")
        assert COOKIE not in browser.http.cookies

    async def test_an_answer_is_good_once(self, auth: Auth) -> None:
        """The same answer from the same browser opens one session, also at the same time."""
        device = Device()
        await added(await auth.signed_in(await auth.person()), device)
        browser = auth.browser()
        credential = device.get(await asked(browser))
        device.count = 0
        kept = dict(browser.http.cookies)
        answers = await asyncio.gather(*(shown(browser, credential) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [200, 422, 422]
        again = auth.browser()
        for name, value in kept.items():
            again.http.cookies.set(name, value, domain=HOST)
        assert (await shown(again, credential)).status_code == 422

    async def test_of_another_browser(self, auth: Auth) -> None:
        """An answer to a question that this browser was not asked is worth nothing."""
        device = Device()
        await added(await auth.signed_in(await auth.person()), device)
        first, second = auth.browser(), auth.browser()
        credential = device.get(await asked(first))
        assert (await shown(second, credential)).status_code == 422
        await asked(second)
        assert (await shown(second, credential)).status_code == 422

    async def test_blocked(self, auth: Auth) -> None:
        """A blocked person's key opens nothing."""
        person, device = await auth.person(), Device()
        await added(await auth.signed_in(person), device)
        await auth.change(person, blocked=True)
        browser = auth.browser()
        assert (await shown(browser, device.get(await asked(browser)))).status_code == 422

    @pytest.mark.parametrize(
        "credential",
        [
            {},
            {"rawId": 5},
            {"rawId": "\u0661"},
            {"id": "x", "rawId": "!", "response": []},
            {"rawId": "A" * 5000},
        ],
        ids=["nothing", "number", "digits", "broken", "long"],
    )
    async def test_garbage(self, auth: Auth, credential: dict[str, Any]) -> None:
        """What is no answer is refused, not failed at."""
        browser = auth.browser()
        await asked(browser)
        assert (await shown(browser, credential)).status_code == 422
        for body in (b"", b"[]", b"\x00", b'{"credential": 1}'):
            answer = await browser.http.post(
                "/sign-in/passkey", content=body, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code in {400, 422}


class TestAdding:
    async def test_list_and_removal(self, auth: Auth) -> None:
        """It stands in the list by its name; removed it opens nothing, and only its owner removes it."""
        person, device = await auth.person(), Device()
        browser = await auth.signed_in(person)
        await added(browser, device, "My <telephone>")
        assert "My &lt;telephone&gt;" in (await browser.http.get("/security")).text
        key = await auth.value("select id from passkeys where account_id = :id", id=person.id)
        stranger = await auth.signed_in(await auth.person())
        assert (await stranger.http.post(f"/security/passkeys/{key}/remove")).status_code == 404
        assert (await browser.http.post(f"/security/passkeys/{key}/remove")).status_code == 303
        other = auth.browser()
        assert (await shown(other, device.get(await asked(other)))).status_code == 422

    async def test_a_recent_sign_in_is_asked_for(self, auth: Auth) -> None:
        """Whoever finds an open browser adds no key, not even with options fetched before."""
        person, device = await auth.person(), Device()
        browser = await auth.signed_in(person)
        options = (await browser.http.post("/security/passkeys/begin")).json()
        await auth.execute(
            "update sign_on_sessions set authenticated_at = now() - interval '11 min' where account_id = :id",
            id=person.id,
        )
        answer = await browser.http.post(
            "/security/passkeys",
            json={"credential": device.create(options), "name": ""},
            headers=SCRIPT,
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "recent_sign_in_needed")
        assert (await browser.http.post("/security/passkeys/begin")).status_code == 403

    async def test_not_verified(self, auth: Auth) -> None:
        """A device that does not check its person is not taken."""
        browser = await auth.signed_in(await auth.person())
        assert (await added(browser, Device(flags=PRESENT))).status_code == 422

    async def test_one_key_one_person(self, auth: Auth) -> None:
        """The same key cannot be added to a second account."""
        device = Device()
        assert (await added(await auth.signed_in(await auth.person()), device)).status_code == 200
        assert (await added(await auth.signed_in(await auth.person()), device)).status_code == 422

    async def test_the_owner_hears_of_it(self, auth: Auth) -> None:
        """A letter tells of a new key; an admin's reset removes it."""
        person, device = await auth.person(), Device()
        address = f"{person.login}@example.org"
        await auth.change(person, email=address)
        await added(await auth.signed_in(person), device)
        assert "new passkey" in (await letters_to(auth, address))[0]
        admin = await auth.signed_in()
        assert (await admin.http.post(f"/accounts/{person.id}/factors/remove")).status_code == 303
        browser = auth.browser()
        assert (await shown(browser, device.get(await asked(browser)))).status_code == 422
