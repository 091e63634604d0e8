"""The container description starts the same exchange as local_stack: the two cannot drift apart."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_stack.credentials import Credentials
from local_stack.engines.gateway import caddyfile
from local_stack.engines.java import find_java
from local_stack.engines.kafka import Kafka
from local_stack.environment import ADJUSTABLE, environment, owner_environment
from local_stack.home import ROOT, Home
from local_stack.layout import Layout
from local_stack.services import SERVICES, Service

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
LOCAL_ONLY = {"ATES_CLOCK_FILE", "AUTH_LETTERS_FOLDER", "BILLING_LETTERS_FOLDER"}
CONTAINERS_ONLY = {"auth": {"ATES_SMTP_URL"}, "billing": {"ATES_SMTP_URL"}}
"""Letters lie in folders on a laptop; where there are containers, a mail catcher is one of them."""

each_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: str(service.name))


def told(service: Service, process: str) -> dict[str, str]:
    return dict(COMPOSE[f"{service.name}-{process}"]["environment"])


def settings(told: dict[str, str]) -> set[str]:
    return {key for key in told if key not in {"SERVICE", "ARGS"}}


def test_same_processes() -> None:
    """Every process of a local exchange is described, with a migration before each, and no other of ours."""
    ours = {name for name, description in COMPOSE.items() if description.get("image") == "ates"}
    processes = {process for service in SERVICES for process in service.processes}
    assert ours == processes | {f"{service.name}-migrate" for service in SERVICES}
    assert {"postgres", "kafka", "gateway"} < set(COMPOSE)


@each_service
def test_same_settings(service: Service, tmp_path: Path) -> None:
    """Each process is told the same settings; what is for a developer's machine only is left out."""
    home, layout = Home(tmp_path), Layout.choose(18997)
    credentials = Credentials(home.secrets_file)
    prefixes = ("ATES_", f"{service.name.upper()}_")
    defaults = {name for name in ADJUSTABLE if name.startswith(prefixes)}
    further = defaults | CONTAINERS_ONLY.get(service.name, set())
    expected = (set(environment(service, home, layout, credentials)) | further) - LOCAL_ONLY
    for process in service.processes:
        assert settings(told(service, process.removeprefix(f"{service.name}-"))) == expected
    owner = (set(owner_environment(service, home, layout, credentials)) | further) - LOCAL_ONLY
    assert settings(told(service, "migrate")) == owner


@each_service
def test_same_commands(service: Service) -> None:
    """Each container runs the same program of the same package."""
    for process in (*service.processes, f"{service.name}-migrate"):
        environment_ = COMPOSE[process]["environment"]
        assert environment_["SERVICE"] == service.package
        assert environment_["ARGS"].split()[0] == process.removeprefix(f"{service.name}-")


def test_same_clients_and_addresses(tmp_path: Path) -> None:
    """The OAuth clients and public addresses are those of the usual ports."""
    described = json.loads(COMPOSE["auth-web"]["environment"]["AUTH_CLIENTS"])
    layout = Layout.choose(18996)
    home = Home(tmp_path)
    local = environment(SERVICES[1], home, layout, Credentials(home.secrets_file))
    clients = json.loads(local["AUTH_CLIENTS"].replace(":18996", ":8080"))
    assert described.keys() == clients.keys()
    for name, client in clients.items():
        assert described[name]["redirect_uris"] == client["redirect_uris"]
        assert described[name]["post_logout_redirect_uris"] == client["post_logout_redirect_uris"]
    urls = json.loads(local["ATES_PUBLIC_URLS"].replace(":18996", ":8080"))
    assert json.loads(COMPOSE["auth-web"]["environment"]["ATES_PUBLIC_URLS"]) == urls


def test_same_gateway() -> None:
    """The Caddyfile in deploy is the one that local_stack would write for these addresses."""
    upstreams = {service.name: f"{service.name}-web:8000" for service in SERVICES}
    assert (ROOT / "deploy" / "Caddyfile").read_text() == caddyfile(":8080", upstreams)


def test_same_topics(tmp_path: Path) -> None:
    """Topics come into being alike: declared by their producers, never by accident, equally wide and kept."""
    broker = Kafka(tmp_path, 1, 2, java=find_java(), jars=tmp_path)
    local = dict(line.split("=", 1) for line in broker.settings().splitlines())
    described = COMPOSE["kafka"]["environment"]
    for name in ("auto.create.topics.enable", "num.partitions", "log.retention.ms"):
        assert described[f"KAFKA_{name.upper().replace('.', '_')}"] == local[name]


def test_same_version_of_kafka() -> None:
    from local_stack.engines.jars import KAFKA  # noqa: PLC0415 - only this claim is about it

    assert COMPOSE["kafka"]["image"].rpartition(":")[2] == KAFKA.rpartition(":")[2]


def test_every_process_is_scraped() -> None:
    """Prometheus knows every process that tells figures."""
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["scrape_configs"][0]
    targets = {target.removesuffix(":8000") for target in scraped["static_configs"][0]["targets"]}
    assert targets == {process for service in SERVICES for process in service.processes}
