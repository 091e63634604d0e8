"""What the processes of a local exchange are told."""

import json
import stat
from pathlib import Path

import pytest

from local_stack.credentials import Credentials
from local_stack.environment import environment, owner_environment
from local_stack.home import Home
from local_stack.layout import Layout
from local_stack.services import AUTH, BILLING, SERVICES, TRACKER, Service


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def credentials(home: Home) -> Credentials:
    return Credentials(home.secrets_file)


@pytest.fixture(scope="module")
def layout() -> Layout:
    return Layout.choose(18999)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: str(service.name))
def test_least_rights(service: Service, home: Home, layout: Layout, credentials: Credentials) -> None:
    """A running process knows only its service's role; only `migrate` knows the owner's."""
    told = environment(service, home, layout, credentials)
    prefix = service.name.upper()
    assert f"{service.name}_service:" in told[f"{prefix}_DATABASE_URL"]
    assert not any("_owner:" in value for value in told.values())
    owner = owner_environment(service, home, layout, credentials)
    assert set(owner) - set(told) == {f"{prefix}_DATABASE_OWNER_URL"}


def test_secrets_of_others_stay_theirs(home: Home, layout: Layout, credentials: Credentials) -> None:
    """No service is told the keys of another; auth alone knows the secrets of its clients."""
    told = " ".join(environment(TRACKER, home, layout, credentials).values())
    assert credentials.secret_key("billing") not in told
    assert credentials.client_secret("billing") not in told
    assert credentials.price_key not in told
    assert credentials.price_key in environment(BILLING, home, layout, credentials).values()


def test_clients(home: Home, layout: Layout, credentials: Credentials) -> None:
    """Each service is an OAuth client of its own, which returns to its own address."""
    clients = json.loads(environment(AUTH, home, layout, credentials)["AUTH_CLIENTS"])
    assert clients["tracker"]["secret"] == credentials.client_secret("tracker")
    assert clients["tracker"]["redirect_uris"] == ["http://localhost:18999/tracker/callback"]


def test_secrets_are_kept(home: Home, credentials: Credentials) -> None:
    """Drawn once, read again by the next start, readable by the owner only, different everywhere."""
    again = Credentials(home.secrets_file)
    assert again.secret_key("tracker") == credentials.secret_key("tracker")
    assert again.demo_password == credentials.demo_password
    assert again.secret_key("tracker") != again.secret_key("billing")
    assert stat.S_IMODE(home.secrets_file.stat().st_mode) == 0o600
    assert Credentials(home.folder / "another.json").secret_key("tracker") != again.secret_key("tracker")
