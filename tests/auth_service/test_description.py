"""What the description of the API promises, held against the running service by somebody else's tool."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.auth_service.conftest import MakeAuth
from tests.auth_service.exchange import Auth
from tests.auth_service.gateway import serving

EXAMPLES = "4"
"""Of each address; beside them come those that the tool derives from the description itself."""
ENDS_WITHIN_S = 120


async def reported(auth: Auth, folder: Path) -> str:
    """What schemathesis says of every address; empty when all checks held."""
    async with auth.client() as client:
        description = folder / "openapi.json"
        description.write_text(json.dumps((await client.get("/openapi.json")).json()))
    async with serving(auth.app) as port:
        program = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")),
            *("run", str(description), "--url", f"http://127.0.0.1:{port}"),
            *("--max-examples", EXAMPLES, "--seed", "1", "--no-color", "--warnings", "off"),
            *("--generation-database", "none", "--suppress-health-check", "all"),
            *("--phases", "coverage,fuzzing", "--generation-allow-x00", "false"),
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(ENDS_WITHIN_S):
            out, _none = await program.communicate()
    assert b"SUMMARY" in out, out.decode()
    return "" if program.returncode == 0 else out.decode()


async def test_it_holds(make_auth: MakeAuth, tmp_path: Path) -> None:
    """To a stranger: only answers that are described, no failure of ours, no promise that is broken."""
    auth = await make_auth(attempts_per_address=1_000_000)
    if report := await reported(auth, tmp_path):
        pytest.fail(report, pytrace=False)
