#!/bin/sh
# Draws the secrets that docker-compose.yml asks for:  sh deploy/compose_env.sh > .env
set -eu
draw() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
for name in POSTGRES_PASSWORD DATABASE_PASSWORD BILLING_PRICE_KEY FIRST_ADMIN_PASSWORD GRAFANA_PASSWORD; do
    echo "$name=$(draw)"
done
for service in REGISTRY AUTH TRACKER BILLING ANALYTICS; do
    echo "${service}_CLIENT_SECRET=$(draw)"
    echo "${service}_SECRET_KEY=$(draw)"
done
