"""One database per service, with three roles of different rights, made and kept right at each start."""

from urllib.parse import urlsplit

import asyncpg

OWNER, SERVICE, READER = "owner", "service", "reader"
RIGHTS = (OWNER, SERVICE, READER)


async def ensure_database(superuser_dsn: str, database: str, passwords: dict[str, str]) -> None:
    """Make `database` with `<database>_owner`, `_service` and `_reader`, or bring their passwords up to date.

    The owner migrates. The service may connect and see the schema; what it may do with which table is
    granted by each migration. The reader may look at everything and change nothing.
    """
    owner, service, reader = (f"{database}_{right}" for right in RIGHTS)
    server = await asyncpg.connect(superuser_dsn)
    try:
        existing = {row["rolname"] for row in await server.fetch("SELECT rolname FROM pg_roles")}
        for right in RIGHTS:
            role = f"{database}_{right}"
            verb = "ALTER" if role in existing else "CREATE"
            # Role names and passwords are made by us of letters and digits; DDL takes no parameters.
            await server.execute(f"{verb} ROLE {role} LOGIN PASSWORD '{passwords[right]}'")
        await server.execute(f"ALTER ROLE {reader} SET default_transaction_read_only = on")
        found = await server.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database)
        if found is None:
            await server.execute(f"CREATE DATABASE {database} OWNER {owner}")
        # Otherwise every role may connect everywhere and make temporary tables there.
        await server.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
        await server.execute(f"GRANT CONNECT ON DATABASE {database} TO {service}, {reader}")
    finally:
        await server.close()
    inside = await asyncpg.connect(urlsplit(superuser_dsn)._replace(path=f"/{database}").geturl())
    try:
        await inside.execute(f"ALTER SCHEMA public OWNER TO {owner}")
        await inside.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        await inside.execute(f"GRANT USAGE ON SCHEMA public TO {service}, {reader}")
        await inside.execute(
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT SELECT ON TABLES TO {reader}"
        )
    finally:
        await inside.close()
