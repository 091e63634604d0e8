"""What each process is told: the settings of the services for one local exchange."""

import json
import os

from local_stack.credentials import Credentials
from local_stack.home import Home
from local_stack.layout import Layout
from local_stack.ports import LOOPBACK
from local_stack.services import AUTH, BILLING, SERVICES, Service

TIME_ZONE = "Europe/Moscow"

# A developer does not want to wait for stragglers that cannot exist; whoever sets these gets them.
ADJUSTABLE = {
    "ATES_LOG_LEVEL": "INFO",
    "ATES_BUSINESS_TIME_ZONE": TIME_ZONE,
    "BILLING_CLOSE_DELAY_S": "1",
    "BILLING_CLOSE_QUIET_S": "0.2",
    "BILLING_TICK_S": "0.25",
}


def database_url(service: Service, right: str, layout: Layout, credentials: Credentials) -> str:
    password = credentials.database(service.name)[right]
    # Lines that break are for the service; whoever migrates or looks comes straight.
    place = layout.way(service.name if right == "service" else right, "postgres")
    return f"postgresql://{service.name}_{right}:{password}@{place}/{service.name}"


def public_urls(layout: Layout) -> dict[str, str]:
    return {"gateway": layout.gateway_url} | {
        service.name: layout.service_url(service.name) for service in SERVICES
    }


def environment(service: Service, home: Home, layout: Layout, credentials: Credentials) -> dict[str, str]:
    """Settings of one service's processes. What a migration alone needs is in `owner_environment`."""
    prefix = service.name.upper()
    told = {
        "ATES_ENVIRONMENT": "local",
        "ATES_KAFKA_SERVERS": layout.way(service.name, "kafka"),
        "ATES_REGISTRY_URL": f"http://{layout.way(service.name, 'registry')}",
        "ATES_SCHEMA_CACHE_FOLDER": str(home.schemas),
        "ATES_PUBLIC_URLS": json.dumps(public_urls(layout)),
        # The services go to it directly: they need no gateway to check a signature.
        "ATES_INTERNAL_AUTH_URL": f"http://{layout.way(service.name, 'auth')}",
        "ATES_CLOCK_FILE": str(home.clock_file),
        f"{prefix}_DATABASE_URL": database_url(service, "service", layout, credentials),
        f"{prefix}_CLIENT_SECRET": credentials.client_secret(service.name),
        f"{prefix}_SECRET_KEY": credentials.secret_key(service.name),
    }
    if service is AUTH:
        told |= {
            "AUTH_CLIENTS": json.dumps(_clients(layout, credentials)),
            "AUTH_FIRST_ADMIN_LOGIN": "admin",
            "AUTH_FIRST_ADMIN_PASSWORD": credentials.demo_password,
            # Apart from the letters about pay, which somebody counts.
            "AUTH_LETTERS_FOLDER": str(home.letters / "accounts"),
            "AUTH_REGISTRATION": "true",
        }
    if service is BILLING:
        told |= {
            "BILLING_PRICE_KEY": credentials.price_key,
            "BILLING_LETTERS_FOLDER": str(home.letters),
        }
    return told


def owner_environment(
    service: Service, home: Home, layout: Layout, credentials: Credentials
) -> dict[str, str]:
    """The same for `migrate`, which alone may change the schema."""
    owner_url = database_url(service, "owner", layout, credentials)
    return environment(service, home, layout, credentials) | {
        f"{service.name.upper()}_DATABASE_OWNER_URL": owner_url
    }


def _clients(layout: Layout, credentials: Credentials) -> dict[str, dict[str, object]]:
    return {
        service.name: {
            "secret": credentials.client_secret(service.name),
            "redirect_uris": [f"{layout.service_url(service.name)}/callback"],
            "post_logout_redirect_uris": [f"{layout.gateway_url}/", f"{layout.service_url(service.name)}/"],
            # Told directly, as the services are.
            "backchannel_logout_uri": (f"http://{LOOPBACK}:{layout.web[service.name]}/backchannel-logout"),
            "id_token_alg": "ES256",
        }
        for service in SERVICES
        if service.signs_in
    }


def adjusted(name: str) -> str:
    """Our default for a setting, or what the developer's environment says instead."""
    return os.environ.get(name, ADJUSTABLE[name])
