"""What the description of the API promises, held against the running service by somebody else's tool."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.auth_service.conftest import MakeAuth
from tests.auth_service.exchange import Auth
from tests.support.web import serving

ADMINISTRATORS = "^/api/v1/"
FORMATS = Path(__file__).with_name("described_formats.py")
EXAMPLES = "4"
"""Of each address; beside them come those that the tool derives from the description itself."""
ENDS_WITHIN_S = 120


async def reported(auth: Auth, folder: Path, *options: str) -> str:
    """What schemathesis says of the described addresses; empty when all checks held."""
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
            *options,
            cwd=folder,
            env=os.environ | {"SCHEMATHESIS_HOOKS": str(FORMATS), "PYTHONPATH": str(FORMATS.parents[2])},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(ENDS_WITHIN_S):
                out, _none = await program.communicate()
        finally:
            if program.returncode is None:
                program.kill()
    assert b"SUMMARY" in out, out.decode()
    return "" if program.returncode == 0 else out.decode()


async def test_to_an_administrator(make_auth: MakeAuth, tmp_path: Path) -> None:
    """The same for what only an administrator is answered."""
    auth = await make_auth(attempts_per_address=1_000_000)
    token = (await auth.tokens())["access_token"]
    known = ("--header", f"Authorization: Bearer {token}")
    # What is invisible in a name is refused, which no description can say.
    options = (*known, "--include-path-regex", ADMINISTRATORS, "--generation-codec", "ascii")
    if report := await reported(auth, tmp_path, *options):
        pytest.fail(report, pytrace=False)


async def test_it_holds(make_auth: MakeAuth, tmp_path: Path) -> None:
    """To a stranger: only answers that are described, no failure of ours, no promise that is broken."""
    auth = await make_auth(attempts_per_address=1_000_000)
    if report := await reported(auth, tmp_path):
        pytest.fail(report, pytrace=False)
