"""Loaded once by the fork server: what every process of a service would load for itself.

By name, as the local stack itself imports neither kit nor services; what is missing here a service's process
imports on its own.
"""

import gc
from importlib import import_module

SHARED = (
    "service_kit.command_line",
    "service_kit.pages",
    "service_kit.serving.connections",
    "service_kit.streaming",
    "service_kit.web",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "uvicorn.loops.uvloop",
)

for name in SHARED:
    import_module(name)
# What is loaded now stays; forks that never walk through it go on sharing its memory.
gc.freeze()
