"""Clients that register themselves, with the operator's token (RFC 7591, RFC 7592)."""

from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey

from tests.auth_service.conftest import MakeAuth
from tests.auth_service.exchange import ISSUER, ROBOT_KEY, Asked, Auth, challenge_of
from tests.auth_service.test_programs import ASSERTION, assertion

INITIAL = "an-initial-token-of-the-operator"
BACK = "https://self.example.org/back"
METADATA = {"client_name": "Made itself", "redirect_uris": [BACK], "scope": "openid email", "unknown": [1]}


PRIVATE_KEY_JWT = "private_key_jwt"


def keys_of(key: ECKey) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False)]}


@pytest.fixture
async def open_auth(make_auth: MakeAuth) -> Auth:
    return await make_auth(client_registration_token=INITIAL)


async def register(auth: Auth, token: str = INITIAL, **changed: Any) -> httpx2.Response:
    async with auth.client(headers={"Authorization": f"Bearer {token}"}) as client:
        return await client.post("/register", json=METADATA | changed)


class TestRegistration:
    async def test_it_works(self, open_auth: Auth) -> None:
        """A client registers, asks people for consent, signs them in, and describes itself anew."""
        auth = open_auth
        made = await register(auth)
        assert made.status_code == 201, made.text
        told = made.json()
        assert told["client_secret_expires_at"] == 0
        browser = await auth.signed_in()
        page = await browser.ask(
            client_id=told["client_id"], redirect_uri=BACK, code_challenge=challenge_of("v" * 43)
        )
        assert "Made itself" in page.text
        own = {"Authorization": f"Bearer {told['registration_access_token']}"}
        async with auth.client(headers=own) as client:
            path = told["registration_client_uri"].removeprefix(ISSUER)
            assert (await client.get(path)).json()["redirect_uris"] == [BACK]
            itself = METADATA | {"client_id": told["client_id"]}
            changed = await client.put(path, json=itself | {"redirect_uris": [BACK + "2"]})
            assert changed.json()["redirect_uris"] == [BACK + "2"]
            client.headers["Authorization"] = f"Bearer {changed.json()['registration_access_token']}"
            assert (await client.put(path, json=itself | {"redirect_uris": ["x"]})).json()["error"] == (
                "invalid_redirect_uri"
            )
            assert (await browser.ask(client_id=told["client_id"], redirect_uri=BACK)).status_code == 400
            assert (await client.delete(path)).status_code == 204
            assert (await client.get(path)).status_code == 401
        proof = httpx2.BasicAuth(told["client_id"], told["client_secret"])
        refused = await auth.redeem(Asked(f"{BACK}?code=x", "v" * 43), proof)
        assert refused.json()["error"] == "invalid_client"
        stored = await auth.value("select string_agg(t::text, ' ') from oauth_clients t")
        assert told["client_secret"] not in stored
        assert told["registration_access_token"] not in stored

    async def test_description_of_another(self, open_auth: Auth) -> None:
        """A new description names its client and changes neither secret nor kind."""
        told = (await register(open_auth)).json()
        token = told["registration_access_token"]
        path = f"/register/{told['client_id']}"
        async with open_auth.client(headers={"Authorization": f"Bearer {token}"}) as client:
            shown = await client.get(path)
            assert shown.json()["registration_access_token"] == token
            assert shown.headers["Cache-Control"] == "no-store"
            itself = METADATA | {"client_id": told["client_id"], "client_secret": told["client_secret"]}
            changed = await client.put(path, json=itself)
            assert "client_secret" not in changed.json()
            fresh = changed.json()["registration_access_token"]
            assert fresh != token
            assert (await client.get(path)).status_code == 401
            client.headers["Authorization"] = f"Bearer {fresh}"
            for wrong in (
                {"client_id": "tracker"},
                {"client_id": None},
                {"client_secret": "another"},
                {"client_secret": 1},
                {"token_endpoint_auth_method": "none"},
                {"token_endpoint_auth_method": PRIVATE_KEY_JWT, "jwks": keys_of(ROBOT_KEY)},
            ):
                answer = await client.put(path, json=itself | wrong)
                assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata"), wrong

    async def test_by_the_registered_method_alone(self, open_auth: Auth) -> None:
        """What a client said of its proof is read back, and no other way of proving is taken from it."""
        for method, other in (
            ("client_secret_post", "client_secret_basic"),
            ("client_secret_basic", "client_secret_post"),
        ):
            told = (await register(open_auth, token_endpoint_auth_method=method, jwks={"keys": []})).json()
            own = {"Authorization": f"Bearer {told['registration_access_token']}"}
            async with open_auth.client(headers=own) as client:
                shown = (await client.get(f"/register/{told['client_id']}")).json()
            assert told["token_endpoint_auth_method"] == shown["token_endpoint_auth_method"] == method
            assert "jwks" not in shown
            client_id, secret = told["client_id"], told["client_secret"]
            errors = {}
            form = {"grant_type": "authorization_code", "code": "x", "redirect_uri": BACK}
            by_post = form | {"client_id": client_id, "client_secret": secret}
            errors["client_secret_post"] = (await open_auth.token(by_post, None)).json()["error"]
            by_basic = await open_auth.token(form, httpx2.BasicAuth(client_id, secret))
            errors["client_secret_basic"] = by_basic.json()["error"]
            assert (errors[method], errors[other]) == ("invalid_grant", "invalid_client")

    async def test_with_keys_of_its_own(self, open_auth: Auth) -> None:
        """A client brings its public keys, proves itself by them, and changes them with its description."""
        first, second = (ECKey.generate_key("P-256", {"kid": "own"}) for _ in range(2))
        by_key = {"token_endpoint_auth_method": PRIVATE_KEY_JWT}
        told = (await register(open_auth, **by_key, jwks=keys_of(first))).json()
        assert "client_secret" not in told
        client_id = told["client_id"]

        async def tried(key: ECKey) -> str:
            proof = assertion(key, kid="own", iss=client_id, sub=client_id)
            form = {"grant_type": "authorization_code", "code": "x", "redirect_uri": BACK}
            proven = {"client_assertion_type": ASSERTION, "client_assertion": proof}
            error: str = (await open_auth.token(form | proven, None)).json()["error"]
            return error

        assert (await tried(first), await tried(second)) == ("invalid_grant", "invalid_client")
        own = {"Authorization": f"Bearer {told['registration_access_token']}"}
        async with open_auth.client(headers=own) as client:
            path = f"/register/{client_id}"
            assert (await client.get(path)).json()["jwks"] == told["jwks"] == keys_of(first)
            changed = METADATA | by_key | {"client_id": client_id, "jwks": keys_of(second)}
            assert (await client.put(path, json=changed)).status_code == 200
        assert (await tried(first), await tried(second)) == ("invalid_client", "invalid_grant")

    async def test_keys_that_are_none(self, open_auth: Auth) -> None:
        """Private, weak, foreign or malformed keys are refused, and nothing of them is repeated."""
        private = ROBOT_KEY.as_dict(private=True)
        weak = {"kty": "RSA", "e": "AQAB", "n": "x" * 171}
        public = ROBOT_KEY.as_dict(private=False)
        sets: list[Any] = [
            *({"keys": [key]} for key in (private, weak, 1)),
            {"keys": [ECKey.generate_key("P-384").as_dict(private=False)]},
            {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]},
            *({"keys": [public | changed]} for changed in ({"kid": "\x00"}, {"kid": 1}, {"x": "x"})),
            {"keys": [public | {"x5c": "x" * 9000}]},
            *({"keys": keys} for keys in ([public] * 11, [], 1)),
            *({}, 1, None),
        ]
        elsewhere = {"jwks_uri": "https://self.example.org/keys"}
        refused: list[dict[str, Any]] = [{"jwks": keys} for keys in sets]
        for wrong in (*refused, elsewhere, elsewhere | {"jwks": {"keys": [public]}}):
            answer = await register(open_auth, token_endpoint_auth_method=PRIVATE_KEY_JWT, **wrong)
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata"), wrong
            assert str(private["d"]) not in answer.text

    async def test_without_the_token(self, open_auth: Auth) -> None:
        """Without the operator's token, or with that of another client, nothing is registered or shown."""
        for token in ("wrong", "x" * 900):
            assert (await register(open_auth, token)).status_code == 401
        async with open_auth.client() as client:
            assert (await client.post("/register", json=METADATA)).status_code == 401
            found = (await client.get("/.well-known/openid-configuration")).json()
        assert found["registration_endpoint"] == f"{ISSUER}/register"
        first, second = (await register(open_auth)).json(), (await register(open_auth)).json()
        other = {"Authorization": f"Bearer {second['registration_access_token']}"}
        async with open_auth.client(headers=other) as client:
            for path in (first["client_id"], "tracker", "nobody"):
                assert (await client.get(f"/register/{path}")).status_code == 401
                assert (await client.delete(f"/register/{path}")).status_code == 401

    async def test_mistakes(self, open_auth: Auth) -> None:
        """The error codes are those of the RFC."""
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
            ({"redirect_uris": []}, "invalid_redirect_uri"),
            ({"redirect_uris": "x"}, "invalid_redirect_uri"),
            ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
            ({"token_endpoint_auth_method": "tls_client_auth"}, "invalid_client_metadata"),
            ({"scope": "everything"}, "invalid_client_metadata"),
            ({"client_name": "\u202e"}, "invalid_client_metadata"),
        ]
        for changed, error in wrong:
            answer = await register(open_auth, **changed)
            assert (answer.status_code, answer.json()["error"]) == (400, error), changed
        headers = {"Authorization": f"Bearer {INITIAL}"}
        async with open_auth.client(headers=headers) as client:
            for body in (b"", b"[]", b"\x00", b"[" * 10_000):
                assert (await client.post("/register", content=body)).status_code == 400
