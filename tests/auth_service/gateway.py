"""Real ports for the application of a test, and Caddy in front of it, as in production."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from local_stack.ports import answers
from tests.support.running import eventually


@asynccontextmanager
async def serving(app: ASGIApp, port: int = 0) -> AsyncIterator[int]:
    """The application behind a port of its own, which is answered."""
    config = uvicorn.Config(app, port=port, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    try:
        await eventually(started)
        yield int(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        await task


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
