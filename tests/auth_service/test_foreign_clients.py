"""Other people's OpenID Connect client, through a gateway by https; it finds everything by discovery."""

import asyncio
import json
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from local_stack.home import installed_folder
from local_stack.ports import PortChooser
from service_kit.clock import FixedClock
from tests.auth_service.conftest import SETTINGS
from tests.auth_service.exchange import ADMIN, CLIENTS, ROBOT_KEY, running
from tests.auth_service.gateway import caddy
from tests.support.databases import Databases
from tests.support.running import eventually
from tests.support.services import Service
from tests.support.web import serving

SCRIPT = Path(__file__).parent / "node" / "sign_in.mjs"
ENDS_WITHIN_S = 60
GATEWAY = """{{
	admin off
	skip_install_trust
	auto_https disable_redirects
}}
{origin} {{
	tls internal
	reverse_proxy 127.0.0.1:{auth_port}
}}
"""


@dataclass
class Foreign:
    """The client's program and what it is told."""

    folder: Path
    told: dict[str, Any]

    @property
    def authority(self) -> Path:
        """Certificate of whoever vouches for the gateway."""
        return self.folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"

    async def has_certificate(self) -> bool:
        """Whether the gateway has made its certificate, which it does after it has begun to listen."""
        if not self.authority.exists():
            return False
        try:
            async with self.program() as program:
                return (await program.get(self.told["issuer"] + "/health/live")).status_code > 0
        except httpx2.ConnectError:
            return False

    def program(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(verify=ssl.create_default_context(cafile=self.authority))

    async def learned(self, flow: str) -> dict[str, Any]:
        """What the client has learned in this conversation."""
        program = await asyncio.create_subprocess_exec(
            "node",
            str(self.folder / SCRIPT.name),
            flow,
            json.dumps(self.told),
            env=os.environ | {"NODE_EXTRA_CA_CERTS": str(self.authority)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(ENDS_WITHIN_S):
            out, errors = await program.communicate()
        assert program.returncode == 0, errors.decode()
        found: dict[str, Any] = json.loads(out)
        return found


@pytest.fixture(scope="module")
async def foreign(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Foreign]:
    """auth_service behind a gateway with a certificate, and the client in front of it."""
    installed = installed_folder() / "node"
    if not (installed / "node_modules" / "openid-client").exists():
        pytest.skip("./ates test installs what this needs where there is npm")
    folder = tmp_path_factory.mktemp("foreign")
    # Beside its packages, where Node.js looks for them.
    (folder / "node_modules").symlink_to(installed / "node_modules")
    shutil.copy(SCRIPT, folder)
    port = PortChooser().draw()
    origin = f"https://localhost:{port}"
    urls = {name: f"{origin}/{name}" for name in ("auth", "tracker", "billing", "analytics", "registry")}
    callback, farewell = f"{origin}/tracker/callback", f"{origin}/tracker/"
    secret = "secret-of-the-tracker"
    clients = {
        "tracker": {"secret": secret, "redirect_uris": [callback], "post_logout_redirect_uris": [farewell]},
        "robot": CLIENTS["robot"],
        "television": CLIENTS["television"],
    }
    settings = SETTINGS | {"public_urls": urls | {"gateway": origin}, "clients": clients}
    service = Service.made("auth_service", databases, FixedClock(datetime.now(UTC)), folder, **settings)
    async with (
        running(service) as auth,
        serving(auth.app) as auth_port,
        caddy(GATEWAY.format(origin=origin, auth_port=auth_port), folder, port),
    ):
        foreign = Foreign(
            folder,
            {
                "issuer": urls["auth"],
                "origin": origin,
                "callback": callback,
                "farewell": farewell,
                "secret": secret,
                "key": ROBOT_KEY.as_dict(private=True),
                "login": ADMIN.login,
                "password": ADMIN.password,
            },
        )
        await eventually(foreign.has_certificate)
        yield foreign
    await service.close()


async def test_discovery(foreign: Foreign) -> None:
    """Every address that the provider names is one of the gateway, by https."""
    async with foreign.program() as client:
        answer = await client.get(f"{foreign.told['issuer']}/.well-known/openid-configuration")
    document = answer.json()
    assert document["issuer"] == foreign.told["issuer"]
    addresses = [value for name, value in document.items() if name.endswith(("_endpoint", "_uri"))]
    assert len(addresses) >= 8
    assert [one for one in addresses if not one.startswith(foreign.told["issuer"] + "/")] == []


async def test_code(foreign: Foreign) -> None:
    """It signs somebody in, reads who that is, asks about the token and withdraws it."""
    learned = await foreign.learned("code")
    assert learned["iss"] == foreign.told["issuer"]
    assert learned["active"] == [True, False]
    assert learned["name"]


async def test_form_post(foreign: Foreign) -> None:
    """The answer comes by a form, and no address has the code."""
    assert await foreign.learned("form_post") == {"address": foreign.told["callback"], "signedIn": True}


async def test_basic_authentication(foreign: Foreign) -> None:
    assert (await foreign.learned("basic"))["type"] == "bearer"


async def test_refresh(foreign: Foreign) -> None:
    """Renewal rotates the token and tells the same person; a second use is refused."""
    assert await foreign.learned("refresh") == {"rotated": True, "sub": True, "reused": "invalid_grant"}


@pytest.mark.parametrize("flow", ["client_credentials", "private_key_jwt"])
async def test_own_name(foreign: Foreign, flow: str) -> None:
    """A program acts in its own name, by a secret or by a key of its own."""
    assert await foreign.learned(flow) == {"expires": 300, "type": "bearer"}


async def test_device(foreign: Foreign) -> None:
    """A television is let in by somebody at another screen."""
    learned = await foreign.learned("device")
    assert learned["uri"] == f"{foreign.told['issuer']}/device"
    assert learned["sub"]


async def test_logout(foreign: Foreign) -> None:
    """The person comes back where the client asked for, and nothing can be renewed any more."""
    learned = await foreign.learned("logout")
    assert learned == {"back": foreign.told["farewell"], "state": True, "renewed": "invalid_grant"}


async def test_silently(foreign: Foreign) -> None:
    """Whoever may show no page hears that one is needed."""
    assert await foreign.learned("silent") == {"error": "login_required"}
