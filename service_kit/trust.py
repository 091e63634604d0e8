"""The authorities that calls over TLS trust: loaded once in a process, as it takes longer than most calls."""

import ssl
from functools import cache

import httpx2


@cache
def trusted() -> ssl.SSLContext:
    """For every client of this process, whatever it calls."""
    return httpx2.create_ssl_context()
