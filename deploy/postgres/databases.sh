#!/bin/sh
# Runs once, when the container makes its data folder: a database with three roles for each service, with the
# same rights as local_stack/engines/databases.py gives.
set -eu
for name in registry auth tracker billing analytics; do
    psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --set "name=$name" --set "password=$DATABASE_PASSWORD" <<'SQL'
SELECT :'name' || '_owner' AS owner, :'name' || '_service' AS service, :'name' || '_reader' AS reader \gset
CREATE ROLE :"owner" LOGIN PASSWORD :'password';
CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE ROLE :"reader" LOGIN PASSWORD :'password';
ALTER ROLE :"reader" SET default_transaction_read_only = on;
CREATE DATABASE :"name" OWNER :"owner";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"name" TO :"service", :"reader";
\connect :"name"
ALTER SCHEMA public OWNER TO :"owner";
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO :"service", :"reader";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public GRANT SELECT ON TABLES TO :"reader";
SQL
done
