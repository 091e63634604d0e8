"""Caddy in front of the application of a test, as in production."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from local_stack.ports import answers
from tests.support.running import eventually


@asynccontextmanager
async def caddy(configuration: str, folder: Path, port: int) -> AsyncIterator[None]:
    """Caddy with this configuration, once it listens on `port`; what it makes lies in `folder`."""
    file = folder / "Caddyfile"
    file.write_text(configuration)
    program = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("caddy")),
        *("run", "--config", str(file), "--adapter", "caddyfile"),
        env={"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:

        async def ready() -> bool:
            return answers(port)

        await eventually(ready)
        yield
    finally:
        program.terminate()
        await program.wait()
