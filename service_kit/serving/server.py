"""The server in front of every web app, set up in the same way wherever it runs."""

import uvicorn
from starlette.types import ASGIApp

from service_kit.serving.connections import HttpConnection

KEEP_ALIVE_S = 75
"""How long an idle connection stays open: longer than any gateway keeps it, as a click that is sent into a
connection that closes in the same moment is lost with a 502."""


def web_config(app: ASGIApp, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=HttpConnection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips="127.0.0.1",
        timeout_graceful_shutdown=5,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
