"""Nimbus' OpenID Connect SDK for Java against the running service; it finds everything by discovery."""

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auth_service.commands.logout import deliver_notices
from local_stack.engines.jars import Jar
from local_stack.ports import PortChooser
from service_kit.clock import FixedClock
from tests.auth_service.conftest import SETTINGS
from tests.auth_service.exchange import ADMIN, ROBOT_KEY, running
from tests.support.databases import Databases
from tests.support.java import begin, class_path_of, compiling_java
from tests.support.services import Service
from tests.support.web import serving

PROGRAM = Path(__file__).parent / "java" / "SignIn.java"
ENDS_WITHIN_S = 120
JARS = [
    Jar(group, name, version, sha256)
    for group, name, version, sha256 in map(
        str.split,
        """
com.nimbusds content-type 2.3 60349793e006fba96b532cb0c21e10e969fe0db8d87f91c3b9eaf82ba2998895
com.nimbusds lang-tag 1.7 e8c1c594e2425bdbea2d860de55c69b69fc5d59454452449a0f0913c2a5b8a31
com.nimbusds nimbus-jose-jwt 10.6 7ef3b0dd4a27407639d469cd75e7770463b4ee36e2c13535465da175d3b8f964
com.nimbusds oauth2-oidc-sdk 11.30.1 b671d28e2ebb3b01848a0811d366e687c618ffd467b9d5a1536f5f93c449ed61
net.minidev accessors-smart 2.5.2 9b8a7bc43861d6156c021166d941fb7dddbe4463e2fa5ee88077e4b01452a836
net.minidev json-smart 2.5.2 4fbdedb0105cedc7f766b95c297d2e88fb6a560da48f3bbaa0cc538ea8b7bf71
org.ow2.asm asm 9.7.1 8cadd43ac5eb6d09de05faecca38b917a040bb9139c7edeb4cc81c740b713281
""".strip().splitlines(),
    )
]
"""Group, name, version and SHA-256 of the library and what it needs."""

OF_A_PERSON = """answered by = true
ID token = {algorithm}
user info = true
user info = true
renewed = true
rotated = true
active = true true
withdrawn = false
"""
SAID = f"""issuer = true
signed in = 303
{OF_A_PERSON.format(algorithm="RS256")}{OF_A_PERSON.format(algorithm="ES256")}own token = 300 true
own token = 300 true
farewell = true
over = invalid_grant
"""


@pytest.fixture(scope="module")
def java() -> Path:
    return compiling_java()


@pytest.fixture(scope="module")
def class_path() -> str:
    return class_path_of(JARS)


async def test_the_java_client(databases: Databases, tmp_path: Path, java: Path, class_path: str) -> None:
    """Code with PKCE, ID tokens by either algorithm, renewal, programs, introspection, both logouts."""
    port = PortChooser().draw()
    origin = f"http://127.0.0.1:{port}"
    urls = {name: f"{origin}/{name}" for name in ("auth", "tracker", "billing", "analytics", "registry")}
    back = f"{origin}/done"
    addresses = {"redirect_uris": [back], "post_logout_redirect_uris": [back]}
    clients = {
        "tracker": {"secret": "a+secret/with=signs", **addresses},
        "robot": {
            "jwks": {"keys": [ROBOT_KEY.as_dict(private=False)]},
            "id_token_alg": "ES256",
            "backchannel_logout_uri": f"{origin}/told",
            **addresses,
        },
    }
    settings = SETTINGS | {"public_urls": urls | {"gateway": origin}, "clients": clients}
    service = Service.made("auth_service", databases, FixedClock(datetime.now(UTC)), tmp_path, **settings)
    told: dict[str, str] = {}

    async def post(address: str, token: str) -> bool:
        told[address] = token
        return True

    async with AsyncExitStack() as stack:
        stack.push_async_callback(service.close)
        auth = await stack.enter_async_context(running(service))
        await stack.enter_async_context(serving(auth.app, port))
        await stack.enter_async_context(asyncio.timeout(ENDS_WITHIN_S))
        key = json.dumps(ROBOT_KEY.as_dict(private=True))
        words = (urls["auth"], back, ADMIN.login, ADMIN.password, "a+secret/with=signs", key)
        program = await begin(java, class_path, PROGRAM, *words)
        assert program.stdout is not None
        said = ""
        while "over" not in said and (line := await program.stdout.readline()):
            said += line.decode()
        async with service.transaction() as session:
            ring = await auth.app.state.keys.ring(session)
            await deliver_notices(session, ring, urls["auth"], post)
        rest, errors = await program.communicate(told.get(f"{origin}/told", "").encode() + b"\n")
        assert program.returncode == 0, errors.decode()[-2000:]
        assert said == SAID
        assert rest.decode() == "logout = true\n"
