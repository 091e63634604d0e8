"""Signing keys over time, and the notices that they sign."""

import asyncio
import base64
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from auth_service.commands.keys import ensure_keys, rotate_keys
from auth_service.commands.logout import deliver_notices
from auth_service.domain.keys import KEY_CACHE_S, UnreadableKeyError
from auth_service.queries.keys import read_key_ring
from tests.auth_service.exchange import ISSUER, Auth


def secret_of(auth: Auth) -> str:
    return auth.settings.secret_key.get_secret_value()


class TestRotation:
    async def test_announced_before_it_signs(self, own_auth: Auth) -> None:
        """The next key is published all the time and signs only when every cache can have it."""
        begun = datetime.now(UTC)
        async with own_auth.service.transaction() as session:
            before = await read_key_ring(session, secret_of(own_auth))
            kids = await rotate_keys(session, secret_of(own_auth))
        async with own_auth.service.reading() as session:
            after = await read_key_ring(session, secret_of(own_auth))
        assert set(kids) <= {key.kid for key in before.public.keys}
        for algorithm in ("ES256", "RS256"):
            (now_signs,) = after.signing(algorithm, begun).keys
            (later_signs,) = after.signing(algorithm, begun + timedelta(seconds=KEY_CACHE_S + 120)).keys
            assert now_signs.kid == before.signing(algorithm, begun).keys[0].kid
            assert later_signs.kid in kids
        # The old ones are still published, and the successors of the new ones as well.
        assert len(after.public.keys) == 6

    async def test_tokens_survive_it(self, own_auth: Auth) -> None:
        """A token of the old key is good after the change."""
        old = (await own_auth.tokens())["access_token"]
        async with own_auth.service.transaction() as session:
            await rotate_keys(session, secret_of(own_auth))
        await own_auth.execute("update signing_keys set signs_from = now() where signs_from > now()")
        own_auth.app.state.keys.forget()
        new = (await own_auth.tokens())["access_token"]
        assert jwt_kid(old) != jwt_kid(new)
        assert (await own_auth.introspected(old))["active"]
        assert (await own_auth.introspected(new))["active"]

    async def test_only_when_due(self, own_auth: Auth) -> None:
        """The timetable's rotation leaves young keys alone, and takes old ones."""
        async with own_auth.service.transaction() as session:
            assert await rotate_keys(session, secret_of(own_auth), key_life_days=90) == []
        await own_auth.execute("update signing_keys set signs_from = signs_from - interval '91 days'")
        async with own_auth.service.transaction() as session:
            assert len(await rotate_keys(session, secret_of(own_auth), key_life_days=90)) == 2

    async def test_made_once(self, own_auth: Auth) -> None:
        """Further starts find the keys that are there."""
        before = await own_auth.value("select string_agg(kid, ',' order by kid) from signing_keys")
        async with own_auth.service.transaction() as session:
            await ensure_keys(session, secret_of(own_auth))
        assert await own_auth.value("select string_agg(kid, ',' order by kid) from signing_keys") == before

    async def test_sealed(self, own_auth: Auth) -> None:
        """Without the secret key a copy of the database signs nothing."""
        async with own_auth.service.reading() as session:
            with pytest.raises(UnreadableKeyError):
                await read_key_ring(session, "another-secret-key-of-32-characters!")


class TestLogoutNotices:
    async def test_until_heard(self, own_auth: Auth) -> None:
        """A client that does not answer is told again later; one that has heard is told no more."""
        browser = await own_auth.signed_in()
        tokens = (await own_auth.redeem(await browser.authorize())).json()
        await browser.http.post("/logout")
        sent: list[tuple[str, str]] = []

        async def deliver(*, heard: bool) -> int:
            async def post(address: str, token: str) -> bool:
                sent.append((address, token))
                return heard

            async with own_auth.service.transaction() as session:
                ring = await read_key_ring(session, secret_of(own_auth))
                return await deliver_notices(session, ring, ISSUER, post)

        assert await deliver(heard=False) == 0
        assert await deliver(heard=True) == 0, "the pause is kept"
        await own_auth.execute("update logout_notices set next_attempt_at = now()")
        assert await deliver(heard=True) == 1
        assert await deliver(heard=True) == 0
        assert [address for address, _ in sent] == ["https://exchange.test/tracker/backchannel-logout"] * 2
        async with own_auth.client() as client:
            keys = KeySet.import_key_set((await client.get("/.well-known/jwks.json")).json())
        notice = jwt.decode(sent[0][1], keys, algorithms=["RS256"])
        session_id = (await own_auth.claims(tokens["access_token"]))["sid"]
        assert notice.header["typ"] == "logout+jwt"
        assert notice.claims["aud"] == "tracker"
        assert notice.claims["sid"] == session_id
        assert "http://schemas.openid.net/event/backchannel-logout" in notice.claims["events"]
        assert "nonce" not in notice.claims
        assert notice.claims["exp"] > time.time()

    async def test_a_client_that_hangs(self, own_auth: Auth) -> None:
        """The others hear at once; it is told again later."""
        for _ in range(2):
            browser = await own_auth.signed_in()
            await own_auth.redeem(await browser.authorize())
            await browser.http.post("/logout")
        another_heard = asyncio.Event()
        answers = iter([False, True])

        async def post(_address: str, _token: str) -> bool:
            heard = next(answers)
            if heard:
                another_heard.set()
            else:
                await another_heard.wait()
            return heard

        async with asyncio.timeout(30), own_auth.service.transaction() as session:
            ring = await read_key_ring(session, secret_of(own_auth))
            assert await deliver_notices(session, ring, ISSUER, post) == 1
        assert await own_auth.value("select attempts from logout_notices") == 1


def jwt_kid(token: str) -> str:
    header = token.split(".", maxsplit=1)[0]
    kid: str = json.loads(base64.urlsafe_b64decode(header + "=="))["kid"]
    return kid
