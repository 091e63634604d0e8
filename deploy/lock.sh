#!/bin/sh
# Pins every dependency with hashes, for every platform. Three sets, each a superset of the one before:
# what a service image needs, what ./ates up needs, what ./ates test needs.
# Pass --upgrade to take newer versions; without it the pinned ones stay.
set -eu
cd "$(dirname "$0")/.."
compile() {
    uv pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url --no-annotate --quiet \
        --custom-compile-command "sh deploy/lock.sh" "$@"
}
compile --output-file requirements.lock "$@"
compile --group local --constraints requirements.lock --output-file requirements-local.lock "$@"
compile --group test --constraints requirements-local.lock --output-file requirements-test.lock "$@"
