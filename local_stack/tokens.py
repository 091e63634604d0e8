"""Access tokens of people, minted by auth_service itself. It does so in a local exchange only."""

import asyncio
import json
import os
import subprocess
import sys
import time

from local_stack.credentials import Credentials
from local_stack.environment import environment
from local_stack.home import ROOT, Home
from local_stack.services import AUTH
from local_stack.state import State
from local_stack.troubles import Trouble

# Tokens live five minutes; a request under way must not outlive its own.
_RENEW_AFTER_S = 200
_MINTED_WITHIN_S = 60


def token_of(home: Home, state: State, login: str) -> str:
    answer = _mint(home, state, login)
    if answer.returncode != 0:
        raise Trouble(answer.stderr.strip() or f"There is no token for {login}.")
    return answer.stdout.strip()


class Tokens:
    """A valid token of everybody, minted together and renewed in time."""

    def __init__(self, home: Home, state: State) -> None:
        self._home = home
        self._state = state
        self._tokens: dict[str, str] = {}
        self._minted_at = -float("inf")
        self._lock = asyncio.Lock()

    async def of(self, login: str) -> str:
        async with self._lock:
            if login not in self._tokens or time.monotonic() - self._minted_at > _RENEW_AFTER_S:
                await self._renew()
        return self._tokens[login]

    async def _renew(self) -> None:
        answer = await asyncio.to_thread(_mint, self._home, self._state, "--all")
        if answer.returncode != 0:
            raise Trouble(f"auth_service minted no tokens: {answer.stderr.strip()}")
        self._tokens = json.loads(answer.stdout)
        self._minted_at = time.monotonic()


def _mint(home: Home, state: State, who: str) -> subprocess.CompletedProcess[str]:
    told = environment(AUTH, home, state.layout, Credentials(home.secrets_file))
    try:
        return subprocess.run(
            [sys.executable, "-m", AUTH.package, "token", who],
            cwd=ROOT,
            env={**os.environ, **told, "ATES_LOG_LEVEL": "ERROR"},
            capture_output=True,
            text=True,
            check=False,
            timeout=_MINTED_WITHIN_S,
        )
    except subprocess.TimeoutExpired as expired:
        raise Trouble(f"auth_service minted no token within {_MINTED_WITHIN_S} s.") from expired
