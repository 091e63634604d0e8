"""`status`: what runs, where it is found, and whether each part is ready right now."""

import asyncio
from typing import Any

from rich.console import Console
from rich.table import Table

from local_stack.clock import business_now
from local_stack.credentials import Credentials
from local_stack.environment import database_url
from local_stack.home import Home
from local_stack.ports import answers
from local_stack.probes import ready
from local_stack.services import SERVICES
from local_stack.state import State, living


def status(home: Home, state: State) -> dict[str, Any]:
    """The answer of `status --json`, on which scripts rely."""
    credentials = Credentials(home.secrets_file)
    healthy = asyncio.run(
        ready({process.name: process.health_url for process in state.processes if process.health_url})
    )
    healthy |= {
        "gateway": answers(state.layout.gateway),
        "kafka": answers(state.layout.kafka, state.layout.kafka_host),
        "postgres": answers(state.layout.postgres, state.layout.postgres_host),
    }
    return {
        "gateway": state.layout.gateway_url,
        "issuer": state.layout.issuer,
        "registry": state.layout.registry_url,
        "kafka": state.layout.kafka_address,
        "databases": {
            service.name: database_url(service, "owner", state.layout, credentials) for service in SERVICES
        },
        "readers": {
            service.name: database_url(service, "reader", state.layout, credentials) for service in SERVICES
        },
        # With a mail server of the operator's there is no such folder; nor before the first letter.
        "letters": str(home.letters) if home.letters.exists() else None,
        "processes": [
            {
                "name": process.name,
                "pid": process.pid,
                "state": process.state,
                "ready": living(process) is not None and healthy.get(process.name, False),
                "restarts": process.restarts,
                "health": process.health_url,
            }
            for process in state.processes
        ],
        "business_time": business_now(home).isoformat(timespec="seconds"),
    }


def show(known: dict[str, Any], console: Console) -> None:
    table = Table("process", "state", "ready", "restarts", "pid", box=None, header_style="dim")
    for process in known["processes"]:
        table.add_row(
            process["name"],
            process["state"],
            "[green]yes[/]" if process["ready"] else "[red]no[/]",
            str(process["restarts"]),
            str(process["pid"] or ""),
        )
    console.print(f"[bold]{known['gateway']}[/]   business time {known['business_time']}")
    console.print(table)
    for name in ("registry", "kafka", "letters"):
        if known[name]:
            # Whole, however narrow the terminal is: it is there to be copied.
            console.print(f" {name:<17} {known[name]}", soft_wrap=True, highlight=False)
